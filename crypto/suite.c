/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of suites, and the search in it by the names that IKE daemons and iproute2 send. Every
 * refusal says in words what was wrong and what was expected; the packet path never comes here.
 */
#include "suite.h"

#include <errno.h>
#include <string.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#define HMAC_SHA1   "hmac(sha1)"
#define HMAC_SHA256 "hmac(sha256)"

/* An AEAD in one of its shapes. Each makes its nonce of salt and an IV of 8 bytes. */
#define AEAD(word, kernel, number, sort, key, salt, icv)                                           \
	{                                                                                          \
		.name = (word), .aead = (kernel), .kind = (sort), .key_len = (key),                \
		.salt_len = (salt), .iv_len = 8, .icv_len = (icv), .align = 4,                     \
		.counter_mode = true, .rfc = (number)                                              \
	}
#define GCM(bits, icv)                                                                             \
	AEAD("aes" #bits "gcm" #icv, "rfc4106(gcm(aes))", 4106, CRYPTO_AEAD_GCM, (bits) / 8, 4, icv)
#define CCM(bits, icv)                                                                             \
	AEAD("aes" #bits "ccm" #icv, "rfc4309(ccm(aes))", 4309, CRYPTO_AEAD_CCM, (bits) / 8, 3, icv)
#define GMAC(bits) AEAD("aes" #bits "gmac", CRYPTO_GMAC_NAME, 4543, CRYPTO_GMAC, (bits) / 8, 4, 16)

/*
 * A cipher is: word, kernel's name, RFC, kind, bytes of key, salt and IV, alignment, counter mode.
 * Integrity is: word, kernel's name, RFC, number, bytes of key and ICV, status.
 */
#define CBC(bits) "aes" #bits, "cbc(aes)", 3602, CRYPTO_CBC, (bits) / 8, 0, 16, 16, false
#define CTR(bits)                                                                                  \
	"aes" #bits "ctr", "rfc3686(ctr(aes))", 3686, CRYPTO_CTR, (bits) / 8, 4, 8, 4, true
#define NO_CIPHER   "null", CRYPTO_NULL_NAME, 2410, CRYPTO_NULL, 0, 0, 0, 4, false
#define AUTH_SHA1   "sha1", HMAC_SHA1, 2404, CRYPTO_HMAC_SHA1, 20, 12, CRYPTO_LEGACY
#define AUTH_SHA256 "sha256", HMAC_SHA256, 4868, CRYPTO_HMAC_SHA256, 32, 16, CRYPTO_ALLOWED
#define AUTH_SHA384 "sha384", "hmac(sha384)", 4868, CRYPTO_HMAC_SHA384, 48, 24, CRYPTO_ALLOWED
#define AUTH_SHA512 "sha512", "hmac(sha512)", 4868, CRYPTO_HMAC_SHA512, 64, 32, CRYPTO_ALLOWED
#define AUTH_XCBC   "aesxcbc", "xcbc(aes)", 3566, CRYPTO_AES_XCBC, 16, 12, CRYPTO_ALLOWED
#define AUTH_CMAC   "aescmac", "cmac(aes)", 4494, CRYPTO_AES_CMAC, 16, 12, CRYPTO_ALLOWED

#define PAIR(...) PAIR_OF(__VA_ARGS__)
#define PAIR_OF(word, kernel, number, sort, key, salt, iv, alignment, counter, auth_word,          \
		auth_kernel, auth_number, auth_sort, auth_key, icv, standing)                      \
	{                                                                                          \
		.name = word "-" auth_word, .cipher = (kernel), .auth = (auth_kernel),             \
		.kind = (sort), .integrity = (auth_sort), .key_len = (key), .salt_len = (salt),    \
		.auth_key_len = (auth_key), .iv_len = (iv), .icv_len = (icv),                      \
		.align = (alignment), .counter_mode = (counter), .status = (standing),             \
		.rfc = (number), .auth_rfc = (auth_number)                                         \
	}
#define WITH_EVERY_INTEGRITY(...)                                                                  \
	PAIR(__VA_ARGS__, AUTH_SHA256), PAIR(__VA_ARGS__, AUTH_SHA384),                            \
		PAIR(__VA_ARGS__, AUTH_SHA512), PAIR(__VA_ARGS__, AUTH_SHA1),                      \
		PAIR(__VA_ARGS__, AUTH_XCBC), PAIR(__VA_ARGS__, AUTH_CMAC)

const struct crypto_suite crypto_suites[] = {
	GCM(128, 16),
	GCM(192, 16),
	GCM(256, 16),
	AEAD("chacha20poly1305", "rfc7539esp(chacha20,poly1305)", 7634, CRYPTO_AEAD_CHACHA, 32, 4,
	     16),
	WITH_EVERY_INTEGRITY(CBC(128)),
	WITH_EVERY_INTEGRITY(CBC(192)),
	WITH_EVERY_INTEGRITY(CBC(256)),
	WITH_EVERY_INTEGRITY(CTR(128)),
	WITH_EVERY_INTEGRITY(CTR(192)),
	WITH_EVERY_INTEGRITY(CTR(256)),
	WITH_EVERY_INTEGRITY(NO_CIPHER),
	GCM(128, 12),
	GCM(192, 12),
	GCM(256, 12),
	GCM(128, 8),
	GCM(192, 8),
	GCM(256, 8),
	CCM(128, 16),
	CCM(192, 16),
	CCM(256, 16),
	CCM(128, 12),
	CCM(192, 12),
	CCM(256, 12),
	CCM(128, 8),
	CCM(192, 8),
	CCM(256, 8),
	GMAC(128),
	GMAC(192),
	GMAC(256),
};
const unsigned int crypto_suites_count = ARRAY_LEN(crypto_suites);

_Static_assert(ARRAY_LEN(crypto_suites) <= CRYPTO_SUITES_MAX, "raise CRYPTO_SUITES_MAX");

/* The kernel knows some algorithms by a second, older name, which charon still sends. */
static const struct {
	const char *old, *name;
} aliases[] = {
	{"aes", "cbc(aes)"},     {"cipher_null", CRYPTO_NULL_NAME}, {"sha1", HMAC_SHA1},
	{"sha256", HMAC_SHA256}, {"sha384", "hmac(sha384)"},        {"sha512", "hmac(sha512)"},
	{"des", "cbc(des)"},     {"des3_ede", "cbc(des3_ede)"},     {"md5", "hmac(md5)"},
};

/* What is refused for good, and why. */
static const struct {
	const char *name, *why;
} refused[] = {
	{"cbc(des)", "its key of 56 bits is too short (RFC 8221 section 5)"},
	{"cbc(des3_ede)", "its block of 64 bits is too short (RFC 8221 section 5)"},
	{"hmac(md5)", "MD5 is broken (RFC 8221 section 6)"},
};

/* Which legacy integrity the configuration named. Written before the first search. */
static bool legacy_allowed[CRYPTO_INTEGRITIES];

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

/* One of the kernel's names for (a part of) a suite, and a size that goes with it. */
typedef const char *name_fn(const struct crypto_suite *suite);
typedef unsigned int size_fn(const struct crypto_suite *suite);

static const char *
aead_name(const struct crypto_suite *suite)
{
	return suite->aead;
}

static const char *
cipher_name(const struct crypto_suite *suite)
{
	return suite->cipher;
}

static const char *
auth_name(const struct crypto_suite *suite)
{
	return suite->auth;
}

static unsigned int
auth_key_len(const struct crypto_suite *suite)
{
	return suite->auth_key_len;
}

static unsigned int
icv_bits(const struct crypto_suite *suite)
{
	return suite->icv_len * 8U;
}

#define NO_SIZE UINT32_MAX

/* The least size, from `from` on, that a suite of that name has; or NO_SIZE. */
static unsigned int
next_size(const char *name, name_fn *name_of, size_fn *size_of, unsigned int from)
{
	unsigned int least = NO_SIZE;

	for (unsigned int i = 0; i < crypto_suites_count; i++) {
		unsigned int size = size_of(&crypto_suites[i]);

		if (same_name(name_of(&crypto_suites[i]), name) && size >= from && size < least)
			least = size;
	}
	return least;
}

static bool
has_size(const char *name, name_fn *name_of, size_fn *size_of, unsigned int size)
{
	return size != NO_SIZE && next_size(name, name_of, size_of, size) == size;
}

/* All sizes that suites of that name have: "20, 28 or 36". Empty where no suite has the name. */
struct words {
	char text[64];
};

static struct words
expected(const char *name, name_fn *name_of, size_fn *size_of)
{
	unsigned int size = next_size(name, name_of, size_of, 0), next;
	struct words words = {""};
	size_t used = 0;

	for (; size != NO_SIZE && used < sizeof(words.text); size = next) {
		next = next_size(name, name_of, size_of, size + 1);
		used += (size_t)snprintf(words.text + used, sizeof(words.text) - used, "%s%u",
					 used == 0         ? ""
					 : next == NO_SIZE ? " or "
							   : ", ",
					 size);
	}
	return words;
}

/* An algorithm must be one of the table's, and have its key in one of its lengths. */
static int
check_key(const char *name, name_fn *name_of, size_fn *size_of, uint32_t bits, struct reason *why)
{
	struct words lengths;

	if (bits % 8 == 0 && has_size(name, name_of, size_of, bits / 8))
		return 0;
	lengths = expected(name, name_of, size_of);
	if (!lengths.text[0])
		return reason_set(why, ENOSYS, "unknown algorithm: %s", name);
	if (bits % 8)
		return reason_set(why, EINVAL, "bad key length: %u bits for %s, expected %s bytes",
				  bits, name, lengths.text);
	return reason_set(why, EINVAL, "bad key length: %u for %s, expected %s", bits / 8, name,
			  lengths.text);
}

/*
 * Where nobody says how far, the kernel truncates hmac(sha256) to 96 bits, a draft's way, which
 * RFC 4868 replaced; and every other to the length that its RFC says.
 */
static int
check_auth_icv(const char *name, uint32_t bits, struct reason *why)
{
	struct words lengths;

	if (bits == 0 ? !same_name(name, HMAC_SHA256) : has_size(name, auth_name, icv_bits, bits))
		return 0;
	lengths = expected(name, auth_name, icv_bits);
	if (bits == 0)
		return reason_set(
			why, EINVAL,
			"no ICV length for %s, which means 96 bits: expected %s (RFC 4868)", name,
			lengths.text);
	return reason_set(why, EINVAL, "bad ICV length: %u bits for %s, expected %s%s", bits, name,
			  lengths.text, same_name(name, HMAC_SHA256) ? " (RFC 4868)" : "");
}

static int
find_aead(const struct crypto_request *request, struct reason *why)
{
	const char *name = request->aead;
	int error = check_key(name, aead_name, material_len, request->aead_key_bits, why);

	if (error)
		return error;
	for (unsigned int i = 0; i < crypto_suites_count; i++) {
		const struct crypto_suite *suite = &crypto_suites[i];

		if (same_name(suite->aead, name) &&
		    material_len(suite) * 8 == request->aead_key_bits &&
		    icv_bits(suite) == request->aead_icv_bits)
			return (int)i;
	}
	return reason_set(why, EINVAL, "bad ICV length: %u bits for %s, expected %s",
			  request->aead_icv_bits, name, expected(name, aead_name, icv_bits).text);
}

/* RFC 8221 section 4, and for a NULL cipher RFC 4303 section 3.2, want integrity always. */
static int
refuse_bare(const char *cipher, struct reason *why)
{
	return reason_set(why, ENOSYS, "%s without integrity is refused (%s)", cipher,
			  same_name(cipher, CRYPTO_NULL_NAME) ? "RFC 4303 section 3.2"
							      : "RFC 8221 section 4");
}

static int
check_legacy(const struct crypto_suite *suite, struct reason *why)
{
	if (suite->status != CRYPTO_LEGACY || legacy_allowed[suite->integrity])
		return 0;
	return reason_set(why, ENOSYS,
			  "%s is refused: it is legacy (RFC 8221 section 6) and the configuration "
			  "(crypto.legacy) does not name it",
			  suite->auth);
}

static int
find_pair(const char *cipher, const char *auth, const struct crypto_request *request,
	  struct reason *why)
{
	int error = check_key(cipher, cipher_name, material_len, request->cipher_key_bits, why);

	if (!error)
		error = check_key(auth, auth_name, auth_key_len, request->auth_key_bits, why);
	if (!error)
		error = check_auth_icv(auth, request->auth_icv_bits, why);
	if (error)
		return error;
	for (unsigned int i = 0; i < crypto_suites_count; i++) {
		const struct crypto_suite *suite = &crypto_suites[i];

		if (same_name(suite->cipher, cipher) && same_name(suite->auth, auth) &&
		    material_len(suite) * 8 == request->cipher_key_bits)
			return check_legacy(suite, why) ? -ENOSYS : (int)i;
	}
	return reason_set(why, ENOSYS, "%s and %s do not go together", cipher, auth);
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
		return find_aead(request, why);
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

/* A suite that has the legacy integrity of that name, or NULL with the reason. */
static const struct crypto_suite *
find_legacy(const char *name, struct reason *why)
{
	for (unsigned int i = 0; i < crypto_suites_count; i++)
		if (crypto_suites[i].status == CRYPTO_LEGACY &&
		    same_name(crypto_suites[i].auth, canonical(name)))
			return &crypto_suites[i];
	reason_set(why, EINVAL, "\"%s\" is no legacy algorithm, expected sha1", name);
	return NULL;
}

bool
crypto_is_legacy(const char *name)
{
	return find_legacy(name, NULL) != NULL;
}

int
crypto_suites_allow(const char *name, struct reason *why)
{
	const struct crypto_suite *suite = find_legacy(name, why);

	if (!suite)
		return -EINVAL;
	legacy_allowed[suite->integrity] = true;
	return 0;
}
