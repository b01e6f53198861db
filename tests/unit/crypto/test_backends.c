/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Each backend against the other: what one seals the other seals alike and opens, for every
 * length, and in bursts of mixed suites. What only one has it does with itself. Packets stand on
 * the heap in exactly their size, for ASan, and between two pages without access, because ASan does
 * not see into the libraries.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "wire.h"

#define BURST_MAX 300 /* more than a backend takes at once */
#define KEYS      3

/* Both backends and their keys. */
struct pair {
	struct crypto_ctx *ctx[CRYPTO_BACKENDS];
	void *key[CRYPTO_BACKENDS][CRYPTO_SUITES_MAX][KEYS];
};

static int
setup(void **state)
{
	struct pair *p = calloc(1, sizeof(*p));

	for (int b = 0; b < CRYPTO_BACKENDS; b++) {
		p->ctx[b] = crypto_ctx_new(b, NULL);
		assert_non_null(p->ctx[b]);
		for (unsigned int s = 0; s < crypto_suites_count; s++)
			for (unsigned int k = 0; k < KEYS; k++)
				p->key[b][s][k] = new_key(p->ctx[b], s, k);
	}
	*state = p;
	return 0;
}

static int
teardown(void **state)
{
	struct pair *p = *state;

	for (int b = 0; b < CRYPTO_BACKENDS; b++) {
		for (unsigned int s = 0; s < crypto_suites_count; s++)
			for (unsigned int k = 0; k < KEYS; k++)
				free(p->key[b][s][k]);
		crypto_ctx_free(p->ctx[b]);
	}
	free(p);
	return 0;
}

static bool
has(const struct pair *p, int backend, unsigned int suite)
{
	return p->key[backend][suite][0] != NULL;
}

/* The other one; the same where the other has not got the suite. */
static int
partner(const struct pair *p, int backend, unsigned int suite)
{
	return has(p, !backend, suite) ? !backend : backend;
}

/* One packet on its way: sealed by `seal`, sealed by the other too, opened by the other. */
static void
round_trip(struct pair *p, int backend, struct wire *w, struct wire *twin)
{
	static uint8_t clear[WIRE_MAX];
	int other = partner(p, backend, w->suite);
	struct crypto_op op;
	uint64_t random = w->text_len + 1;

	fill_random(&random, w->bytes, wire_len(w));
	memcpy(clear, w->bytes, wire_len(w));
	memcpy(twin->bytes, w->bytes, wire_len(w));
	wire_seal_op(w, p->key[backend][w->suite][0], &op);
	crypto_key_fetch(p->ctx[backend], w->suite, op.key, op.text_len);
	crypto_seal(p->ctx[backend], &op, 1);
	assert_int_equal(op.ok, 1);
	wire_seal_op(twin, p->key[other][w->suite][0], &op);
	crypto_seal(p->ctx[other], &op, 1);
	assert_memory_equal(w->bytes, twin->bytes, wire_len(w));
	wire_open_op(w, p->key[other][w->suite][0], &op);
	crypto_open(p->ctx[other], &op, 1);
	assert_int_equal(op.ok, 1);
	assert_memory_equal(w->bytes, clear, 8);
	assert_memory_equal(wire_text(w), clear + (wire_text(w) - w->bytes), w->text_len);
}

/* And with the last bit under the ICV flipped it is refused. */
static void
refused(struct pair *p, int backend, struct wire *w)
{
	struct crypto_op op;

	if (!w->text_len)
		return;
	wire_text(w)[w->text_len - 1] ^= 1;
	wire_open_op(w, p->key[backend][w->suite][0], &op);
	crypto_open(p->ctx[backend], &op, 1);
	assert_int_equal(op.ok, 0);
}

static void
one_length_on_the_heap(struct pair *p, unsigned int suite, uint32_t len, bool esn)
{
	for (int backend = 0; backend < CRYPTO_BACKENDS; backend++) {
		struct wire w = {.suite = suite, .text_len = len, .esn = esn}, twin = w;

		if (!has(p, backend, suite))
			continue;
		w.bytes = malloc(wire_len(&w));
		twin.bytes = malloc(wire_len(&w));
		round_trip(p, backend, &w, &twin);
		refused(p, backend, &twin);
		free(w.bytes);
		free(twin.bytes);
	}
}

/*
 * The step from one length to the next. Every length for each AEAD, each cipher and each
 * integrity; with shorter ICVs and for other pairs, lengths that leave every remainder.
 */
static uint32_t
step_of(unsigned int suite)
{
	const struct crypto_suite *s = &crypto_suites[suite];
	bool every = s->integrity == CRYPTO_OWN_ICV
			     ? s->icv_len == 16
			     : s->integrity == CRYPTO_HMAC_SHA256 || s->kind == CRYPTO_NULL;

	return wire_step(suite) * (every ? 1 : 17);
}

static void
test_C72_backends_agree_on_every_length(void **state)
{
	for (unsigned int suite = 0; suite < crypto_suites_count; suite++) {
		uint32_t step = step_of(suite);

		for (uint32_t len = 0; len <= TEXT_MAX; len += step) {
			one_length_on_the_heap(*state, suite, len, false);
			one_length_on_the_heap(*state, suite, len, true);
		}
	}
}

/* Two pages to write on, and one without access on either side. */
struct fence {
	uint8_t *map;
	size_t page;
};

static struct fence
fence_new(void)
{
	struct fence f = {.page = (size_t)sysconf(_SC_PAGESIZE)};

	f.map = mmap(NULL, 4 * f.page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(f.map, MAP_FAILED);
	assert_int_equal(mprotect(f.map + f.page, 2 * f.page, PROT_READ | PROT_WRITE), 0);
	return f;
}

/* The packet stands at the start or at the end of the fence; the rest is a canary. */
static uint8_t *
fence_place(struct fence *f, uint32_t len, bool at_end)
{
	memset(f->map + f->page, 0xc5, 2 * f->page);
	return at_end ? f->map + 3 * f->page - len : f->map + f->page;
}

static void
canary_alive(struct fence *f, const uint8_t *packet, uint32_t len)
{
	const uint8_t *start = f->map + f->page, *end = start + 2 * f->page;
	static uint8_t canary[1 << 16];

	assert_in_range(end - start, 1, sizeof(canary));
	memset(canary, 0xc5, (size_t)(end - start));
	assert_memory_equal(start, canary, (size_t)(packet - start));
	assert_memory_equal(packet + len, canary, (size_t)(end - packet - len));
}

static void
one_length_in_fences(struct pair *p, struct fence *f, struct wire *w, bool at_end)
{
	for (int backend = 0; backend < CRYPTO_BACKENDS; backend++) {
		struct wire twin = *w;

		if (!has(p, backend, w->suite))
			continue;
		w->bytes = fence_place(&f[0], wire_len(w), at_end);
		twin.bytes = fence_place(&f[1], wire_len(w), at_end);
		round_trip(p, backend, w, &twin);
		refused(p, backend, &twin);
		canary_alive(&f[0], w->bytes, wire_len(w));
		canary_alive(&f[1], twin.bytes, wire_len(w));
	}
}

static void
test_nothing_beyond_a_packet_is_touched(void **state)
{
	struct fence f[2] = {fence_new(), fence_new()};

	for (unsigned int suite = 0; suite < crypto_suites_count; suite++) {
		uint32_t step = step_of(suite);

		for (uint32_t len = 0; len <= 512; len += step) {
			for (int kind = 0; kind < 4; kind++) {
				struct wire w = {.suite = suite, .text_len = len, .esn = kind & 1};

				one_length_in_fences(*state, f, &w, kind & 2);
			}
		}
	}
	munmap(f[0].map, 4 * f[0].page);
	munmap(f[1].map, 4 * f[1].page);
}

/* A burst of random packets: any suite or one, any length, ESN or not, several keys. */
struct flock {
	struct wire wires[BURST_MAX];
	unsigned int key[BURST_MAX];
	uint8_t clear[BURST_MAX][WIRE_MAX];
	uint8_t bytes[BURST_MAX][WIRE_MAX];
	struct crypto_op ops[BURST_MAX];
	unsigned int n;
};

static void
flock_init(struct flock *f, struct pair *p, int backend, unsigned int n, int suite,
	   uint64_t *random)
{
	f->n = n;
	for (unsigned int i = 0; i < n; i++) {
		struct wire *w = &f->wires[i];

		do
			w->suite = suite < 0 ? next_random(random) % crypto_suites_count
					     : (unsigned int)suite;
		while (!has(p, backend, w->suite) || !has(p, !backend, w->suite));
		w->esn = next_random(random) & 1;
		w->text_len = next_random(random) % 1500 & ~15U;
		if (wire_step(w->suite) == 1)
			w->text_len += next_random(random) % 16;
		w->bytes = f->bytes[i];
		f->key[i] = next_random(random) % KEYS;
		fill_random(random, w->bytes, wire_len(w));
		memcpy(f->clear[i], w->bytes, wire_len(w));
	}
}

static void
flock_seal(struct flock *f, struct pair *p, int backend)
{
	for (unsigned int i = 0; i < f->n; i++)
		wire_seal_op(&f->wires[i], p->key[backend][f->wires[i].suite][f->key[i]],
			     &f->ops[i]);
	crypto_seal(p->ctx[backend], f->ops, f->n);
	for (unsigned int i = 0; i < f->n; i++)
		assert_int_equal(f->ops[i].ok, 1);
}

/* Every fifth packet has a bit flipped, at random: exactly those must be refused. */
static void
flock_open(struct flock *f, struct pair *p, int backend, uint64_t *random)
{
	for (unsigned int i = 0; i < f->n; i++) {
		struct wire *w = &f->wires[i];

		if (i % 5 == 4)
			w->bytes[next_random(random) % wire_len(w)] ^= 1
								       << (next_random(random) % 8);
		wire_open_op(w, p->key[backend][w->suite][f->key[i]], &f->ops[i]);
	}
	crypto_open(p->ctx[backend], f->ops, f->n);
	for (unsigned int i = 0; i < f->n; i++) {
		struct wire *w = &f->wires[i];

		assert_int_equal(f->ops[i].ok, i % 5 != 4);
		if (f->ops[i].ok)
			assert_memory_equal(wire_text(w), f->clear[i] + (wire_text(w) - w->bytes),
					    w->text_len);
	}
}

static void
burst_both_ways(struct pair *p, unsigned int n, int suite, uint64_t *random)
{
	static struct flock f;

	if (suite >= 0 && (!has(p, 0, suite) || !has(p, 1, suite)))
		return;
	for (int backend = 0; backend < CRYPTO_BACKENDS; backend++) {
		flock_init(&f, p, backend, n, suite, random);
		flock_seal(&f, p, backend);
		flock_open(&f, p, !backend, random);
	}
}

static void
test_bursts_of_mixed_suites(void **state)
{
	uint64_t random = 4;

	for (unsigned int n = 1; n <= 64; n++)
		for (int repeat = 0; repeat < 4; repeat++)
			burst_both_ways(*state, n, -1, &random);
}

static void
test_bursts_of_one_suite(void **state)
{
	uint64_t random = 5;

	for (unsigned int suite = 0; suite < crypto_suites_count; suite++)
		for (unsigned int n = 1; n <= 64; n++)
			burst_both_ways(*state, n, suite, &random);
}

static void
test_runs_longer_than_a_backend_takes_at_once(void **state)
{
	uint64_t random = 6;

	for (unsigned int suite = 0; suite < crypto_suites_count; suite++)
		for (unsigned int n = 127; n <= BURST_MAX; n += 43)
			burst_both_ways(*state, n, suite, &random);
}

static void
test_no_operations_are_no_work(void **state)
{
	struct pair *p = *state;

	for (int b = 0; b < CRYPTO_BACKENDS; b++) {
		crypto_seal(p->ctx[b], NULL, 0);
		crypto_open(p->ctx[b], NULL, 0);
	}
}

/* The wire IV of a CBC packet is the encryption of what the caller put there: SP 800-38A, C. */
static void
test_cbc_seals_the_iv_field(void **state)
{
	struct pair *p = *state;
	unsigned int suite = crypto_suite_by_name("aes128-sha256");
	uint8_t bytes[8 + 16 + 32 + 16], other[sizeof(bytes)];
	struct wire w = {.suite = suite, .text_len = 32, .bytes = bytes};
	struct crypto_op op;

	for (unsigned int counter = 0; counter < 2; counter++) {
		memset(bytes, 0, sizeof(bytes));
		bytes[8] = (uint8_t)counter;
		wire_seal_op(&w, p->key[CRYPTO_IPSEC_MB][suite][0], &op);
		crypto_seal(p->ctx[CRYPTO_IPSEC_MB], &op, 1);
		if (counter == 0)
			memcpy(other, bytes, sizeof(bytes));
	}
	for (unsigned int block = 8; block < 8 + 48; block += 16)
		assert_memory_not_equal(bytes + block, other + block, 16);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_C72_backends_agree_on_every_length),
		cmocka_unit_test(test_nothing_beyond_a_packet_is_touched),
		cmocka_unit_test(test_bursts_of_mixed_suites),
		cmocka_unit_test(test_bursts_of_one_suite),
		cmocka_unit_test(test_runs_longer_than_a_backend_takes_at_once),
		cmocka_unit_test(test_no_operations_are_no_work),
		cmocka_unit_test(test_cbc_seals_the_iv_field),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
