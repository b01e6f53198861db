/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Known-answer tests, run on a backend before anybody uses it. Each vector goes through the
 * backend as a burst of copies, so that multi-buffer code is tested as well, in both directions;
 * on the way back some copies have a bit flipped, and exactly those must be refused.
 *
 * Answers are composed as suites are. A cipher with separate integrity is tested with the
 * integrity's own answers and no text; then, its integrity being known to be right, with the
 * cipher's answers, whose ICV the backend itself is asked for.
 */
#include "crypto.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "known_answer.h"

#define TEXT_MAX 128
#define AUTH_MAX 64
#define COPIES   16
#define GAP      0x5c /* what its bytes are filled with */

/* A vector as bytes. Without `auth_len` the text itself is under the ICV. */
struct vector {
	const struct crypto_suite *suite;
	const char *source;
	uint8_t key[32], auth_key[64], iv[16], auth[AUTH_MAX], icv[CRYPTO_ICV_MAX];
	uint8_t text[TEXT_MAX], sealed[TEXT_MAX];
	uint32_t auth_len, text_len;
};

/* One operation with memory of its own. */
struct copy {
	uint8_t text[TEXT_MAX];
	uint8_t auth[AUTH_MAX];
	uint8_t icv[CRYPTO_ICV_MAX];
};

/* A backend on trial, with the key of the vector in hand. */
struct trial {
	struct crypto_ctx *ctx;
	alignas(64) uint8_t key[CRYPTO_EXPANDED_MAX];
	struct copy copies[COPIES];
	struct crypto_op ops[COPIES];
};

static unsigned int
nibble(char c)
{
	return c <= '9' ? c - '0' : c - 'a' + 10;
}

static uint32_t
unhex(const char *hex, uint8_t *bytes)
{
	uint32_t n = 0;

	for (; *hex; hex += 2)
		bytes[n++] = nibble(hex[0]) << 4 | nibble(hex[1]);
	return n;
}

static unsigned int
number_of(const struct vector *v)
{
	return (unsigned int)(v->suite - crypto_suites);
}

static void
prepare(struct trial *t, const struct vector *v, const uint8_t *text)
{
	memset(t->ops, 0, sizeof(t->ops));
	for (unsigned int i = 0; i < COPIES; i++) {
		struct copy *copy = &t->copies[i];
		struct crypto_op *op = &t->ops[i];

		memcpy(copy->text, text, v->text_len);
		memcpy(copy->auth, v->auth, v->auth_len);
		memcpy(copy->icv, v->icv, sizeof(copy->icv));
		memcpy(op->iv, v->iv, sizeof(op->iv));
		op->key = t->key;
		op->text = v->text_len ? copy->text : copy->auth;
		op->auth = v->auth_len ? copy->auth : copy->text;
		op->icv = copy->icv;
		op->text_len = v->text_len;
		op->auth_len = v->auth_len ? v->auth_len : v->text_len;
		op->suite = (uint8_t)number_of(v);
	}
}

static bool
sealed_right(struct trial *t, const struct vector *v)
{
	prepare(t, v, v->text);
	for (unsigned int i = 0; i < COPIES; i++)
		memset(t->copies[i].icv, 0, v->suite->icv_len);
	crypto_seal(t->ctx, t->ops, COPIES);
	for (unsigned int i = 0; i < COPIES; i++)
		if (!t->ops[i].ok || memcmp(t->copies[i].text, v->sealed, v->text_len) ||
		    memcmp(t->copies[i].icv, v->icv, v->suite->icv_len))
			return false;
	return true;
}

/* Flips a bit in most copies: by turns in the text, the other bytes under the ICV, the ICV. */
static bool
spoil(const struct vector *v, unsigned int i, struct copy *copy)
{
	uint8_t bit = 1U << (i % 8);

	switch (i % 4) {
	case 1:
		copy->icv[i % v->suite->icv_len] ^= bit;
		return true;
	case 2:
		copy->text[v->text_len ? (i * 7) % v->text_len : 0] ^= bit;
		return v->text_len > 0;
	case 3:
		copy->auth[v->auth_len ? (i * 7) % v->auth_len : 0] ^= bit;
		return v->auth_len > 0;
	default:
		return false;
	}
}

static bool
opened_right(struct trial *t, const struct vector *v)
{
	bool spoilt[COPIES];

	prepare(t, v, v->sealed);
	for (unsigned int i = 0; i < COPIES; i++)
		spoilt[i] = spoil(v, i, &t->copies[i]);
	crypto_open(t->ctx, t->ops, COPIES);
	for (unsigned int i = 0; i < COPIES; i++)
		if (t->ops[i].ok == spoilt[i] ||
		    (!spoilt[i] && memcmp(t->copies[i].text, v->text, v->text_len)))
			return false;
	return true;
}

/* Others keep something in the gap: it must stay, and change nothing. */
static void
fill_gap(struct trial *t, const struct vector *v)
{
	size_t at, size = crypto_key_gap(t->ctx, number_of(v), &at);

	memset(t->key + at, GAP, size);
}

static bool
gap_is_full(const struct trial *t, const struct vector *v)
{
	size_t at, size = crypto_key_gap(t->ctx, number_of(v), &at);

	for (size_t i = 0; i < size; i++)
		if (t->key[at + i] != GAP)
			return false;
	return true;
}

static int
test_vector(struct trial *t, const struct vector *v, struct reason *why)
{
	crypto_key_expand(t->ctx, number_of(v), v->key, v->auth_key, t->key);
	fill_gap(t, v);
	if (!sealed_right(t, v))
		return reason_set(why, EIO, "self-test: %s does not seal as in %s", v->suite->name,
				  v->source);
	if (!opened_right(t, v))
		return reason_set(why, EIO, "self-test: %s does not open as in %s", v->suite->name,
				  v->source);
	if (!gap_is_full(t, v))
		return reason_set(why, EIO, "self-test: %s writes where its key has a gap",
				  v->suite->name);
	return 0;
}

static bool
is_for(const struct crypto_suite *suite, enum crypto_kind kind, unsigned int key_len)
{
	return suite->kind == kind && suite->key_len == key_len;
}

static int
test_aead(struct trial *t, const struct crypto_suite *suite, const struct aead_answer *answer,
	  struct reason *why)
{
	struct vector v = {.suite = suite, .source = answer->source};
	const char *icv = answer->icv[(16 - suite->icv_len) / 4];

	if (!is_for(suite, answer->kind, answer->key_len))
		return 0;
	unhex(answer->key, v.key);
	unhex(answer->iv, v.iv);
	unhex(answer->sealed, v.sealed);
	unhex(icv ? icv : answer->icv[0], v.icv);
	v.auth_len = unhex(answer->auth, v.auth);
	v.text_len = unhex(answer->text, v.text);
	return test_vector(t, &v, why);
}

static int
test_integrity(struct trial *t, const struct crypto_suite *suite,
	       const struct integrity_answer *answer, struct reason *why)
{
	struct vector v = {.suite = suite, .source = answer->source};

	if (suite->integrity != answer->integrity)
		return 0;
	unhex(answer->key, v.auth_key);
	unhex(answer->icv, v.icv);
	v.auth_len = unhex(answer->data, v.auth);
	return test_vector(t, &v, why);
}

/* The ICV of what is sealed, under an integrity key of zeros. */
static void
ask_icv(struct trial *t, struct vector *v)
{
	struct crypto_op op = {.key = t->key,
			       .text = v->sealed,
			       .auth = v->sealed,
			       .icv = v->icv,
			       .auth_len = v->text_len,
			       .suite = (uint8_t)number_of(v)};

	crypto_key_expand(t->ctx, number_of(v), v->key, v->auth_key, t->key);
	crypto_seal(t->ctx, &op, 1);
}

static int
test_cipher(struct trial *t, const struct crypto_suite *suite, const struct cipher_answer *answer,
	    struct reason *why)
{
	struct vector v = {.suite = suite, .source = answer->source};

	if (!is_for(suite, answer->kind, answer->key_len))
		return 0;
	unhex(answer->key, v.key);
	unhex(answer->iv, v.iv);
	unhex(answer->sealed, v.sealed);
	v.text_len = unhex(answer->text, v.text);
	ask_icv(t, &v);
	return test_vector(t, &v, why);
}

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

static int
test_suite(struct trial *t, const struct crypto_suite *suite, struct reason *why)
{
	int error = 0;

	for (size_t i = 0; !error && i < LEN(aead_answers); i++)
		error = test_aead(t, suite, &aead_answers[i], why);
	for (size_t i = 0; !error && i < LEN(integrity_answers); i++)
		error = test_integrity(t, suite, &integrity_answers[i], why);
	for (size_t i = 0; !error && i < LEN(cipher_answers); i++)
		error = test_cipher(t, suite, &cipher_answers[i], why);
	return error;
}

int
crypto_self_test(struct crypto_ctx *ctx, struct reason *why)
{
	struct trial t = {.ctx = ctx};
	int error = 0;

	for (unsigned int i = 0; !error && i < crypto_suites_count; i++) {
		if (crypto_key_size(ctx, i) > sizeof(t.key))
			return reason_set(why, EIO, "self-test: %s: expanded key too long",
					  crypto_suites[i].name);
		if (crypto_key_size(ctx, i))
			error = test_suite(&t, &crypto_suites[i], why);
	}
	return error;
}
