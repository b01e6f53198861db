/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ESP packets as the packet path lays them out for the crypto contract: SPI, sequence number, IV,
 * text, ICV; and operations that seal and open them, with ESN and without.
 */
#pragma once

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/crypto.h"

#define TEXT_MAX 2048
#define WIRE_MAX (8 + 16 + TEXT_MAX + CRYPTO_ICV_MAX)

/* What both ends of a packet know. `key` is expanded, by the backend that is to run it. */
struct wire {
	uint8_t *bytes; /* wire_len() of them */
	uint32_t text_len;
	unsigned int suite;
	bool esn;
	uint8_t salt[4];
};

static const uint8_t wire_high[4] = {0x00, 0x00, 0x00, 0x07}; /* high half of the sequence number */

static inline const struct crypto_suite *
wire_suite(const struct wire *w)
{
	return &crypto_suites[w->suite];
}

/* A text's length is a multiple of this. */
static inline uint32_t
wire_step(unsigned int suite)
{
	return crypto_suites[suite].kind == CRYPTO_CBC ? 16 : 1;
}

static inline bool
wire_is_separate(const struct wire *w)
{
	return wire_suite(w)->integrity != CRYPTO_OWN_ICV;
}

static inline uint8_t *
wire_text(const struct wire *w)
{
	return w->bytes + 8 + wire_suite(w)->iv_len;
}

static inline uint8_t *
wire_icv(const struct wire *w)
{
	return wire_text(w) + w->text_len;
}

static inline uint32_t
wire_len(const struct wire *w)
{
	return 8 + wire_suite(w)->iv_len + w->text_len + wire_suite(w)->icv_len;
}

/* The additional data of an AEAD: SPI, sequence number; with ESN the high half between them. */
static inline void
wire_aad(const struct wire *w, struct crypto_op *op)
{
	op->auth = w->bytes;
	op->auth_len = 8;
	if (!w->esn)
		return;
	memcpy(op->scratch, w->bytes, 4);
	memcpy(op->scratch + 4, wire_high, 4);
	memcpy(op->scratch + 8, w->bytes + 4, 4);
	op->auth = op->scratch;
	op->auth_len = 12;
}

static inline void
wire_op(const struct wire *w, const void *key, struct crypto_op *op)
{
	memset(op, 0, sizeof(*op));
	op->key = key;
	op->suite = w->suite;
	op->icv = wire_icv(w);
	op->text = wire_text(w);
	op->text_len = w->text_len;
	if (wire_suite(w)->counter_mode) {
		memcpy(op->iv, w->salt, wire_suite(w)->salt_len);
		memcpy(op->iv + wire_suite(w)->salt_len, w->bytes + 8, 8);
	}
	if (wire_suite(w)->kind == CRYPTO_GMAC) { /* the IV is text */
		op->text -= 8;
		op->text_len += 8;
	}
	if (wire_is_separate(w)) {
		op->auth = w->bytes;
		op->auth_len = wire_len(w) - wire_suite(w)->icv_len + (w->esn ? 4 : 0);
	} else {
		wire_aad(w, op);
	}
}

/* To seal: the packet has its header, a unique value in the IV field, and the clear text. */
static inline void
wire_seal_op(const struct wire *w, const void *key, struct crypto_op *op)
{
	wire_op(w, key, op);
	if (wire_suite(w)->kind == CRYPTO_CBC) {
		op->text -= 16;
		op->text_len += 16;
	}
	if (wire_is_separate(w) && w->esn)
		memcpy(op->icv, wire_high, 4);
}

/* To open: with separate integrity and ESN the ICV moves aside, for the high half to take its
 * place. */
static inline void
wire_open_op(const struct wire *w, const void *key, struct crypto_op *op)
{
	wire_op(w, key, op);
	if (wire_suite(w)->kind == CRYPTO_CBC)
		memcpy(op->iv, w->bytes + 8, 16);
	if (!wire_is_separate(w) || !w->esn)
		return;
	memcpy(op->scratch, op->icv, wire_suite(w)->icv_len);
	memcpy(op->icv, wire_high, 4);
	op->icv = op->scratch;
}

/* Marsaglia's xorshift: the same numbers in every run. */
static inline uint32_t
next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (uint32_t)(*state >> 16);
}

static inline void
fill_random(uint64_t *state, uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)next_random(state);
}

/* An expanded key on the heap, the n-th of its suite; NULL where the backend lacks the suite. */
static inline void *
new_key(struct crypto_ctx *ctx, unsigned int suite, unsigned int n)
{
	uint64_t state = 0x9e3779b97f4a7c15 ^ (suite * 1000 + n);
	uint8_t key[32], auth_key[64];
	void *expanded;

	if (!crypto_key_size(ctx, suite))
		return NULL;
	expanded = aligned_alloc(64, crypto_key_size(ctx, suite));
	fill_random(&state, key, sizeof(key));
	fill_random(&state, auth_key, sizeof(auth_key));
	crypto_key_expand(ctx, suite, key, auth_key, expanded);
	return expanded;
}

/* Seals a packet and opens it again. */
static inline void
wire_seal_and_open(struct crypto_ctx *ctx, unsigned int suite, const void *key)
{
	uint8_t bytes[WIRE_MAX] = {0};
	struct wire w = {.suite = suite, .text_len = 64, .bytes = bytes};
	struct crypto_op op;

	wire_seal_op(&w, key, &op);
	crypto_seal(ctx, &op, 1);
	wire_open_op(&w, key, &op);
	crypto_open(ctx, &op, 1);
	assert_int_equal(op.ok, 1);
}
