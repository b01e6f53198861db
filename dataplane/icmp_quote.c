/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Quoted packets are cut: nothing is taken for granted but the bytes that are there. The quoted
 * header is not checked as a received one would be, as nothing is done with it but to compare.
 */
#include "icmp_quote.h"

#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <string.h>

#include <rte_ip.h>

#include "ip_parse.h"

#define ICMP_HEADER 8

static bool
is_error(const struct packet *p, uint8_t type)
{
	if (p->family == FAMILY_V6)
		return p->proto == IPPROTO_ICMPV6 && (type & ICMP6_INFOMSG_MASK) == 0;
	return p->proto == IPPROTO_ICMP && (type == ICMP_UNREACH || type == ICMP_SOURCEQUENCH ||
					    type == ICMP_TIMXCEED || type == ICMP_PARAMPROB);
}

/* Behind the quoted header, `off` bytes long. False where the quote ends before that. */
static bool
step(struct icmp_quote *q, uint32_t off)
{
	if (off > q->len)
		return false;
	q->l4 += off;
	q->len -= off;
	return true;
}

static bool
read_v4(struct icmp_quote *q)
{
	const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)q->l4;

	if (q->len < sizeof(*ip) || ip->version_ihl >> 4 != FAMILY_V4 ||
	    rte_ipv4_hdr_len(ip) < sizeof(*ip))
		return false;
	q->flow.src = ip_addr_v4(ip->src_addr);
	q->flow.dst = ip_addr_v4(ip->dst_addr);
	q->flow.proto = ip->next_proto_id;
	q->flow.ports_opaque = (ip->fragment_offset & RTE_BE16(RTE_IPV4_HDR_OFFSET_MASK)) != 0;
	return step(q, rte_ipv4_hdr_len(ip));
}

/* Extension headers, as far as they are there. What the payload is may stay unknown. */
static void
skip_extensions(struct icmp_quote *q)
{
	for (unsigned int count = 0; ip_is_extension(q->flow.proto); count++) {
		bool fragment = q->flow.proto == IPPROTO_FRAGMENT;
		uint32_t size;

		q->flow.ports_opaque = q->flow.proto_opaque = true;
		if (count == IP_EXT_MAX || q->len < 8)
			return;
		size = fragment ? 8 : (q->l4[1] + 1) * 8u;
		if (fragment && ((q->l4[2] << 8 | q->l4[3]) & 0xfff8) != 0)
			return;
		q->flow.proto = q->l4[0];
		if (!step(q, size))
			return;
		q->flow.ports_opaque = q->flow.proto_opaque = false;
	}
}

static bool
read_v6(struct icmp_quote *q)
{
	const struct rte_ipv6_hdr *ip = (const struct rte_ipv6_hdr *)q->l4;

	if (q->len < sizeof(*ip) || q->l4[0] >> 4 != FAMILY_V6)
		return false;
	memcpy(q->flow.src.bytes, &ip->src_addr, sizeof(q->flow.src.bytes));
	memcpy(q->flow.dst.bytes, &ip->dst_addr, sizeof(q->flow.dst.bytes));
	q->flow.proto = ip->proto;
	step(q, sizeof(*ip));
	skip_extensions(q);
	return true;
}

/* ICMP's type and code cannot be reversed: they stay unknown. */
static void
read_ports(struct icmp_quote *q)
{
	struct flow *flow = &q->flow;

	switch (flow->proto) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_SCTP:
	case IPPROTO_DCCP:
	case IPPROTO_UDPLITE:
		flow->ports_opaque |= q->len < 4;
		if (flow->ports_opaque)
			return;
		memcpy(&flow->sport, q->l4, sizeof(flow->sport));
		memcpy(&flow->dport, q->l4 + 2, sizeof(flow->dport));
		return;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		flow->ports_opaque = true;
	}
}

bool
icmp_quote(const struct rte_mbuf *m, struct icmp_quote *q)
{
	const struct packet *p = packet(m);
	const uint8_t *icmp = rte_pktmbuf_mtod_offset(m, const uint8_t *, p->l4_off);
	uint32_t len = rte_pktmbuf_data_len(m) - p->l4_off;
	rte_be32_t value;

	if (p->fragment != 0 || len < ICMP_HEADER || !is_error(p, icmp[0]))
		return false;
	memcpy(&value, icmp + 4, sizeof(value));
	*q = (struct icmp_quote){
		.flow.family = p->family,
		.type = icmp[0],
		.code = icmp[1],
		.value = rte_be_to_cpu_32(value),
		.l4 = icmp + ICMP_HEADER,
		.len = len - ICMP_HEADER,
	};
	if (!(p->family == FAMILY_V4 ? read_v4(q) : read_v6(q)))
		return false;
	read_ports(q);
	return true;
}

bool
icmp_return_flow(const struct rte_mbuf *m, struct flow *flow)
{
	union ip_addr dst = ip_dst(m);
	struct icmp_quote q;

	if (!icmp_quote(m, &q) || !ip_addr_equal(&dst, &q.flow.src))
		return false;
	*flow = q.flow;
	flow->src = q.flow.dst;
	flow->dst = q.flow.src;
	flow->sport = q.flow.dport;
	flow->dport = q.flow.sport;
	return true;
}
