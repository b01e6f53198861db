/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two threads at once, each with its own contexts, on the same expanded keys: what the packet path
 * does when two workers share an SA. Keys are only read.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "wire.h"

#define THREADS 2
#define BURST   32
#define ROUNDS  300

struct shared {
	void *key[CRYPTO_BACKENDS][CRYPTO_SUITES_MAX];
	pthread_barrier_t start;
};

struct party {
	struct shared *shared;
	int backend; /* seals; the other one opens */
	unsigned int number, failures;
	pthread_t thread;
};

/* cmocka's assertions belong to the main thread: a party counts what went wrong. */
static unsigned int
one_round(struct party *party, struct crypto_ctx *const *ctx, uint64_t *random)
{
	static _Thread_local uint8_t bytes[BURST][WIRE_MAX], clear[BURST][WIRE_MAX];
	struct wire wires[BURST];
	struct crypto_op ops[BURST];
	unsigned int failures = 0;

	for (unsigned int i = 0; i < BURST; i++) {
		struct wire *w = &wires[i];

		memset(w, 0, sizeof(*w));
		do
			w->suite = next_random(random) % crypto_suites_count;
		while (!party->shared->key[0][w->suite] || !party->shared->key[1][w->suite]);
		w->text_len = next_random(random) % 600 & ~15U;
		w->bytes = bytes[i];
		fill_random(random, w->bytes, wire_len(w));
		memcpy(clear[i], w->bytes, wire_len(w));
		wire_seal_op(w, party->shared->key[party->backend][w->suite], &ops[i]);
	}
	crypto_seal(ctx[party->backend], ops, BURST);
	for (unsigned int i = 0; i < BURST; i++)
		wire_open_op(&wires[i], party->shared->key[!party->backend][wires[i].suite],
			     &ops[i]);
	crypto_open(ctx[!party->backend], ops, BURST);
	for (unsigned int i = 0; i < BURST; i++)
		failures += !ops[i].ok ||
			    memcmp(wire_text(&wires[i]),
				   clear[i] + (wire_text(&wires[i]) - bytes[i]), wires[i].text_len);
	return failures;
}

static void *
party_main(void *arg)
{
	struct party *party = arg;
	uint64_t random = party->number + 1;
	struct crypto_ctx *ctx[CRYPTO_BACKENDS];

	for (int b = 0; b < CRYPTO_BACKENDS; b++)
		ctx[b] = crypto_ctx_new(b, NULL);
	pthread_barrier_wait(&party->shared->start);
	for (int round = 0; round < ROUNDS; round++)
		party->failures += one_round(party, ctx, &random);
	for (int b = 0; b < CRYPTO_BACKENDS; b++)
		crypto_ctx_free(ctx[b]);
	return NULL;
}

static void
keys_init(struct shared *shared, bool check)
{
	for (int b = 0; b < CRYPTO_BACKENDS; b++) {
		struct crypto_ctx *ctx = crypto_ctx_new(b, NULL);

		for (unsigned int s = 0; s < crypto_suites_count; s++) {
			void *key = new_key(ctx, s, 0);

			if (!check) {
				shared->key[b][s] = key;
				continue;
			}
			if (key)
				assert_memory_equal(shared->key[b][s], key,
						    crypto_key_size(ctx, s));
			free(key);
			free(shared->key[b][s]);
		}
		crypto_ctx_free(ctx);
	}
}

static void
run_parties(int first_backend, int second_backend)
{
	struct shared shared;
	struct party parties[THREADS] = {
		{.shared = &shared, .backend = first_backend, .number = 0},
		{.shared = &shared, .backend = second_backend, .number = 1},
	};

	keys_init(&shared, false);
	pthread_barrier_init(&shared.start, NULL, THREADS);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&parties[i].thread, NULL, party_main, &parties[i]),
				 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(parties[i].thread, NULL);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(parties[i].failures, 0);
	keys_init(&shared, true);
	pthread_barrier_destroy(&shared.start);
}

static void
test_two_threads_share_keys(void **state)
{
	run_parties(CRYPTO_IPSEC_MB, CRYPTO_IPSEC_MB);
	run_parties(CRYPTO_IPSEC_MB, CRYPTO_OPENSSL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_threads_share_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
