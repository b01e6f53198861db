/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading and checking an IP header: received packets, decrypted ones, and the flow of either. */
#pragma once

#include <stdbool.h>
#include <string.h>

#include <netinet/in.h>
#include <rte_ip.h>

#include "checksum.h"
#include "drop.h"
#include "packet.h"
#include "room.h"
#include "sadb/chash.h"

#define IP_EXT_MAX 8 /* IPv6 extension headers of one packet */

/*
 * Checks the IP header at the mbuf's data (RFC 791, RFC 8200), cuts what lies behind the IP length,
 * and fills packet's family, proto, l4_off, fragment and flow_hash. `check_sum`: whether the IPv4
 * header checksum is verified here. False with the reason where the packet cannot be used. The
 * packet is of one segment.
 */
bool ip_parse(struct rte_mbuf *m, bool check_sum, enum drop_reason *reason);

/* Whether an IPv6 next header is that of an extension header which chains on. */
bool ip_is_extension(uint8_t next_header);

/* Whether a parsed packet is neighbour discovery (RFC 4861). */
bool ip_is_nd(const struct rte_mbuf *m);

/* The destination, or the source, of a parsed packet. */
static inline union ip_addr
ip_dst(const struct rte_mbuf *m)
{
	union ip_addr a;

	if (packet(m)->family == FAMILY_V4)
		return ip_addr_v4(rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *)->dst_addr);
	memcpy(&a, &rte_pktmbuf_mtod(m, const struct rte_ipv6_hdr *)->dst_addr, sizeof(a));
	return a;
}

static inline union ip_addr
ip_src(const struct rte_mbuf *m)
{
	union ip_addr a;

	if (packet(m)->family == FAMILY_V4)
		return ip_addr_v4(rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *)->src_addr);
	memcpy(&a, &rte_pktmbuf_mtod(m, const struct rte_ipv6_hdr *)->src_addr, sizeof(a));
	return a;
}

/* packet_flow() of the few that are not whole, or have no ports right behind the header. */
void packet_flow_odd(const struct rte_mbuf *m, struct flow *flow);

/* What selectors are compared with; for a parsed packet. */
static inline void
packet_flow(const struct rte_mbuf *m, struct flow *flow)
{
	const struct packet *p = packet(m);
	const uint8_t *l4 = rte_pktmbuf_mtod_offset(m, const uint8_t *, p->l4_off);

	flow->src = ip_src(m);
	flow->dst = ip_dst(m);
	flow->family = p->family;
	flow->proto = p->proto;
	flow->ports_opaque = flow->proto_opaque = flow->ports_of_first = false;
	if (unlikely(p->fragment != 0 || rte_pktmbuf_data_len(m) < p->l4_off + 4u ||
		     (p->proto != IPPROTO_UDP && p->proto != IPPROTO_TCP))) {
		packet_flow_odd(m, flow);
		return;
	}
	memcpy(&flow->sport, l4, sizeof(flow->sport));
	memcpy(&flow->dport, l4 + 2, sizeof(flow->dport));
}

/* packet.flags of packets that no other is like. */
#define IP_RUN_NONE (PACKET_MERGED | PACKET_FROM_HOST | PACKET_LARGE)

/*
 * Ends the parsing of a packet: it is like none before it, but those behind it may be like it,
 * where addresses, and the ports or what stands in their place, tell all of their flow. Nothing is
 * like IPv6 mobility, a payload that is an extension header: each is as long as it says, or
 * refused.
 */
static inline void
ip_parse_run(struct rte_mbuf *m, uint32_t *runs)
{
	struct packet *p = packet(m);
	size_t header =
		p->family == FAMILY_V4 ? sizeof(struct rte_ipv4_hdr) : sizeof(struct rte_ipv6_hdr);

	p->run = 0;
	if (likely(p->fragment == 0 && p->l4_off == header && (p->flags & IP_RUN_NONE) == 0 &&
		   p->proto != IPPROTO_MH && rte_pktmbuf_data_len(m) >= header + sizeof(uint32_t)))
		p->run = ++*runs;
}

/* Of an IPv4 address's first byte: networks 1 to 223 but for 127, whose addresses may be anywhere.
 */
static inline bool
ip_net_is_plain(uint32_t net)
{
	return net - 1 < 223 && net != 127;
}

/* What stands for a flow where equal paths are shared out. */
static inline uint32_t
ip_flow_hash(uint64_t src, uint64_t dst, uint8_t proto, uint32_t ports)
{
	uint64_t h = chash_mix(src, dst);

	return (uint32_t)chash_mix(h, (uint64_t)ports << 8 | proto);
}

/*
 * ip_parse() and ip_parse_run() of what most packets are: IPv4 without options, whole, of UDP, TCP
 * or ESP, between addresses that may be anywhere. Its header stands behind the first `front` of the
 * mbuf, which are taken off, and the packet has `room` bytes at most. False, and nothing is
 * changed, for all others and where anything is wrong.
 */
static inline bool
ip_parse_plain(struct rte_mbuf *m, uint32_t front, uint32_t room, bool check_sum, uint32_t *runs)
{
	const struct rte_ipv4_hdr *ip =
		rte_pktmbuf_mtod_offset(m, const struct rte_ipv4_hdr *, front);
	const uint64_t protos = UINT64_C(1) << IPPROTO_UDP | UINT64_C(1) << IPPROTO_TCP |
				UINT64_C(1) << IPPROTO_ESP;
	const uint64_t mask = 0xff00000000003fff; /* version, IHL; offset and more fragments */
	const uint32_t least = sizeof(*ip) + sizeof(uint32_t);
	struct packet *p = packet(m);
	uint32_t len, ports, src, dst;
	uint64_t first;
	uint8_t proto;

	if (unlikely(room < least || (p->flags & IP_RUN_NONE) != 0))
		return false;
	memcpy(&first, ip, sizeof(first));
	first = rte_be_to_cpu_64(first);
	len = first >> 32 & UINT16_MAX;
	proto = ip->next_proto_id;
	src = ip->src_addr;
	dst = ip->dst_addr;
	if (unlikely((first & mask) != UINT64_C(0x45) << 56 || len - least > room - least ||
		     proto >= 64 || (protos >> proto & 1) == 0 ||
		     !ip_net_is_plain(rte_be_to_cpu_32(src) >> 24) ||
		     !ip_net_is_plain(rte_be_to_cpu_32(dst) >> 24) ||
		     (check_sum && !checksum_ipv4_right(ip, sizeof(*ip)))))
		return false;
	memcpy(&ports, ip + 1, sizeof(ports));
	m->data_off += (uint16_t)front;
	packet_cut(m, len);
	p->family = FAMILY_V4;
	p->proto = proto;
	p->l4_off = sizeof(*ip);
	p->fragment = 0;
	p->flow_hash = ip_flow_hash(src, dst, proto, ports);
	p->run = ++*runs;
	return true;
}

/* Bits in which two words differ, of the bytes that `mask` has, in the order of memory. */
static inline uint64_t
ip_differ(const uint8_t *a, const uint8_t *b, uint64_t mask)
{
	uint64_t x, y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return (x ^ y) & rte_cpu_to_be_64(mask);
}

/* Two headers of one family that differ in lengths, identification, TTL and checksum at most. */
static inline bool
ip_alike(const uint8_t *a, const uint8_t *b, uint8_t family)
{
	uint64_t differ;

	if (likely(family == FAMILY_V4))
		return (ip_differ(a, b, 0xffff00000000ffff) |
			ip_differ(a + 8, b + 8, 0x00ff0000ffffffff) |
			ip_differ(a + 16, b + 16, UINT64_MAX)) == 0;
	differ = ip_differ(a, b, 0xffffffff0000ff00);
	for (unsigned int i = 8; i < sizeof(struct rte_ipv6_hdr); i += sizeof(differ))
		differ |= ip_differ(a + i, b + i, UINT64_MAX);
	return (differ | ip_differ(a + 36, b + 36, UINT64_MAX)) == 0;
}

/* A parsed packet that those behind it are compared with. */
struct ip_like {
	const uint8_t *header;
	const struct packet *known; /* of all that are like it */
	uint32_t least;             /* bytes of a packet: header, and ports */
};

/* `m` stays as it is meanwhile. Nothing is like a packet without packet.run. */
static inline void
ip_like_begin(struct ip_like *like, const struct rte_mbuf *m)
{
	like->header = rte_pktmbuf_mtod(m, const uint8_t *);
	like->known = packet(m);
	like->least = like->known->run == 0 ? UINT32_MAX
					    : like->known->l4_off + (uint32_t)sizeof(uint32_t);
}

/*
 * Parses a packet of `room` bytes at most behind the first `front` of the mbuf, if it is like the
 * other: takes off what is in front, cuts what lies behind the IP length, and copies what is known.
 * False, and nothing is changed, where it is not like it, is longer than `most`, or something is
 * wrong with it: ip_parse() says what.
 */
static inline bool
ip_like_parse(const struct ip_like *like, struct rte_mbuf *m, uint32_t front, uint32_t room,
	      uint32_t most, bool check_sum)
{
	const uint8_t *at = rte_pktmbuf_mtod_offset(m, const uint8_t *, front);
	uint32_t len;

	if (room < like->least || !ip_alike(at, like->header, like->known->family))
		return false;
	if (likely(like->known->family == FAMILY_V4)) {
		const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)at;

		len = rte_be_to_cpu_16(ip->total_length);
		if (check_sum && !checksum_ipv4_right(ip, sizeof(*ip)))
			return false;
	} else {
		len = sizeof(struct rte_ipv6_hdr) +
		      rte_be_to_cpu_16(((const struct rte_ipv6_hdr *)at)->payload_len);
	}
	if (len > room || len < like->least || len > most)
		return false;
	*packet(m) = *like->known;
	m->data_off += (uint16_t)front;
	packet_cut(m, len);
	return true;
}

/* Whether an address is multicast, or IPv4's limited broadcast. */
static inline bool
ip_addr_is_group(uint8_t family, const union ip_addr *addr)
{
	if (family == FAMILY_V6)
		return addr->bytes[0] == 0xff;
	return (addr->bytes[0] & 0xf0) == 0xe0 || addr->v4 == RTE_BE32(0xffffffff);
}

/* Whether it is one that a host listens to on its own link, and no router forwards. */
bool ip_addr_is_link_group(uint8_t family, const union ip_addr *addr);

/* fe80::/10 */
static inline bool
ip_addr_is_link_local(uint8_t family, const union ip_addr *addr)
{
	return family == FAMILY_V6 && addr->bytes[0] == 0xfe && (addr->bytes[1] & 0xc0) == 0x80;
}
