/* SPDX-License-Identifier: BSD-3-Clause */
/* What a request for an SA must fulfil before anything is done about it (sad_private.h). */
#include <netinet/in.h>

#include "sad_private.h"

static int
check_replay(const struct sa_params *p, struct reason *why)
{
	if (p->replay_window > REPLAY_WINDOW_MAX)
		return reason_set(why, EINVAL, "replay window %u: expected at most %u",
				  p->replay_window, REPLAY_WINDOW_MAX);
	/* RFC 4303 section 3.3.3; a window is of no use to an SA that only sends. */
	if ((p->flags & SA_ESN) != 0 && p->replay_window == 0 && (p->flags & SA_OUT_ONLY) == 0)
		return reason_set(why, EINVAL, "ESN without a replay window");
	if ((p->flags & SA_ESN) == 0 && (p->out_seq > UINT32_MAX || p->in_seq > UINT32_MAX))
		return reason_set(why, EINVAL, "sequence number above 2^32 - 1 without ESN");
	if (p->replay_bitmap_words > sizeof(p->replay_bitmap) / sizeof(p->replay_bitmap[0]))
		return reason_set(why, EINVAL, "replay bitmap of %u words: expected at most 128",
				  p->replay_bitmap_words);
	return 0;
}

/* RFC 4302 has no place for a cipher, nor for a UDP header whose checksum it would cover. */
static int
check_ah(const struct sa_params *p, struct reason *why)
{
	const struct crypto_suite *suite = &crypto_suites[p->suite];

	if (suite->kind != CRYPTO_NULL && suite->kind != CRYPTO_GMAC)
		return reason_set(why, EINVAL, "AH takes integrity alone, not %s", suite->name);
	if ((p->flags & SA_ENCAP_UDP) != 0)
		return reason_set(why, EINVAL, "AH does not go with UDP encapsulation");
	if (p->mode == SA_MODE_BEET)
		return reason_set(why, EINVAL, "AH does not go with BEET mode");
	return 0;
}

/* The inner addresses of BEET mode are those of the selector, so it names one of each. */
static int
check_mode(const struct sa_params *p, struct reason *why)
{
	const struct selector *sel = &p->sel;
	uint8_t bits = sel->family == FAMILY_V4 ? 32 : 128;

	if (p->mode == SA_MODE_TRANSPORT || p->mode == SA_MODE_TUNNEL)
		return 0;
	if (p->mode != SA_MODE_BEET)
		return reason_set(why, EINVAL, "mode %u: expected transport, tunnel or BEET",
				  p->mode);
	if (sel->family == 0 || sel->src_len != bits || sel->dst_len != bits)
		return reason_set(why, EINVAL,
				  "BEET mode needs a selector of one address to one address");
	return 0;
}

int
sa_check(const struct sad *sad, const struct sa_params *p, struct reason *why)
{
	const unsigned int both = SA_IN_ONLY | SA_OUT_ONLY;

	if (rte_be_to_cpu_32(p->id.spi) < 256)
		return reason_set(why, EINVAL, "SPI %u is reserved: expected 256 or more",
				  rte_be_to_cpu_32(p->id.spi));
	if (p->id.proto != IPPROTO_ESP && p->id.proto != IPPROTO_AH)
		return reason_set(why, EINVAL, "protocol %u: expected ESP (50) or AH (51)",
				  p->id.proto);
	if (p->id.family != FAMILY_V4 && p->id.family != FAMILY_V6)
		return reason_set(why, EINVAL, "address family %u: expected IPv4 or IPv6",
				  p->id.family);
	if (check_mode(p, why) != 0)
		return -EINVAL;
	if ((p->flags & both) == both)
		return reason_set(why, EINVAL, "an SA for inbound only and for outbound only");
	if (p->suite >= crypto_suites_count || crypto_key_size(sad->config.crypto, p->suite) == 0)
		return reason_set(why, EINVAL, "the crypto backend lacks the algorithm");
	if (p->id.proto == IPPROTO_AH && check_ah(p, why) != 0)
		return -EINVAL;
	return check_replay(p, why);
}

/* Sequence numbers as they were given, not as they are now. */
static bool
same_replay(const struct sa_params *a, const struct sa_params *b)
{
	return a->replay_window == b->replay_window && a->out_seq == b->out_seq &&
	       a->in_seq == b->in_seq && a->replay_bitmap_words == b->replay_bitmap_words &&
	       memcmp(a->replay_bitmap, b->replay_bitmap, sizeof(a->replay_bitmap)) == 0;
}

int
sa_check_update(const struct sa_params *old, const struct sa_params *new, struct reason *why)
{
	const struct crypto_suite *suite = &crypto_suites[old->suite];

	if (old->suite != new->suite || memcmp(old->key, new->key, suite->key_len) != 0 ||
	    memcmp(old->auth_key, new->auth_key, suite->auth_key_len) != 0 ||
	    memcmp(old->salt, new->salt, suite->salt_len) != 0)
		return reason_set(why, EINVAL, "the keys of a live SA do not change: add a new SA");
	if (memcmp(&old->sel, &new->sel, sizeof(old->sel)) != 0)
		return reason_set(why, EINVAL,
				  "the selector of a live SA does not change: add it again");
	if (old->mode != new->mode || old->encap_type != new->encap_type ||
	    (old->encap_sport == 0) != (new->encap_sport == 0) ||
	    !ip_addr_equal(&old->src, &new->src) ||
	    !ip_addr_equal(&old->encap_oa, &new->encap_oa) ||
	    !ip_addr_equal(&old->coaddr, &new->coaddr))
		return reason_set(why, EINVAL,
				  "mode, addresses and encapsulation of a live SA do not change");
	if (old->flags != new->flags || old->xfrm_flags != new->xfrm_flags ||
	    old->xfrm_extra_flags != new->xfrm_extra_flags || old->reqid != new->reqid ||
	    old->if_id != new->if_id || old->id.mark != new->id.mark ||
	    old->set_mark != new->set_mark || old->tfcpad != new->tfcpad)
		return reason_set(why, EINVAL,
				  "flags, direction, reqid, if_id, marks and TFC padding of a live "
				  "SA do not change");
	if (!same_replay(old, new))
		return reason_set(why, EINVAL,
				  "replay window and sequence numbers of a live SA "
				  "do not change by a request");
	return 0;
}
