/* SPDX-License-Identifier: BSD-3-Clause */
/* SAs: identities, flags, algorithms with their keys, replay state, encapsulation. */
#include <errno.h>

#include "xfrm_algo.h"
#include "xfrm_parts.h"

static int
decode_proto(uint8_t proto, struct reason *why)
{
	if (proto != IPPROTO_ESP && proto != IPPROTO_AH)
		return reason_set(why, EPROTONOSUPPORT,
				  "protocol %u is not supported, only ESP (%u) and AH (%u)", proto,
				  IPPROTO_ESP, IPPROTO_AH);
	return 0;
}

int
xfrm_decode_sa_id(const struct xfrm_usersa_id *x, const struct xfrm_attrs *attrs, struct sa_id *id,
		  struct reason *why)
{
	int rc;

	rc = decode_proto(x->proto, why);
	if (rc < 0)
		return rc;
	rc = xfrm_decode_family(x->family, "SA", &id->family, why);
	if (rc < 0)
		return rc;
	id->dst = xfrm_decode_address(&x->daddr, id->family);
	id->spi = x->spi;
	id->proto = x->proto;
	return xfrm_attr_mark(attrs, &id->mark, why);
}

static const struct {
	uint8_t xfrm;
	uint16_t sa;
} flag_map[] = {
	{XFRM_STATE_NOECN, SA_NOECN},
	{XFRM_STATE_DECAP_DSCP, SA_DECAP_DSCP},
	{XFRM_STATE_NOPMTUDISC, SA_NOPMTUDISC},
	{XFRM_STATE_WILDRECV, SA_WILDRECV},
	{XFRM_STATE_ICMP, SA_ICMP},
	{XFRM_STATE_AF_UNSPEC, SA_AF_UNSPEC},
	{XFRM_STATE_ALIGN4, SA_ALIGN4},
	{XFRM_STATE_ESN, SA_ESN},
};

#define EXTRA_FLAGS (uint32_t)(XFRM_SA_XFLAG_DONT_ENCAP_DSCP | XFRM_SA_XFLAG_OSEQ_MAY_WRAP)

static int
decode_flags(const struct xfrm_usersa_info *info, const struct xfrm_attrs *attrs,
	     struct sa_params *p, struct reason *why)
{
	uint8_t dir;

	p->xfrm_flags = info->flags;
	for (unsigned int i = 0; i < sizeof(flag_map) / sizeof(flag_map[0]); i++)
		if (info->flags & flag_map[i].xfrm)
			p->flags |= flag_map[i].sa;
	xfrm_attr_get(attrs, XFRMA_SA_EXTRA_FLAGS, &p->xfrm_extra_flags);
	if (p->xfrm_extra_flags & ~EXTRA_FLAGS)
		return reason_set(why, EOPNOTSUPP, "extra flags 0x%x are not supported, only 0x%x",
				  p->xfrm_extra_flags, EXTRA_FLAGS);
	if (p->xfrm_extra_flags & XFRM_SA_XFLAG_DONT_ENCAP_DSCP)
		p->flags |= SA_DONT_ENCAP_DSCP;
	if (p->xfrm_extra_flags & XFRM_SA_XFLAG_OSEQ_MAY_WRAP)
		p->flags |= SA_MAY_WRAP;
	if (!xfrm_attr_get(attrs, XFRMA_SA_DIR, &dir))
		return 0;
	if (dir != XFRM_SA_DIR_IN && dir != XFRM_SA_DIR_OUT)
		return reason_set(why, EINVAL, "bad XFRMA_SA_DIR: %u, expected %u or %u", dir,
				  XFRM_SA_DIR_IN, XFRM_SA_DIR_OUT);
	p->flags |= dir == XFRM_SA_DIR_IN ? SA_IN_ONLY : SA_OUT_ONLY;
	return 0;
}

/* What goes with UDP encapsulation alone, as in the kernel. */
static int
decode_nat(const struct xfrm_attrs *attrs, struct sa_params *p, struct reason *why)
{
	bool encap = (p->flags & SA_ENCAP_UDP) != 0;

	if (xfrm_attr_get(attrs, XFRMA_MTIMER_THRESH, &p->mapping_seconds) && !encap)
		return reason_set(why, EINVAL, "XFRMA_MTIMER_THRESH without XFRMA_ENCAP");
	if (!xfrm_attr_get(attrs, XFRMA_NAT_KEEPALIVE_INTERVAL, &p->nat_keepalive))
		return 0;
	if (!encap)
		return reason_set(why, EINVAL, "XFRMA_NAT_KEEPALIVE_INTERVAL without XFRMA_ENCAP");
	if ((p->flags & SA_IN_ONLY) != 0)
		return reason_set(why, EINVAL, "XFRMA_NAT_KEEPALIVE_INTERVAL is for outbound SAs");
	return 0;
}

int
xfrm_decode_encap(const struct xfrm_attrs *attrs, bool from_any, struct xfrm_encap_tmpl *x,
		  struct reason *why)
{
	memset(x, 0, sizeof(*x));
	if (!xfrm_attr_get(attrs, XFRMA_ENCAP, x))
		return 0;
	if (x->encap_type != XFRM_UDP_ENCAP_ESPINUDP)
		return reason_set(why, EOPNOTSUPP,
				  "encapsulation type %u is not supported, only "
				  "espinudp (%u)",
				  x->encap_type, XFRM_UDP_ENCAP_ESPINUDP);
	if ((x->encap_sport == 0 && !from_any) || x->encap_dport == 0)
		return reason_set(
			why, EINVAL, "UDP encapsulation from port %u to %u: expected 1 or more",
			rte_be_to_cpu_16(x->encap_sport), rte_be_to_cpu_16(x->encap_dport));
	return 0;
}

static int
decode_encap(const struct xfrm_attrs *attrs, struct sa_params *p, struct reason *why)
{
	struct xfrm_encap_tmpl x;
	int rc = xfrm_decode_encap(attrs, (p->flags & SA_OUT_ONLY) == 0, &x, why);

	if (rc < 0 || x.encap_type == 0)
		return rc;
	if (p->id.proto == IPPROTO_AH)
		return reason_set(why, EINVAL, "AH does not go with UDP encapsulation");
	p->encap_type = x.encap_type;
	p->encap_sport = x.encap_sport;
	p->encap_dport = x.encap_dport;
	p->encap_oa = xfrm_decode_address(&x.encap_oa, p->id.family);
	p->flags |= SA_ENCAP_UDP;
	return 0;
}

/* The kernel's bitmap is a ring in which number n has bit (n - 1) mod window; ours counts down. */
static void
unroll_bitmap(const struct xfrm_replay_state_esn *x, const uint8_t *ring, struct sa_params *p)
{
	uint32_t window = x->replay_window;
	uint32_t top = (x->seq - 1) % window;

	for (uint32_t i = 0; i < window; i++) {
		uint32_t bit = (top + window - i) % window;
		uint32_t word;

		memcpy(&word, ring + bit / 32 * 4, sizeof(word));
		if (word >> (bit % 32) & 1)
			p->replay_bitmap[i / 32] |= 1u << (i % 32);
	}
	p->replay_bitmap_words = (window + 31) / 32;
}

static int
decode_replay_esn(const struct xfrm_attrs *attrs, struct sa_params *p, struct reason *why)
{
	size_t len = attrs->len[XFRMA_REPLAY_ESN_VAL];
	struct xfrm_replay_state_esn x;

	memcpy(&x, attrs->data[XFRMA_REPLAY_ESN_VAL], sizeof(x));
	if (x.bmp_len > sizeof(p->replay_bitmap) / 4 || x.replay_window > x.bmp_len * 32)
		return reason_set(why, EINVAL,
				  "bad replay window: %u in a bitmap of %u words, "
				  "expected at most 32 a word and %zu words",
				  x.replay_window, x.bmp_len, sizeof(p->replay_bitmap) / 4);
	/* iproute2 says how long the bitmap is and leaves it out. */
	if (len != sizeof(x) && len != sizeof(x) + x.bmp_len * 4)
		return reason_set(why, EINVAL,
				  "bad length of XFRMA_REPLAY_ESN_VAL: %zu, expected "
				  "%zu",
				  len, sizeof(x) + x.bmp_len * 4);
	if (!(p->flags & SA_ESN) && (x.oseq_hi || x.seq_hi))
		return reason_set(why, EINVAL, "64-bit sequence numbers without the flag esn");
	p->replay_window = x.replay_window;
	p->out_seq = (uint64_t)x.oseq_hi << 32 | x.oseq;
	p->in_seq = (uint64_t)x.seq_hi << 32 | x.seq;
	if (len > sizeof(x) && x.replay_window > 0)
		unroll_bitmap(&x, attrs->data[XFRMA_REPLAY_ESN_VAL] + sizeof(x), p);
	return 0;
}

/* The kernel's default is a second, and every second packet: the latter is to be asked for here. */
#define AE_TENTHS 10

static void
decode_thresholds(const struct xfrm_attrs *attrs, uint32_t numbers, uint32_t tenths,
		  struct sa_params *p)
{
	p->ae_numbers = numbers;
	p->ae_tenths = tenths;
	xfrm_attr_get(attrs, XFRMA_REPLAY_THRESH, &p->ae_numbers);
	xfrm_attr_get(attrs, XFRMA_ETIMER_THRESH, &p->ae_tenths);
}

static void
decode_counted(const struct xfrm_attrs *attrs, struct sa_counted *to)
{
	struct xfrm_lifetime_cur x;

	xfrm_attr_get(attrs, XFRMA_LASTUSED, &to->last_used);
	to->given = xfrm_attr_get(attrs, XFRMA_LTIME_VAL, &x);
	if (!to->given)
		return;
	to->bytes = x.bytes;
	to->packets = x.packets;
	to->added = x.add_time;
	to->first_used = x.use_time;
}

static int
decode_replay(uint8_t window, const struct xfrm_attrs *attrs, struct sa_params *p,
	      struct reason *why)
{
	struct xfrm_replay_state x;
	int rc = 0;

	p->replay_window = window;
	if (attrs->data[XFRMA_REPLAY_ESN_VAL]) {
		rc = decode_replay_esn(attrs, p, why);
	} else if (xfrm_attr_get(attrs, XFRMA_REPLAY_VAL, &x)) {
		p->out_seq = x.oseq;
		p->in_seq = x.seq;
		p->replay_bitmap[0] = x.bitmap;
		p->replay_bitmap_words = 1;
	}
	if (p->replay_window > 0)
		p->flags |= SA_REPLAY;
	return rc;
}

/* What an SA and a larval one have in common. */
int
xfrm_decode_larval(const struct xfrm_usersa_info *info, const struct xfrm_attrs *attrs,
		   struct sa_params *p, struct reason *why)
{
	const struct xfrm_usersa_id id = {
		.daddr = info->id.daddr,
		.spi = info->id.spi,
		.family = info->family,
		.proto = info->id.proto,
	};
	int rc;

	rc = xfrm_decode_sa_id(&id, attrs, &p->id, why);
	if (rc < 0)
		return rc;
	p->src = xfrm_decode_address(&info->saddr, p->id.family);
	p->mode = info->mode;
	p->reqid = info->reqid;
	p->seq = info->seq;
	xfrm_attr_get(attrs, XFRMA_IF_ID, &p->if_id);
	p->per_cpu = xfrm_attr_get(attrs, XFRMA_SA_PCPU, &p->cpu);
	return decode_flags(info, attrs, p, why);
}

static int
decode_extras(const struct xfrm_attrs *attrs, struct sa_params *p, struct reason *why)
{
	uint32_t mask = UINT32_MAX;

	xfrm_attr_get(attrs, XFRMA_SET_MARK, &p->set_mark);
	xfrm_attr_get(attrs, XFRMA_SET_MARK_MASK, &mask);
	if (p->set_mark != 0 && mask != UINT32_MAX)
		return reason_set(why, EOPNOTSUPP,
				  "XFRMA_SET_MARK_MASK 0x%x is not supported, only 0xffffffff",
				  mask);

	xfrm_attr_get(attrs, XFRMA_TFCPAD, &p->tfcpad);
	/* Behind what has no length of its own, padding could not be told from it. */
	if (p->tfcpad != 0 && (p->id.proto != IPPROTO_ESP || p->mode != SA_MODE_TUNNEL))
		return reason_set(why, EINVAL, "XFRMA_TFCPAD is for ESP in tunnel mode");
	return 0;
}

int
xfrm_decode_sa(const struct xfrm_usersa_info *info, const struct xfrm_attrs *attrs,
	       struct sa_params *p, struct reason *why)
{
	xfrm_address_t coaddr;
	uint8_t family;
	int rc;

	rc = xfrm_decode_larval(info, attrs, p, why);
	if (rc < 0)
		return rc;
	rc = xfrm_decode_mode(p->mode, "SA", why);
	if (rc < 0)
		return rc;
	/* As in the kernel: without a family the selector has that of the tunnel's addresses. */
	family = info->flags & XFRM_STATE_AF_UNSPEC ? 0 : p->id.family;
	rc = xfrm_decode_selector(&info->sel, family, &p->sel, why);
	if (rc < 0)
		return rc;
	xfrm_decode_limits(&info->lft, &p->limits);
	rc = decode_encap(attrs, p, why);
	if (rc < 0)
		return rc;
	rc = decode_nat(attrs, p, why);
	if (rc < 0)
		return rc;
	if (xfrm_attr_get(attrs, XFRMA_COADDR, &coaddr))
		p->coaddr = xfrm_decode_address(&coaddr, p->id.family);
	rc = decode_extras(attrs, p, why);
	if (rc < 0)
		return rc;
	rc = xfrm_decode_algorithms(attrs, p, why);
	if (rc < 0)
		return rc;
	decode_counted(attrs, &p->counted);
	decode_thresholds(attrs, 0, AE_TENTHS, p);
	if ((p->flags & SA_ESN) != 0 && !attrs->data[XFRMA_REPLAY_ESN_VAL])
		return reason_set(why, EINVAL, "ESN without XFRMA_REPLAY_ESN_VAL");
	return decode_replay(info->replay_window, attrs, p, why);
}

int
xfrm_decode_ae(const struct xfrm_aevent_id *x, const struct xfrm_attrs *attrs, struct sa_params *p,
	       struct reason *why)
{
	int rc = xfrm_decode_sa_id(&x->sa_id, attrs, &p->id, why);

	if (rc < 0)
		return rc;
	if (!attrs->data[XFRMA_REPLAY_VAL] && !attrs->data[XFRMA_REPLAY_ESN_VAL] &&
	    !attrs->data[XFRMA_LTIME_VAL] && !attrs->data[XFRMA_REPLAY_THRESH] &&
	    !attrs->data[XFRMA_ETIMER_THRESH])
		return reason_set(why, EINVAL,
				  "nothing to change: expected XFRMA_REPLAY_VAL, "
				  "XFRMA_REPLAY_ESN_VAL, XFRMA_LTIME_VAL or a threshold");
	decode_thresholds(attrs, SAD_AE_AS_IT_WAS, SAD_AE_AS_IT_WAS, p);
	decode_counted(attrs, &p->counted);
	p->flags = SA_ESN; /* numbers of either kind: which the SA has is not said */
	return decode_replay(0, attrs, p, why);
}
