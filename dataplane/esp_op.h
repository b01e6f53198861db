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

/* The additional data of an AEAD. */
static inline void
esp_op_aad(struct crypto_op *op, const struct sa *sa, const uint8_t *esp, uint64_t seq)
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
}

/* The nonce of a counter mode: salt, of 4 bytes or 3, and the wire IV behind the ESP header. */
static inline void
esp_op_nonce(struct crypto_op *op, const struct sa *sa, const uint8_t *esp)
{
	memcpy(op->iv, &sa->salt, sizeof(sa->salt));
	memcpy(op->iv + crypto_suites[sa->suite].salt_len, esp + sizeof(struct esp_header), 8);
}

/* The bytes under a separate ICV, with the high half put where the ICV stands. */
static inline void
esp_op_integrity(struct crypto_op *op, const struct sa *sa, const uint8_t *esp, uint8_t *icv,
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

/* What sealing and opening have in common, but for the IV of CBC and for separate integrity. */
static inline void
esp_op_both(struct crypto_op *op, const struct sa *sa, uint8_t *esp, uint32_t len, uint64_t seq)
{
	const struct crypto_suite *suite = &crypto_suites[sa->suite];
	uint8_t *iv = esp + sizeof(struct esp_header);

	op->key = sa->key;
	op->suite = sa->suite;
	op->text = iv + sa->iv_len;
	op->text_len = len;
	op->icv = op->text + len;
	if (suite->integrity == CRYPTO_OWN_ICV)
		esp_op_aad(op, sa, esp, seq);
	if (suite->counter_mode)
		esp_op_nonce(op, sa, esp);
	if (suite->kind == CRYPTO_GMAC) {
		op->text = iv;
		op->text_len += sa->iv_len;
	}
}

/*
 * To seal `len` bytes of payload with its trailer. The caller has written the ESP header, the
 * wire IV of a counter mode or a value unique for the key in that place for CBC, and the trailer.
 */
static inline void
esp_op_seal(struct crypto_op *op, const struct sa *sa, uint8_t *esp, uint32_t len, uint64_t seq)
{
	const struct crypto_suite *suite = &crypto_suites[sa->suite];

	esp_op_both(op, sa, esp, len, seq);
	if (suite->kind == CRYPTO_CBC) {
		op->text -= sa->iv_len;
		op->text_len += sa->iv_len;
		memset(op->iv, 0, sizeof(op->iv));
	}
	if (suite->integrity != CRYPTO_OWN_ICV)
		esp_op_integrity(op, sa, esp, op->icv, seq);
}

/* Whether esp_op_plain() serves an SA. */
static inline bool
esp_op_is_plain(const struct sa *sa)
{
	return (sa->traits & SA_PLAIN_AEAD) != 0;
}

/* To seal or to open, of such an SA, as esp_op_seal() and esp_op_open() would have it. */
static inline void
esp_op_plain(struct crypto_op *op, const struct sa *sa, uint8_t *esp, uint32_t len)
{
	uint8_t *iv = esp + sizeof(struct esp_header);

	op->key = sa->key;
	op->suite = sa->suite;
	op->text = iv + 8;
	op->text_len = len;
	op->icv = iv + 8 + len;
	op->auth = esp;
	op->auth_len = sizeof(struct esp_header);
	memcpy(op->iv, &sa->salt, sizeof(sa->salt));
	memcpy(op->iv + sizeof(sa->salt), iv, 8);
}

/* To open `len` bytes of ciphertext behind the wire IV. */
static inline void
esp_op_open(struct crypto_op *op, const struct sa *sa, uint8_t *esp, uint32_t len, uint64_t seq)
{
	const struct crypto_suite *suite = &crypto_suites[sa->suite];

	esp_op_both(op, sa, esp, len, seq);
	if (suite->kind == CRYPTO_CBC)
		memcpy(op->iv, op->text - sizeof(op->iv), sizeof(op->iv));
	if (suite->integrity == CRYPTO_OWN_ICV)
		return;
	if ((sa->flags & SA_ESN) != 0) {
		memcpy(op->scratch, op->icv, sa->icv_len);
		esp_op_integrity(op, sa, esp, op->icv, seq);
		op->icv = op->scratch;
	} else {
		esp_op_integrity(op, sa, esp, op->icv, seq);
	}
}
