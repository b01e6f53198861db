/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages: which there are, what stands in front of their attributes and which attributes they
 * may carry; then the decoder of each. The bodies of SAs and policies have files of their own.
 */
#include <errno.h>

#include "xfrm_parts.h"

struct body {
	const uint8_t *fixed; /* the structure behind the header, whole */
	const uint8_t *rest;  /* attributes */
	size_t rest_len;
	struct xfrm_attrs attrs;
};

int
xfrm_decode_family(uint16_t family, const char *of, uint8_t *to, struct reason *why)
{
	if (family == AF_INET)
		*to = FAMILY_V4;
	else if (family == AF_INET6)
		*to = FAMILY_V6;
	else
		return reason_set(why, EINVAL, "bad family of the %s: %u, expected %u or %u", of,
				  family, AF_INET, AF_INET6);
	return 0;
}

int
xfrm_decode_mode(uint8_t mode, const char *of, struct reason *why)
{
	static const char *const names[] = {"transport",  "tunnel", "ro",
					    "in_trigger", "beet",   "iptfs"};

	if (mode == SA_MODE_TUNNEL || mode == SA_MODE_TRANSPORT || mode == SA_MODE_BEET)
		return 0;
	if (mode >= sizeof(names) / sizeof(names[0]))
		return reason_set(why, EINVAL, "bad mode of the %s: %u", of, mode);
	return reason_set(why, EOPNOTSUPP,
			  "mode %s of the %s is not supported, only tunnel, transport and beet",
			  names[mode], of);
}

union ip_addr
xfrm_decode_address(const xfrm_address_t *address, uint8_t family)
{
	union ip_addr to = {.u64 = {0, 0}};

	memcpy(&to, address, family == FAMILY_V6 ? 16 : family == FAMILY_V4 ? 4 : 0);
	return to;
}

static int
decode_prefix(uint8_t len, uint8_t family, const char *side, struct reason *why)
{
	unsigned int most = family == FAMILY_V4 ? 32 : family == FAMILY_V6 ? 128 : 0;

	if (len > most)
		return reason_set(why, EINVAL,
				  "bad prefix length of the selector's %s: %u, "
				  "expected at most %u",
				  side, len, most);
	return 0;
}

int
xfrm_decode_selector(const struct xfrm_selector *x, uint8_t family, struct selector *sel,
		     struct reason *why)
{
	union ip_addr src, dst;
	int rc;

	memset(sel, 0, sizeof(*sel));
	sel->family = family;
	if (x->family != AF_UNSPEC) {
		rc = xfrm_decode_family(x->family, "selector", &sel->family, why);
		if (rc < 0)
			return rc;
	}
	if (x->ifindex != 0)
		return reason_set(why, EOPNOTSUPP, "a selector's interface is not supported");
	if (x->user != 0)
		return reason_set(why, EOPNOTSUPP, "a selector's user is not supported");
	rc = decode_prefix(x->prefixlen_s, sel->family, "source", why);
	if (rc < 0)
		return rc;
	rc = decode_prefix(x->prefixlen_d, sel->family, "destination", why);
	if (rc < 0)
		return rc;
	if (sel->family == 0 && (x->proto || x->sport_mask || x->dport_mask))
		return reason_set(why, EINVAL, "the selector needs a family");
	src = xfrm_decode_address(&x->saddr, sel->family);
	dst = xfrm_decode_address(&x->daddr, sel->family);
	sel->src = ip_addr_mask(&src, x->prefixlen_s);
	sel->dst = ip_addr_mask(&dst, x->prefixlen_d);
	sel->src_len = x->prefixlen_s;
	sel->dst_len = x->prefixlen_d;
	sel->proto = x->proto;
	sel->sport = x->sport;
	sel->sport_mask = x->sport_mask;
	sel->dport = x->dport;
	sel->dport_mask = x->dport_mask;
	return 0;
}

void
xfrm_decode_limits(const struct xfrm_lifetime_cfg *x, struct sa_limits *limits)
{
	limits->soft_bytes = x->soft_byte_limit;
	limits->hard_bytes = x->hard_byte_limit;
	limits->soft_packets = x->soft_packet_limit;
	limits->hard_packets = x->hard_packet_limit;
	limits->soft_add_seconds = x->soft_add_expires_seconds;
	limits->hard_add_seconds = x->hard_add_expires_seconds;
	limits->soft_use_seconds = x->soft_use_expires_seconds;
	limits->hard_use_seconds = x->hard_use_expires_seconds;
}

static int
decode_hello(const struct body *b, struct xfrm_request *req, struct reason *why)
{
	memcpy(&req->hello, b->fixed, sizeof(req->hello));
	if (req->hello.version != HELLO_VERSION)
		return reason_set(why, EPROTO, "the preload library speaks version %u, expected %u",
				  req->hello.version, HELLO_VERSION);
	return 0;
}

static int
decode_had(const struct body *b, struct xfrm_request *req, struct reason *why)
{
	struct xfrm_usersa_info info;

	memcpy(&info, b->fixed, sizeof(info));
	return xfrm_decode_larval(&info, &b->attrs, &req->sa.params, why);
}

static int
decode_sa(const struct body *b, struct xfrm_request *req, struct reason *why)
{
	struct xfrm_usersa_info info;

	memcpy(&info, b->fixed, sizeof(info));
	return xfrm_decode_sa(&info, &b->attrs, &req->sa.params, why);
}

static int
decode_alloc_spi(const struct body *b, struct xfrm_request *req, struct reason *why)
{
	struct xfrm_userspi_info info;

	memcpy(&info, b->fixed, sizeof(info));
	if (info.min > info.max || info.min < 256)
		return reason_set(why, EINVAL,
				  "bad range of SPIs: 0x%x to 0x%x, expected 0x100 "
				  "or more in ascending order",
				  info.min, info.max);
	req->sa.min = info.min;
	req->sa.max = info.max;
	return xfrm_decode_larval(&info.info, &b->attrs, &req->sa.params, why);
}

static int
decode_sa_id(const struct body *b, struct xfrm_request *req, struct reason *why)
{
	struct xfrm_usersa_id id;

	memcpy(&id, b->fixed, sizeof(id));
	return xfrm_decode_sa_id(&id, &b->attrs, &req->sa_id.id, why);
}

static int
decode_get_ae(const struct body *b, struct xfrm_request *req, struct reason *why)
{
	struct xfrm_aevent_id id;

	memcpy(&id, b->fixed, sizeof(id));
	req->sa_id.ae_flags = id.flags;
	return xfrm_decode_sa_id(&id.sa_id, &b->attrs, &req->sa_id.id, why);
}

static int
decode_new_ae(const struct body *b, struct xfrm_request *req, struct reason *why)
{
	struct xfrm_aevent_id id;

	if (!(req->flags & NLM_F_REPLACE))
		return reason_set(why, EINVAL, "XFRM_MSG_NEWAE needs the flag NLM_F_REPLACE");
	memcpy(&id, b->fixed, sizeof(id));
	return xfrm_decode_ae(&id, &b->attrs, &req->sa.params, why);
}

static int
decode_migrate(const struct body *b, struct xfrm_request *req, struct reason *why)
{
	struct xfrm_userpolicy_id id;

	memcpy(&id, b->fixed, sizeof(id));
	return xfrm_decode_migration(&id, &b->attrs, &req->migration, why);
}

static int
decode_filter(const struct body *b, struct xfrm_request *req, struct reason *why)
{
	struct xfrm_filter *filter = &req->filter;
	struct xfrm_address_filter x;
	int rc;

	xfrm_attr_get(&b->attrs, XFRMA_PROTO, &filter->proto);
	if (filter->proto == 255)
		filter->proto = 0;
	if (!xfrm_attr_get(&b->attrs, XFRMA_ADDRESS_FILTER, &x) || x.family == AF_UNSPEC)
		return 0;
	rc = xfrm_decode_family(x.family, "address filter", &filter->family, why);
	if (rc < 0)
		return rc;
	rc = decode_prefix(x.splen, filter->family, "source", why);
	if (rc < 0)
		return rc;
	rc = decode_prefix(x.dplen, filter->family, "destination", why);
	if (rc < 0)
		return rc;
	filter->src = xfrm_decode_address(&x.saddr, filter->family);
	filter->dst = xfrm_decode_address(&x.daddr, filter->family);
	filter->src_len = x.splen;
	filter->dst_len = x.dplen;
	return 0;
}

static int
decode_flush_sa(const struct body *b, struct xfrm_request *req, struct reason *why)
{
	struct xfrm_usersa_flush x;

	memcpy(&x, b->fixed, sizeof(x));
	req->proto = x.proto == 255 ? 0 : x.proto; /* IPSEC_PROTO_ANY */
	return 0;
}

static int
decode_policy(const struct body *b, struct xfrm_request *req, struct reason *why)
{
	struct xfrm_userpolicy_info info;

	memcpy(&info, b->fixed, sizeof(info));
	return xfrm_decode_policy(&info, &b->attrs, &req->policy, why);
}

static int
decode_policy_id(const struct body *b, struct xfrm_request *req, struct reason *why)
{
	struct xfrm_userpolicy_id id;

	memcpy(&id, b->fixed, sizeof(id));
	return xfrm_decode_policy_id(&id, &b->attrs, &req->policy_id.id, &req->policy_id.index,
				     why);
}

static int
decode_flush_policy(const struct body *b, struct xfrm_request *req, struct reason *why)
{
	return xfrm_decode_policy_type(&b->attrs, why);
}

static int
decode_info(const struct body *b, struct xfrm_request *req, struct reason *why)
{
	memcpy(&req->info, b->fixed, sizeof(req->info));
	return 0;
}

static int
decode_default(const struct body *b, struct xfrm_request *req, struct reason *why)
{
	memcpy(&req->defaults, b->fixed, sizeof(req->defaults));
	return 0;
}

static int
decode_thresholds(const struct body *b, struct xfrm_request *req, struct reason *why)
{
	struct xfrm_thresholds *to = &req->thresholds.value;
	struct xfrmu_spdhthresh v4 = {0, 0}, v6 = {0, 0};
	struct xfrm_attrs attrs;
	int rc;

	rc = xfrm_spd_attrs_parse(b->rest, b->rest_len, &attrs, why);
	if (rc < 0)
		return rc;
	req->thresholds.v4 = xfrm_attr_get(&attrs, XFRMA_SPD_IPV4_HTHRESH, &v4);
	req->thresholds.v6 = xfrm_attr_get(&attrs, XFRMA_SPD_IPV6_HTHRESH, &v6);
	if (v4.lbits > 32 || v4.rbits > 32 || v6.lbits > 128 || v6.rbits > 128)
		return reason_set(why, EINVAL, "bad threshold: longer than an address");
	*to = (struct xfrm_thresholds){v4.lbits, v4.rbits, v6.lbits, v6.rbits};
	return 0;
}

struct message {
	const char *name;
	int (*decode)(const struct body *b, struct xfrm_request *req, struct reason *why);
	uint16_t fixed; /* bytes behind the header */
	uint64_t attrs; /* accepted ones */
};

#define AE_ATTRS (ATTR(XFRMA_REPLAY_THRESH) | ATTR(XFRMA_ETIMER_THRESH))
#define SA_ATTRS                                                                                   \
	(ATTR(XFRMA_ALG_AEAD) | ATTR(XFRMA_ALG_CRYPT) | ATTR(XFRMA_ALG_AUTH) |                     \
	 ATTR(XFRMA_ALG_AUTH_TRUNC) | ATTR(XFRMA_ENCAP) | ATTR(XFRMA_MARK) |                       \
	 ATTR(XFRMA_SET_MARK) | ATTR(XFRMA_SET_MARK_MASK) | ATTR(XFRMA_IF_ID) |                    \
	 ATTR(XFRMA_TFCPAD) | ATTR(XFRMA_REPLAY_VAL) | ATTR(XFRMA_REPLAY_ESN_VAL) |                \
	 ATTR(XFRMA_SA_EXTRA_FLAGS) | ATTR(XFRMA_LTIME_VAL) | ATTR(XFRMA_LASTUSED) |               \
	 ATTR(XFRMA_SA_DIR) | ATTR(XFRMA_MTIMER_THRESH) | ATTR(XFRMA_COADDR) |                     \
	 ATTR(XFRMA_NAT_KEEPALIVE_INTERVAL) | ATTR(XFRMA_SA_PCPU) | AE_ATTRS)
#define SA_ID_ATTRS  (ATTR(XFRMA_MARK) | ATTR(XFRMA_IF_ID) | ATTR(XFRMA_SRCADDR))
#define POLICY_ATTRS (ATTR(XFRMA_MARK) | ATTR(XFRMA_IF_ID) | ATTR(XFRMA_POLICY_TYPE))

#define MESSAGE(type, structure, accepted, how)                                                    \
	[type - XFRM_MSG_BASE] = {#type, how, sizeof(structure), accepted}
#define REFUSED(type) [type - XFRM_MSG_BASE] = {#type, NULL, 0, 0}

static const struct message messages[XFRM_NR_MSGTYPES] = {
	MESSAGE(XFRM_MSG_NEWSA, struct xfrm_usersa_info, SA_ATTRS, decode_sa),
	MESSAGE(XFRM_MSG_UPDSA, struct xfrm_usersa_info, SA_ATTRS, decode_sa),
	MESSAGE(XFRM_MSG_ALLOCSPI, struct xfrm_userspi_info,
		ATTR(XFRMA_MARK) | ATTR(XFRMA_IF_ID) | ATTR(XFRMA_SA_DIR) | ATTR(XFRMA_SA_PCPU),
		decode_alloc_spi),
	MESSAGE(XFRM_MSG_DELSA, struct xfrm_usersa_id, SA_ID_ATTRS, decode_sa_id),
	MESSAGE(XFRM_MSG_GETSA, struct xfrm_usersa_id, SA_ID_ATTRS, decode_sa_id),
	MESSAGE(XFRM_MSG_GETAE, struct xfrm_aevent_id, SA_ID_ATTRS, decode_get_ae),
	MESSAGE(XFRM_MSG_NEWAE, struct xfrm_aevent_id,
		SA_ID_ATTRS | ATTR(XFRMA_REPLAY_VAL) | ATTR(XFRMA_REPLAY_ESN_VAL) |
			ATTR(XFRMA_LTIME_VAL) | ATTR(XFRMA_SA_DIR) | AE_ATTRS,
		decode_new_ae),
	MESSAGE(XFRM_MSG_MIGRATE, struct xfrm_userpolicy_id,
		POLICY_ATTRS | ATTR(XFRMA_MIGRATE) | ATTR(XFRMA_KMADDRESS) | ATTR(XFRMA_ENCAP),
		decode_migrate),
	MESSAGE(XFRM_MSG_FLUSHSA, struct xfrm_usersa_flush, 0, decode_flush_sa),
	MESSAGE(XFRM_MSG_NEWPOLICY, struct xfrm_userpolicy_info, POLICY_ATTRS | ATTR(XFRMA_TMPL),
		decode_policy),
	MESSAGE(XFRM_MSG_UPDPOLICY, struct xfrm_userpolicy_info, POLICY_ATTRS | ATTR(XFRMA_TMPL),
		decode_policy),
	MESSAGE(XFRM_MSG_DELPOLICY, struct xfrm_userpolicy_id, POLICY_ATTRS, decode_policy_id),
	MESSAGE(XFRM_MSG_GETPOLICY, struct xfrm_userpolicy_id, POLICY_ATTRS, decode_policy_id),
	[XFRM_MSG_FLUSHPOLICY - XFRM_MSG_BASE] = {"XFRM_MSG_FLUSHPOLICY", decode_flush_policy, 0,
						  ATTR(XFRMA_POLICY_TYPE)},
	MESSAGE(XFRM_MSG_GETSADINFO, uint32_t, 0, decode_info),
	MESSAGE(XFRM_MSG_GETSPDINFO, uint32_t, 0, decode_info),
	MESSAGE(XFRM_MSG_NEWSPDINFO, uint32_t, 0, decode_thresholds),
	REFUSED(XFRM_MSG_ACQUIRE),
	REFUSED(XFRM_MSG_EXPIRE),
	REFUSED(XFRM_MSG_POLEXPIRE),
	REFUSED(XFRM_MSG_REPORT),
	REFUSED(XFRM_MSG_NEWSADINFO),
	REFUSED(XFRM_MSG_MAPPING),
	MESSAGE(XFRM_MSG_SETDEFAULT, struct xfrm_userpolicy_default, 0, decode_default),
	MESSAGE(XFRM_MSG_GETDEFAULT, struct xfrm_userpolicy_default, 0, decode_default),
};

/* Dumps have no structure; that of policies no attributes either, and the kernel reads none. */
static const struct message dump_sas = {"XFRM_MSG_GETSA", decode_filter, 0,
					ATTR(XFRMA_PROTO) | ATTR(XFRMA_ADDRESS_FILTER)};
static const struct message hello = {"hello", decode_hello, sizeof(struct hello), 0};
static const struct message had = {"had", decode_had, sizeof(struct xfrm_usersa_info),
				   ATTR(XFRMA_MARK) | ATTR(XFRMA_IF_ID)};

const char *
xfrm_message_name(uint16_t type)
{
	if (type < XFRM_MSG_BASE || type > XFRM_MSG_MAX)
		return NULL;
	return messages[type - XFRM_MSG_BASE].name;
}

static const struct message *
message_find(const struct xfrm_request *req)
{
	if (req->type == HELLO_TYPE)
		return &hello;
	if (req->type == HAD_TYPE)
		return &had;
	if (!xfrm_message_name(req->type))
		return NULL;
	return req->dump && req->type == XFRM_MSG_GETSA ? &dump_sas
							: &messages[req->type - XFRM_MSG_BASE];
}

const struct nlmsghdr *
xfrm_next(const uint8_t **data, size_t *len)
{
	const struct nlmsghdr *msg = (const struct nlmsghdr *)*data;
	size_t step;

	if (*len < sizeof(*msg) || msg->nlmsg_len < sizeof(*msg) || msg->nlmsg_len > *len)
		return NULL;
	step = NLMSG_ALIGN(msg->nlmsg_len) < *len ? NLMSG_ALIGN(msg->nlmsg_len) : *len;
	*data += step;
	*len -= step;
	return msg;
}

int
xfrm_decode(const struct nlmsghdr *msg, size_t len, struct xfrm_request *req, struct reason *why)
{
	const struct message *m;
	struct body b;
	size_t fixed;
	int rc;

	memset(req, 0, sizeof(*req));
	req->type = msg->nlmsg_type;
	req->flags = msg->nlmsg_flags;
	req->seq = msg->nlmsg_seq;
	req->dump = (msg->nlmsg_flags & NLM_F_DUMP) != 0 &&
		    (req->type == XFRM_MSG_GETSA || req->type == XFRM_MSG_GETPOLICY);
	m = message_find(req);
	if (!m)
		return reason_set(why, EOPNOTSUPP, "message type %u is unknown", req->type);
	if (!m->decode)
		return reason_set(why, EOPNOTSUPP, "%s is not supported", m->name);
	if (req->dump && req->type == XFRM_MSG_GETPOLICY)
		return 0;
	if (len - sizeof(*msg) < m->fixed)
		return reason_set(why, EINVAL, "%s is cut: %zu bytes, expected at least %zu",
				  m->name, len, sizeof(*msg) + m->fixed);
	b.fixed = (const uint8_t *)(msg + 1);
	fixed = NLMSG_ALIGN(m->fixed) < len - sizeof(*msg) ? NLMSG_ALIGN(m->fixed)
							   : len - sizeof(*msg);
	b.rest = b.fixed + fixed;
	b.rest_len = len - sizeof(*msg) - fixed;
	if (m->decode != decode_thresholds) {
		rc = xfrm_attrs_parse(b.rest, b.rest_len, m->attrs, &b.attrs, why);
		if (rc < 0)
			return rc;
	}
	return m->decode(&b, req, why);
}
