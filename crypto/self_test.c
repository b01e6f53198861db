/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Known-answer tests, run on a backend before anybody uses it. Each vector goes through the
 * backend as a burst of copies, so that multi-buffer code is tested as well, in both directions;
 * on the way back some copies have a bit flipped, and exactly those must be refused.
 */
#include "crypto.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ICV_LEN  16
#define KEY_MAX  1088
#define TEXT_MAX 128
#define COPIES   16

/*
 * Hexadecimal. Where `auth` is NULL the text itself is under the ICV (CBC). The CBC vectors of
 * RFC 3602 have no integrity: their ICVs are HMAC-SHA2-256-128 of the ciphertext under the key of
 * RFC 4868's first vector, computed with Python's hmac.
 */
static const struct known_answer {
	const char *suite, *source;
	const char *key, *auth_key, *iv, *auth, *text, *sealed, *icv;
} answers[] = {
	{
		"aes128gcm16",
		"draft-mcgrew-gcm-test-01, case 2 (the vectors of RFC 4106)",
		"feffe9928665731c6d6a8f9467308308",
		NULL,
		"cafebabefacedbaddecaf888",
		"0000a5f80000000a",
		"4500003e698f000080114dccc0a80102c0a801010a980035002a2343b2d001000001000000000000"
		"037369700963796265726369747902646b00000100010001",
		"deb22cd9b07c72c16e3a65beeb8df304a5a5897d33ae530f1ba76d5d114d2a5c3de81827c10e9a4f"
		"51330d0eec416642cfbb85a5b47e48a4ec3b9ba95d918bd1",
		"83b70d3aa8bc6ee4c309e9d85a41ad4a",
	},
	{
		"aes128gcm16",
		"draft-mcgrew-gcm-test-01, case 1 (ESN)",
		"4c80cdefbb5d10da906ac73c3613a634",
		NULL,
		"2e443b684956ed7e3b244cfe",
		"000043218765432100000000",
		"45000048699a000080114db7c0a80102c0a801010a9bf15638d301000001000000000000045f7369"
		"70045f756470037369700963796265726369747902646b000021000101020201",
		"fecf537e729d5b07dc30df528dd22b768d1b98736696a6fd348509fa13ceac34cfa2436f14a3f3cf"
		"65925bf1f4a13c5d15b21e1884f5ff6247aeabb786b93bce61bc17d768fd9732",
		"459018148f6cbe722fd04796562dfdb4",
	},
	{
		"aes192gcm16",
		"draft-mcgrew-gcm-test-01, case 7",
		"feffe9928665731c6d6a8f9467308308feffe9928665731c",
		NULL,
		"cafebabefacedbaddecaf888",
		"0000a5f80000000a",
		"45000028a4ad4000400678800a01038f0a010612802306b8cb712602dd6bb03e501016d075680001",
		"a5b1f8066029aea40e598b8122de02420938b3ab33f828e687b8858b5bfbdbd0315b27452144cc77",
		"95457b9652037f5318027b5b4cd7a636",
	},
	{
		"aes256gcm16",
		"draft-mcgrew-gcm-test-01, case 3",
		"abbccddef00112233445566778899aababbccddef00112233445566778899aab",
		NULL,
		"112233440102030405060708",
		"4a2cbfe300000002",
		"4500003069a6400080062690c0a801029389155e0a9e008b2dc57ee0000000007002400020bf0000"
		"020405b40101040201020201",
		"ff425c9b724599df7a3bcd510194e00d6a78107f1b0b1cbf06efae9d65a5d763748a637985771d34"
		"7f0545659f14e99def842d8e",
		"b335f4eecfdbf831824b4c4915956c96",
	},
	{
		"chacha20poly1305",
		"RFC 7634 appendix A",
		"808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
		NULL,
		"a0a1a2a31011121314151617",
		"0102030400000005",
		"45000054a6f200004001e778c6336405c000020508005b7a3a080000553bec100007362708090a0b"
		"0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f30313233"
		"3435363701020204",
		"24039428b97f417e3c13753a4f05087b67c352e6a7fab1b982d466ef407ae5c614ee8099d52844eb"
		"61aa95dfab4c02f72aa71e7c4c4f64c9befe2facc638e8f3cbec163fac469b502773f6fb94e664da"
		"9165b82829f641e0",
		"76aaa8266b7fb0f7b11b369907e1ad43",
	},
	{
		"aes128-sha256",
		"RFC 3602 section 4, case 3",
		"6c3ea0477630ce21a2ce334aa746c2cd",
		"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
		"c782dc4c098c66cbd9cd27d825682c81",
		NULL,
		"5468697320697320612034382d62797465206d657373616765202865786163746c79203320414553"
		"20626c6f636b7329",
		"d0a02b3836451753d493665d33f0e8862dea54cdb293abc7506939276772f8d5021c19216bad525c"
		"8579695d83ba2684",
		"eebfb3712364cba2a3091be509b7fb4c",
	},
	{
		"aes128-sha256",
		"RFC 4868 section 2.7.2.1, case AUTH256-1",
		"00000000000000000000000000000000",
		"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
		"00000000000000000000000000000000",
		"4869205468657265",
		"",
		"",
		"198a607eb44bfbc69903a0f1cf2bbdc5",
	},
	{
		"aes256-sha256",
		"NIST SP 800-38A F.2.5 (AES-256-CBC)",
		"603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
		"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
		"000102030405060708090a0b0c0d0e0f",
		NULL,
		"6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411"
		"e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710",
		"f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d39f23369a9d9bacf"
		"a530e26304231461b2eb05e2c39be9fcda6c19078c6a9d1b",
		"01daae80652aa5775c0d5a0ffebab181",
	},
	{
		"aes256-sha256",
		"RFC 4868 section 2.7.2.1, case AUTH256-2",
		"0000000000000000000000000000000000000000000000000000000000000000",
		"4a6566654a6566654a6566654a6566654a6566654a6566654a6566654a656665",
		"00000000000000000000000000000000",
		"7768617420646f2079612077616e7420666f72206e6f7468696e673f",
		"",
		"",
		"167f928588c5cc2eef8e3093caa0e87c",
	},
};

/* A vector as bytes. */
struct vector {
	uint8_t key[32], auth_key[32], iv[16], auth[32], icv[ICV_LEN];
	uint8_t text[TEXT_MAX], sealed[TEXT_MAX];
	uint32_t auth_len, text_len;
	unsigned int suite;
};

/* One operation with memory of its own. */
struct copy {
	uint8_t text[TEXT_MAX];
	uint8_t auth[32];
	uint8_t icv[ICV_LEN];
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

	for (; hex && *hex; hex += 2)
		bytes[n++] = nibble(hex[0]) << 4 | nibble(hex[1]);
	return n;
}

static void
vector_read(const struct known_answer *answer, struct vector *v)
{
	memset(v, 0, sizeof(*v));
	v->suite = crypto_suite_by_name(answer->suite);
	unhex(answer->key, v->key);
	unhex(answer->auth_key, v->auth_key);
	unhex(answer->iv, v->iv);
	unhex(answer->icv, v->icv);
	unhex(answer->sealed, v->sealed);
	v->auth_len = unhex(answer->auth, v->auth);
	v->text_len = unhex(answer->text, v->text);
}

static void
prepare(const struct vector *v, const void *key, const uint8_t *text, struct copy *copies,
	struct crypto_op *ops)
{
	memset(ops, 0, COPIES * sizeof(*ops));
	for (unsigned int i = 0; i < COPIES; i++) {
		struct copy *copy = &copies[i];
		struct crypto_op *op = &ops[i];

		memcpy(copy->text, text, v->text_len);
		memcpy(copy->auth, v->auth, v->auth_len);
		memcpy(copy->icv, v->icv, ICV_LEN);
		memcpy(op->iv, v->iv, sizeof(op->iv));
		op->key = key;
		op->text = copy->text;
		op->auth = v->auth_len ? copy->auth : copy->text;
		op->icv = copy->icv;
		op->text_len = v->text_len;
		op->auth_len = v->auth_len ? v->auth_len : v->text_len;
		op->suite = v->suite;
	}
}

static bool
sealed_right(struct crypto_ctx *ctx, const struct vector *v, const void *key, struct copy *copies)
{
	struct crypto_op ops[COPIES];

	prepare(v, key, v->text, copies, ops);
	for (unsigned int i = 0; i < COPIES; i++)
		memset(copies[i].icv, 0, ICV_LEN);
	crypto_seal(ctx, ops, COPIES);
	for (unsigned int i = 0; i < COPIES; i++)
		if (!ops[i].ok || memcmp(copies[i].text, v->sealed, v->text_len) ||
		    memcmp(copies[i].icv, v->icv, ICV_LEN))
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
		copy->icv[i % ICV_LEN] ^= bit;
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
opened_right(struct crypto_ctx *ctx, const struct vector *v, const void *key, struct copy *copies)
{
	struct crypto_op ops[COPIES];
	bool spoilt[COPIES];

	prepare(v, key, v->sealed, copies, ops);
	for (unsigned int i = 0; i < COPIES; i++)
		spoilt[i] = spoil(v, i, &copies[i]);
	crypto_open(ctx, ops, COPIES);
	for (unsigned int i = 0; i < COPIES; i++)
		if (ops[i].ok == spoilt[i] ||
		    (!spoilt[i] && memcmp(copies[i].text, v->text, v->text_len)))
			return false;
	return true;
}

static int
test_answer(struct crypto_ctx *ctx, const struct known_answer *answer, struct copy *copies,
	    struct reason *why)
{
	alignas(64) uint8_t key[KEY_MAX];
	struct vector v;

	vector_read(answer, &v);
	if (crypto_key_size(ctx, v.suite) > sizeof(key))
		return reason_set(why, EIO, "self-test: %s: expanded key too long", answer->suite);
	crypto_key_expand(ctx, v.suite, v.key, v.auth_key, key);
	if (!sealed_right(ctx, &v, key, copies))
		return reason_set(why, EIO, "self-test: %s does not seal as in %s", answer->suite,
				  answer->source);
	if (!opened_right(ctx, &v, key, copies))
		return reason_set(why, EIO, "self-test: %s does not open as in %s", answer->suite,
				  answer->source);
	return 0;
}

int
crypto_self_test(struct crypto_ctx *ctx, struct reason *why)
{
	struct copy copies[COPIES];
	int error = 0;

	for (size_t i = 0; !error && i < sizeof(answers) / sizeof(answers[0]); i++)
		error = test_answer(ctx, &answers[i], copies, why);
	return error;
}
