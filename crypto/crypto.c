/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The front of the crypto contract: chooses the backend and hands it runs of operations that
 * have one suite, so that a backend branches on nothing inside a run.
 */
#include "crypto.h"

#include <errno.h>
#include <string.h>

#include "backend.h"

static const struct backend_ops *const backends[CRYPTO_BACKENDS] = {
	[CRYPTO_IPSEC_MB] = &crypto_ipsec_mb_ops,
	[CRYPTO_OPENSSL] = &crypto_openssl_ops,
};

struct crypto_ctx *
crypto_ctx_new(enum crypto_backend backend, struct reason *why)
{
	return backends[backend]->ctx_new(why);
}

void
crypto_ctx_free(struct crypto_ctx *ctx)
{
	if (ctx)
		ctx->backend->ctx_free(ctx);
}

const char *
crypto_backend_name(enum crypto_backend backend)
{
	return backends[backend]->name;
}

int
crypto_backend_by_name(const char *name)
{
	for (int i = 0; i < CRYPTO_BACKENDS; i++)
		if (!strcmp(backends[i]->name, name))
			return i;
	return -EINVAL;
}

size_t
crypto_key_size(const struct crypto_ctx *ctx, unsigned int suite)
{
	size_t size = ctx->backend->key_size(&crypto_suites[suite]);

	return (size + 63) & ~(size_t)63;
}

void
crypto_key_expand(struct crypto_ctx *ctx, unsigned int suite, const uint8_t *key,
		  const uint8_t *auth_key, void *expanded)
{
	memset(expanded, 0, crypto_key_size(ctx, suite)); /* whatever the backend leaves out */
	ctx->backend->key_expand(ctx, &crypto_suites[suite], key, auth_key, expanded);
}

size_t
crypto_key_gap(const struct crypto_ctx *ctx, unsigned int suite, size_t *at)
{
	return ctx->backend->key_gap(&crypto_suites[suite], at);
}

void
crypto_key_fetch(const struct crypto_ctx *ctx, unsigned int suite, const void *key,
		 uint32_t text_len)
{
	if (ctx->fetch[suite])
		ctx->fetch[suite](key, text_len);
}

/* How many of n operations, from the first on, have its suite. */
static unsigned int
run_length(const struct crypto_op *ops, unsigned int n)
{
	unsigned int run = 1;

	while (run < n && ops[run].suite == ops[0].suite)
		run++;
	return run;
}

void
crypto_seal(struct crypto_ctx *ctx, struct crypto_op *ops, unsigned int n)
{
	while (n) {
		unsigned int run = run_length(ops, n);

		ctx->seal[ops->suite](ctx, ops, run);
		ops += run;
		n -= run;
	}
}

void
crypto_open(struct crypto_ctx *ctx, struct crypto_op *ops, unsigned int n)
{
	while (n) {
		unsigned int run = run_length(ops, n);

		ctx->open[ops->suite](ctx, ops, run);
		ops += run;
		n -= run;
	}
}

void
crypto_zeroize(void *secret, size_t len)
{
	explicit_bzero(secret, len);
}
