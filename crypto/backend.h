/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a backend gives to crypto.c, private to this folder. A backend embeds struct crypto_ctx as
 * the first member of its own context and fills in one function for each suite and direction, so
 * that which suite it is gets decided once for a run of operations, never for one of them.
 */
#pragma once

#include <string.h>

#include "crypto.h"

/* Runs n (at least 1) operations that all have the suite of the first. */
typedef void crypto_run_fn(struct crypto_ctx *ctx, struct crypto_op *ops, unsigned int n);

struct backend_ops {
	const char *name;
	struct crypto_ctx *(*ctx_new)(struct reason *why);
	void (*ctx_free)(struct crypto_ctx *ctx);
	size_t (*key_size)(const struct crypto_suite *suite);
	size_t (*key_gap)(const struct crypto_suite *suite, size_t *at);
	void (*key_expand)(struct crypto_ctx *ctx, const struct crypto_suite *suite,
			   const uint8_t *key, const uint8_t *auth_key, void *expanded);
};

/* crypto_key_fetch() of one suite. */
typedef void crypto_fetch_fn(const void *key, uint32_t text_len);

struct crypto_ctx {
	const struct backend_ops *backend;
	crypto_fetch_fn *fetch[CRYPTO_SUITES_MAX]; /* NULL: nothing to gain */
	crypto_run_fn *seal[CRYPTO_SUITES_MAX];
	crypto_run_fn *open[CRYPTO_SUITES_MAX];
};

extern const struct backend_ops crypto_ipsec_mb_ops;
extern const struct backend_ops crypto_openssl_ops;

/* Compares two ICVs of `len` bytes, a multiple of 4, in a time that does not depend on them. */
static inline uint8_t
icv_equal(const uint8_t *a, const uint8_t *b, unsigned int len)
{
	uint64_t differ = 0, x, y;
	uint32_t u, v;

	for (unsigned int i = 0; i + sizeof(x) <= len; i += sizeof(x)) {
		memcpy(&x, a + i, sizeof(x));
		memcpy(&y, b + i, sizeof(y));
		differ |= x ^ y;
	}
	if ((len & sizeof(u)) != 0) {
		memcpy(&u, a + len - sizeof(u), sizeof(u));
		memcpy(&v, b + len - sizeof(v), sizeof(v));
		differ |= u ^ v;
	}
	return differ == 0;
}
