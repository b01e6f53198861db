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

#define GCM    .aead = "rfc4106(gcm(aes))", .aead_icv_bits = 128
#define CHACHA .aead = "rfc7539esp(chacha20,poly1305)", .aead_icv_bits = 128

static const struct {
	const char *name;
	struct crypto_request request;
} good[] = {
	{"aes128gcm16", {GCM, .aead_key_bits = 160}},
	{"aes192gcm16", {GCM, .aead_key_bits = 224}},
	{"aes256gcm16", {GCM, .aead_key_bits = 288}},
	{"chacha20poly1305", {CHACHA, .aead_key_bits = 288}},
	{"aes128-sha256",
	 {.cipher = "cbc(aes)",
	  .cipher_key_bits = 128,
	  .auth = "hmac(sha256)",
	  .auth_key_bits = 256,
	  .auth_icv_bits = 128}},
	{"aes256-sha256",
	 {.cipher = "cbc(aes)",
	  .cipher_key_bits = 256,
	  .auth = "hmac(sha256)",
	  .auth_key_bits = 256,
	  .auth_icv_bits = 128}},
	/* The kernel's older names. */
	{"aes128-sha256",
	 {.cipher = "aes",
	  .cipher_key_bits = 128,
	  .auth = "sha256",
	  .auth_key_bits = 256,
	  .auth_icv_bits = 128}},
};

#define AUTH .auth = "hmac(sha256)", .auth_key_bits = 256, .auth_icv_bits = 128

static const struct {
	struct crypto_request request;
	int error;
	const char *text;
} bad[] = {
	{{GCM, .aead_key_bits = 128},
	 EINVAL,
	 "bad key length: 16 for rfc4106(gcm(aes)), expected 20, 28 or 36"},
	{{GCM, .aead_key_bits = 256},
	 EINVAL,
	 "bad key length: 32 for rfc4106(gcm(aes)), expected 20, 28 or 36"},
	{{GCM, .aead_key_bits = 0},
	 EINVAL,
	 "bad key length: 0 for rfc4106(gcm(aes)), expected 20, 28 or 36"},
	{{GCM, .aead_key_bits = 161},
	 EINVAL,
	 "bad key length: 161 bits for rfc4106(gcm(aes)), expected 20, 28 or 36 bytes"},
	{{CHACHA, .aead_key_bits = 256},
	 EINVAL,
	 "bad key length: 32 for rfc7539esp(chacha20,poly1305), expected 36"},
	{{.aead = "rfc4106(gcm(aes))", .aead_key_bits = 160, .aead_icv_bits = 64},
	 EINVAL,
	 "bad ICV length: 64 bits for rfc4106(gcm(aes)), only 128 is offered"},
	{{.aead = "rfc4106(gcm(aes))", .aead_key_bits = 160, .aead_icv_bits = 96},
	 EINVAL,
	 "bad ICV length: 96 bits for rfc4106(gcm(aes)), only 128 is offered"},
	{{.aead = "rfc7539esp(chacha20,poly1305)", .aead_key_bits = 288, .aead_icv_bits = 0},
	 EINVAL,
	 "bad ICV length: 0 bits for rfc7539esp(chacha20,poly1305), only 128 is offered"},
	{{.aead = "rfc4309(ccm(aes))", .aead_key_bits = 152, .aead_icv_bits = 128},
	 ENOSYS,
	 "unknown algorithm: rfc4309(ccm(aes))"},
	{{.aead = "", .aead_key_bits = 160}, ENOSYS, "unknown algorithm: "},
	/* An AEAD's name as a cipher, and a cipher's as an AEAD. */
	{{.cipher = "rfc4106(gcm(aes))", .cipher_key_bits = 160, AUTH},
	 ENOSYS,
	 "unknown algorithm: rfc4106(gcm(aes))"},
	{{.aead = "cbc(aes)", .aead_key_bits = 128, .aead_icv_bits = 128},
	 ENOSYS,
	 "unknown algorithm: cbc(aes)"},
	{{GCM, .aead_key_bits = 160, AUTH},
	 EINVAL,
	 "rfc4106(gcm(aes)) comes with its own integrity: no hmac(sha256) beside it"},
	{{.cipher = "cbc(aes)", .cipher_key_bits = 192, AUTH},
	 EINVAL,
	 "bad key length: 24 for cbc(aes), expected 16 or 32"},
	{{.cipher = "cbc(camellia)", .cipher_key_bits = 128, AUTH},
	 ENOSYS,
	 "unknown algorithm: cbc(camellia)"},
	{{.cipher = "cbc(aes)",
	  .cipher_key_bits = 128,
	  .auth = "hmac(sha256)",
	  .auth_key_bits = 160,
	  .auth_icv_bits = 128},
	 EINVAL,
	 "bad key length: 20 for hmac(sha256), expected 32"},
	{{.cipher = "cbc(aes)",
	  .cipher_key_bits = 128,
	  .auth = "hmac(sha256)",
	  .auth_key_bits = 256,
	  .auth_icv_bits = 96},
	 EINVAL,
	 "bad ICV length: 96 bits for hmac(sha256), expected 128 (RFC 4868)"},
	/* No truncation said: the kernel's is 96 bits. */
	{{.cipher = "cbc(aes)", .cipher_key_bits = 128, .auth = "sha256", .auth_key_bits = 256},
	 EINVAL,
	 "no ICV length for hmac(sha256), which means 96 bits: expected 128 (RFC 4868)"},
	{{.cipher = "cbc(aes)",
	  .cipher_key_bits = 128,
	  .auth = "hmac(sha1)",
	  .auth_key_bits = 160,
	  .auth_icv_bits = 96},
	 ENOSYS,
	 "unknown algorithm: hmac(sha1)"},
	/* C72, C73: weak algorithms, and encryption without integrity. */
	{{.cipher = "cbc(des)", .cipher_key_bits = 64, AUTH},
	 ENOSYS,
	 "cbc(des) is refused: its key of 56 bits is too short (RFC 8221 section 5)"},
	{{.cipher = "des", .cipher_key_bits = 64, AUTH},
	 ENOSYS,
	 "cbc(des) is refused: its key of 56 bits is too short (RFC 8221 section 5)"},
	{{.cipher = "des3_ede", .cipher_key_bits = 192, AUTH},
	 ENOSYS,
	 "cbc(des3_ede) is refused: its block of 64 bits is too short (RFC 8221 section 5)"},
	{{.cipher = "cbc(aes)", .cipher_key_bits = 128, .auth = "md5", .auth_key_bits = 128},
	 ENOSYS,
	 "hmac(md5) is refused: MD5 is broken (RFC 8221 section 6)"},
	{{.cipher = "cbc(aes)", .cipher_key_bits = 128},
	 ENOSYS,
	 "cbc(aes) without integrity is refused (RFC 8221 section 4)"},
	{{.cipher = "cbc(aes)", .cipher_key_bits = 128, .auth = "digest_null"},
	 ENOSYS,
	 "cbc(aes) without integrity is refused (RFC 8221 section 4)"},
	{{.cipher = "ecb(cipher_null)"},
	 ENOSYS,
	 "ecb(cipher_null) without integrity is refused (RFC 4303 section 3.2)"},
	{{.cipher = "cipher_null", .auth = "digest_null"},
	 ENOSYS,
	 "ecb(cipher_null) without integrity is refused (RFC 4303 section 3.2)"},
	{{.cipher = "cipher_null", AUTH}, ENOSYS, "unknown algorithm: ecb(cipher_null)"},
	{{AUTH}, EINVAL, "no cipher: expected an AEAD, or a cipher and integrity"},
	{{0}, EINVAL, "no cipher: expected an AEAD, or a cipher and integrity"},
};

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

static void
test_finds_what_daemons_ask_for(void **state)
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
test_C73_refuses_with_the_reason(void **state)
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
	assert_int_equal(crypto_suite_by_name("aes128gcm8"), -ENOSYS);
	assert_int_equal(crypto_suite_by_name(""), -ENOSYS);
}

/* C70, C74: what the packet path relies on. */
static void
test_C70_sizes_are_those_of_the_rfcs(void **state)
{
	for (unsigned int i = 0; i < crypto_suites_count; i++) {
		const struct crypto_suite *suite = &crypto_suites[i];
		bool cbc = suite->kind == CRYPTO_CBC_HMAC;

		assert_int_equal(suite->icv_len, 16);
		assert_int_equal(suite->iv_len, cbc ? 16 : 8);
		assert_int_equal(suite->align, cbc ? 16 : 4);
		assert_int_equal(suite->salt_len, cbc ? 0 : 4);
		assert_int_equal(suite->auth_key_len, cbc ? 32 : 0);
		assert_int_equal(suite->counter_mode, !cbc);
		assert_int_equal(!suite->aead, cbc);
		assert_int_equal(!suite->cipher, !cbc);
		assert_int_equal(!suite->auth, !cbc);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_finds_what_daemons_ask_for),
		cmocka_unit_test(test_C73_refuses_with_the_reason),
		cmocka_unit_test(test_finds_by_proposal_word),
		cmocka_unit_test(test_C70_sizes_are_those_of_the_rfcs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
