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

enum crypto_kind {
	CRYPTO_AEAD_GCM,    /* RFC 4106 */
	CRYPTO_AEAD_CHACHA, /* RFC 7634 */
	CRYPTO_CBC_HMAC,    /* RFC 3602 with RFC 4868 */
};

struct crypto_suite {
	const char *name;     /* strongSwan's proposal word, e.g. "aes128gcm16" */
	const char *aead;     /* the kernel's name of the AEAD, or NULL */
	const char *cipher;   /* the kernel's name of the cipher, or NULL for an AEAD */
	const char *auth;     /* the kernel's name of the integrity, or NULL for an AEAD */
	uint16_t rfc;         /* the RFC that defines its use in ESP */
	uint8_t kind;         /* enum crypto_kind */
	uint8_t key_len;      /* bytes of cipher key, without salt */
	uint8_t salt_len;     /* bytes of salt that end the key material: 4 or 0 */
	uint8_t auth_key_len; /* bytes of integrity key, 0 for an AEAD */
	uint8_t iv_len;       /* bytes of IV on the wire */
	uint8_t icv_len;      /* bytes of ICV on the wire */
	uint8_t align;        /* payload, pad, pad length and next header together: a multiple */
	bool counter_mode;    /* a repeated IV breaks it (RFC 8221 section 3) */
};

/* How IKE daemons name what they want: as in XFRMA_ALG_AEAD, _CRYPT and _AUTH_TRUNC. */
struct crypto_request {
	const char *aead, *cipher, *auth; /* names or NULL */
	uint32_t aead_key_bits;           /* key and salt, in bits */
	uint32_t aead_icv_bits;
	uint32_t cipher_key_bits;
	uint32_t auth_key_bits;
	uint32_t auth_icv_bits; /* 0: the kernel's default truncation of that name */
};

#define CRYPTO_SUITES_MAX 32

/* The table, in the order of suite numbers, and how many rows it has. Constant, any thread. */
extern const struct crypto_suite crypto_suites[];
extern const unsigned int crypto_suites_count;

/*
 * The number of the suite that a request names, or a negative errno with the reason: -ENOSYS for
 * an algorithm that is unknown or refused (RFC 8221), -EINVAL for a bad key or ICV length.
 */
int crypto_suite_find(const struct crypto_request *request, struct reason *why);

/* The suite's number by its proposal word, or -ENOSYS. */
int crypto_suite_by_name(const char *name);
