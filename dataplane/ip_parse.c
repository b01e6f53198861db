/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IP headers: what is checked once for every packet that enters the gateway, in the clear or out of
 * a tunnel. Later stages rely on it: the header is whole, the mbuf ends where the packet ends,
 * and l4_off lies within it.
 */
#include "ip_parse.h"

#include <netinet/in.h>

#include <rte_ip.h>

#include "checksum.h"
#include "room.h"

#define OPTION_END  0
#define OPTION_NOP  1
#define OPTION_LSRR 131
#define OPTION_SSRR 137

#define ND_FIRST 133 /* ICMPv6 router solicitation (RFC 4861) */
#define ND_LAST  137 /* redirect */

/* 224.0.0.0/24 and 255.255.255.255; IPv6 multicast of link-local scope. */
bool
ip_addr_is_link_group(uint8_t family, const union ip_addr *addr)
{
	if (family == FAMILY_V6)
		return addr->bytes[0] == 0xff && (addr->bytes[1] & 0x0f) == 2;
	return (addr->v4 & RTE_BE32(0xffffff00)) == RTE_BE32(0xe0000000) ||
	       addr->v4 == RTE_BE32(0xffffffff);
}

/* Ports, or the SPI: what tells flows between the same addresses apart. */
static uint32_t
flow_ports(const struct rte_mbuf *m, const struct packet *p)
{
	uint32_t ports = 0;

	switch (p->proto) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_SCTP:
	case IPPROTO_ESP:
		if (p->fragment == 0 && rte_pktmbuf_data_len(m) >= p->l4_off + sizeof(ports))
			memcpy(&ports, rte_pktmbuf_mtod_offset(m, const void *, p->l4_off),
			       sizeof(ports));
	}
	return ports;
}

/* Addresses that may not be on a wire (RFC 1122 section 3.2.1.3, RFC 1812 section 5.3.7). */
static bool
martian_v4(const struct rte_ipv4_hdr *ip)
{
	uint32_t src = rte_be_to_cpu_32(ip->src_addr), dst = rte_be_to_cpu_32(ip->dst_addr);
	bool to_group;

	if (likely(ip_net_is_plain(src >> 24) && ip_net_is_plain(dst >> 24)))
		return false;
	to_group = dst >> 28 == 0xe || dst == UINT32_MAX;
	if (src >> 24 == 127 || dst >> 24 == 127 || dst >> 24 == 0)
		return true;
	/* 0.0.0.0 asks for an address (DHCP): never forwarded. */
	if (src >> 24 == 0)
		return src != 0 || !to_group;
	return src >> 28 == 0xe || src == UINT32_MAX;
}

/* RFC 4291 sections 2.5.2, 2.5.3 and 2.7. */
static bool
martian_v6(const struct rte_ipv6_hdr *ip)
{
	union ip_addr src, dst;

	memcpy(src.bytes, &ip->src_addr, sizeof(src.bytes));
	memcpy(dst.bytes, &ip->dst_addr, sizeof(dst.bytes));
	if (src.bytes[0] == 0xff || (dst.bytes[0] == 0xff && (dst.bytes[1] & 0x0f) <= 1))
		return true;
	if (dst.u64[0] == 0 && rte_be_to_cpu_64(dst.u64[1]) <= 1)
		return true;
	/* The unspecified address is a source for duplicate address detection only. */
	return src.u64[0] == 0 &&
	       (src.u64[1] == RTE_BE64(1) || (src.u64[1] == 0 && dst.bytes[0] != 0xff));
}

/* Any option is carried as it is, but for source routes (RFC 7126 section 4.3). */
static enum drop_reason
check_options(const struct rte_ipv4_hdr *ip, uint32_t header_len)
{
	const uint8_t *o = (const uint8_t *)(ip + 1), *end = (const uint8_t *)ip + header_len;

	while (o < end && *o != OPTION_END) {
		if (*o == OPTION_LSRR || *o == OPTION_SSRR)
			return DROP_IP_OPTS;
		if (*o == OPTION_NOP) {
			o++;
			continue;
		}
		if (end - o < 2 || o[1] < 2 || o[1] > end - o)
			return DROP_IP_HDR;
		o += o[1];
	}
	return DROP_COUNT;
}

/* DROP_COUNT where the packet may go on; likewise below. */
static enum drop_reason
parse_v4(struct rte_mbuf *m, struct packet *p, bool check_sum)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	uint32_t header_len = rte_ipv4_hdr_len(ip);
	uint32_t len = rte_be_to_cpu_16(ip->total_length);
	uint16_t offset = rte_be_to_cpu_16(ip->fragment_offset);

	if (header_len < sizeof(*ip) || header_len > rte_pktmbuf_data_len(m))
		return DROP_IP_HDR;
	if (len < header_len || len > rte_pktmbuf_data_len(m))
		return DROP_IP_LEN;
	if (check_sum && !checksum_ipv4_right(ip, header_len))
		return DROP_IP_CSUM;
	if (unlikely(header_len > sizeof(*ip))) {
		enum drop_reason reason = check_options(ip, header_len);

		if (reason != DROP_COUNT)
			return reason;
	}
	if (martian_v4(ip))
		return DROP_MARTIAN;
	packet_cut(m, len); /* an Ethernet trailer, or padding that hides lengths */
	p->family = FAMILY_V4;
	p->proto = ip->next_proto_id;
	p->l4_off = (uint16_t)header_len;
	p->fragment = 0;
	if (unlikely((offset & (RTE_IPV4_HDR_OFFSET_MASK | RTE_IPV4_HDR_MF_FLAG)) != 0)) {
		p->fragment = (offset & RTE_IPV4_HDR_OFFSET_MASK) != 0 ? 2 : 1;
		/* The end of the whole must fit into an IP length. */
		if ((offset & RTE_IPV4_HDR_OFFSET_MASK) * 8u + len > UINT16_MAX)
			return DROP_IP_LEN;
	}
	p->flow_hash = ip_flow_hash(ip->src_addr, ip->dst_addr, p->proto, flow_ports(m, p));
	return DROP_COUNT;
}

bool
ip_is_extension(uint8_t next_header)
{
	switch (next_header) {
	case IPPROTO_HOPOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_FRAGMENT:
	case IPPROTO_DSTOPTS:
	case IPPROTO_MH:
		return true;
	default:
		return false;
	}
}

/*
 * Walks the chain of extension headers (RFC 8200 section 4) to the payload, at most IP_EXT_MAX of
 * them. Behind the fragment header of a later fragment there is no header to read.
 */
static enum drop_reason
walk_extensions(const struct rte_mbuf *m, struct packet *p, uint8_t next)
{
	uint32_t off = sizeof(struct rte_ipv6_hdr), len = rte_pktmbuf_data_len(m);
	bool fragmented = false;

	for (unsigned int count = 0; ip_is_extension(next); count++) {
		const uint8_t *h = rte_pktmbuf_mtod_offset(m, const uint8_t *, off);
		uint32_t size;

		if (count == IP_EXT_MAX || len - off < 8)
			return DROP_IP_EXT;
		size = next == IPPROTO_FRAGMENT ? 8 : (h[1] + 1) * 8u;
		if (size > len - off)
			return DROP_IP_EXT;
		if (next == IPPROTO_HOPOPTS && count != 0)
			return DROP_IP_EXT;
		if (next == IPPROTO_ROUTING && h[2] == 0) /* RFC 5095 */
			return DROP_IP_EXT;
		if (next == IPPROTO_MH) /* the last of a chain, RFC 6275 section 6.1.1 */
			break;
		if (next == IPPROTO_FRAGMENT) {
			uint16_t offset = (uint16_t)(h[2] << 8 | h[3]);

			if (fragmented)
				return DROP_IP_EXT;
			fragmented = true;
			p->fragment = (offset & 0xfff8) != 0 ? 2 : (offset & 1) != 0 ? 1 : 0;
		}
		next = h[0];
		off += size;
		if (p->fragment == 2)
			break;
	}
	p->proto = next;
	p->l4_off = (uint16_t)off;
	/* A first fragment has the whole chain, the upper layer's header included (RFC 7112). */
	if (p->fragment == 1 && len - off < (next == IPPROTO_TCP ? 20u : 8u))
		return DROP_IP_EXT;
	return DROP_COUNT;
}

bool
ip_is_nd(const struct rte_mbuf *m)
{
	const struct packet *p = packet(m);
	uint8_t type;

	if (p->family != FAMILY_V6 || p->proto != IPPROTO_ICMPV6 || p->fragment != 0 ||
	    rte_pktmbuf_data_len(m) <= p->l4_off)
		return false;
	type = *rte_pktmbuf_mtod_offset(m, const uint8_t *, p->l4_off);
	return type >= ND_FIRST && type <= ND_LAST;
}

static enum drop_reason
parse_v6(struct rte_mbuf *m, struct packet *p)
{
	const struct rte_ipv6_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv6_hdr *);
	uint32_t len;
	uint64_t src[2], dst[2];

	if (rte_pktmbuf_data_len(m) < sizeof(*ip))
		return DROP_IP_HDR;
	len = sizeof(*ip) + rte_be_to_cpu_16(ip->payload_len);
	if (len > rte_pktmbuf_data_len(m))
		return DROP_IP_LEN;
	if (martian_v6(ip))
		return DROP_MARTIAN;
	packet_cut(m, len); /* an Ethernet trailer, or padding that hides lengths */
	p->family = FAMILY_V6;
	p->proto = ip->proto;
	p->l4_off = sizeof(*ip);
	p->fragment = 0;
	if (unlikely(ip_is_extension(ip->proto))) {
		enum drop_reason reason = walk_extensions(m, p, ip->proto);

		if (reason != DROP_COUNT)
			return reason;
	}
	memcpy(src, &ip->src_addr, sizeof(src));
	memcpy(dst, &ip->dst_addr, sizeof(dst));
	p->flow_hash = ip_flow_hash(chash_mix(src[0], src[1]), chash_mix(dst[0], dst[1]), p->proto,
				    flow_ports(m, p));
	return DROP_COUNT;
}

bool
ip_parse(struct rte_mbuf *m, bool check_sum, enum drop_reason *reason)
{
	struct packet *p = packet(m);

	*reason = DROP_IP_HDR;
	if (rte_pktmbuf_data_len(m) < sizeof(struct rte_ipv4_hdr))
		return false;
	switch (*rte_pktmbuf_mtod(m, const uint8_t *) >> 4) {
	case FAMILY_V4:
		*reason = parse_v4(m, p, check_sum);
		break;
	case FAMILY_V6:
		*reason = parse_v6(m, p);
		break;
	}
	return *reason == DROP_COUNT;
}

void
packet_flow_odd(const struct rte_mbuf *m, struct flow *flow)
{
	const struct packet *p = packet(m);
	const uint8_t *l4 = rte_pktmbuf_mtod_offset(m, const uint8_t *, p->l4_off);
	uint32_t len = rte_pktmbuf_data_len(m) - p->l4_off;

	flow->sport = flow->dport = 0;
	flow->ports_opaque = p->fragment == 2;
	flow->proto_opaque = p->fragment == 2 && ip_is_extension(p->proto);
	switch (p->proto) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_SCTP:
	case IPPROTO_DCCP:
	case IPPROTO_UDPLITE:
		flow->ports_opaque |= len < 4;
		if (flow->ports_opaque)
			return;
		memcpy(&flow->sport, l4, sizeof(flow->sport));
		memcpy(&flow->dport, l4 + 2, sizeof(flow->dport));
		return;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		flow->ports_opaque |= len < 2;
		if (flow->ports_opaque)
			return;
		flow->sport = rte_cpu_to_be_16(l4[0]);
		flow->dport = rte_cpu_to_be_16(l4[1]);
	}
}
