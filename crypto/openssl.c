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

/* An expanded key: the material itself, unused bytes zero. */
struct raw_key {
	uint8_t cipher[32];
	uint8_t auth[64];
};

enum { SEAL, OPEN, DIRECTIONS };

/* AES-XCBC, which libcrypto lacks, on top of its CBC (RFC 3566 section 4). */
struct xcbc {
	EVP_CIPHER_CTX *cbc; /* keyed with K1 */
	uint8_t whole[16];   /* K2 */
	uint8_t padded[16];  /* K3 */
};

/* The machinery of one suite in one direction. */
struct slot {
	const struct crypto_suite *suite;
	EVP_CIPHER_CTX *cipher; /* NULL for the NULL cipher */
	EVP_MAC_CTX *mac;       /* NULL for an AEAD and for XCBC */
	struct xcbc xcbc;       /* only XCBC's */
	struct raw_key key;     /* what they are keyed with, while `keyed` */
	bool keyed;
	bool (*run)(struct slot *, struct crypto_op *);
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

static const uint8_t zero_iv[16];

/* One block in ECB, by way of CBC. */
static bool
xcbc_block(struct xcbc *x, const uint8_t *key, uint8_t value, uint8_t *block)
{
	int len;

	memset(block, value, 16);
	return EVP_EncryptInit_ex2(x->cbc, NULL, key, zero_iv, NULL) &&
	       EVP_EncryptUpdate(x->cbc, block, &len, block, 16);
}

static bool
xcbc_key(struct xcbc *x, const uint8_t *key)
{
	uint8_t k1[16];
	bool done = xcbc_block(x, key, 3, x->padded) && xcbc_block(x, key, 2, x->whole) &&
		    xcbc_block(x, key, 1, k1) && EVP_EncryptInit_ex2(x->cbc, NULL, k1, NULL, NULL);

	crypto_zeroize(k1, sizeof(k1));
	return done;
}

/* All blocks but the last are CBC whose output nobody wants; the last one takes K2 or K3. */
static bool
xcbc_run(struct xcbc *x, const uint8_t *data, uint32_t left, uint8_t mac[16])
{
	uint8_t waste[256], last[16] = {0};
	const uint8_t *mask = x->whole;
	int len;

	if (!EVP_EncryptInit_ex2(x->cbc, NULL, NULL, zero_iv, NULL))
		return false;
	while (left > 16) {
		uint32_t part = left > sizeof(waste) ? sizeof(waste) : (left - 1) & ~15U;

		if (!EVP_EncryptUpdate(x->cbc, waste, &len, data, (int)part))
			return false;
		data += part;
		left -= part;
	}
	memcpy(last, data, left);
	if (left < 16) {
		last[left] = 0x80;
		mask = x->padded;
	}
	for (int i = 0; i < 16; i++)
		last[i] ^= mask[i];
	return EVP_EncryptUpdate(x->cbc, mac, &len, last, 16);
}

/* Keys a slot, unless it has that very key already. */
static bool
set_key(struct slot *slot, const struct raw_key *key)
{
	if (slot->keyed && !CRYPTO_memcmp(&slot->key, key, sizeof(*key)))
		return true;
	slot->key = *key;
	slot->keyed = (!slot->cipher ||
		       EVP_CipherInit_ex2(slot->cipher, NULL, key->cipher, NULL, -1, NULL)) &&
		      (!slot->mac ||
		       EVP_MAC_init(slot->mac, key->auth, slot->suite->auth_key_len, NULL)) &&
		      (!slot->xcbc.cbc || xcbc_key(&slot->xcbc, key->auth));
	return slot->keyed;
}

/* Gives the cipher the nonce, the additional data and the text; the ICV is the caller's affair. */
static bool
aead_run(struct slot *slot, const struct crypto_op *op)
{
	/* GMAC's text is additional data too: it does not come out. */
	uint8_t *out = slot->suite->kind == CRYPTO_GMAC ? NULL : op->text;
	int len;

	return EVP_CipherInit_ex2(slot->cipher, NULL, NULL, op->iv, -1, NULL) &&
	       EVP_CipherUpdate(slot->cipher, NULL, &len, op->auth, (int)op->auth_len) &&
	       (!op->text_len ||
		EVP_CipherUpdate(slot->cipher, out, &len, op->text, (int)op->text_len));
}

static bool
aead_seal(struct slot *slot, struct crypto_op *op)
{
	uint8_t none[16];
	int len;

	return aead_run(slot, op) && EVP_CipherFinal_ex(slot->cipher, none, &len) &&
	       EVP_CIPHER_CTX_ctrl(slot->cipher, EVP_CTRL_AEAD_GET_TAG, slot->suite->icv_len,
				   op->icv);
}

/* Here it is the library that compares, in constant time. A wrong ICV is no failure of a slot. */
static bool
aead_open(struct slot *slot, struct crypto_op *op)
{
	uint8_t none[16];
	int len;

	if (!aead_run(slot, op) || !EVP_CIPHER_CTX_ctrl(slot->cipher, EVP_CTRL_AEAD_SET_TAG,
							slot->suite->icv_len, op->icv))
		return false;
	op->ok = EVP_CipherFinal_ex(slot->cipher, none, &len) > 0;
	return true;
}

/* CCM wants to know the whole length first, and takes the text in one piece. */
static bool
ccm_start(struct slot *slot, const struct crypto_op *op)
{
	int len;

	return EVP_CipherInit_ex2(slot->cipher, NULL, NULL, op->iv, -1, NULL) &&
	       EVP_CipherUpdate(slot->cipher, NULL, &len, NULL, (int)op->text_len) &&
	       EVP_CipherUpdate(slot->cipher, NULL, &len, op->auth, (int)op->auth_len);
}

static bool
ccm_seal(struct slot *slot, struct crypto_op *op)
{
	int len;

	return ccm_start(slot, op) &&
	       EVP_CipherUpdate(slot->cipher, op->text, &len, op->text, (int)op->text_len) &&
	       EVP_CIPHER_CTX_ctrl(slot->cipher, EVP_CTRL_AEAD_GET_TAG, slot->suite->icv_len,
				   op->icv);
}

static bool
ccm_open(struct slot *slot, struct crypto_op *op)
{
	int len;

	if (!EVP_CIPHER_CTX_ctrl(slot->cipher, EVP_CTRL_AEAD_SET_TAG, slot->suite->icv_len,
				 op->icv) ||
	    !ccm_start(slot, op))
		return false;
	op->ok = EVP_CipherUpdate(slot->cipher, op->text, &len, op->text, (int)op->text_len) > 0;
	return true;
}

/* The block counter behind CTR's nonce starts at 1 (RFC 3686 section 4). */
static bool
cipher_run(struct slot *slot, const struct crypto_op *op)
{
	uint8_t block[16];
	int len;

	if (!slot->cipher || !op->text_len)
		return true;
	memcpy(block, op->iv, sizeof(block));
	if (slot->suite->kind == CRYPTO_CTR)
		memcpy(block + 12, (uint8_t[]){0, 0, 0, 1}, 4);
	return EVP_CipherInit_ex2(slot->cipher, NULL, NULL, block, -1, NULL) &&
	       EVP_CipherUpdate(slot->cipher, op->text, &len, op->text, (int)op->text_len);
}

static bool
mac_run(struct slot *slot, const struct crypto_op *op, uint8_t *icv)
{
	uint8_t whole[EVP_MAX_MD_SIZE];
	size_t len;

	if (slot->mac ? !EVP_MAC_init(slot->mac, NULL, 0, NULL) ||
				!EVP_MAC_update(slot->mac, op->auth, op->auth_len) ||
				!EVP_MAC_final(slot->mac, whole, &len, sizeof(whole))
		      : !xcbc_run(&slot->xcbc, op->auth, op->auth_len, whole))
		return false;
	memcpy(icv, whole, slot->suite->icv_len);
	return true;
}

static bool
pair_seal(struct slot *slot, struct crypto_op *op)
{
	return cipher_run(slot, op) && mac_run(slot, op, op->icv);
}

static bool
pair_open(struct slot *slot, struct crypto_op *op)
{
	uint8_t icv[CRYPTO_ICV_MAX];

	if (!mac_run(slot, op, icv))
		return false;
	op->ok = icv_equal(icv, op->icv, slot->suite->icv_len);
	return !op->ok || cipher_run(slot, op);
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
	struct slot *slot = slot_of(ctx, ops->suite, SEAL);

	for (struct crypto_op *op = ops; op < ops + n; op++) {
		op->ok = 1;
		if (!set_key(slot, op->key) || !slot->run(slot, op))
			fail(slot, op);
	}
}

static void
open_run(struct crypto_ctx *ctx, struct crypto_op *ops, unsigned int n)
{
	struct slot *slot = slot_of(ctx, ops->suite, OPEN);

	for (struct crypto_op *op = ops; op < ops + n; op++) {
		op->ok = 0;
		if (!set_key(slot, op->key) || !slot->run(slot, op))
			fail(slot, op);
	}
}

static size_t
key_size(const struct crypto_suite *suite)
{
	return sizeof(struct raw_key);
}

static size_t
key_gap(const struct crypto_suite *suite, size_t *at)
{
	return *at = 0;
}

static void
key_expand(struct crypto_ctx *ctx, const struct crypto_suite *suite, const uint8_t *key,
	   const uint8_t *auth_key, void *expanded)
{
	struct raw_key *raw = expanded;

	if (suite->key_len)
		memcpy(raw->cipher, key, suite->key_len);
	if (suite->auth_key_len)
		memcpy(raw->auth, auth_key, suite->auth_key_len);
}

static EVP_CIPHER *
cipher_fetch(const struct crypto_suite *suite)
{
	static const char *const modes[CRYPTO_KINDS] = {
		[CRYPTO_AEAD_GCM] = "GCM", [CRYPTO_AEAD_CCM] = "CCM", [CRYPTO_GMAC] = "GCM",
		[CRYPTO_CBC] = "CBC",      [CRYPTO_CTR] = "CTR",
	};
	char name[32];

	if (suite->kind == CRYPTO_AEAD_CHACHA)
		return EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);
	snprintf(name, sizeof(name), "AES-%u-%s", suite->key_len * 8U, modes[suite->kind]);
	return EVP_CIPHER_fetch(NULL, name, NULL);
}

static EVP_CIPHER_CTX *
cipher_new(EVP_CIPHER *cipher, bool encrypt)
{
	EVP_CIPHER_CTX *evp = EVP_CIPHER_CTX_new();

	if (!cipher || !evp || !EVP_CipherInit_ex2(evp, cipher, NULL, NULL, encrypt, NULL)) {
		EVP_CIPHER_CTX_free(evp);
		evp = NULL;
	} else {
		EVP_CIPHER_CTX_set_padding(evp, 0); /* ESP pads by itself */
	}
	EVP_CIPHER_free(cipher); /* the context holds its own reference */
	return evp;
}

/* CCM's lengths of nonce and ICV come before its key. */
static bool
ccm_sizes(EVP_CIPHER_CTX *evp, const struct crypto_suite *suite)
{
	return EVP_CIPHER_CTX_ctrl(evp, EVP_CTRL_AEAD_SET_IVLEN, suite->salt_len + suite->iv_len,
				   NULL) &&
	       EVP_CIPHER_CTX_ctrl(evp, EVP_CTRL_AEAD_SET_TAG, suite->icv_len, NULL);
}

static EVP_MAC_CTX *
mac_new(const struct crypto_suite *suite)
{
	static const struct {
		const char *mac, *parameter, *value;
	} macs[CRYPTO_INTEGRITIES] = {
		[CRYPTO_HMAC_SHA1] = {"HMAC", OSSL_MAC_PARAM_DIGEST, "SHA1"},
		[CRYPTO_HMAC_SHA256] = {"HMAC", OSSL_MAC_PARAM_DIGEST, "SHA256"},
		[CRYPTO_HMAC_SHA384] = {"HMAC", OSSL_MAC_PARAM_DIGEST, "SHA384"},
		[CRYPTO_HMAC_SHA512] = {"HMAC", OSSL_MAC_PARAM_DIGEST, "SHA512"},
		[CRYPTO_AES_CMAC] = {"CMAC", OSSL_MAC_PARAM_CIPHER, "AES-128-CBC"},
	};
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(macs[suite->integrity].parameter,
						 (char *)macs[suite->integrity].value, 0),
		OSSL_PARAM_construct_end(),
	};
	EVP_MAC *mac = EVP_MAC_fetch(NULL, macs[suite->integrity].mac, NULL);
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
	bool seals = direction == SEAL;

	slot->suite = suite;
	slot->run = seals ? aead_seal : aead_open;
	if (suite->kind != CRYPTO_NULL) {
		slot->cipher = cipher_new(cipher_fetch(suite), seals);
		if (!slot->cipher)
			return false;
	}
	if (suite->kind == CRYPTO_AEAD_CCM) {
		slot->run = seals ? ccm_seal : ccm_open;
		return ccm_sizes(slot->cipher, suite);
	}
	if (suite->integrity == CRYPTO_OWN_ICV)
		return true;
	slot->run = seals ? pair_seal : pair_open;
	if (suite->integrity == CRYPTO_AES_XCBC) {
		slot->xcbc.cbc = cipher_new(EVP_CIPHER_fetch(NULL, "AES-128-CBC", NULL), true);
		return slot->xcbc.cbc != NULL;
	}
	slot->mac = mac_new(suite);
	return slot->mac != NULL;
}

static void
ctx_free(struct crypto_ctx *ctx)
{
	for (unsigned int i = 0; i < crypto_suites_count; i++) {
		for (int direction = SEAL; direction < DIRECTIONS; direction++) {
			struct slot *slot = slot_of(ctx, i, direction);

			EVP_CIPHER_CTX_free(slot->cipher); /* cleanses its key */
			EVP_CIPHER_CTX_free(slot->xcbc.cbc);
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
	.key_gap = key_gap,
	.key_expand = key_expand,
};
