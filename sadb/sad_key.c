/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What must hold of a key for as long as the process lives: no IV twice, no sequence number twice,
 * no packet accepted twice, however SAs with that key come, go and come back.
 *
 * IVs are 64 bits: one bit for the direction and 63 that count on from the wall clock in
 * nanoseconds at installation. A clock is ahead of every earlier count as long as an SA sends less
 * than a packet a nanosecond, also after a restart that forgot everything; within the process the
 * last IV of a key is remembered as well, so a clock that is set back does no harm.
 *
 * The direction bit says whether the source address is the greater one. Static configurations,
 * `ip xfrm` demonstrations above all, often use one key for both directions and say nothing of
 * direction, so the engine cannot tell which of the two SAs it will send on. Their IVs lie in
 * different halves of the space: it may send on either, and the peer, if it is of the same kind,
 * on the other. A second live SA with a counter-mode key in the same half is refused. SAs
 * that are inbound by declaration (XFRMA_SA_DIR) make no IVs and do not count. With UDP
 * encapsulation a NAT may stand between the ends: then they compare different addresses and may
 * choose the same half, so such a key serves one direction only.
 *
 * Sequence numbers go on per key, whatever the SPI; windows per key and SPI. Outer addresses are
 * under no ICV: of two live SAs with one key and one SPI, each would take the packets of the other
 * once more, so there is only one, whatever the suite.
 */
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <sys/random.h>

#include "sad_private.h"

#define IV_HALF_BITS 63
#define IV_COUNT_MAX ((UINT64_C(1) << IV_HALF_BITS) - 1)

/* With ESN: below 2^64 by more than all workers can have under way. */
#define SEQ_LIMIT_ESN (UINT64_MAX - (UINT64_C(1) << 20))
#define SEQ_LIMIT_32  UINT32_MAX

/* HMAC-SHA-256 under a secret that nobody else knows. */
int
key_prints_init(struct sad *sad)
{
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char[]){"SHA256"}, 0),
		OSSL_PARAM_construct_end(),
	};
	EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	uint8_t secret[32];
	int err = 0;

	if (getrandom(secret, sizeof(secret), 0) != sizeof(secret))
		err = -EIO;
	sad->prints = hmac ? EVP_MAC_CTX_new(hmac) : NULL;
	EVP_MAC_free(hmac);
	if (!err && (!sad->prints || !EVP_MAC_init(sad->prints, secret, sizeof(secret), params)))
		err = -ENOMEM;
	crypto_zeroize(secret, sizeof(secret));
	return err;
}

void
key_prints_free(struct sad *sad)
{
	EVP_MAC_CTX_free(sad->prints);
}

static uint8_t
iv_half(const union ip_addr *src, const union ip_addr *dst)
{
	return memcmp(src->bytes, dst->bytes, sizeof(src->bytes)) > 0;
}

/*
 * Of the suite only the lengths are hashed: a key that two AEADs share (say AES-GCM with ICVs of
 * two lengths) has one key stream. So has a counter mode's whatever the integrity beside it, whose
 * key does not count then.
 */
static int
print_key(const struct sad *sad, const struct sa_params *p, struct key_print *print)
{
	const struct crypto_suite *suite = &crypto_suites[p->suite];
	const uint8_t auth_key_len = suite->counter_mode ? 0 : suite->auth_key_len;
	uint8_t text[3 + sizeof(p->salt) + 2 * SAD_KEY_MAX] = {suite->key_len, suite->salt_len,
							       auth_key_len};
	uint8_t *at = text + 3, digest[EVP_MAX_MD_SIZE];
	size_t len;
	bool done;

	memcpy(at, p->salt, suite->salt_len);
	memcpy(at += suite->salt_len, p->key, suite->key_len);
	memcpy(at += suite->key_len, p->auth_key, auth_key_len);
	at += auth_key_len;
	/* Without a key: with the one that it has. */
	done = EVP_MAC_init(sad->prints, NULL, 0, NULL) &&
	       EVP_MAC_update(sad->prints, text, (size_t)(at - text)) &&
	       EVP_MAC_final(sad->prints, digest, &len, sizeof(digest));
	crypto_zeroize(text, sizeof(text));
	if (!done)
		return -ENOMEM;
	memcpy(print, digest, sizeof(*print));
	return 0;
}

/* Why a new SA must not have the key of a live one, or NULL. */
static const char *
conflict(const struct sa_params *a, const struct sa *b)
{
	if (a->id.spi == b->spi)
		return "a key and an SPI must not serve two SAs";
	if (!crypto_suites[a->suite].counter_mode || (a->flags & b->flags & SA_IN_ONLY) != 0)
		return NULL;
	if (((a->flags | b->flags) & SA_ENCAP_UDP) != 0)
		return "with UDP encapsulation a counter-mode key must not serve both directions";
	if (((a->flags | b->flags) & SA_IN_ONLY) == 0 &&
	    iv_half(&a->src, &a->id.dst) == iv_half(&b->src, &b->dst))
		return "a counter-mode key must not serve two SAs";
	return NULL;
}

/* Compares with every live SA of the key. */
static int
check_users(const struct sad *sad, const struct sa_params *p, const struct key_print *print,
	    struct reason *why)
{
	uint32_t link;

	INDEX_FOREACH(link, &sad->index, print->word[0])
	{
		const struct slot *other = linked_slot(sad, link);
		const char *text;

		if (other->control.state == SA_LARVAL ||
		    memcmp(&other->print, print, sizeof(*print)) != 0)
			continue;
		text = conflict(p, other->control.sa);
		if (text)
			return reason_set(why, EINVAL, "key in use by the SA with SPI 0x%08x: %s",
					  rte_be_to_cpu_32(other->control.sa->spi), text);
	}
	return 0;
}

/*
 * Whether numbers go on beyond 32 bits: with ESN, and, showing their low half alone, where the peer
 * does not look at them (RFC 4303 section 3.3.3). Never so for a counter mode.
 */
static bool
wide(const struct sa_params *p)
{
	return (p->flags & SA_ESN) != 0 ||
	       ((p->flags & SA_MAY_WRAP) != 0 && !crypto_suites[p->suite].counter_mode);
}

/* Where numbers and IVs go on: behind the clock, the request and all that is remembered. */
static void
continue_key(struct sad *sad, const struct sa_params *p, struct key_state *state)
{
	uint64_t iv_last = wall_nanoseconds() & IV_COUNT_MAX;
	uint8_t half = iv_half(&p->src, &p->id.dst);
	struct tombstone *past = NULL;

	state->out_seq = p->out_seq;
	while ((past = tombstone_next(&sad->tombstones, &state->print, past)) != NULL) {
		if (past->out_seq > state->out_seq)
			state->out_seq = past->out_seq;
		if (past->half == half && past->iv_last > iv_last)
			iv_last = past->iv_last;
	}
	/* So that the first number, out_seq + 1, has the IV behind iv_last. */
	state->iv_base = ((uint64_t)half << IV_HALF_BITS | iv_last) - state->out_seq;
	state->seq_limit = wide(p) ? SEQ_LIMIT_ESN : SEQ_LIMIT_32;
	/* The count of IVs must not run into the other half either. */
	if (state->seq_limit > state->out_seq &&
	    state->seq_limit - state->out_seq > IV_COUNT_MAX - iv_last)
		state->seq_limit = state->out_seq + (IV_COUNT_MAX - iv_last);
}

int
key_admit(struct sad *sad, const struct sa_params *p, struct key_state *state, struct reason *why)
{
	int err;

	if (print_key(sad, p, &state->print) != 0)
		return reason_set(why, ENOMEM, "no memory to hash the key");
	err = check_users(sad, p, &state->print, why);
	if (err != 0)
		return err;
	continue_key(sad, p, state);
	return 0;
}

void
key_live(struct sad *sad, struct slot *slot, const struct key_print *print)
{
	slot->print = *print;
	index_insert(&sad->index, print->word[0], link_of(slot, INDEX_KEY));
}

void
key_retire(struct sad *sad, struct slot *slot)
{
	struct sa *sa = slot->control.sa;
	struct tombstone past = {
		.print = slot->print,
		.spi = sa->spi,
		.half = iv_half(&sa->src, &sa->dst),
		.window = malloc(replay_size(sa->replay->window)),
	};

	/* Relaxed: every reservation is before the exchange in the counter's order, or fails. */
	past.out_seq = atomic_exchange_explicit(&sa->seq, SA_SEQ_CLOSED, memory_order_relaxed);
	past.iv_last = (sa->iv_base + past.out_seq) & IV_COUNT_MAX;
	past.in_top = replay_close(sa->replay, past.window);
	if (past.in_top == 0) {
		free(past.window);
		past.window = NULL;
	}
	tombstone_put(&sad->tombstones, &past);
}
