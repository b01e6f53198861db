/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The fast backend: Intel IPsec-MB, 1.3 or 2.0. GCM goes through the direct calls, which beat
 * any job interface, and GMAC too: only they take additional data in parts. ChaCha20-Poly1305 and
 * CCM have no direct call, and ciphers with separate integrity want many buffers at once: they go
 * through the unchecked burst interface, a run at a time and flushed at its end (single jobs would
 * store to the library's error variable, one for all threads, three times an operation: that costs
 * two threads half their speed; see private_image.h about GCM's direct calls; GMAC's are C, and
 * store there from any image; 2.0 stores there only after an error, and takes a run of CCM at
 * once). The library has no CCM with keys of 192 bits. The library chooses the instruction set
 * (never force one); a manager belongs to one thread, and so does a context.
 */
#include <errno.h>
#include <stdlib.h>

#include "backend.h"
#include "ipsec_mb_version.h"
#include "private_image.h"

/* Operations in flight at once: the most that the library takes in one burst. */
#define RUN_MAX      128
#define AES_SCHEDULE (15 * 16) /* the round keys of AES-256, the longest */
#define GMAC_ICV_LEN 16
#define HMAC_STATE   64 /* of SHA-512, the longest */

_Static_assert(RUN_MAX <= IMB_MAX_BURST_SIZE, "the library takes a whole run");

/* An expanded key of a cipher with separate integrity: what both directions need stands first. */
struct pair_key {
	union {
		struct { /* the hash's states after the HMAC key's inner and outer block */
			uint8_t ipad[HMAC_STATE], opad[HMAC_STATE];
		} hmac;
		struct { /* XCBC and CMAC: round keys of AES-128, and what the last block takes */
			uint8_t schedule[11 * 16];
			uint8_t whole[16], padded[16];
		} chain;
	};
	uint8_t encrypt[AES_SCHEDULE];
	uint8_t decrypt[AES_SCHEDULE];
};

/* The direct calls of one suite. */
struct direct {
	aes_gcm_enc_dec_t encrypt, decrypt; /* in this context's image of the library */
	aes_gmac_init_t init;
	aes_gmac_update_t update;
	aes_gmac_finalize_t finalize;
};

struct mb_ctx {
	struct crypto_ctx ctx; /* first: the two convert into each other */
	IMB_MGR *mgr;
	struct private_image image; /* where the direct calls go */
	struct direct direct[CRYPTO_SUITES_MAX];
	struct job_kind kinds[CRYPTO_SUITES_MAX][2][2]; /* of jobs that open, that have no text */
	struct gcm_context_data gcm;                    /* scratch of one GCM call */
	uint8_t icv[RUN_MAX][CRYPTO_ICV_MAX];           /* computed while a run is opened */
};

static struct mb_ctx *
mb_of(struct crypto_ctx *ctx)
{
	return (struct mb_ctx *)ctx;
}

/*
 * Of many keys few are in cache. A line of a key comes to L2 a stage ahead (crypto_key_fetch()),
 * and to L1 two operations ahead: farther, 64 KiB of keys would push each other out. Only the lines
 * that the operation reads: round keys in front, and as many powers of the hash key, from the end
 * of each table, as the text has blocks.
 */
#define KEY_TO_L1  2
#define KEY_LINE   64
#define ROUND_KEYS (15 * 16)
#define POWERS_END (ROUND_KEYS + GCM_TABLES * GCM_TABLE_SIZE)

/* Assembly, since gcc 12 removes loops of nothing but __builtin_prefetch(). */
static inline void
to_l1(const uint8_t *at)
{
	__asm__ volatile("prefetcht0 %0" : : "m"(*at));
}

static inline void
to_l2(const uint8_t *at)
{
	__asm__ volatile("prefetcht1 %0" : : "m"(*at));
}

static inline __attribute__((always_inline)) void
prefetch_lines(const uint8_t *key, uint32_t text_len, void (*prefetch)(const uint8_t *at))
{
	uint32_t powers = ((text_len + 15) & ~15u) + GCM_TEXT_EXTRA;

	if (powers > GCM_TABLE_SIZE)
		powers = GCM_TABLE_SIZE;
	for (uint32_t line = 0; line < ROUND_KEYS / KEY_LINE; line++)
		prefetch(key + line * KEY_LINE);
	for (uint32_t end = ROUND_KEYS + GCM_TABLE_SIZE; end <= POWERS_END; end += GCM_TABLE_SIZE)
		for (uint32_t at = (end - powers) & -KEY_LINE; at < end; at += KEY_LINE)
			prefetch(key + at);
}

static void
gcm_fetch(const void *key, uint32_t text_len)
{
	prefetch_lines(key, text_len, to_l2);
}

/* In front of the i-th of n operations. */
static inline __attribute__((always_inline)) void
prefetch_key(const struct crypto_op *ops, unsigned int i, unsigned int n)
{
	const struct crypto_op *op = &ops[i + KEY_TO_L1];

	if (i + KEY_TO_L1 < n && op->key != op[-1].key)
		prefetch_lines(op->key, op->text_len, to_l1);
}

static void
gcm_seal(struct crypto_ctx *ctx, struct crypto_op *ops, unsigned int n)
{
	struct mb_ctx *mb = mb_of(ctx);
	const aes_gcm_enc_dec_t encrypt = mb->direct[ops->suite].encrypt;
	const unsigned int icv_len = crypto_suites[ops->suite].icv_len;

	for (unsigned int i = 0; i < n; i++) {
		struct crypto_op *op = &ops[i];

		prefetch_key(ops, i, n);
		encrypt(op->key, &mb->gcm, op->text, op->text, op->text_len, op->iv, op->auth,
			op->auth_len, op->icv, icv_len);
		op->ok = 1;
	}
}

static void
gcm_open(struct crypto_ctx *ctx, struct crypto_op *ops, unsigned int n)
{
	struct mb_ctx *mb = mb_of(ctx);
	const aes_gcm_enc_dec_t decrypt = mb->direct[ops->suite].decrypt;
	const unsigned int icv_len = crypto_suites[ops->suite].icv_len;
	uint8_t icv[CRYPTO_ICV_MAX];

	for (unsigned int i = 0; i < n; i++) {
		struct crypto_op *op = &ops[i];

		prefetch_key(ops, i, n);
		decrypt(op->key, &mb->gcm, op->text, op->text, op->text_len, op->iv, op->auth,
			op->auth_len, icv, icv_len);
		op->ok = icv_equal(icv, op->icv, icv_len);
	}
}

static void
gmac(struct mb_ctx *mb, const struct direct *direct, const struct crypto_op *op, uint8_t *icv)
{
	direct->init(op->key, &mb->gcm, op->iv, 12);
	direct->update(op->key, &mb->gcm, op->auth, op->auth_len);
	direct->update(op->key, &mb->gcm, op->text, op->text_len);
	direct->finalize(op->key, &mb->gcm, icv, GMAC_ICV_LEN);
}

static void
gmac_seal(struct crypto_ctx *ctx, struct crypto_op *ops, unsigned int n)
{
	struct mb_ctx *mb = mb_of(ctx);

	for (struct crypto_op *op = ops; op < ops + n; op++) {
		gmac(mb, &mb->direct[ops->suite], op, op->icv);
		op->ok = 1;
	}
}

static void
gmac_open(struct crypto_ctx *ctx, struct crypto_op *ops, unsigned int n)
{
	struct mb_ctx *mb = mb_of(ctx);
	uint8_t icv[GMAC_ICV_LEN];

	for (struct crypto_op *op = ops; op < ops + n; op++) {
		gmac(mb, &mb->direct[ops->suite], op, icv);
		op->ok = icv_equal(icv, op->icv, GMAC_ICV_LEN);
	}
}

static void
chacha_job(IMB_JOB *job, struct crypto_op *op, IMB_CIPHER_DIRECTION direction, uint8_t *icv)
{
	job->cipher_mode = IMB_CIPHER_CHACHA20_POLY1305;
	job->hash_alg = IMB_AUTH_CHACHA20_POLY1305;
	job->cipher_direction = direction;
	job->chain_order =
		direction == IMB_DIR_ENCRYPT ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
	job->enc_keys = op->key;
	job->dec_keys = op->key;
	job->key_len_in_bytes = 32;
	job->src = op->text;
	job->dst = op->text;
	job->cipher_start_src_offset_in_bytes = 0;
	job->msg_len_to_cipher_in_bytes = op->text_len;
	job->hash_start_src_offset_in_bytes = 0;
	job->msg_len_to_hash_in_bytes = op->text_len;
	job->iv = op->iv;
	job->iv_len_in_bytes = 12;
	job->u.CHACHA20_POLY1305.aad = op->auth;
	job->u.CHACHA20_POLY1305.aad_len_in_bytes = op->auth_len;
	job->auth_tag_output = icv;
	job->auth_tag_output_len_in_bytes = 16;
}

static void
ccm_job(IMB_JOB *job, struct crypto_op *op, IMB_CIPHER_DIRECTION direction, uint8_t *icv)
{
	const struct crypto_suite *suite = &crypto_suites[op->suite];

	job->cipher_mode = IMB_CIPHER_CCM;
	job->hash_alg = IMB_AUTH_AES_CCM;
	job->cipher_direction = direction;
	job->chain_order =
		direction == IMB_DIR_ENCRYPT ? IMB_ORDER_HASH_CIPHER : IMB_ORDER_CIPHER_HASH;
	job->enc_keys = op->key;
	job->dec_keys = op->key;
	job->key_len_in_bytes = suite->key_len;
	job->src = op->text;
	job->dst = op->text;
	job->cipher_start_src_offset_in_bytes = 0;
	job->msg_len_to_cipher_in_bytes = op->text_len;
	job->hash_start_src_offset_in_bytes = 0;
	job->msg_len_to_hash_in_bytes = op->text_len;
	job->iv = op->iv;
	job->iv_len_in_bytes = 11;
	job->u.CCM.aad = op->auth;
	job->u.CCM.aad_len_in_bytes = op->auth_len;
	job->auth_tag_output = icv;
	job->auth_tag_output_len_in_bytes = suite->icv_len;
}

/* The library's names. */
static const IMB_CIPHER_MODE cipher_modes[CRYPTO_KINDS] = {
	[CRYPTO_CBC] = IMB_CIPHER_CBC,
	[CRYPTO_CTR] = IMB_CIPHER_CNTR,
	[CRYPTO_NULL] = IMB_CIPHER_NULL,
};
static const IMB_HASH_ALG hash_algs[CRYPTO_INTEGRITIES] = {
	[CRYPTO_HMAC_SHA1] = IMB_AUTH_HMAC_SHA_1,     [CRYPTO_HMAC_SHA256] = IMB_AUTH_HMAC_SHA_256,
	[CRYPTO_HMAC_SHA384] = IMB_AUTH_HMAC_SHA_384, [CRYPTO_HMAC_SHA512] = IMB_AUTH_HMAC_SHA_512,
	[CRYPTO_AES_XCBC] = IMB_AUTH_AES_XCBC,        [CRYPTO_AES_CMAC] = IMB_AUTH_AES_XCBC,
};

/* A cipher with separate integrity, but for what one integrity needs and another does not. */
static inline __attribute__((always_inline)) void
pair_job(IMB_JOB *job, struct crypto_op *op, IMB_CIPHER_DIRECTION direction, uint8_t *icv)
{
	const struct crypto_suite *suite = &crypto_suites[op->suite];
	const struct pair_key *key = op->key;

	/* The multi-buffer ciphers have no notion of nothing to do: that is hash only. */
	job->cipher_mode = op->text_len ? cipher_modes[suite->kind] : IMB_CIPHER_NULL;
	job->hash_alg = hash_algs[suite->integrity];
	job->cipher_direction = direction;
	job->chain_order =
		direction == IMB_DIR_ENCRYPT ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
	job->enc_keys = key->encrypt;
	job->dec_keys = key->decrypt;
	job->key_len_in_bytes = suite->key_len;
	job->src = op->auth;
	job->dst = op->text;
	job->cipher_start_src_offset_in_bytes = (uint64_t)(op->text - op->auth);
	job->msg_len_to_cipher_in_bytes = op->text_len;
	job->hash_start_src_offset_in_bytes = 0;
	job->msg_len_to_hash_in_bytes = op->auth_len;
	job->iv = op->iv;
	job->iv_len_in_bytes = suite->salt_len + suite->iv_len; /* CTR: 12, the counter is 1 */
	job->auth_tag_output = icv;
	job->auth_tag_output_len_in_bytes = suite->icv_len;
}

static void
hmac_job(IMB_JOB *job, struct crypto_op *op, IMB_CIPHER_DIRECTION direction, uint8_t *icv)
{
	const struct pair_key *key = op->key;

	pair_job(job, op, direction, icv);
	job->u.HMAC._hashed_auth_key_xor_ipad = key->hmac.ipad;
	job->u.HMAC._hashed_auth_key_xor_opad = key->hmac.opad;
}

/*
 * XCBC and CMAC, which differ in how the keys are made and in nothing else. The library's own CMAC
 * reads the last block whole, which may be up to 15 bytes beyond the end.
 */
static void
chain_job(IMB_JOB *job, struct crypto_op *op, IMB_CIPHER_DIRECTION direction, uint8_t *icv)
{
	const struct pair_key *key = op->key;

	pair_job(job, op, direction, icv);
	job->u.XCBC._k1_expanded = (const uint32_t *)(const void *)key->chain.schedule;
	job->u.XCBC._k2 = key->chain.whole;
	job->u.XCBC._k3 = key->chain.padded;
}

typedef void fill_fn(IMB_JOB *, struct crypto_op *, IMB_CIPHER_DIRECTION, uint8_t *icv);

/* Where the ICV of the i-th operation goes: to its place, or beside it for a comparison. */
static inline uint8_t *
computed_icv(struct mb_ctx *mb, struct crypto_op *ops, unsigned int i,
	     IMB_CIPHER_DIRECTION direction)
{
	return direction == IMB_DIR_ENCRYPT ? ops[i].icv : mb->icv[i];
}

/* CCM where the library takes it from an array of ours, which costs less than its queue. */
static inline __attribute__((always_inline)) unsigned int
run_ccm(struct mb_ctx *mb, struct crypto_op *ops, unsigned int n, IMB_CIPHER_DIRECTION direction)
{
	IMB_JOB jobs[RUN_MAX];
	unsigned int part = n < RUN_MAX ? n : RUN_MAX;

	for (unsigned int i = 0; i < part; i++)
		ccm_job(&jobs[i], &ops[i], direction, computed_icv(mb, ops, i, direction));
	ccm_burst(mb->mgr, jobs, part);
	return part;
}

/*
 * Runs as many operations as the queue takes, which is empty before and after, and returns their
 * number.
 */
static inline __attribute__((always_inline)) unsigned int
run_jobs(struct mb_ctx *mb, fill_fn *fill, struct crypto_op *ops, unsigned int n,
	 IMB_CIPHER_DIRECTION direction)
{
	const struct job_kind *kinds = mb->kinds[ops->suite][direction == IMB_DIR_DECRYPT];
	IMB_JOB *jobs[RUN_MAX];
	unsigned int part;

	if (CCM_BURSTS && fill == ccm_job)
		return run_ccm(mb, ops, n, direction);
	part = IMB_GET_NEXT_BURST(mb->mgr, n < RUN_MAX ? n : RUN_MAX, jobs);
	for (unsigned int i = 0; i < part; i++) {
		fill(jobs[i], &ops[i], direction, computed_icv(mb, ops, i, direction));
		job_kind_set(jobs[i], &kinds[ops[i].text_len == 0]);
	}
	IMB_SUBMIT_BURST_NOCHECK(mb->mgr, part, jobs);
	while (IMB_FLUSH_BURST(mb->mgr, RUN_MAX, jobs))
		;
	return part;
}

static inline __attribute__((always_inline)) void
seal_jobs(struct mb_ctx *mb, fill_fn *fill, struct crypto_op *ops, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		ops[i].ok = 1;
	while (n) {
		unsigned int part = run_jobs(mb, fill, ops, n, IMB_DIR_ENCRYPT);

		ops += part;
		n -= part;
	}
}

static inline __attribute__((always_inline)) void
open_jobs(struct mb_ctx *mb, fill_fn *fill, struct crypto_op *ops, unsigned int n)
{
	const unsigned int icv_len = crypto_suites[ops->suite].icv_len;

	while (n) {
		unsigned int part = run_jobs(mb, fill, ops, n, IMB_DIR_DECRYPT);

		for (unsigned int i = 0; i < part; i++)
			ops[i].ok = icv_equal(mb->icv[i], ops[i].icv, icv_len);
		ops += part;
		n -= part;
	}
}

/* The two functions of a suite whose jobs NAME_job() fills. */
#define JOB_FUNCTIONS(name)                                                                        \
	static void name##_seal(struct crypto_ctx *ctx, struct crypto_op *ops, unsigned int n)     \
	{                                                                                          \
		seal_jobs(mb_of(ctx), name##_job, ops, n);                                         \
	}                                                                                          \
	static void name##_open(struct crypto_ctx *ctx, struct crypto_op *ops, unsigned int n)     \
	{                                                                                          \
		open_jobs(mb_of(ctx), name##_job, ops, n);                                         \
	}
JOB_FUNCTIONS(chacha)
JOB_FUNCTIONS(ccm)
JOB_FUNCTIONS(hmac)
JOB_FUNCTIONS(chain)

static size_t
key_size(const struct crypto_suite *suite)
{
	switch (suite->kind) {
	case CRYPTO_AEAD_GCM:
	case CRYPTO_GMAC:
		return sizeof(struct gcm_key_data);
	case CRYPTO_AEAD_CHACHA:
		return suite->key_len;
	case CRYPTO_AEAD_CCM:
		return suite->key_len == 24 ? 0 : AES_SCHEDULE;
	default:
		return sizeof(struct pair_key);
	}
}

/* GCM: room for the round keys of AES-256, of which a shorter key leaves the last ones. */
static size_t
key_gap(const struct crypto_suite *suite, size_t *at)
{
	size_t round_keys = 16 * (suite->key_len / 4 + 7);

	*at = (round_keys + 63) & ~(size_t)63;
	if ((suite->kind != CRYPTO_AEAD_GCM && suite->kind != CRYPTO_GMAC) || *at > AES_SCHEDULE)
		return 0;
	return AES_SCHEDULE - *at;
}

static void
gcm_expand(IMB_MGR *mgr, const struct crypto_suite *suite, const uint8_t *key,
	   struct gcm_key_data *expanded)
{
	if (suite->key_len == 16)
		IMB_AES128_GCM_PRE(mgr, key, expanded);
	else if (suite->key_len == 24)
		IMB_AES192_GCM_PRE(mgr, key, expanded);
	else
		IMB_AES256_GCM_PRE(mgr, key, expanded);
}

static void
aes_expand(IMB_MGR *mgr, const struct crypto_suite *suite, const uint8_t *key, uint8_t *encrypt,
	   uint8_t *decrypt)
{
	if (suite->key_len == 16)
		IMB_AES_KEYEXP_128(mgr, key, encrypt, decrypt);
	else if (suite->key_len == 24)
		IMB_AES_KEYEXP_192(mgr, key, encrypt, decrypt);
	else if (suite->key_len == 32)
		IMB_AES_KEYEXP_256(mgr, key, encrypt, decrypt);
}

/* CCM uses AES in one direction only; the other one's schedule is not kept. */
static void
ccm_expand(IMB_MGR *mgr, const struct crypto_suite *suite, const uint8_t *key, uint8_t *expanded)
{
	alignas(16) uint8_t decrypt[AES_SCHEDULE];

	aes_expand(mgr, suite, key, expanded, decrypt);
	crypto_zeroize(decrypt, sizeof(decrypt));
}

/* The hash's state after one block: the HMAC key, with every byte of the block xored with `pad`. */
static void
hmac_pad(IMB_MGR *mgr, const struct crypto_suite *suite, const uint8_t *auth_key, uint8_t pad,
	 uint8_t *state)
{
	uint8_t block[128];

	memset(block, pad, sizeof(block));
	for (unsigned int i = 0; i < suite->auth_key_len; i++)
		block[i] ^= auth_key[i];
	switch (suite->integrity) {
	case CRYPTO_HMAC_SHA1:
		IMB_SHA1_ONE_BLOCK(mgr, block, state);
		break;
	case CRYPTO_HMAC_SHA256:
		IMB_SHA256_ONE_BLOCK(mgr, block, state);
		break;
	case CRYPTO_HMAC_SHA384:
		IMB_SHA384_ONE_BLOCK(mgr, block, state);
		break;
	default:
		IMB_SHA512_ONE_BLOCK(mgr, block, state);
	}
	crypto_zeroize(block, sizeof(block));
}

static void
cmac_expand(IMB_MGR *mgr, const uint8_t *auth_key, struct pair_key *expanded)
{
	alignas(16) uint8_t decrypt[AES_SCHEDULE];

	IMB_AES_KEYEXP_128(mgr, auth_key, expanded->chain.schedule, decrypt);
	IMB_AES_CMAC_SUBKEY_GEN_128(mgr, expanded->chain.schedule, expanded->chain.whole,
				    expanded->chain.padded);
	crypto_zeroize(decrypt, sizeof(decrypt));
}

static void
pair_expand(IMB_MGR *mgr, const struct crypto_suite *suite, const uint8_t *key,
	    const uint8_t *auth_key, struct pair_key *expanded)
{
	aes_expand(mgr, suite, key, expanded->encrypt, expanded->decrypt);
	switch (suite->integrity) {
	case CRYPTO_AES_XCBC:
		IMB_AES_XCBC_KEYEXP(mgr, auth_key, expanded->chain.schedule, expanded->chain.whole,
				    expanded->chain.padded);
		break;
	case CRYPTO_AES_CMAC:
		cmac_expand(mgr, auth_key, expanded);
		break;
	default:
		hmac_pad(mgr, suite, auth_key, 0x36, expanded->hmac.ipad);
		hmac_pad(mgr, suite, auth_key, 0x5c, expanded->hmac.opad);
	}
}

static void
key_expand(struct crypto_ctx *ctx, const struct crypto_suite *suite, const uint8_t *key,
	   const uint8_t *auth_key, void *expanded)
{
	IMB_MGR *mgr = mb_of(ctx)->mgr;

	switch (suite->kind) {
	case CRYPTO_AEAD_GCM:
	case CRYPTO_GMAC:
		gcm_expand(mgr, suite, key, expanded);
		break;
	case CRYPTO_AEAD_CHACHA:
		memcpy(expanded, key, suite->key_len);
		break;
	case CRYPTO_AEAD_CCM:
		ccm_expand(mgr, suite, key, expanded);
		break;
	default:
		pair_expand(mgr, suite, key, auth_key, expanded);
	}
}

/* A direct call, in this context's own image of the library where it has one. */
#define OWN(mb, call) ((__typeof__(call))((uintptr_t)(call) + (uintptr_t)(mb)->image.shift))

#define DIRECT(mb, bits)                                                                           \
	((struct direct){                                                                          \
		.encrypt = OWN(mb, (mb)->mgr->gcm##bits##_enc),                                    \
		.decrypt = OWN(mb, (mb)->mgr->gcm##bits##_dec),                                    \
		.init = (mb)->mgr->gmac##bits##_init,                                              \
		.update = (mb)->mgr->gmac##bits##_update,                                          \
		.finalize = (mb)->mgr->gmac##bits##_finalize,                                      \
	})

static void
set_direct(struct mb_ctx *mb, unsigned int number)
{
	switch (crypto_suites[number].key_len) {
	case 16:
		mb->direct[number] = DIRECT(mb, 128);
		break;
	case 24:
		mb->direct[number] = DIRECT(mb, 192);
		break;
	default:
		mb->direct[number] = DIRECT(mb, 256);
	}
}

/* False where the library does not know such jobs. */
static bool
set_jobs(struct mb_ctx *mb, unsigned int number, crypto_run_fn *seal, crypto_run_fn *open,
	 fill_fn *fill)
{
	static const struct pair_key key; /* any */
	bool known = true;

	mb->ctx.seal[number] = seal;
	mb->ctx.open[number] = open;
	for (unsigned int i = 0; i < 4 && key_size(&crypto_suites[number]); i++) {
		bool opens = i & 1, empty = i & 2;
		struct crypto_op op = {.suite = number, .key = &key, .text_len = empty ? 0 : 16};
		IMB_JOB job = {0};

		fill(&job, &op, opens ? IMB_DIR_DECRYPT : IMB_DIR_ENCRYPT, mb->icv[0]);
		known &= job_kind_find(&mb->kinds[number][opens][empty], mb->mgr, &job);
	}
	return known;
}

static bool
set_pair(struct mb_ctx *mb, unsigned int number)
{
	switch (crypto_suites[number].integrity) {
	case CRYPTO_AES_XCBC:
	case CRYPTO_AES_CMAC:
		return set_jobs(mb, number, chain_seal, chain_open, chain_job);
	default:
		return set_jobs(mb, number, hmac_seal, hmac_open, hmac_job);
	}
}

static bool
set_suite(struct mb_ctx *mb, unsigned int number)
{
	switch (crypto_suites[number].kind) {
	case CRYPTO_AEAD_GCM:
		mb->ctx.seal[number] = gcm_seal;
		mb->ctx.open[number] = gcm_open;
		mb->ctx.fetch[number] = gcm_fetch;
		set_direct(mb, number);
		return true;
	case CRYPTO_GMAC:
		mb->ctx.seal[number] = gmac_seal;
		mb->ctx.open[number] = gmac_open;
		set_direct(mb, number);
		return true;
	case CRYPTO_AEAD_CHACHA:
		return set_jobs(mb, number, chacha_seal, chacha_open, chacha_job);
	case CRYPTO_AEAD_CCM:
		return set_jobs(mb, number, ccm_seal, ccm_open, ccm_job);
	default:
		return set_pair(mb, number);
	}
}

static void
ctx_free(struct crypto_ctx *ctx)
{
	struct mb_ctx *mb = mb_of(ctx);

	if (mb->mgr) {
		crypto_zeroize(mb->mgr, imb_get_mb_mgr_size());
		free(mb->mgr);
	}
	private_image_unmap(&mb->image);
	crypto_zeroize(mb, sizeof(*mb));
	free(mb);
}

/* The manager in our own memory, so that it can be zeroized: it keeps traces of keys. */
static IMB_MGR *
manager_new(void)
{
	size_t size = (imb_get_mb_mgr_size() + 63) & ~(size_t)63;
	IMB_MGR *mgr = aligned_alloc(64, size);

	if (!mgr)
		return NULL;
	memset(mgr, 0, size);
	if (!imb_set_pointers_mb_mgr(mgr, 0, 1)) {
		free(mgr);
		return NULL;
	}
	init_mb_mgr_auto(mgr, NULL);
	return mgr;
}

static struct crypto_ctx *
ctx_new(struct reason *why)
{
	struct mb_ctx *mb = aligned_alloc(64, (sizeof(*mb) + 63) & ~(size_t)63);

	if (!mb) {
		reason_set(why, ENOMEM, "ipsec-mb: out of memory");
		return NULL;
	}
	memset(mb, 0, sizeof(*mb));
	mb->ctx.backend = &crypto_ipsec_mb_ops;
	mb->mgr = manager_new();
	if (!mb->mgr || mb->mgr->imb_errno) { /* not imb_get_errno(): it tells others' errors too */
		reason_set(why, EIO, "ipsec-mb: %s",
			   mb->mgr ? imb_get_strerror(mb->mgr->imb_errno) : "out of memory");
		ctx_free(&mb->ctx);
		return NULL;
	}
	private_image_map(&mb->image, (const void *)mb->mgr->gcm128_enc); /* or do without */
	for (unsigned int i = 0; i < crypto_suites_count; i++)
		if (!set_suite(mb, i)) {
			reason_set(why, EIO, "ipsec-mb: no jobs for %s", crypto_suites[i].name);
			ctx_free(&mb->ctx);
			return NULL;
		}
	return &mb->ctx;
}

const struct backend_ops crypto_ipsec_mb_ops = {
	.name = "ipsec-mb",
	.ctx_new = ctx_new,
	.ctx_free = ctx_free,
	.key_size = key_size,
	.key_gap = key_gap,
	.key_expand = key_expand,
};
