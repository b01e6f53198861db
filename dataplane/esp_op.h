/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From an ESP packet in place to a crypto operation (crypto.h): where the text, the additional
 * data, the IV and the ICV are, for each kind of suite. The high half of an extended sequence
 * number is not on the wire: AEADs take it in the additional data (RFC 4106 section 5), separate
 * integrity behind the ciphertext (RFC 4303 section 2.2.1), where it overlays the ICV's place.
 */
#pragma once

#include <string.h>

#include "crypto/crypto.h"
#include "esp.h"

/* Additional data and nonce; the wire IV stands behind the ESP header already. */
static inline void
esp_op_aead(struct crypto_op *op, const struct sa *sa, const uint8_t *esp, uint64_t seq)
{
	if ((sa->flags & SA_ESN) != 0) {
		rte_be64_t number = rte_cpu_to_be_64(seq);

		memcpy(op->scratch, &sa->spi, sizeof(sa->spi));
		memcpy(op->scratch + sizeof(sa->spi), &number, sizeof(number));
		op->auth = op->scratch;
		op->auth_len = sizeof(sa->spi) + sizeof(number);
	} else {
		op->auth = esp;
		op->auth_len = sizeof(struct esp_header);
	}
	memcpy(op->iv, &sa->salt, sizeof(sa->salt));
	memcpy(op->iv + sizeof(sa->salt), esp + sizeof(struct esp_header), 8);
}

/* The bytes under a separate ICV, with the high half put where the ICV stands. */
static inline void
esp_op_hmac(struct crypto_op *op, const struct sa *sa, const uint8_t *esp, uint8_t *icv,
	    uint64_t seq)
{
	op->auth = esp;
	op->auth_len = (uint32_t)(icv - esp);
	if ((sa->flags & SA_ESN) != 0) {
		rte_be32_t high = rte_cpu_to_be_32((uint32_t)(seq >> 32));

		memcpy(icv, &high, sizeof(high));
		op->auth_len += sizeof(high);
	}
}

/*
 * To seal `len` bytes of payload with its trailer. The caller has written the ESP header, the
 * wire IV of an AEAD or a value unique for the key in that place for CBC, and the trailer.
 */
static inline void
esp_op_seal(struct crypto_op *op, const struct sa *sa, uint8_t *esp, uint32_t len, uint64_t seq)
{
	uint8_t *iv = esp + sizeof(struct esp_header);

	op->key = sa->key;
	op->suite = sa->suite;
	op->icv = iv + sa->iv_len + len;
	if (crypto_suites[sa->suite].kind == CRYPTO_CBC_HMAC) {
		op->text = iv;
		op->text_len = sa->iv_len + len;
		memset(op->iv, 0, sizeof(op->iv));
		esp_op_hmac(op, sa, esp, op->icv, seq);
	} else {
		op->text = iv + sa->iv_len;
		op->text_len = len;
		esp_op_aead(op, sa, esp, seq);
	}
}

/* To open `len` bytes of ciphertext behind the wire IV. */
static inline void
esp_op_open(struct crypto_op *op, const struct sa *sa, uint8_t *esp, uint32_t len, uint64_t seq)
{
	uint8_t *iv = esp + sizeof(struct esp_header);

	op->key = sa->key;
	op->suite = sa->suite;
	op->text = iv + sa->iv_len;
	op->text_len = len;
	op->icv = op->text + len;
	if (crypto_suites[sa->suite].kind == CRYPTO_CBC_HMAC) {
		memcpy(op->iv, iv, sizeof(op->iv));
		if ((sa->flags & SA_ESN) != 0) {
			memcpy(op->scratch, op->icv, sa->icv_len);
			esp_op_hmac(op, sa, esp, op->icv, seq);
			op->icv = op->scratch;
		} else {
			esp_op_hmac(op, sa, esp, op->icv, seq);
		}
	} else {
		esp_op_aead(op, sa, esp, seq);
	}
}
