/* SPDX-License-Identifier: BSD-3-Clause */
/* The frame of every message, those that consist of little else, and shared structures. */
#include "xfrm_message.h"

static void *
room(struct xfrm_buf *buf, uint32_t len)
{
	void *at = buf->data + buf->len;

	if (buf->full || NLMSG_ALIGN(len) > sizeof(buf->data) - buf->len) {
		buf->full = true;
		return NULL;
	}
	memset(at, 0, NLMSG_ALIGN(len));
	buf->len += NLMSG_ALIGN(len);
	return at;
}

void
xfrm_begin(struct xfrm_buf *buf, const struct xfrm_head *head, const void *fixed, uint32_t len)
{
	struct nlmsghdr msg = {
		.nlmsg_type = head->type,
		.nlmsg_flags = head->flags,
		.nlmsg_seq = head->seq,
		.nlmsg_pid = head->port,
	};
	uint8_t *at;

	buf->start = buf->len;
	buf->full = false;
	at = room(buf, sizeof(msg) + len);
	if (!at)
		return;
	memcpy(at, &msg, sizeof(msg));
	if (len > 0)
		memcpy(at + sizeof(msg), fixed, len);
}

void *
xfrm_attr_room(struct xfrm_buf *buf, uint16_t type, uint32_t len)
{
	struct nlattr attr = {.nla_len = (uint16_t)(NLA_HDRLEN + len), .nla_type = type};
	uint8_t *at = room(buf, NLA_HDRLEN + len);

	if (!at)
		return NULL;
	memcpy(at, &attr, sizeof(attr));
	return at + NLA_HDRLEN;
}

void
xfrm_attr_put(struct xfrm_buf *buf, uint16_t type, const void *data, uint32_t len)
{
	void *at = xfrm_attr_room(buf, type, len);

	if (at)
		memcpy(at, data, len);
}

bool
xfrm_end(struct xfrm_buf *buf)
{
	uint32_t len;

	if (buf->full) {
		buf->len = buf->start;
		return false;
	}
	len = buf->len - buf->start;
	memcpy(buf->data + buf->start, &len, sizeof(len));
	return true;
}

void
xfrm_write_address(xfrm_address_t *to, const union ip_addr *from)
{
	memcpy(to, from, sizeof(*to));
}

uint16_t
xfrm_write_family(uint8_t family)
{
	return family == FAMILY_V4 ? AF_INET : family == FAMILY_V6 ? AF_INET6 : AF_UNSPEC;
}

void
xfrm_write_selector(struct xfrm_selector *to, const struct selector *from)
{
	memset(to, 0, sizeof(*to));
	xfrm_write_address(&to->saddr, &from->src);
	xfrm_write_address(&to->daddr, &from->dst);
	to->prefixlen_s = from->src_len;
	to->prefixlen_d = from->dst_len;
	to->family = xfrm_write_family(from->family);
	to->proto = from->proto;
	to->sport = from->sport;
	to->sport_mask = from->sport_mask;
	to->dport = from->dport;
	to->dport_mask = from->dport_mask;
}

void
xfrm_write_limits(struct xfrm_lifetime_cfg *to, const struct sa_limits *from)
{
	to->soft_byte_limit = from->soft_bytes;
	to->hard_byte_limit = from->hard_bytes;
	to->soft_packet_limit = from->soft_packets;
	to->hard_packet_limit = from->hard_packets;
	to->soft_add_expires_seconds = from->soft_add_seconds;
	to->hard_add_expires_seconds = from->hard_add_seconds;
	to->soft_use_expires_seconds = from->soft_use_seconds;
	to->hard_use_expires_seconds = from->hard_use_seconds;
}

void
xfrm_put_tenant(struct xfrm_buf *buf, uint32_t if_id, uint32_t mark)
{
	const struct xfrm_mark x = {.v = mark, .m = UINT32_MAX};

	if (mark)
		xfrm_attr_put(buf, XFRMA_MARK, &x, sizeof(x));
	if (if_id)
		xfrm_attr_put(buf, XFRMA_IF_ID, &if_id, sizeof(if_id));
}

void
xfrm_put_policy_type(struct xfrm_buf *buf)
{
	struct xfrm_userpolicy_type x;

	memset(&x, 0, sizeof(x));
	x.type = XFRM_POLICY_TYPE_MAIN;
	xfrm_attr_put(buf, XFRMA_POLICY_TYPE, &x, sizeof(x));
}

bool
xfrm_encode_ack(struct xfrm_buf *buf, uint32_t port, const struct nlmsghdr *request, int error,
		const char *text)
{
	const struct nlmsgerr err = {.error = error, .msg = *request};
	bool told = text && text[0] != '\0';
	const struct xfrm_head head = {
		.type = NLMSG_ERROR,
		.flags = (uint16_t)(NLM_F_CAPPED | (told ? NLM_F_ACK_TLVS : 0)),
		.seq = request->nlmsg_seq,
		.port = port,
	};

	xfrm_begin(buf, &head, &err, sizeof(err));
	if (told)
		xfrm_attr_put(buf, NLMSGERR_ATTR_MSG, text, (uint32_t)strlen(text) + 1);
	return xfrm_end(buf);
}

bool
xfrm_encode_done(struct xfrm_buf *buf, uint32_t seq, uint32_t port)
{
	const struct xfrm_head head = {NLMSG_DONE, NLM_F_MULTI, seq, port};
	const uint32_t status = 0;

	xfrm_begin(buf, &head, &status, sizeof(status));
	return xfrm_end(buf);
}

bool
xfrm_encode_overrun(struct xfrm_buf *buf, uint32_t port)
{
	const struct xfrm_head head = {NLMSG_OVERRUN, 0, 0, port};

	xfrm_begin(buf, &head, NULL, 0);
	return xfrm_end(buf);
}

bool
xfrm_encode_sadinfo(struct xfrm_buf *buf, const struct xfrm_head *head,
		    const struct xfrm_sadinfo *info)
{
	const struct xfrmu_sadhinfo hinfo = {.sadhcnt = info->max, .sadhmcnt = info->max};

	xfrm_begin(buf, head, &info->flags, sizeof(info->flags));
	xfrm_attr_put(buf, XFRMA_SAD_CNT, &info->count, sizeof(info->count));
	xfrm_attr_put(buf, XFRMA_SAD_HINFO, &hinfo, sizeof(hinfo));
	return xfrm_end(buf);
}

bool
xfrm_encode_default(struct xfrm_buf *buf, const struct xfrm_head *head,
		    const struct xfrm_userpolicy_default *defaults)
{
	xfrm_begin(buf, head, defaults, sizeof(*defaults));
	return xfrm_end(buf);
}

bool
xfrm_encode_spdinfo(struct xfrm_buf *buf, const struct xfrm_head *head,
		    const struct xfrm_spdinfo *info)
{
	const struct xfrmu_spdinfo counts = {
		.incnt = info->count[SPD_IN],
		.outcnt = info->count[SPD_OUT],
		.fwdcnt = info->count[SPD_FWD],
	};
	const struct xfrmu_spdhinfo hinfo = {.spdhcnt = info->max, .spdhmcnt = info->max};
	const struct xfrm_thresholds *t = &info->thresholds;
	const struct xfrmu_spdhthresh v4 = {.lbits = t->v4_local, .rbits = t->v4_remote};
	const struct xfrmu_spdhthresh v6 = {.lbits = t->v6_local, .rbits = t->v6_remote};

	xfrm_begin(buf, head, &info->flags, sizeof(info->flags));
	xfrm_attr_put(buf, XFRMA_SPD_INFO, &counts, sizeof(counts));
	xfrm_attr_put(buf, XFRMA_SPD_HINFO, &hinfo, sizeof(hinfo));
	xfrm_attr_put(buf, XFRMA_SPD_IPV4_HTHRESH, &v4, sizeof(v4));
	xfrm_attr_put(buf, XFRMA_SPD_IPV6_HTHRESH, &v6, sizeof(v6));
	return xfrm_end(buf);
}
