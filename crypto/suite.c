/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of suites, and the search in it by the names that IKE daemons and iproute2 send. Every
 * refusal says in words what was wrong and what was expected; the packet path never comes here.
 */
#include "suite.h"

#include <errno.h>
#include <string.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#define GCM         "rfc4106(gcm(aes))"
#define CHACHA      "rfc7539esp(chacha20,poly1305)"
#define CBC         "cbc(aes)"
#define HMAC_SHA256 "hmac(sha256)"

const struct crypto_suite crypto_suites[] = {
	{.name = "aes128gcm16",
	 .aead = GCM,
	 .rfc = 4106,
	 .kind = CRYPTO_AEAD_GCM,
	 .key_len = 16,
	 .salt_len = 4,
	 .iv_len = 8,
	 .icv_len = 16,
	 .align = 4,
	 .counter_mode = true},
	{.name = "aes192gcm16",
	 .aead = GCM,
	 .rfc = 4106,
	 .kind = CRYPTO_AEAD_GCM,
	 .key_len = 24,
	 .salt_len = 4,
	 .iv_len = 8,
	 .icv_len = 16,
	 .align = 4,
	 .counter_mode = true},
	{.name = "aes256gcm16",
	 .aead = GCM,
	 .rfc = 4106,
	 .kind = CRYPTO_AEAD_GCM,
	 .key_len = 32,
	 .salt_len = 4,
	 .iv_len = 8,
	 .icv_len = 16,
	 .align = 4,
	 .counter_mode = true},
	{.name = "chacha20poly1305",
	 .aead = CHACHA,
	 .rfc = 7634,
	 .kind = CRYPTO_AEAD_CHACHA,
	 .key_len = 32,
	 .salt_len = 4,
	 .iv_len = 8,
	 .icv_len = 16,
	 .align = 4,
	 .counter_mode = true},
	{.name = "aes128-sha256",
	 .cipher = CBC,
	 .auth = HMAC_SHA256,
	 .rfc = 3602,
	 .kind = CRYPTO_CBC_HMAC,
	 .key_len = 16,
	 .auth_key_len = 32,
	 .iv_len = 16,
	 .icv_len = 16,
	 .align = 16},
	{.name = "aes256-sha256",
	 .cipher = CBC,
	 .auth = HMAC_SHA256,
	 .rfc = 3602,
	 .kind = CRYPTO_CBC_HMAC,
	 .key_len = 32,
	 .auth_key_len = 32,
	 .iv_len = 16,
	 .icv_len = 16,
	 .align = 16},
};
const unsigned int crypto_suites_count = ARRAY_LEN(crypto_suites);

_Static_assert(ARRAY_LEN(crypto_suites) <= CRYPTO_SUITES_MAX, "raise CRYPTO_SUITES_MAX");

/* The kernel knows some algorithms by a second, older name, which charon still sends. */
static const struct {
	const char *old, *name;
} aliases[] = {
	{"aes", CBC},        {"sha256", HMAC_SHA256},       {"cipher_null", "ecb(cipher_null)"},
	{"des", "cbc(des)"}, {"des3_ede", "cbc(des3_ede)"}, {"md5", "hmac(md5)"},
};

/* What is refused for good, and why. */
static const struct {
	const char *name, *why;
} refused[] = {
	{"cbc(des)", "its key of 56 bits is too short (RFC 8221 section 5)"},
	{"cbc(des3_ede)", "its block of 64 bits is too short (RFC 8221 section 5)"},
	{"hmac(md5)", "MD5 is broken (RFC 8221 section 6)"},
};

static bool
same_name(const char *a, const char *b)
{
	return a && b && !strcmp(a, b);
}

static const char *
canonical(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(aliases); i++)
		if (same_name(name, aliases[i].old))
			return aliases[i].name;
	return name;
}

static int
check_refused(const char *name, struct reason *why)
{
	for (size_t i = 0; i < ARRAY_LEN(refused); i++)
		if (same_name(name, refused[i].name))
			return reason_set(why, ENOSYS, "%s is refused: %s", name, refused[i].why);
	return 0;
}

/* Bytes of key material as the kernel counts them: an AEAD's salt included. */
static unsigned int
material_len(const struct crypto_suite *suite)
{
	return suite->key_len + suite->salt_len;
}

/* The name by which a suite of that sort, AEAD or cipher with integrity, is asked for, or NULL. */
static const char *
name_of(const struct crypto_suite *suite, bool aead)
{
	return aead ? suite->aead : suite->cipher;
}

/* The key lengths of all suites with that cipher, in words: "20, 28 or 36". */
static void
expected_lengths(const char *name, bool aead, char *text, size_t size)
{
	unsigned int len[CRYPTO_SUITES_MAX], n = 0;
	size_t used = 0;

	for (unsigned int i = 0; i < crypto_suites_count; i++)
		if (same_name(name_of(&crypto_suites[i], aead), name))
			len[n++] = material_len(&crypto_suites[i]);
	for (unsigned int i = 0; i < n && used < size; i++)
		used += snprintf(text + used, size - used, "%s%u",
				 i == 0 ? "" : (i + 1 < n ? ", " : " or "), len[i]);
}

static int
bad_key_length(const char *name, uint32_t bits, const char *expected, struct reason *why)
{
	if (bits % 8)
		return reason_set(why, EINVAL, "bad key length: %u bits for %s, expected %s bytes",
				  bits, name, expected);
	return reason_set(why, EINVAL, "bad key length: %u for %s, expected %s", bits / 8, name,
			  expected);
}

/* The suite of that cipher (an AEAD, or a plain one) with that key length. */
static int
find_by_key(const char *name, bool aead, uint32_t bits, struct reason *why)
{
	char expected[64] = "";

	for (unsigned int i = 0; i < crypto_suites_count; i++) {
		const struct crypto_suite *suite = &crypto_suites[i];

		if (same_name(name_of(suite, aead), name) && bits == material_len(suite) * 8)
			return (int)i;
	}
	expected_lengths(name, aead, expected, sizeof(expected));
	if (!expected[0])
		return reason_set(why, ENOSYS, "unknown algorithm: %s", name);
	return bad_key_length(name, bits, expected, why);
}

static int
find_aead(const char *name, const struct crypto_request *request, struct reason *why)
{
	int number = find_by_key(name, true, request->aead_key_bits, why);

	if (number < 0)
		return number;
	if (request->aead_icv_bits != crypto_suites[number].icv_len * 8U)
		return reason_set(why, EINVAL, "bad ICV length: %u bits for %s, only %u is offered",
				  request->aead_icv_bits, name, crypto_suites[number].icv_len * 8U);
	return number;
}

/*
 * Where nobody says how far, the kernel truncates hmac(sha256) to 96 bits: a draft's way, which
 * RFC 4868 replaced.
 */
static int
check_icv(const char *name, uint32_t bits, uint32_t expected, struct reason *why)
{
	if (bits == expected)
		return 0;
	if (bits == 0)
		return reason_set(
			why, EINVAL,
			"no ICV length for %s, which means 96 bits: expected %u (RFC 4868)", name,
			expected);
	return reason_set(why, EINVAL, "bad ICV length: %u bits for %s, expected %u (RFC 4868)",
			  bits, name, expected);
}

static int
check_auth(const char *name, const struct crypto_suite *suite, const struct crypto_request *request,
	   struct reason *why)
{
	if (!same_name(suite->auth, name))
		return reason_set(why, ENOSYS, "unknown algorithm: %s", name);
	if (request->auth_key_bits != suite->auth_key_len * 8U)
		return bad_key_length(name, request->auth_key_bits, "32", why);
	return check_icv(name, request->auth_icv_bits, suite->icv_len * 8U, why);
}

/* RFC 8221 section 4, and for a NULL cipher RFC 4303 section 3.2, want integrity always. */
static int
refuse_bare(const char *cipher, struct reason *why)
{
	return reason_set(why, ENOSYS, "%s without integrity is refused (%s)", cipher,
			  same_name(cipher, "ecb(cipher_null)") ? "RFC 4303 section 3.2"
								: "RFC 8221 section 4");
}

static int
find_pair(const char *cipher, const char *auth, const struct crypto_request *request,
	  struct reason *why)
{
	int number, error;

	number = find_by_key(cipher, false, request->cipher_key_bits, why);
	if (number < 0)
		return number;
	error = check_auth(auth, &crypto_suites[number], request, why);
	return error ? error : number;
}

int
crypto_suite_find(const struct crypto_request *request, struct reason *why)
{
	const char *cipher = canonical(request->cipher), *auth = canonical(request->auth);
	int error = check_refused(cipher, why);

	if (!error)
		error = check_refused(auth, why);
	if (error)
		return error;
	if (request->aead && (cipher || auth))
		return reason_set(why, EINVAL, "%s comes with its own integrity: no %s beside it",
				  request->aead, cipher ? cipher : auth);
	if (request->aead)
		return find_aead(request->aead, request, why);
	if (!cipher)
		return reason_set(why, EINVAL,
				  "no cipher: expected an AEAD, or a cipher and integrity");
	if (!auth || same_name(auth, "digest_null"))
		return refuse_bare(cipher, why);
	return find_pair(cipher, auth, request, why);
}

int
crypto_suite_by_name(const char *name)
{
	for (unsigned int i = 0; i < crypto_suites_count; i++)
		if (!strcmp(crypto_suites[i].name, name))
			return (int)i;
	return -ENOSYS;
}
