/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The reference backend: OpenSSL's libcrypto, through its public EVP interface, one operation at
 * a time. It is what every other backend is compared with, and what runs where no other can. An
 * expanded key is the raw material; the cipher's own context keeps the last key of each suite and
 * direction and is keyed again only when the bytes of the key change.
 */
#include <errno.h>
#include <stdlib.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "backend.h"

#define ICV_LEN 16

/* An expanded key: the material itself, unused bytes zero. */
struct raw_key {
	uint8_t cipher[32];
	uint8_t auth[32];
};

enum { SEAL, OPEN, DIRECTIONS };

/* The machinery of one suite in one direction. */
struct slot {
	EVP_CIPHER_CTX *cipher;
	EVP_MAC_CTX *mac;   /* NULL for an AEAD */
	struct raw_key key; /* what both are keyed with, while `keyed` */
	bool keyed;
};

struct ssl_ctx {
	struct crypto_ctx ctx; /* first: the two convert into each other */
	struct slot slots[CRYPTO_SUITES_MAX][DIRECTIONS];
};

static struct slot *
slot_of(struct crypto_ctx *ctx, unsigned int suite, int direction)
{
	return &((struct ssl_ctx *)ctx)->slots[suite][direction];
}

/* Keys a slot, unless it has that very key already. */
static bool
set_key(struct slot *slot, const struct crypto_suite *suite, const struct raw_key *key)
{
	if (slot->keyed && !CRYPTO_memcmp(&slot->key, key, sizeof(*key)))
		return true;
	slot->key = *key;
	slot->keyed = EVP_CipherInit_ex2(slot->cipher, NULL, key->cipher, NULL, -1, NULL) &&
		      (!slot->mac || EVP_MAC_init(slot->mac, key->auth, suite->auth_key_len, NULL));
	return slot->keyed;
}

/* Gives the cipher the nonce, the additional data and the text; the ICV is the caller's affair. */
static bool
aead_run(struct slot *slot, const struct crypto_op *op)
{
	int len;

	return EVP_CipherInit_ex2(slot->cipher, NULL, NULL, op->iv, -1, NULL) &&
	       EVP_CipherUpdate(slot->cipher, NULL, &len, op->auth, (int)op->auth_len) &&
	       (!op->text_len ||
		EVP_CipherUpdate(slot->cipher, op->text, &len, op->text, (int)op->text_len));
}

static bool
aead_seal_one(struct slot *slot, struct crypto_op *op)
{
	uint8_t none[16];
	int len;

	return aead_run(slot, op) && EVP_CipherFinal_ex(slot->cipher, none, &len) &&
	       EVP_CIPHER_CTX_ctrl(slot->cipher, EVP_CTRL_AEAD_GET_TAG, ICV_LEN, op->icv);
}

/* Here it is the library that compares, in constant time. A wrong ICV is no failure of a slot. */
static bool
aead_open_one(struct slot *slot, struct crypto_op *op)
{
	uint8_t none[16];
	int len;

	if (!aead_run(slot, op) ||
	    !EVP_CIPHER_CTX_ctrl(slot->cipher, EVP_CTRL_AEAD_SET_TAG, ICV_LEN, op->icv))
		return false;
	op->ok = EVP_CipherFinal_ex(slot->cipher, none, &len) > 0;
	return true;
}

static bool
cbc_run(struct slot *slot, const struct crypto_op *op)
{
	int len;

	return EVP_CipherInit_ex2(slot->cipher, NULL, NULL, op->iv, -1, NULL) &&
	       EVP_CipherUpdate(slot->cipher, op->text, &len, op->text, (int)op->text_len);
}

static bool
hmac_run(struct slot *slot, const struct crypto_op *op, uint8_t *icv)
{
	uint8_t whole[32];
	size_t len;

	if (!EVP_MAC_init(slot->mac, NULL, 0, NULL) ||
	    !EVP_MAC_update(slot->mac, op->auth, op->auth_len) ||
	    !EVP_MAC_final(slot->mac, whole, &len, sizeof(whole)))
		return false;
	memcpy(icv, whole, ICV_LEN);
	return true;
}

static bool
cbc_seal_one(struct slot *slot, struct crypto_op *op)
{
	return (!op->text_len || cbc_run(slot, op)) && hmac_run(slot, op, op->icv);
}

static bool
cbc_open_one(struct slot *slot, struct crypto_op *op)
{
	uint8_t icv[ICV_LEN];

	if (!hmac_run(slot, op, icv))
		return false;
	op->ok = icv_equal(icv, op->icv);
	return !op->ok || !op->text_len || cbc_run(slot, op);
}

/* The library failed in the middle of an operation: no clear text may stay behind. */
static void
fail(struct slot *slot, struct crypto_op *op)
{
	slot->keyed = false;
	op->ok = 0;
	crypto_zeroize(op->text, op->text_len);
}

static void
seal_run(struct crypto_ctx *ctx, struct crypto_op *ops, unsigned int n)
{
	const struct crypto_suite *suite = &crypto_suites[ops->suite];
	struct slot *slot = slot_of(ctx, ops->suite, SEAL);
	bool (*one)(struct slot *, struct crypto_op *) =
		suite->kind == CRYPTO_CBC_HMAC ? cbc_seal_one : aead_seal_one;

	for (struct crypto_op *op = ops; op < ops + n; op++) {
		op->ok = 1;
		if (!set_key(slot, suite, op->key) || !one(slot, op))
			fail(slot, op);
	}
}

static void
open_run(struct crypto_ctx *ctx, struct crypto_op *ops, unsigned int n)
{
	const struct crypto_suite *suite = &crypto_suites[ops->suite];
	struct slot *slot = slot_of(ctx, ops->suite, OPEN);
	bool (*one)(struct slot *, struct crypto_op *) =
		suite->kind == CRYPTO_CBC_HMAC ? cbc_open_one : aead_open_one;

	for (struct crypto_op *op = ops; op < ops + n; op++) {
		op->ok = 0;
		if (!set_key(slot, suite, op->key) || !one(slot, op))
			fail(slot, op);
	}
}

static size_t
key_size(const struct crypto_suite *suite)
{
	return sizeof(struct raw_key);
}

static void
key_expand(struct crypto_ctx *ctx, const struct crypto_suite *suite, const uint8_t *key,
	   const uint8_t *auth_key, void *expanded)
{
	struct raw_key *raw = expanded;

	memcpy(raw->cipher, key, suite->key_len);
	if (suite->auth_key_len)
		memcpy(raw->auth, auth_key, suite->auth_key_len);
}

static const char *
cipher_name(const struct crypto_suite *suite)
{
	static const char *const gcm[] = {"AES-128-GCM", "AES-192-GCM", "AES-256-GCM"};

	switch (suite->kind) {
	case CRYPTO_AEAD_GCM:
		return gcm[suite->key_len / 8 - 2];
	case CRYPTO_AEAD_CHACHA:
		return "ChaCha20-Poly1305";
	default:
		return suite->key_len == 16 ? "AES-128-CBC" : "AES-256-CBC";
	}
}

static EVP_CIPHER_CTX *
cipher_new(const struct crypto_suite *suite, int direction)
{
	EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, cipher_name(suite), NULL);
	EVP_CIPHER_CTX *evp = EVP_CIPHER_CTX_new();

	if (!cipher || !evp ||
	    !EVP_CipherInit_ex2(evp, cipher, NULL, NULL, direction == SEAL, NULL)) {
		EVP_CIPHER_CTX_free(evp);
		evp = NULL;
	} else if (suite->kind == CRYPTO_CBC_HMAC) {
		EVP_CIPHER_CTX_set_padding(evp, 0); /* ESP pads by itself */
	}
	EVP_CIPHER_free(cipher); /* the context holds its own reference */
	return evp;
}

static EVP_MAC_CTX *
mac_new(void)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char[]){"SHA256"}, 0),
		OSSL_PARAM_construct_end(),
	};
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	EVP_MAC_CTX *evp = mac ? EVP_MAC_CTX_new(mac) : NULL;

	if (evp && !EVP_MAC_CTX_set_params(evp, params)) {
		EVP_MAC_CTX_free(evp);
		evp = NULL;
	}
	EVP_MAC_free(mac); /* the context holds its own reference */
	return evp;
}

static bool
slot_init(struct slot *slot, const struct crypto_suite *suite, int direction)
{
	slot->cipher = cipher_new(suite, direction);
	if (suite->auth_key_len)
		slot->mac = mac_new();
	return slot->cipher && (slot->mac || !suite->auth_key_len);
}

static void
ctx_free(struct crypto_ctx *ctx)
{
	for (unsigned int i = 0; i < crypto_suites_count; i++) {
		for (int direction = SEAL; direction < DIRECTIONS; direction++) {
			struct slot *slot = slot_of(ctx, i, direction);

			EVP_CIPHER_CTX_free(slot->cipher); /* cleanses its key */
			EVP_MAC_CTX_free(slot->mac);
		}
	}
	crypto_zeroize(ctx, sizeof(struct ssl_ctx));
	free(ctx);
}

static struct crypto_ctx *
ctx_new(struct reason *why)
{
	struct ssl_ctx *ssl = calloc(1, sizeof(*ssl));

	if (!ssl) {
		reason_set(why, ENOMEM, "openssl: out of memory");
		return NULL;
	}
	ssl->ctx.backend = &crypto_openssl_ops;
	for (unsigned int i = 0; i < crypto_suites_count; i++) {
		ssl->ctx.seal[i] = seal_run;
		ssl->ctx.open[i] = open_run;
		if (!slot_init(&ssl->slots[i][SEAL], &crypto_suites[i], SEAL) ||
		    !slot_init(&ssl->slots[i][OPEN], &crypto_suites[i], OPEN)) {
			reason_set(why, EIO, "openssl: libcrypto does not have %s",
				   crypto_suites[i].name);
			ctx_free(&ssl->ctx);
			return NULL;
		}
	}
	return &ssl->ctx;
}

const struct backend_ops crypto_openssl_ops = {
	.name = "openssl",
	.ctx_new = ctx_new,
	.ctx_free = ctx_free,
	.key_size = key_size,
	.key_expand = key_expand,
};
