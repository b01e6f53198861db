/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The fast backend: Intel IPsec-MB, 1.3 or later. GCM goes through the direct calls, which beat
 * any job interface. ChaCha20-Poly1305 has no direct call, and CBC with HMAC wants many buffers at
 * once: both go through the unchecked burst interface, a run at a time and flushed at its end
 * (single jobs would store to the library's error variable, one for all threads, three times an
 * operation: that costs two threads half their speed; see private_image.h about the direct calls).
 * The library chooses the instruction set (never force one); a manager belongs to one thread, and
 * so does a context.
 */
#include <errno.h>
#include <stdlib.h>

#include <intel-ipsec-mb.h>

#include "backend.h"
#include "private_image.h"

/* Operations in flight at once: the most that the library takes in one burst. */
#define RUN_MAX      128
#define ICV_LEN      16
#define AES_SCHEDULE (15 * 16) /* the round keys of AES-256, the longest */

_Static_assert(RUN_MAX <= IMB_MAX_BURST_SIZE, "the library takes a whole run");

/* An expanded key of the CBC suites: what both directions need stands first. */
struct cbc_key {
	uint8_t ipad[32]; /* SHA-256 states after the HMAC key's inner and outer block */
	uint8_t opad[32];
	uint8_t encrypt[AES_SCHEDULE];
	uint8_t decrypt[AES_SCHEDULE];
};

struct mb_ctx {
	struct crypto_ctx ctx; /* first: the two convert into each other */
	IMB_MGR *mgr;
	struct private_image image; /* where the direct calls go */
	aes_gcm_enc_dec_t gcm_encrypt[CRYPTO_SUITES_MAX];
	aes_gcm_enc_dec_t gcm_decrypt[CRYPTO_SUITES_MAX];
	struct gcm_context_data gcm;   /* scratch of one GCM call */
	uint8_t icv[RUN_MAX][ICV_LEN]; /* computed while a run is opened */
};

static struct mb_ctx *
mb_of(struct crypto_ctx *ctx)
{
	return (struct mb_ctx *)ctx;
}

static void
gcm_seal(struct crypto_ctx *ctx, struct crypto_op *ops, unsigned int n)
{
	struct mb_ctx *mb = mb_of(ctx);
	const aes_gcm_enc_dec_t encrypt = mb->gcm_encrypt[ops->suite];

	for (struct crypto_op *op = ops; op < ops + n; op++) {
		encrypt(op->key, &mb->gcm, op->text, op->text, op->text_len, op->iv, op->auth,
			op->auth_len, op->icv, ICV_LEN);
		op->ok = 1;
	}
}

static void
gcm_open(struct crypto_ctx *ctx, struct crypto_op *ops, unsigned int n)
{
	struct mb_ctx *mb = mb_of(ctx);
	const aes_gcm_enc_dec_t decrypt = mb->gcm_decrypt[ops->suite];
	uint8_t icv[ICV_LEN];

	for (struct crypto_op *op = ops; op < ops + n; op++) {
		decrypt(op->key, &mb->gcm, op->text, op->text, op->text_len, op->iv, op->auth,
			op->auth_len, icv, ICV_LEN);
		op->ok = icv_equal(icv, op->icv);
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
	job->auth_tag_output_len_in_bytes = ICV_LEN;
}

static void
cbc_job(IMB_JOB *job, struct crypto_op *op, IMB_CIPHER_DIRECTION direction, uint8_t *icv)
{
	const struct cbc_key *key = op->key;

	/* The multi-buffer cipher has no notion of nothing to do: such an operation is hash only.
	 */
	job->cipher_mode = op->text_len ? IMB_CIPHER_CBC : IMB_CIPHER_NULL;
	job->hash_alg = IMB_AUTH_HMAC_SHA_256;
	job->cipher_direction = direction;
	job->chain_order =
		direction == IMB_DIR_ENCRYPT ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
	job->enc_keys = key->encrypt;
	job->dec_keys = key->decrypt;
	job->key_len_in_bytes = crypto_suites[op->suite].key_len;
	job->src = op->auth;
	job->dst = op->text;
	job->cipher_start_src_offset_in_bytes = (uint64_t)(op->text - op->auth);
	job->msg_len_to_cipher_in_bytes = op->text_len;
	job->hash_start_src_offset_in_bytes = 0;
	job->msg_len_to_hash_in_bytes = op->auth_len;
	job->iv = op->iv;
	job->iv_len_in_bytes = 16;
	job->u.HMAC._hashed_auth_key_xor_ipad = key->ipad;
	job->u.HMAC._hashed_auth_key_xor_opad = key->opad;
	job->auth_tag_output = icv;
	job->auth_tag_output_len_in_bytes = ICV_LEN;
}

typedef void fill_fn(IMB_JOB *, struct crypto_op *, IMB_CIPHER_DIRECTION, uint8_t *icv);

/*
 * Runs as many operations as the queue takes, which is empty before and after, and returns their
 * number. seal writes ICVs to their place, open to mb->icv.
 */
static inline __attribute__((always_inline)) unsigned int
run_jobs(struct mb_ctx *mb, fill_fn *fill, struct crypto_op *ops, unsigned int n,
	 IMB_CIPHER_DIRECTION direction)
{
	IMB_JOB *jobs[RUN_MAX];
	unsigned int part = IMB_GET_NEXT_BURST(mb->mgr, n < RUN_MAX ? n : RUN_MAX, jobs);

	for (unsigned int i = 0; i < part; i++)
		fill(jobs[i], &ops[i], direction,
		     direction == IMB_DIR_ENCRYPT ? ops[i].icv : mb->icv[i]);
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
	while (n) {
		unsigned int part = run_jobs(mb, fill, ops, n, IMB_DIR_DECRYPT);

		for (unsigned int i = 0; i < part; i++)
			ops[i].ok = icv_equal(mb->icv[i], ops[i].icv);
		ops += part;
		n -= part;
	}
}

static void
chacha_seal(struct crypto_ctx *ctx, struct crypto_op *ops, unsigned int n)
{
	seal_jobs(mb_of(ctx), chacha_job, ops, n);
}

static void
chacha_open(struct crypto_ctx *ctx, struct crypto_op *ops, unsigned int n)
{
	open_jobs(mb_of(ctx), chacha_job, ops, n);
}

static void
cbc_seal(struct crypto_ctx *ctx, struct crypto_op *ops, unsigned int n)
{
	seal_jobs(mb_of(ctx), cbc_job, ops, n);
}

static void
cbc_open(struct crypto_ctx *ctx, struct crypto_op *ops, unsigned int n)
{
	open_jobs(mb_of(ctx), cbc_job, ops, n);
}

static size_t
key_size(const struct crypto_suite *suite)
{
	switch (suite->kind) {
	case CRYPTO_AEAD_GCM:
		return sizeof(struct gcm_key_data);
	case CRYPTO_AEAD_CHACHA:
		return suite->key_len;
	default:
		return sizeof(struct cbc_key);
	}
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

/* SHA-256's state after one block: the HMAC key, with every byte of the block xored with `pad`. */
static void
hmac_pad(IMB_MGR *mgr, const struct crypto_suite *suite, const uint8_t *auth_key, uint8_t pad,
	 uint8_t *state)
{
	uint8_t block[64];

	memset(block, pad, sizeof(block));
	for (unsigned int i = 0; i < suite->auth_key_len; i++)
		block[i] ^= auth_key[i];
	IMB_SHA256_ONE_BLOCK(mgr, block, state);
	crypto_zeroize(block, sizeof(block));
}

static void
cbc_expand(IMB_MGR *mgr, const struct crypto_suite *suite, const uint8_t *key,
	   const uint8_t *auth_key, struct cbc_key *expanded)
{
	if (suite->key_len == 16)
		IMB_AES_KEYEXP_128(mgr, key, expanded->encrypt, expanded->decrypt);
	else
		IMB_AES_KEYEXP_256(mgr, key, expanded->encrypt, expanded->decrypt);
	hmac_pad(mgr, suite, auth_key, 0x36, expanded->ipad);
	hmac_pad(mgr, suite, auth_key, 0x5c, expanded->opad);
}

static void
key_expand(struct crypto_ctx *ctx, const struct crypto_suite *suite, const uint8_t *key,
	   const uint8_t *auth_key, void *expanded)
{
	IMB_MGR *mgr = mb_of(ctx)->mgr;

	switch (suite->kind) {
	case CRYPTO_AEAD_GCM:
		gcm_expand(mgr, suite, key, expanded);
		break;
	case CRYPTO_AEAD_CHACHA:
		memcpy(expanded, key, suite->key_len);
		break;
	default:
		cbc_expand(mgr, suite, key, auth_key, expanded);
	}
}

/* A direct call, in this context's own image of the library where it has one. */
static aes_gcm_enc_dec_t
own(const struct mb_ctx *mb, aes_gcm_enc_dec_t call)
{
	return (aes_gcm_enc_dec_t)((uintptr_t)call + (uintptr_t)mb->image.shift);
}

static void
set_gcm(struct mb_ctx *mb, unsigned int number)
{
	IMB_MGR *mgr = mb->mgr;

	mb->ctx.seal[number] = gcm_seal;
	mb->ctx.open[number] = gcm_open;
	switch (crypto_suites[number].key_len) {
	case 16:
		mb->gcm_encrypt[number] = own(mb, mgr->gcm128_enc);
		mb->gcm_decrypt[number] = own(mb, mgr->gcm128_dec);
		break;
	case 24:
		mb->gcm_encrypt[number] = own(mb, mgr->gcm192_enc);
		mb->gcm_decrypt[number] = own(mb, mgr->gcm192_dec);
		break;
	default:
		mb->gcm_encrypt[number] = own(mb, mgr->gcm256_enc);
		mb->gcm_decrypt[number] = own(mb, mgr->gcm256_dec);
	}
}

static void
set_suite(struct mb_ctx *mb, unsigned int number)
{
	switch (crypto_suites[number].kind) {
	case CRYPTO_AEAD_GCM:
		set_gcm(mb, number);
		break;
	case CRYPTO_AEAD_CHACHA:
		mb->ctx.seal[number] = chacha_seal;
		mb->ctx.open[number] = chacha_open;
		break;
	default:
		mb->ctx.seal[number] = cbc_seal;
		mb->ctx.open[number] = cbc_open;
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
		set_suite(mb, i);
	return &mb->ctx;
}

const struct backend_ops crypto_ipsec_mb_ops = {
	.name = "ipsec-mb",
	.ctx_new = ctx_new,
	.ctx_free = ctx_free,
	.key_size = key_size,
	.key_expand = key_expand,
};
