/* SPDX-License-Identifier: BSD-3-Clause */
/* The attributes of XFRM messages: their names and what lengths are right. */
#include <errno.h>

#include "xfrm_attr.h"

struct attr_rule {
	const char *name;
	uint16_t len;  /* bytes of the fixed part */
	bool variable; /* more may follow, which the attribute's own decoder checks */
};

#define FIXED(name, type)    [name] = {#name, sizeof(type), false}
#define VARIABLE(name, type) [name] = {#name, sizeof(type), true}
#define NAME(name)           [name] = {#name, 0, true}

static const struct attr_rule rules[XFRM_ATTRS] = {
	NAME(XFRMA_UNSPEC),
	VARIABLE(XFRMA_ALG_AUTH, struct xfrm_algo),
	VARIABLE(XFRMA_ALG_CRYPT, struct xfrm_algo),
	NAME(XFRMA_ALG_COMP),
	FIXED(XFRMA_ENCAP, struct xfrm_encap_tmpl),
	VARIABLE(XFRMA_TMPL, struct xfrm_user_tmpl),
	NAME(XFRMA_SA),
	NAME(XFRMA_POLICY),
	NAME(XFRMA_SEC_CTX),
	FIXED(XFRMA_LTIME_VAL, struct xfrm_lifetime_cur),
	FIXED(XFRMA_REPLAY_VAL, struct xfrm_replay_state),
	FIXED(XFRMA_REPLAY_THRESH, uint32_t),
	FIXED(XFRMA_ETIMER_THRESH, uint32_t),
	FIXED(XFRMA_SRCADDR, xfrm_address_t),
	FIXED(XFRMA_COADDR, xfrm_address_t),
	FIXED(XFRMA_LASTUSED, uint64_t),
	FIXED(XFRMA_POLICY_TYPE, struct xfrm_userpolicy_type),
	VARIABLE(XFRMA_MIGRATE, struct xfrm_user_migrate),
	VARIABLE(XFRMA_ALG_AEAD, struct xfrm_algo_aead),
	FIXED(XFRMA_KMADDRESS, struct xfrm_user_kmaddress),
	VARIABLE(XFRMA_ALG_AUTH_TRUNC, struct xfrm_algo_auth),
	VARIABLE(XFRMA_MARK, struct xfrm_mark), /* iproute2's deleteall sends 4 bytes too many */
	FIXED(XFRMA_TFCPAD, uint32_t),
	VARIABLE(XFRMA_REPLAY_ESN_VAL, struct xfrm_replay_state_esn),
	FIXED(XFRMA_SA_EXTRA_FLAGS, uint32_t),
	FIXED(XFRMA_PROTO, uint8_t),
	FIXED(XFRMA_ADDRESS_FILTER, struct xfrm_address_filter),
	NAME(XFRMA_PAD),
	NAME(XFRMA_OFFLOAD_DEV),
	FIXED(XFRMA_SET_MARK, uint32_t),
	FIXED(XFRMA_SET_MARK_MASK, uint32_t),
	FIXED(XFRMA_IF_ID, uint32_t),
	FIXED(XFRMA_MTIMER_THRESH, uint32_t),
	FIXED(XFRMA_SA_DIR, uint8_t),
	FIXED(XFRMA_NAT_KEEPALIVE_INTERVAL, uint32_t),
	FIXED(XFRMA_SA_PCPU, uint32_t),
	NAME(XFRMA_IPTFS_DROP_TIME),
	NAME(XFRMA_IPTFS_REORDER_WINDOW),
	NAME(XFRMA_IPTFS_DONT_FRAG),
	NAME(XFRMA_IPTFS_INIT_DELAY),
	NAME(XFRMA_IPTFS_MAX_QSIZE),
	NAME(XFRMA_IPTFS_PKT_SIZE),
};

/* NEWSPDINFO numbers its attributes by itself. */
static const struct attr_rule spd_rules[] = {
	NAME(XFRMA_SPD_UNSPEC),
	NAME(XFRMA_SPD_INFO),
	NAME(XFRMA_SPD_HINFO),
	FIXED(XFRMA_SPD_IPV4_HTHRESH, struct xfrmu_spdhthresh),
	FIXED(XFRMA_SPD_IPV6_HTHRESH, struct xfrmu_spdhthresh),
};

#define SPD_ATTRS (sizeof(spd_rules) / sizeof(spd_rules[0]))

static int
attr_check(const struct attr_rule *rule, size_t len, bool accepted, struct reason *why)
{
	if (!accepted)
		return reason_set(why, EOPNOTSUPP, "%s is not supported here", rule->name);
	if (len < rule->len || (len > rule->len && !rule->variable))
		return reason_set(why, EINVAL, "bad length of %s: %zu, expected %s%u", rule->name,
				  len, rule->variable ? "at least " : "", rule->len);
	return 0;
}

static int
attrs_parse(const struct attr_rule *table, unsigned int count, const uint8_t *data, size_t len,
	    uint64_t accepted, struct xfrm_attrs *attrs, struct reason *why)
{
	memset(attrs, 0, sizeof(*attrs));
	while (len > 0) {
		struct nlattr a;
		uint16_t type;
		size_t step;
		int rc;

		if (len < sizeof(a))
			return reason_set(why, EINVAL, "%zu bytes behind the last attribute", len);
		memcpy(&a, data, sizeof(a));
		type = a.nla_type & NLA_TYPE_MASK;
		if (a.nla_len < sizeof(a) || a.nla_len > len)
			return reason_set(why, EINVAL, "bad length of attribute %u: %u of %zu left",
					  type, a.nla_len, len);
		if (type >= count)
			return reason_set(why, EOPNOTSUPP, "attribute %u is unknown", type);
		rc = attr_check(&table[type], a.nla_len - sizeof(a), accepted & ATTR(type), why);
		if (rc < 0)
			return rc;
		attrs->data[type] = data + sizeof(a);
		attrs->len[type] = (uint16_t)(a.nla_len - sizeof(a));
		/* The last attribute may come without its padding. */
		step = (size_t)NLA_ALIGN(a.nla_len);
		step = step < len ? step : len;
		data += step;
		len -= step;
	}
	return 0;
}

int
xfrm_attrs_parse(const uint8_t *data, size_t len, uint64_t accepted, struct xfrm_attrs *attrs,
		 struct reason *why)
{
	return attrs_parse(rules, XFRM_ATTRS, data, len, accepted | ATTR(XFRMA_PAD), attrs, why);
}

int
xfrm_spd_attrs_parse(const uint8_t *data, size_t len, struct xfrm_attrs *attrs, struct reason *why)
{
	return attrs_parse(spd_rules, SPD_ATTRS, data, len,
			   ATTR(XFRMA_SPD_IPV4_HTHRESH) | ATTR(XFRMA_SPD_IPV6_HTHRESH), attrs, why);
}

int
xfrm_attr_mark(const struct xfrm_attrs *attrs, uint32_t *mark, struct reason *why)
{
	struct xfrm_mark x = {0, 0};

	xfrm_attr_get(attrs, XFRMA_MARK, &x);
	*mark = x.v;
	if ((x.v == 0) != (x.m == 0) || (x.m != 0 && x.m != UINT32_MAX))
		return reason_set(why, EOPNOTSUPP,
				  "mark 0x%x/0x%x is not supported: expected the mask 0xffffffff "
				  "and a mark that is not 0",
				  x.v, x.m);
	return 0;
}
