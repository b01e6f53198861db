/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the crypto contract costs: TSC ticks an operation, for each suite, backend and size, keys
 * and data in cache; and beside AES-GCM the same work by IPsec-MB's direct call alone, alternating
 * with ours in one run, so that the difference is the contract's own cost. A figure is the
 * minimum of many bursts, each far under a millisecond. All that was sealed is opened again by
 * the other backend, and every ICV opened is checked.
 *
 *     crypto_limit [THREADS [SUITE...]]
 *
 * With THREADS above 1 the others seal 64-byte AES-GCM-128 without pause meanwhile, which shows
 * whether threads slow each other down, where a core is free for each.
 * A figure is then the median: the minimum would find the moments when the others rest.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <x86intrin.h>

#include <intel-ipsec-mb.h>

#include "crypto/crypto.h"

#define BURST    32
#define REPEATS  2000
#define STRIDE   (25 * 64) /* of buffers: an odd number of lines */
#define HEAD_LEN 24        /* SPI, sequence number and at most 16 bytes of IV */

/* A timed function as a stranger sees it: gcc has been seen to drop work across such calls. */
#ifdef __clang__
#define OPAQUE __attribute__((noinline))
#else
#define OPAQUE __attribute__((noinline, noipa))
#endif

static const unsigned int sizes[] = {64, 256, 512, 1024, 1424};
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

/* A burst of packets: header, text, ICV, as ESP lays them out. */
struct packets {
	alignas(64) uint8_t bytes[BURST][STRIDE];
};

static struct packets packets, sealed;
static int threads = 1;
static const uint8_t key_bytes[32] = {1, 2, 3}, auth_key_bytes[64] = {4, 5, 6};

/* What is measured: the contract, or with `direct` the library alone. */
struct subject {
	struct crypto_ctx *ctx;
	IMB_MGR *direct;
	unsigned int suite;
	bool open;
	void *key;
};

/*
 * CBC seals from the IV field on: 16 bytes more than the size, as on the wire. Header and IV of
 * other suites are taken to be as long as CBC's; that matters to none.
 */
static void
fill_op(struct crypto_op *op, const struct subject *s, uint8_t *packet, unsigned int size)
{
	memset(op, 0, sizeof(*op));
	op->suite = s->suite;
	op->key = s->key;
	op->auth = packet;
	op->text = packet + HEAD_LEN;
	op->text_len = size;
	op->auth_len = 8;
	op->icv = op->text + size;
	op->iv[11] = 7;
	if (crypto_suites[s->suite].integrity != CRYPTO_OWN_ICV)
		op->auth_len = HEAD_LEN + size;
	if (crypto_suites[s->suite].kind != CRYPTO_CBC)
		return;
	if (s->open) {
		memcpy(op->iv, packet + 8, 16);
		return;
	}
	op->text = packet + 8;
	op->text_len = size + 16;
	memset(op->iv, 0, sizeof(op->iv));
}

static void
fill_burst(struct crypto_op *ops, const struct subject *s, struct packets *p, unsigned int size)
{
	for (unsigned int i = 0; i < BURST; i++)
		fill_op(&ops[i], s, p->bytes[i], size);
}

/* The direct calls, with the same comparison of ICVs that any user of them needs. */
static OPAQUE void
run_direct(const struct subject *s, struct crypto_op *ops)
{
	static struct gcm_context_data gcm;
	const unsigned int key_len = crypto_suites[s->suite].key_len;
	aes_gcm_enc_dec_t call;
	const unsigned int icv_len = crypto_suites[s->suite].icv_len;
	uint8_t icv[CRYPTO_ICV_MAX];

	if (s->open)
		call = key_len == 16   ? s->direct->gcm128_dec
		       : key_len == 24 ? s->direct->gcm192_dec
				       : s->direct->gcm256_dec;
	else
		call = key_len == 16   ? s->direct->gcm128_enc
		       : key_len == 24 ? s->direct->gcm192_enc
				       : s->direct->gcm256_enc;
	for (struct crypto_op *op = ops; op < ops + BURST; op++) {
		call(op->key, &gcm, op->text, op->text, op->text_len, op->iv, op->auth,
		     op->auth_len, s->open ? icv : op->icv, icv_len);
		op->ok = !s->open || !memcmp(icv, op->icv, icv_len);
	}
}

static OPAQUE void
run(const struct subject *s, struct crypto_op *ops)
{
	if (s->direct)
		run_direct(s, ops);
	else if (s->open)
		crypto_open(s->ctx, ops, BURST);
	else
		crypto_seal(s->ctx, ops, BURST);
}

static uint64_t
ticks(void)
{
	unsigned int aux;
	uint64_t now;

	_mm_lfence();
	now = __rdtscp(&aux);
	_mm_lfence();
	return now;
}

static uint64_t
ticks_of_nothing(void)
{
	uint64_t least = UINT64_MAX;

	for (int i = 0; i < REPEATS; i++) {
		uint64_t start = ticks(), end = ticks();

		if (end - start < least)
			least = end - start;
	}
	return least;
}

static void
check(bool right, const char *what, unsigned int suite, unsigned int size)
{
	if (right)
		return;
	fprintf(stderr, "crypto_limit: %s: %s, %u bytes\n", what, crypto_suites[suite].name, size);
	exit(EXIT_FAILURE);
}

/* One burst, prepared and checked outside of what is timed. */
static uint64_t
run_once(const struct subject *s, unsigned int size)
{
	struct crypto_op ops[BURST];
	uint64_t start, end;

	if (s->open)
		for (unsigned int i = 0; i < BURST; i++)
			memcpy(packets.bytes[i], sealed.bytes[i], HEAD_LEN + size + CRYPTO_ICV_MAX);
	fill_burst(ops, s, &packets, size);
	start = ticks();
	run(s, ops);
	end = ticks();
	for (unsigned int i = 0; i < BURST; i++)
		check(ops[i].ok, "an ICV is wrong", s->suite, size);
	return end - start;
}

/* What `s` sealed last must open with another context, of another backend where there is one. */
static void
check_sealed(const struct subject *s, struct subject *other, unsigned int size)
{
	struct crypto_op ops[BURST];

	sealed = packets;
	fill_burst(ops, other, &sealed, size);
	crypto_open(other->ctx, ops, BURST);
	for (unsigned int i = 0; i < BURST; i++)
		check(ops[i].ok, "the other backend refuses what was sealed", s->suite, size);
}

/* Fills `sealed` with right packets. */
static void
make_sealed(struct crypto_ctx *ctx, unsigned int suite, void *key, unsigned int size)
{
	struct subject s = {.ctx = ctx, .suite = suite, .key = key};
	struct crypto_op ops[BURST];

	fill_burst(ops, &s, &sealed, size);
	crypto_seal(ctx, ops, BURST);
}

static int
compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Ticks an operation of all `n` subjects, taken by turns. */
static void
measure(const struct subject *subjects, unsigned int n, unsigned int size, double *result)
{
	static uint64_t spent[2][REPEATS];
	uint64_t nothing = ticks_of_nothing();

	for (int r = 0; r < REPEATS; r++)
		for (unsigned int i = 0; i < n; i++)
			spent[i][r] = run_once(&subjects[i], size);
	for (unsigned int i = 0; i < n; i++) {
		qsort(spent[i], REPEATS, sizeof(spent[i][0]), compare);
		result[i] = (double)(spent[i][threads > 1 ? REPEATS / 2 : 0] - nothing) / BURST;
		check(result[i] > 10 && result[i] > size / 64.0, "implausibly fast",
		      subjects[i].suite, size);
	}
}

static void
print_row(const char *backend, bool open, const double *row, const char *format)
{
	printf("  %-16s %-5s", backend, open ? "open" : "seal");
	for (unsigned int i = 0; i < SIZES; i++)
		printf(format, row[i]);
	printf("\n");
}

struct machine {
	struct crypto_ctx *ctx[CRYPTO_BACKENDS];
	IMB_MGR *direct;
	alignas(64) uint8_t key[CRYPTO_BACKENDS][CRYPTO_EXPANDED_MAX];
};

static void
measure_row(struct machine *m, unsigned int suite, enum crypto_backend backend, bool open)
{
	bool direct = backend == CRYPTO_IPSEC_MB && crypto_suites[suite].kind == CRYPTO_AEAD_GCM;
	struct subject subjects[2] = {
		{.ctx = m->ctx[backend], .suite = suite, .open = open, .key = m->key[backend]},
		{.direct = m->direct, .suite = suite, .open = open, .key = m->key[backend]},
	};
	struct subject other = {
		.ctx = m->ctx[!backend], .suite = suite, .open = true, .key = m->key[!backend]};
	double rows[3][SIZES];

	if (!crypto_key_size(m->ctx[backend], suite))
		return;
	if (!crypto_key_size(m->ctx[!backend], suite))
		other = subjects[0], other.open = true;
	for (unsigned int i = 0; i < SIZES; i++) {
		double ticks_each[2] = {0, 0};

		make_sealed(other.ctx, suite, other.key, sizes[i]);
		measure(subjects, direct ? 2 : 1, sizes[i], ticks_each);
		if (!open)
			check_sealed(&subjects[0], &other, sizes[i]);
		rows[0][i] = ticks_each[0];
		rows[1][i] = ticks_each[1];
		rows[2][i] = ticks_each[0] - ticks_each[1];
	}
	print_row(crypto_backend_name(backend), open, rows[0], "%8.0f");
	if (!direct)
		return;
	print_row("ipsec-mb, direct", open, rows[1], "%8.0f");
	print_row("  the contract", open, rows[2], "%+8.1f");
}

static atomic_bool stop;

/* A neighbour: seals small packets until told to stop. */
static void *
load(void *arg)
{
	struct crypto_ctx *ctx = crypto_ctx_new(CRYPTO_IPSEC_MB, NULL);
	struct packets *own = aligned_alloc(64, sizeof(*own));
	alignas(64) uint8_t key[CRYPTO_EXPANDED_MAX];
	struct subject s = {.ctx = ctx, .suite = 0, .key = key};
	struct crypto_op ops[BURST];

	if (!ctx || !own)
		return NULL;
	crypto_key_expand(ctx, 0, key_bytes, auth_key_bytes, key);
	fill_burst(ops, &s, own, 64);
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) /* no data hangs on it */
		crypto_seal(ctx, ops, BURST);
	crypto_ctx_free(ctx);
	free(own);
	return NULL;
}

static void
measure_suite(struct machine *m, unsigned int suite)
{
	printf("%s\n", crypto_suites[suite].name);
	for (int b = 0; b < CRYPTO_BACKENDS; b++)
		if (crypto_key_size(m->ctx[b], suite))
			crypto_key_expand(m->ctx[b], suite, key_bytes, auth_key_bytes, m->key[b]);
	for (int b = 0; b < CRYPTO_BACKENDS; b++) {
		measure_row(m, suite, b, false);
		measure_row(m, suite, b, true);
	}
}

static void
machine_init(struct machine *m)
{
	struct reason why = {""};

	for (int b = 0; b < CRYPTO_BACKENDS; b++) {
		m->ctx[b] = crypto_ctx_new(b, &why);
		if (!m->ctx[b] || crypto_self_test(m->ctx[b], &why)) {
			fprintf(stderr, "crypto_limit: %s\n", why.text);
			exit(EXIT_FAILURE);
		}
	}
	m->direct = alloc_mb_mgr(0);
	if (!m->direct)
		exit(EXIT_FAILURE);
	init_mb_mgr_auto(m->direct, NULL);
}

static bool
is_wanted(unsigned int suite, int argc, char **argv)
{
	for (int i = 2; i < argc; i++)
		if (!strcmp(argv[i], crypto_suites[suite].name))
			return true;
	return argc <= 2;
}

int
main(int argc, char **argv)
{
	static struct machine m;
	pthread_t others[64];

	if (argc > 1)
		threads = atoi(argv[1]);
	if (threads < 1 || threads > 64) {
		fprintf(stderr, "usage: crypto_limit [THREADS [SUITE...]], 1 to 64\n");
		return EXIT_FAILURE;
	}
	machine_init(&m);
	for (int i = 1; i < threads; i++)
		pthread_create(&others[i], NULL, load, NULL);
	printf("TSC ticks an operation, bursts of %d, %d thread(s), IPsec-MB %s\n%-24s", BURST,
	       threads, imb_get_version_str(), "bytes of text");
	for (unsigned int i = 0; i < SIZES; i++)
		printf("%8u", sizes[i]);
	printf("\n");
	for (unsigned int suite = 0; suite < crypto_suites_count; suite++)
		if (is_wanted(suite, argc, argv))
			measure_suite(&m, suite);
	atomic_store_explicit(&stop, true, memory_order_relaxed); /* no data hangs on it */
	for (int i = 1; i < threads; i++)
		pthread_join(others[i], NULL);
	return EXIT_SUCCESS;
}
