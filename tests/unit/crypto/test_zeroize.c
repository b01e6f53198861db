/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Keys do not outlive their context: this program is linked so that every free() of ours passes
 * here first, and looks for the key's bytes in what is about to be given back.
 */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "wire.h"

static struct {
	uint8_t key[32], auth_key[64];
	bool watching;
	unsigned int blocks; /* freed while watching */
	unsigned int found;  /* of them, those that held key material */
} spy;

/* Half a key is too much already. */
static bool
holds_key(const uint8_t *block, size_t len)
{
	for (size_t i = 0; i + 8 <= len; i++)
		if (!memcmp(block + i, spy.key, 8) || !memcmp(block + i, spy.auth_key, 8))
			return true;
	return false;
}

void __real_free(void *block);
void __wrap_free(void *block);

void
__wrap_free(void *block)
{
	if (block && spy.watching) {
		spy.blocks++;
		spy.found += holds_key(block, malloc_usable_size(block));
	}
	__real_free(block);
}

static void
test_a_freed_context_holds_no_key(void **state)
{
	uint64_t random = 1;

	fill_random(&random, spy.key, sizeof(spy.key));
	fill_random(&random, spy.auth_key, sizeof(spy.auth_key));
	for (int b = 0; b < CRYPTO_BACKENDS; b++) {
		struct crypto_ctx *ctx = crypto_ctx_new(b, NULL);

		for (unsigned int s = 0; s < crypto_suites_count; s++) {
			void *key;

			if (!crypto_key_size(ctx, s))
				continue;
			key = aligned_alloc(64, crypto_key_size(ctx, s));
			crypto_key_expand(ctx, s, spy.key, spy.auth_key, key);
			wire_seal_and_open(ctx, s, key);
			crypto_zeroize(key, crypto_key_size(ctx, s));
			free(key);
		}
		spy.blocks = 0;
		spy.watching = true;
		crypto_ctx_free(ctx);
		spy.watching = false;
		assert_in_range(spy.blocks, 1, 10000);
		assert_int_equal(spy.found, 0);
	}
}

static void
test_the_spy_sees_a_key(void **state)
{
	uint8_t *block = malloc(100);

	memset(block, 0, 100);
	memcpy(block + 60, spy.auth_key, 8);
	spy.found = 0;
	spy.watching = true;
	free(block);
	spy.watching = false;
	assert_int_equal(spy.found, 1);
}

static void
test_zeroize_overwrites_exactly_the_secret(void **state)
{
	uint8_t bytes[66];

	memset(bytes, 0xa5, sizeof(bytes));
	crypto_zeroize(bytes + 1, 64);
	assert_int_equal(bytes[0], 0xa5);
	assert_int_equal(bytes[65], 0xa5);
	for (int i = 1; i < 65; i++)
		assert_int_equal(bytes[i], 0);
	crypto_zeroize(bytes, 0);
	assert_int_equal(bytes[0], 0xa5);
}

/* An expanded key is as large as the contract says, and not a byte beyond it is written. */
static void
test_key_expansion_stays_inside(void **state)
{
	for (int b = 0; b < CRYPTO_BACKENDS; b++) {
		struct crypto_ctx *ctx = crypto_ctx_new(b, NULL);

		for (unsigned int s = 0; s < crypto_suites_count; s++) {
			size_t size = crypto_key_size(ctx, s);
			uint8_t *key = aligned_alloc(64, size + 64);

			if (size == 0) {
				free(key);
				continue;
			}
			assert_int_equal(size % 64, 0);
			memset(key, 0xa5, size + 64);
			crypto_key_expand(ctx, s, spy.key, spy.auth_key, key);
			for (size_t i = size; i < size + 64; i++)
				assert_int_equal(key[i], 0xa5);
			free(key);
		}
		crypto_ctx_free(ctx);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_freed_context_holds_no_key),
		cmocka_unit_test(test_the_spy_sees_a_key),
		cmocka_unit_test(test_zeroize_overwrites_exactly_the_secret),
		cmocka_unit_test(test_key_expansion_stays_inside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
