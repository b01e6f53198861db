/* SPDX-License-Identifier: BSD-3-Clause */
/* Algorithm attributes: a name in 64 bytes, lengths in bits, the key behind them. */
#include <errno.h>

#include "xfrm_algo.h"

#define NAME_MAX_LEN 64

struct algorithm {
	char name[NAME_MAX_LEN];
	uint32_t key_bits;
	uint32_t icv_bits;
	const uint8_t *key;
};

/*
 * The three structures begin alike: name and key length; `has_icv` ones then say how long the ICV
 * is. That the fixed part is whole was checked with the attribute.
 */
static int
algorithm_read(const struct xfrm_attrs *attrs, uint16_t type, bool has_icv, const char *what,
	       struct algorithm *a, struct reason *why)
{
	size_t head = has_icv ? sizeof(struct xfrm_algo_aead) : sizeof(struct xfrm_algo);
	const uint8_t *data = attrs->data[type];
	size_t key_len;

	memcpy(a->name, data, sizeof(a->name));
	if (!memchr(a->name, '\0', sizeof(a->name)))
		return reason_set(why, EINVAL, "the name of the %s has no end", what);
	memcpy(&a->key_bits, data + NAME_MAX_LEN, sizeof(a->key_bits));
	a->icv_bits = 0;
	if (has_icv)
		memcpy(&a->icv_bits, data + NAME_MAX_LEN + 4, sizeof(a->icv_bits));
	a->key = data + head;
	key_len = ((size_t)a->key_bits + 7) / 8;
	if (key_len > attrs->len[type] - head)
		return reason_set(why, EINVAL, "the key of %s is cut: %zu bytes, expected %zu",
				  a->name, attrs->len[type] - head, key_len);
	return 0;
}

/* Most likely a dump whose keys were hidden, about to be installed. */
static bool
all_zero(const uint8_t *key, size_t len)
{
	uint8_t any = 0;

	for (size_t i = 0; i < len; i++)
		any |= key[i];
	return len > 0 && any == 0;
}

static int
keys_copy(const struct crypto_suite *suite, const struct algorithm *cipher,
	  const struct algorithm *auth, struct sa_params *p, struct reason *why)
{
	unsigned int cipher_len = suite->key_len + suite->salt_len;

	if (cipher->key_bits != cipher_len * 8u || auth->key_bits != suite->auth_key_len * 8u ||
	    suite->key_len > sizeof(p->key) || suite->auth_key_len > sizeof(p->auth_key) ||
	    suite->salt_len > sizeof(p->salt))
		return reason_set(why, EINVAL, "bad key length: %u and %u bits, expected %u and %u",
				  cipher->key_bits, auth->key_bits, cipher_len * 8u,
				  suite->auth_key_len * 8u);
	if (all_zero(cipher->key, suite->key_len))
		return reason_set(why, EINVAL, "the key of %s is all zero", cipher->name);
	if (all_zero(auth->key, suite->auth_key_len))
		return reason_set(why, EINVAL, "the key of %s is all zero", auth->name);
	if (cipher_len > 0) {
		memcpy(p->key, cipher->key, suite->key_len);
		memcpy(p->salt, cipher->key + suite->key_len, suite->salt_len);
	}
	if (suite->auth_key_len > 0)
		memcpy(p->auth_key, auth->key, suite->auth_key_len);
	return 0;
}

static int
aead_decode(const struct xfrm_attrs *attrs, struct algorithm *cipher,
	    struct crypto_request *request, struct reason *why)
{
	int rc;

	if (attrs->data[XFRMA_ALG_CRYPT] || attrs->data[XFRMA_ALG_AUTH] ||
	    attrs->data[XFRMA_ALG_AUTH_TRUNC])
		return reason_set(why, EINVAL, "an AEAD comes without another algorithm");
	rc = algorithm_read(attrs, XFRMA_ALG_AEAD, true, "AEAD", cipher, why);
	if (rc < 0)
		return rc;
	request->aead = cipher->name;
	request->aead_key_bits = cipher->key_bits;
	request->aead_icv_bits = cipher->icv_bits;
	return 0;
}

static int
pair_decode(const struct xfrm_attrs *attrs, struct algorithm *cipher, struct algorithm *auth,
	    struct crypto_request *request, struct reason *why)
{
	int rc = 0;

	if (attrs->data[XFRMA_ALG_CRYPT]) {
		rc = algorithm_read(attrs, XFRMA_ALG_CRYPT, false, "cipher", cipher, why);
		request->cipher = cipher->name;
		request->cipher_key_bits = cipher->key_bits;
	}
	if (rc < 0)
		return rc;
	if (attrs->data[XFRMA_ALG_AUTH_TRUNC])
		rc = algorithm_read(attrs, XFRMA_ALG_AUTH_TRUNC, true, "integrity", auth, why);
	else if (attrs->data[XFRMA_ALG_AUTH])
		rc = algorithm_read(attrs, XFRMA_ALG_AUTH, false, "integrity", auth, why);
	else
		return 0;
	request->auth = auth->name;
	request->auth_key_bits = auth->key_bits;
	request->auth_icv_bits = auth->icv_bits;
	return rc;
}

/*
 * AH has integrity alone. GMAC is named as such too (the kernel's AH has none, and iproute2 no AEAD
 * for AH): its key material, salt included, is the integrity key.
 */
static int
ah_decode(const struct xfrm_attrs *attrs, struct algorithm *cipher, struct algorithm *auth,
	  struct crypto_request *request, struct reason *why)
{
	int rc;

	if (attrs->data[XFRMA_ALG_AEAD] || attrs->data[XFRMA_ALG_CRYPT])
		return reason_set(why, EINVAL, "AH takes integrity alone: XFRMA_ALG_AUTH_TRUNC");
	rc = pair_decode(attrs, cipher, auth, request, why);
	if (rc < 0)
		return rc;
	if (!request->auth)
		return reason_set(why, EINVAL,
				  "AH without integrity: expected XFRMA_ALG_AUTH_TRUNC");
	if (strcmp(auth->name, CRYPTO_GMAC_NAME) == 0) {
		*cipher = *auth;
		*auth = (struct algorithm){.key_bits = 0};
		*request = (struct crypto_request){
			.aead = cipher->name,
			.aead_key_bits = cipher->key_bits,
			.aead_icv_bits = cipher->icv_bits,
		};
	} else {
		request->cipher = CRYPTO_NULL_NAME;
	}
	return 0;
}

int
xfrm_decode_algorithms(const struct xfrm_attrs *attrs, struct sa_params *p, struct reason *why)
{
	struct algorithm cipher = {.key_bits = 0}, auth = {.key_bits = 0};
	struct crypto_request request = {.aead = NULL};
	int rc;

	if (p->id.proto == IPPROTO_AH)
		rc = ah_decode(attrs, &cipher, &auth, &request, why);
	else if (attrs->data[XFRMA_ALG_AEAD])
		rc = aead_decode(attrs, &cipher, &request, why);
	else
		rc = pair_decode(attrs, &cipher, &auth, &request, why);
	if (rc < 0)
		return rc;
	if (!request.aead && !request.cipher && !request.auth)
		return reason_set(why, EINVAL,
				  "no algorithm: expected XFRMA_ALG_AEAD, or "
				  "XFRMA_ALG_CRYPT and XFRMA_ALG_AUTH_TRUNC");
	rc = crypto_suite_find(&request, why);
	if (rc < 0)
		return rc;
	p->suite = (uint8_t)rc;
	return keys_copy(&crypto_suites[rc], &cipher, &auth, p, why);
}
