/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The crypto contract: expand a key, seal a burst, open a burst. One file per backend fulfils it
 * (ipsec_mb.c, openssl.c); nothing here knows packets, SAs or DPDK ports.
 *
 * An operation works in place on contiguous memory. What its fields are hangs on the kind of its
 * suite (suite.h):
 *
 *   GCM, CCM,     auth/auth_len is the additional data (SPI and sequence number, 8 or 12 bytes),
 *   CHACHA        text/text_len what is encrypted, of any length; iv the nonce: salt, then the 8
 *                 bytes of wire IV (12 bytes in all, 11 for CCM).
 *   GMAC          likewise, but nothing is encrypted: text starts AT the wire IV field, and is
 *                 under the ICV behind auth (RFC 4543 section 3.3: SPI, sequence number, IV,
 *                 payload), so that with ESN the two need not be neighbours in memory. For AH
 *                 the text is empty.
 *   CBC, CTR,     have separate integrity: auth/auth_len are the bytes under the ICV, SPI through
 *   NULL          text, and with ESN the 4 bytes of high sequence half that the caller put
 *                 behind the text. All of the text lies in auth.
 *     CBC         text_len is a multiple of 16. open: text is the ciphertext and iv the 16-byte
 *                 wire IV. seal: text starts AT the wire IV field, into which the caller wrote a
 *                 value unique for the key, and iv is zero. Its encryption becomes the wire IV:
 *                 an unpredictable IV by the first method of NIST SP 800-38A appendix C.
 *     CTR         text of any length; iv the nonce, salt and 8 bytes of wire IV. The block
 *                 counter behind it starts at 1 (RFC 3686 section 4).
 *     NULL        text and iv are not looked at: there is no wire IV, and the text stays.
 *
 * seal writes the ICV (icv_len bytes of the suite) to `icv` once all input of that operation was
 * read, so `icv` may overlay the high sequence half, or lie within auth. open compares in constant
 * time with the ICV at `icv` (which the caller saved elsewhere when it put the high half in its
 * place) and sets `ok`; the text of an operation that is not ok is garbage or untouched, never to
 * be looked at. With separate integrity an empty text is allowed, and only the ICV is made or
 * checked.
 */
#pragma once

#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>

#include "reason.h"
#include "suite.h"

enum crypto_backend {
	CRYPTO_IPSEC_MB, /* Intel IPsec-MB: the fast one */
	CRYPTO_OPENSSL,  /* OpenSSL libcrypto: the reference and the fallback */
	CRYPTO_BACKENDS,
};

struct crypto_op {
	const void *key; /* expanded by crypto_key_expand() of the same backend */
	uint8_t *text;
	const uint8_t *auth;
	uint8_t *icv;
	uint32_t text_len; /* bytes; CBC: a multiple of 16 */
	uint32_t auth_len; /* bytes */
	uint8_t suite;     /* number in crypto_suites[] */
	uint8_t ok;        /* open: 1 where the ICV was right; seal: 0 only if the library failed */
	uint8_t scratch[CRYPTO_ICV_MAX]; /* the caller's: AAD with ESN, or a saved ICV */
	uint8_t iv[16];
};

/* Bytes of an expanded key at most: AES-GCM's with IPsec-MB 2. A multiple of 64. */
#define CRYPTO_EXPANDED_MAX 1280

/* What one thread needs to run operations. Belongs to that thread. */
struct crypto_ctx;

/* A context of the backend, or NULL with the reason. Free with crypto_ctx_free(). */
struct crypto_ctx *crypto_ctx_new(enum crypto_backend backend, struct reason *why);
void crypto_ctx_free(struct crypto_ctx *ctx);

/* "ipsec-mb" or "openssl"; and the reverse, or -EINVAL. */
const char *crypto_backend_name(enum crypto_backend backend);
int crypto_backend_by_name(const char *name);

/* Bytes of an expanded key, a multiple of 64. 0 where the backend cannot do the suite. */
size_t crypto_key_size(const struct crypto_ctx *ctx, unsigned int suite);

/*
 * Expands key material into `expanded` (crypto_key_size() bytes, 64-byte aligned), which any
 * context of the same backend may then use, on any thread. `key` has key_len bytes, without
 * salt; `auth_key` auth_key_len bytes or NULL. The caller zeroizes `expanded` in the end.
 */
void crypto_key_expand(struct crypto_ctx *ctx, unsigned int suite, const uint8_t *key,
		       const uint8_t *auth_key, void *expanded);

/*
 * Bytes inside an expanded key that no operation reads or writes: whoever holds the key may keep
 * something there. Their number, 0 for none, and in *at where they begin, a multiple of 64.
 */
size_t crypto_key_gap(const struct crypto_ctx *ctx, unsigned int suite, size_t *at);

/*
 * Begins to bring nearer what an operation with that key and so long a text will read of it. Of
 * many keys few are in cache: for an operation of another key than the one before, some time ahead.
 */
void crypto_key_fetch(const struct crypto_ctx *ctx, unsigned int suite, const void *key,
		      uint32_t text_len);

/*
 * Seals, or opens, operations of any mix of suites. All are finished on return. Sealed ones are
 * ok, but for one that the backend failed at (libcrypto may, IPsec-MB cannot): its text is
 * overwritten and must not be sent.
 */
void crypto_seal(struct crypto_ctx *ctx, struct crypto_op *ops, unsigned int n);
void crypto_open(struct crypto_ctx *ctx, struct crypto_op *ops, unsigned int n);

/*
 * Known-answer tests of every suite on one backend, both directions, a flipped bit included.
 * 0, or -EIO with the suite that failed in the reason: do not use that backend then.
 */
int crypto_self_test(struct crypto_ctx *ctx, struct reason *why);

/* Overwrites a secret; never optimised away. */
void crypto_zeroize(void *secret, size_t len);
