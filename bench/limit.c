/* SPDX-License-Identifier: BSD-3-Clause */
#include "limit.h"

#include <stdlib.h>
#include <string.h>
#include <x86intrin.h>

#include <intel-ipsec-mb.h>

#include "dataplane/esp_op.h"
#include "frame.h"

#define REPEATS 1000

/* A timed function as a stranger sees it: gcc has been seen to drop work across such calls. */
#ifdef __clang__
#define OPAQUE __attribute__((noinline))
#else
#define OPAQUE __attribute__((noinline, noipa))
#endif

uint64_t
limit_ticks(void)
{
	unsigned int aux;
	uint64_t now;

	_mm_lfence();
	now = __rdtscp(&aux);
	_mm_lfence();
	return now;
}

/* A burst of operations in buffers of an odd number of lines each. */
struct subject {
	struct crypto_ctx *ctx;
	IMB_MGR *mgr; /* of direct calls, or NULL */
	bool open;
	unsigned int n;
	struct crypto_op ops[BURST_MAX];
	size_t stride;
	uint8_t *buffers, *key;
};

static OPAQUE void
run_direct(struct subject *s)
{
	static struct gcm_context_data gcm;
	const unsigned int key_len = crypto_suites[s->ops->suite].key_len;
	IMB_MGR *mgr = s->mgr;
	aes_gcm_enc_dec_t call;
	uint8_t icv[16];

	if (s->open)
		call = key_len == 16   ? mgr->gcm128_dec
		       : key_len == 24 ? mgr->gcm192_dec
				       : mgr->gcm256_dec;
	else
		call = key_len == 16   ? mgr->gcm128_enc
		       : key_len == 24 ? mgr->gcm192_enc
				       : mgr->gcm256_enc;
	for (struct crypto_op *op = s->ops; op < s->ops + s->n; op++)
		call(op->key, &gcm, op->text, op->text, op->text_len, op->iv, op->auth,
		     op->auth_len, s->open ? icv : op->icv, sizeof(icv));
}

static OPAQUE void
run(struct subject *s)
{
	if (s->mgr != NULL)
		run_direct(s);
	else if (s->open)
		crypto_open(s->ctx, s->ops, s->n);
	else
		crypto_seal(s->ctx, s->ops, s->n);
}

/* As esp_encap, or crypto_open_stage, would have prepared them. */
static void
prepare(struct subject *s, const struct options *o, uint32_t text_len)
{
	const struct crypto_suite *suite = &crypto_suites[o->suite];
	const struct sa sa = {.suite = (uint8_t)o->suite,
			      .key = s->key,
			      .iv_len = suite->iv_len,
			      .icv_len = suite->icv_len};

	for (unsigned int i = 0; i < s->n; i++) {
		uint8_t *esp = s->buffers + i * s->stride;

		if (s->open)
			esp_op_open(&s->ops[i], &sa, esp, text_len, 1);
		else
			esp_op_seal(&s->ops[i], &sa, esp, text_len, 1);
	}
}

static void
start(struct subject *s, const struct options *o, bool open, uint32_t text_len)
{
	uint8_t raw[SAD_KEY_MAX], auth[SAD_KEY_MAX];
	struct reason why = {""};

	*s = (struct subject){.open = open, .n = o->burst};
	s->stride = (((text_len + 8 + 2 * 64) / 64) | 1) * 64;
	s->ctx = crypto_ctx_new(o->backend, &why);
	if (s->ctx == NULL)
		bench_fail("%s", why.text);
	if (o->backend == CRYPTO_IPSEC_MB && crypto_suites[o->suite].kind == CRYPTO_AEAD_GCM) {
		s->mgr = alloc_mb_mgr(0);
		init_mb_mgr_auto(s->mgr, NULL);
	}
	s->buffers = aligned_alloc(64, s->n * s->stride);
	s->key = aligned_alloc(64, crypto_key_size(s->ctx, o->suite));
	if (s->buffers == NULL || s->key == NULL)
		bench_fail("no memory");
	memset(s->buffers, 1, s->n * s->stride);
	gateway_key(true, 0, raw, auth);
	crypto_key_expand(s->ctx, o->suite, raw,
			  crypto_suites[o->suite].auth_key_len != 0 ? auth : NULL, s->key);
	prepare(s, o, text_len);
}

static void
stop(struct subject *s)
{
	if (s->mgr != NULL)
		free_mb_mgr(s->mgr);
	crypto_ctx_free(s->ctx);
	free(s->buffers);
	free(s->key);
}

double
limit_measure(const struct options *o, bool open, uint32_t size)
{
	uint64_t nothing = UINT64_MAX, least = UINT64_MAX;
	struct subject s;
	double each;

	start(&s, o, open, frame_text_len(o, size));
	for (unsigned int i = 0; i < REPEATS; i++) {
		uint64_t begin = limit_ticks(), middle = limit_ticks(), end;

		run(&s);
		end = limit_ticks();
		nothing = RTE_MIN(nothing, middle - begin);
		least = RTE_MIN(least, end - middle);
	}
	each = (double)(least - nothing) / s.n;
	stop(&s);
	if (each < 10 || each < size / 64.0)
		bench_fail("a limit of %.1f ticks for %u bytes is implausible", each, size);
	return each;
}

double
limit_known(const struct options *o, bool open, uint32_t size)
{
	static const struct {
		uint32_t size;
		double seal, open;
	} aes128gcm16[2][6] = {
		{{64, 83, 76},
		 {256, 112, 103},
		 {512, 155, 151},
		 {1024, 268, 268},
		 {1420, 353, 346},
		 {8900, 1894, 1881}},
		{{64, 52, 48}, {256, 89, 85}, {512, 138, 135}, {1024, 237, 236}, {1420, 328, 326}},
	}; /* by IPsec-MB 1.3, and by 2.0 */
	const bool second = imb_get_version() >= IMB_VERSION(2, 0, 0);

	if (o->backend != CRYPTO_IPSEC_MB ||
	    strcmp(crypto_suites[o->suite].name, "aes128gcm16") != 0)
		return 0;
	for (unsigned int i = 0; i < RTE_DIM(*aes128gcm16); i++)
		if (aes128gcm16[second][i].size == size)
			return open ? aes128gcm16[second][i].open : aes128gcm16[second][i].seal;
	return 0;
}
