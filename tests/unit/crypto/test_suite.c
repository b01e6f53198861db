/* SPDX-License-Identifier: BSD-3-Clause */
/* The suite table: what is found, what is refused, and in which words. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/suite.h"

#define AEAD(name, key, icv)                                                                       \
	{                                                                                          \
		.aead = (name), .aead_key_bits = (key), .aead_icv_bits = (icv)                     \
	}
#define GCM    "rfc4106(gcm(aes))"
#define CCM    "rfc4309(ccm(aes))"
#define GMAC   "rfc4543(gcm(aes))"
#define CTR    "rfc3686(ctr(aes))"
#define CHACHA "rfc7539esp(chacha20,poly1305)"
#define PAIR(name, key, integrity, auth_key, icv)                                                  \
	{                                                                                          \
		.cipher = (name), .cipher_key_bits = (key), .auth = (integrity),                   \
		.auth_key_bits = (auth_key), .auth_icv_bits = (icv)                                \
	}

static const struct {
	const char *name;
	struct crypto_request request;
} good[] = {
	{"aes128gcm16", AEAD(GCM, 160, 128)},
	{"aes192gcm16", AEAD(GCM, 224, 128)},
	{"aes256gcm16", AEAD(GCM, 288, 128)},
	{"aes128gcm12", AEAD(GCM, 160, 96)},
	{"aes192gcm12", AEAD(GCM, 224, 96)},
	{"aes256gcm8", AEAD(GCM, 288, 64)},
	{"chacha20poly1305", AEAD(CHACHA, 288, 128)},
	{"aes128ccm16", AEAD(CCM, 152, 128)},
	{"aes192ccm12", AEAD(CCM, 216, 96)},
	{"aes256ccm8", AEAD(CCM, 280, 64)},
	{"aes128gmac", AEAD(GMAC, 160, 128)},
	{"aes192gmac", AEAD(GMAC, 224, 128)},
	{"aes256gmac", AEAD(GMAC, 288, 128)},
	{"aes128-sha256", PAIR("cbc(aes)", 128, "hmac(sha256)", 256, 128)},
	{"aes256-sha256", PAIR("cbc(aes)", 256, "hmac(sha256)", 256, 128)},
	{"aes192-sha384", PAIR("cbc(aes)", 192, "hmac(sha384)", 384, 192)},
	{"aes256-sha512", PAIR("cbc(aes)", 256, "hmac(sha512)", 512, 256)},
	{"aes128-aesxcbc", PAIR("cbc(aes)", 128, "xcbc(aes)", 128, 96)},
	{"aes128-aescmac", PAIR("cbc(aes)", 128, "cmac(aes)", 128, 96)},
	{"aes128ctr-sha256", PAIR(CTR, 160, "hmac(sha256)", 256, 128)},
	{"aes192ctr-aesxcbc", PAIR(CTR, 224, "xcbc(aes)", 128, 96)},
	{"aes256ctr-sha512", PAIR(CTR, 288, "hmac(sha512)", 512, 256)},
	{"null-sha256", PAIR("ecb(cipher_null)", 0, "hmac(sha256)", 256, 128)},
	/* The kernel's older names. */
	{"aes128-sha256", PAIR("aes", 128, "sha256", 256, 128)},
	{"aes192-sha384", PAIR("aes", 192, "sha384", 384, 192)},
	{"null-sha512", PAIR("cipher_null", 0, "sha512", 512, 256)},
	/* Nobody said how long the ICV is: the kernel knows. */
	{"aes128-sha384", PAIR("aes", 128, "sha384", 384, 0)},
	{"aes128-sha512", PAIR("aes", 128, "sha512", 512, 0)},
	{"aes128-aesxcbc", PAIR("aes", 128, "xcbc(aes)", 128, 0)},
	{"null-aescmac", PAIR("cipher_null", 0, "cmac(aes)", 128, 0)},
};

#define SHA256       "hmac(sha256)"
#define WITH(cipher) PAIR(cipher, 128, SHA256, 256, 128)

static const struct {
	struct crypto_request request;
	int error;
	const char *text;
} bad[] = {
	{AEAD(GCM, 128, 128), EINVAL,
	 "bad key length: 16 for rfc4106(gcm(aes)), expected 20, 28 or 36"},
	{AEAD(GCM, 256, 128), EINVAL,
	 "bad key length: 32 for rfc4106(gcm(aes)), expected 20, 28 or 36"},
	{AEAD(GCM, 0, 128), EINVAL,
	 "bad key length: 0 for rfc4106(gcm(aes)), expected 20, 28 or 36"},
	{AEAD(GCM, 161, 128), EINVAL,
	 "bad key length: 161 bits for rfc4106(gcm(aes)), expected 20, 28 or 36 bytes"},
	{AEAD(CHACHA, 256, 128), EINVAL,
	 "bad key length: 32 for rfc7539esp(chacha20,poly1305), expected 36"},
	{AEAD(CCM, 160, 128), EINVAL,
	 "bad key length: 20 for rfc4309(ccm(aes)), expected 19, 27 or 35"},
	{AEAD(GMAC, 128, 128), EINVAL,
	 "bad key length: 16 for rfc4543(gcm(aes)), expected 20, 28 or 36"},
	{AEAD(GCM, 160, 32), EINVAL,
	 "bad ICV length: 32 bits for rfc4106(gcm(aes)), expected 64, 96 or 128"},
	{AEAD(CCM, 152, 112), EINVAL,
	 "bad ICV length: 112 bits for rfc4309(ccm(aes)), expected 64, 96 or 128"},
	{AEAD(GMAC, 160, 96), EINVAL,
	 "bad ICV length: 96 bits for rfc4543(gcm(aes)), expected 128"},
	{AEAD(CHACHA, 288, 0), EINVAL,
	 "bad ICV length: 0 bits for rfc7539esp(chacha20,poly1305), expected 128"},
	{AEAD("", 160, 0), ENOSYS, "unknown algorithm: "},
	{AEAD("gcm(aes)", 160, 128), ENOSYS, "unknown algorithm: gcm(aes)"},
	/* An AEAD's name as a cipher, and a cipher's as an AEAD. */
	{PAIR(GCM, 160, SHA256, 256, 128), ENOSYS, "unknown algorithm: rfc4106(gcm(aes))"},
	{AEAD("cbc(aes)", 128, 128), ENOSYS, "unknown algorithm: cbc(aes)"},
	{{.aead = GCM, .aead_key_bits = 160, .aead_icv_bits = 128, .auth = SHA256},
	 EINVAL,
	 "rfc4106(gcm(aes)) comes with its own integrity: no hmac(sha256) beside it"},
	/* CTR without the nonce that RFC 3686 adds to the key is another algorithm. */
	{WITH("ctr(aes)"), ENOSYS, "unknown algorithm: ctr(aes)"},
	{WITH(CTR), EINVAL, "bad key length: 16 for rfc3686(ctr(aes)), expected 20, 28 or 36"},
	{PAIR("cbc(aes)", 64, SHA256, 256, 128), EINVAL,
	 "bad key length: 8 for cbc(aes), expected 16, 24 or 32"},
	{WITH("cipher_null"), EINVAL, "bad key length: 16 for ecb(cipher_null), expected 0"},
	{WITH("cbc(camellia)"), ENOSYS, "unknown algorithm: cbc(camellia)"},
	{PAIR("cbc(aes)", 128, "rmd160", 160, 96), ENOSYS, "unknown algorithm: rmd160"},
	{PAIR("cbc(aes)", 128, SHA256, 160, 128), EINVAL,
	 "bad key length: 20 for hmac(sha256), expected 32"},
	{PAIR("cbc(aes)", 128, "hmac(sha512)", 256, 256), EINVAL,
	 "bad key length: 32 for hmac(sha512), expected 64"},
	{PAIR("cbc(aes)", 128, "xcbc(aes)", 192, 96), EINVAL,
	 "bad key length: 24 for xcbc(aes), expected 16"},
	{PAIR("cbc(aes)", 128, SHA256, 256, 96), EINVAL,
	 "bad ICV length: 96 bits for hmac(sha256), expected 128 (RFC 4868)"},
	{PAIR("cbc(aes)", 128, "cmac(aes)", 128, 128), EINVAL,
	 "bad ICV length: 128 bits for cmac(aes), expected 96"},
	{PAIR("cbc(aes)", 128, "cmac(aes)", 128, UINT32_MAX), EINVAL,
	 "bad ICV length: 4294967295 bits for cmac(aes), expected 96"},
	{AEAD(GCM, UINT32_MAX - 7, 128), EINVAL,
	 "bad key length: 536870911 for rfc4106(gcm(aes)), expected 20, 28 or 36"},
	/* No truncation said: the kernel's is 96 bits. */
	{PAIR("cbc(aes)", 128, "sha256", 256, 0), EINVAL,
	 "no ICV length for hmac(sha256), which means 96 bits: expected 128 (RFC 4868)"},
	/* C72, C73: weak algorithms, and encryption without integrity. */
	{PAIR("cbc(aes)", 128, "hmac(sha1)", 160, 96), ENOSYS,
	 "hmac(sha1) is refused: it is legacy (RFC 8221 section 6) and the configuration "
	 "(crypto.legacy) does not name it"},
	{WITH("cbc(des)"), ENOSYS,
	 "cbc(des) is refused: its key of 56 bits is too short (RFC 8221 section 5)"},
	{WITH("des"), ENOSYS,
	 "cbc(des) is refused: its key of 56 bits is too short (RFC 8221 section 5)"},
	{WITH("des3_ede"), ENOSYS,
	 "cbc(des3_ede) is refused: its block of 64 bits is too short (RFC 8221 section 5)"},
	{PAIR("cbc(aes)", 128, "md5", 128, 96), ENOSYS,
	 "hmac(md5) is refused: MD5 is broken (RFC 8221 section 6)"},
	{{.cipher = "cbc(aes)", .cipher_key_bits = 128},
	 ENOSYS,
	 "cbc(aes) without integrity is refused (RFC 8221 section 4)"},
	{{.cipher = CTR, .cipher_key_bits = 160},
	 ENOSYS,
	 "rfc3686(ctr(aes)) without integrity is refused (RFC 8221 section 4)"},
	{{.cipher = "cbc(aes)", .cipher_key_bits = 128, .auth = "digest_null"},
	 ENOSYS,
	 "cbc(aes) without integrity is refused (RFC 8221 section 4)"},
	{{.cipher = "ecb(cipher_null)"},
	 ENOSYS,
	 "ecb(cipher_null) without integrity is refused (RFC 4303 section 3.2)"},
	{{.cipher = "cipher_null", .auth = "digest_null"},
	 ENOSYS,
	 "ecb(cipher_null) without integrity is refused (RFC 4303 section 3.2)"},
	{{.auth = SHA256}, EINVAL, "no cipher: expected an AEAD, or a cipher and integrity"},
	{{0}, EINVAL, "no cipher: expected an AEAD, or a cipher and integrity"},
};

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

static void
test_C72_finds_what_daemons_ask_for(void **state)
{
	for (size_t i = 0; i < LEN(good); i++) {
		struct reason why = {""};
		int number = crypto_suite_find(&good[i].request, &why);

		assert_string_equal(why.text, "");
		assert_in_range(number, 0, crypto_suites_count - 1);
		assert_string_equal(crypto_suites[number].name, good[i].name);
	}
}

static void
test_C22_C35_C73_refuses_with_the_reason(void **state)
{
	for (size_t i = 0; i < LEN(bad); i++) {
		struct reason why = {""};
		int number = crypto_suite_find(&bad[i].request, &why);

		assert_string_equal(why.text, bad[i].text);
		assert_int_equal(number, -bad[i].error);
		assert_int_equal(crypto_suite_find(&bad[i].request, NULL), -bad[i].error);
	}
}

static void
test_finds_by_proposal_word(void **state)
{
	for (unsigned int i = 0; i < crypto_suites_count; i++)
		assert_int_equal(crypto_suite_by_name(crypto_suites[i].name), i);
	assert_int_equal(crypto_suite_by_name("aes128gcm4"), -ENOSYS);
	assert_int_equal(crypto_suite_by_name(""), -ENOSYS);
}

/* C70, C74: what the packet path relies on. */
static void
test_C70_sizes_are_those_of_the_rfcs(void **state)
{
	static const uint8_t iv_len[CRYPTO_KINDS] = {8, 8, 8, 8, 16, 8, 0};
	static const uint8_t salt_len[CRYPTO_KINDS] = {4, 3, 4, 4, 0, 4, 0};
	static const uint8_t auth_key_len[CRYPTO_INTEGRITIES] = {0, 20, 32, 48, 64, 16, 16};
	static const uint8_t icv_len[CRYPTO_INTEGRITIES] = {0, 12, 16, 24, 32, 12, 12};

	for (unsigned int i = 0; i < crypto_suites_count; i++) {
		const struct crypto_suite *suite = &crypto_suites[i];
		bool aead = suite->integrity == CRYPTO_OWN_ICV;

		assert_int_equal(suite->iv_len, iv_len[suite->kind]);
		assert_int_equal(suite->salt_len, salt_len[suite->kind]);
		assert_int_equal(suite->auth_key_len, auth_key_len[suite->integrity]);
		assert_int_equal(suite->align, suite->kind == CRYPTO_CBC ? 16 : 4);
		assert_int_equal(suite->counter_mode, suite->salt_len != 0);
		assert_int_equal(aead, suite->kind < CRYPTO_CBC);
		if (!aead)
			assert_int_equal(suite->icv_len, icv_len[suite->integrity]);
		assert_in_range(suite->icv_len, 8, CRYPTO_ICV_MAX);
		assert_int_equal(suite->icv_len % 4, 0);
		assert_in_range(suite->rfc, 2400, 8000);
		assert_int_equal(suite->auth_rfc != 0, !aead);
		assert_int_equal(suite->status == CRYPTO_LEGACY,
				 suite->integrity == CRYPTO_HMAC_SHA1);
		assert_int_equal(!suite->aead, !aead);
		assert_int_equal(!suite->cipher, aead);
		assert_int_equal(!suite->auth, aead);
	}
}

/* Of the table: three AEADs in 3 key and 3 or 1 ICV lengths, ChaCha20, 7 ciphers by 6 integrities.
 */
static void
test_C72_every_cipher_goes_with_every_integrity(void **state)
{
	unsigned int pairs[CRYPTO_KINDS][CRYPTO_INTEGRITIES] = {0};

	for (unsigned int i = 0; i < crypto_suites_count; i++)
		pairs[crypto_suites[i].kind][crypto_suites[i].integrity]++;
	assert_int_equal(pairs[CRYPTO_AEAD_GCM][CRYPTO_OWN_ICV], 9);
	assert_int_equal(pairs[CRYPTO_AEAD_CCM][CRYPTO_OWN_ICV], 9);
	assert_int_equal(pairs[CRYPTO_AEAD_CHACHA][CRYPTO_OWN_ICV], 1);
	assert_int_equal(pairs[CRYPTO_GMAC][CRYPTO_OWN_ICV], 3);
	for (unsigned int integrity = 1; integrity < CRYPTO_INTEGRITIES; integrity++) {
		assert_int_equal(pairs[CRYPTO_CBC][integrity], 3);
		assert_int_equal(pairs[CRYPTO_CTR][integrity], 3);
		assert_int_equal(pairs[CRYPTO_NULL][integrity], 1);
	}
}

/* The last test: what was allowed stays allowed. */
static void
test_legacy_is_found_once_it_is_named(void **state)
{
	const struct crypto_request request = PAIR("cbc(aes)", 192, "sha1", 160, 96);
	const struct crypto_request kernel = PAIR("cipher_null", 0, "hmac(sha1)", 160, 0);
	struct reason why = {""};

	assert_int_equal(crypto_suite_find(&request, NULL), -ENOSYS);
	assert_int_equal(crypto_suites_allow("sha256", &why), -EINVAL);
	assert_string_equal(why.text, "\"sha256\" is no legacy algorithm, expected sha1");
	assert_int_equal(crypto_suites_allow("3des", NULL), -EINVAL);
	assert_false(crypto_is_legacy("md5"));
	assert_true(crypto_is_legacy("sha1"));
	assert_int_equal(crypto_suite_find(&request, NULL), -ENOSYS);
	assert_int_equal(crypto_suites_allow("hmac(sha1)", &why), 0);
	assert_int_equal(crypto_suite_find(&request, NULL), crypto_suite_by_name("aes192-sha1"));
	assert_int_equal(crypto_suite_find(&kernel, NULL), crypto_suite_by_name("null-sha1"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_C72_finds_what_daemons_ask_for),
		cmocka_unit_test(test_C22_C35_C73_refuses_with_the_reason),
		cmocka_unit_test(test_finds_by_proposal_word),
		cmocka_unit_test(test_C70_sizes_are_those_of_the_rfcs),
		cmocka_unit_test(test_C72_every_cipher_goes_with_every_integrity),
		cmocka_unit_test(test_legacy_is_found_once_it_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
