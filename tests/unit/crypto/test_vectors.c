/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vectors of the standards on every backend, both directions; every bit of what is under the
 * ICV, and of the ICV itself, matters; and the self test refuses a backend that goes wrong.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/backend.h"
#include "hex.h"
#include "vectors.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

/* A vector as bytes, with an operation on memory of its own. */
struct trial {
	const struct vector *vector;
	uint8_t text[128], sealed[128], auth[64], icv[CRYPTO_ICV_MAX], expected_icv[CRYPTO_ICV_MAX];
	uint32_t text_len, auth_len, icv_len;
	unsigned int suite;
	void *key;
	struct crypto_op op;
};

static struct crypto_ctx *
context(enum crypto_backend backend)
{
	struct reason why = {""};
	struct crypto_ctx *ctx = crypto_ctx_new(backend, &why);

	assert_string_equal(why.text, "");
	assert_non_null(ctx);
	return ctx;
}

static uint32_t
bytes(const char *hex, uint8_t *to)
{
	return hex ? unhex(hex, to) : 0;
}

/* Puts the text (clear or sealed) and the rest back in place. */
static void
trial_reset(struct trial *t, const char *text)
{
	struct crypto_op *op = &t->op;

	memset(op, 0, sizeof(*op));
	op->key = t->key;
	op->suite = t->suite;
	op->text = t->text;
	op->text_len = t->text_len = bytes(text, t->text);
	t->auth_len = bytes(t->vector->auth, t->auth);
	op->auth = t->auth_len ? t->auth : t->text;
	op->auth_len = t->auth_len ? t->auth_len : t->text_len;
	op->icv = t->icv;
	memcpy(t->icv, t->expected_icv, sizeof(t->icv));
	bytes(t->vector->iv, op->iv);
}

static void
trial_init(struct trial *t, const struct vector *vector, struct crypto_ctx *ctx)
{
	uint8_t key[32] = {0}, auth_key[64] = {0};

	memset(t, 0, sizeof(*t));
	t->vector = vector;
	t->suite = crypto_suite_by_name(vector->suite);
	assert_in_range(t->suite, 0, crypto_suites_count - 1);
	assert_int_equal(bytes(vector->key, key), crypto_suites[t->suite].key_len);
	bytes(vector->auth_key, auth_key);
	bytes(vector->sealed, t->sealed);
	bytes(vector->icv, t->expected_icv);
	t->icv_len = crypto_suites[t->suite].icv_len;
	t->key = aligned_alloc(64, crypto_key_size(ctx, t->suite));
	crypto_key_expand(ctx, t->suite, key, auth_key, t->key);
}

/* The vector's text comes out sealed, with the ICV where the vector has one. */
static void
trial_seal(struct trial *t, struct crypto_ctx *ctx)
{
	trial_reset(t, t->vector->text);
	memset(t->icv, 0, sizeof(t->icv));
	crypto_seal(ctx, &t->op, 1);
	assert_int_equal(t->op.ok, 1);
	assert_memory_equal(t->text, t->sealed, t->text_len);
	if (t->vector->icv)
		assert_memory_equal(t->icv, t->expected_icv, t->icv_len);
	else
		memcpy(t->expected_icv, t->icv, sizeof(t->icv));
}

static void
trial_open(struct trial *t, struct crypto_ctx *ctx)
{
	uint8_t clear[128];

	trial_reset(t, t->vector->sealed);
	bytes(t->vector->text, clear);
	crypto_open(ctx, &t->op, 1);
	assert_int_equal(t->op.ok, 1);
	assert_memory_equal(t->text, clear, t->text_len);
}

static void
refused_with_flip(struct trial *t, struct crypto_ctx *ctx, uint8_t *where, uint32_t len)
{
	for (uint32_t bit = 0; bit < len * 8; bit++) {
		trial_reset(t, t->vector->sealed);
		where[bit / 8] ^= 1U << (bit % 8);
		crypto_open(ctx, &t->op, 1);
		assert_int_equal(t->op.ok, 0);
	}
}

static void
for_each_trial(void (*check)(struct trial *, struct crypto_ctx *))
{
	for (int b = 0; b < CRYPTO_BACKENDS; b++) {
		struct crypto_ctx *ctx = context(b);

		for (size_t i = 0; i < LEN(vectors); i++) {
			struct trial t;

			if (!crypto_key_size(ctx, crypto_suite_by_name(vectors[i].suite)))
				continue;
			trial_init(&t, &vectors[i], ctx);
			trial_seal(&t, ctx);
			check(&t, ctx);
			free(t.key);
		}
		crypto_ctx_free(ctx);
	}
}

static void
check_flips(struct trial *t, struct crypto_ctx *ctx)
{
	refused_with_flip(t, ctx, t->text, t->text_len);
	refused_with_flip(t, ctx, t->auth, t->auth_len);
	refused_with_flip(t, ctx, t->icv, t->icv_len);
}

static void
test_C70_C72_C74_vectors_of_the_standards(void **state)
{
	for_each_trial(trial_open);
}

static void
test_C33_every_flipped_bit_is_refused(void **state)
{
	for_each_trial(check_flips);
}

static void
test_self_test_passes_on_every_backend(void **state)
{
	for (int b = 0; b < CRYPTO_BACKENDS; b++) {
		struct crypto_ctx *ctx = context(b);
		struct reason why = {""};

		assert_int_equal(crypto_self_test(ctx, &why), 0);
		assert_string_equal(why.text, "");
		crypto_ctx_free(ctx);
	}
}

/* Backends that go wrong in one way each; what they do is otherwise done by `honest`. */
static crypto_run_fn *honest;

static void
flips_text(struct crypto_ctx *ctx, struct crypto_op *ops, unsigned int n)
{
	honest(ctx, ops, n);
	if (ops[0].text_len)
		ops[0].text[ops[0].text_len - 1] ^= 0x80;
}

static void
flips_icv(struct crypto_ctx *ctx, struct crypto_op *ops, unsigned int n)
{
	honest(ctx, ops, n);
	ops[0].icv[crypto_suites[ops[0].suite].icv_len - 1] ^= 0x80;
}

static void
accepts_all(struct crypto_ctx *ctx, struct crypto_op *ops, unsigned int n)
{
	honest(ctx, ops, n);
	for (unsigned int i = 0; i < n; i++)
		ops[i].ok = 1;
}

static void
accepts_none(struct crypto_ctx *ctx, struct crypto_op *ops, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		ops[i].ok = 0;
}

/* `wrong` stands for the suite's function in `slot`: the self test says so, and names the suite. */
static void
self_test_refuses(struct crypto_ctx *ctx, unsigned int suite, crypto_run_fn **slot,
		  crypto_run_fn *wrong, const char *verb)
{
	struct reason why = {""};
	char expected[64];

	honest = *slot;
	*slot = wrong;
	assert_int_equal(crypto_self_test(ctx, &why), -EIO);
	snprintf(expected, sizeof(expected), "self-test: %s does not %s as in ",
		 crypto_suites[suite].name, verb);
	assert_memory_equal(why.text, expected, strlen(expected));
	*slot = honest;
}

static void
test_self_test_refuses_a_wrong_backend(void **state)
{
	for (int b = 0; b < CRYPTO_BACKENDS; b++) {
		struct crypto_ctx *ctx = context(b);

		for (unsigned int i = 0; i < crypto_suites_count; i++) {
			if (!crypto_key_size(ctx, i))
				continue;
			self_test_refuses(ctx, i, &ctx->seal[i], flips_text, "seal");
			self_test_refuses(ctx, i, &ctx->seal[i], flips_icv, "seal");
			self_test_refuses(ctx, i, &ctx->seal[i], accepts_none, "seal");
			self_test_refuses(ctx, i, &ctx->open[i], flips_text, "open");
			self_test_refuses(ctx, i, &ctx->open[i], accepts_all, "open");
			self_test_refuses(ctx, i, &ctx->open[i], accepts_none, "open");
		}
		assert_int_equal(crypto_self_test(ctx, NULL), 0);
		crypto_ctx_free(ctx);
	}
}

static void
test_backends_have_names(void **state)
{
	assert_string_equal(crypto_backend_name(CRYPTO_IPSEC_MB), "ipsec-mb");
	assert_string_equal(crypto_backend_name(CRYPTO_OPENSSL), "openssl");
	assert_int_equal(crypto_backend_by_name("ipsec-mb"), CRYPTO_IPSEC_MB);
	assert_int_equal(crypto_backend_by_name("openssl"), CRYPTO_OPENSSL);
	assert_int_equal(crypto_backend_by_name("kernel"), -EINVAL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_C70_C72_C74_vectors_of_the_standards),
		cmocka_unit_test(test_C33_every_flipped_bit_is_refused),
		cmocka_unit_test(test_self_test_passes_on_every_backend),
		cmocka_unit_test(test_self_test_refuses_a_wrong_backend),
		cmocka_unit_test(test_backends_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
