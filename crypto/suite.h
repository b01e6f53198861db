/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of ESP suites: a cipher with its integrity, as one SA uses them together. It answers
 * every question about sizes and names, so that the packet path branches on nothing that the
 * table can answer.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "reason.h"

/* What a suite does to the text; crypto.h tells what an operation of each kind means. */
enum crypto_kind {
	CRYPTO_AEAD_GCM,    /* RFC 4106 */
	CRYPTO_AEAD_CCM,    /* RFC 4309 */
	CRYPTO_AEAD_CHACHA, /* RFC 7634 */
	CRYPTO_GMAC,        /* RFC 4543: integrity alone, made like an AEAD's */
	CRYPTO_CBC,         /* RFC 3602, and so on: with separate integrity */
	CRYPTO_CTR,         /* RFC 3686 */
	CRYPTO_NULL,        /* RFC 2410 */
	CRYPTO_KINDS,
};

/* Separate integrity; an AEAD has none. */
enum crypto_integrity {
	CRYPTO_OWN_ICV,
	CRYPTO_HMAC_SHA1,   /* RFC 2404, 96 bits */
	CRYPTO_HMAC_SHA256, /* RFC 4868, 128 bits */
	CRYPTO_HMAC_SHA384, /* RFC 4868, 192 bits */
	CRYPTO_HMAC_SHA512, /* RFC 4868, 256 bits */
	CRYPTO_AES_XCBC,    /* RFC 3566, 96 bits */
	CRYPTO_AES_CMAC,    /* RFC 4494, 96 bits */
	CRYPTO_INTEGRITIES,
};

/* What is refused for good has no suite. */
enum crypto_status {
	CRYPTO_ALLOWED,
	CRYPTO_LEGACY, /* refused unless crypto_suites_allow() named it */
};

struct crypto_suite {
	const char *name;     /* strongSwan's proposal word, e.g. "aes128gcm16" */
	const char *aead;     /* the kernel's name of the AEAD, or NULL */
	const char *cipher;   /* the kernel's name of the cipher, or NULL for an AEAD */
	const char *auth;     /* the kernel's name of the integrity, or NULL for an AEAD */
	uint8_t kind;         /* enum crypto_kind */
	uint8_t integrity;    /* enum crypto_integrity */
	uint8_t key_len;      /* bytes of cipher key, without salt */
	uint8_t salt_len;     /* bytes of salt that end the key material: 4, 3 (CCM) or 0 */
	uint8_t auth_key_len; /* bytes of integrity key, 0 for an AEAD */
	uint8_t iv_len;       /* bytes of IV on the wire: 16, 8 or 0 */
	uint8_t icv_len;      /* bytes of ICV on the wire: a multiple of 4, 8 to 32 */
	uint8_t align;        /* payload, pad, pad length and next header together: a multiple */
	bool counter_mode;    /* a repeated IV breaks it (RFC 8221 section 3) */
	uint8_t status;       /* enum crypto_status */
	uint16_t rfc;         /* the RFC that defines its use in ESP; of a pair, the cipher's */
	uint16_t auth_rfc;    /* the separate integrity's RFC, or 0 */
};

#define CRYPTO_ICV_MAX 32

/* The kernel's names of what encrypts nothing, for AH. */
#define CRYPTO_NULL_NAME "ecb(cipher_null)"
#define CRYPTO_GMAC_NAME "rfc4543(gcm(aes))"

/* How IKE daemons name what they want: as in XFRMA_ALG_AEAD, _CRYPT and _AUTH_TRUNC. */
struct crypto_request {
	const char *aead, *cipher, *auth; /* names or NULL */
	uint32_t aead_key_bits;           /* key and salt, in bits */
	uint32_t aead_icv_bits;
	uint32_t cipher_key_bits;
	uint32_t auth_key_bits;
	uint32_t auth_icv_bits; /* 0: the kernel's default truncation of that name */
};

#define CRYPTO_SUITES_MAX 64

/* The table, in the order of suite numbers, and how many rows it has. Constant, any thread. */
extern const struct crypto_suite crypto_suites[];
extern const unsigned int crypto_suites_count;

/*
 * The number of the suite that a request names, or a negative errno with the reason: -ENOSYS for
 * an algorithm that is unknown, refused (RFC 8221) or legacy and not allowed, -EINVAL for a bad
 * key or ICV length. On the control thread.
 */
int crypto_suite_find(const struct crypto_request *request, struct reason *why);

/* The suite's number by its proposal word, or -ENOSYS. */
int crypto_suite_by_name(const char *name);

/*
 * Allows a legacy algorithm from now on: by the kernel's name ("hmac(sha1)") or the older one
 * ("sha1"). 0, or -EINVAL with the reason for what is not legacy. Before any crypto_suite_find().
 */
int crypto_suites_allow(const char *name, struct reason *why);

/* Whether crypto_suites_allow() takes the name. */
bool crypto_is_legacy(const char *name);
