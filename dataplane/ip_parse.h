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
 * Whether those behind a parsed packet may be like it: where addresses, and the ports or what
 * stands in their place, tell all of their flow. Nothing is like IPv6 mobility, a payload that is
 * an extension header: each is as long as it says, or refused. Nor like ICMPv6, whose hop limit may
 * say that it is neighbour discovery.
 */
static inline bool
ip_may_lead(const struct rte_mbuf *m)
{
	const struct packet *p = packet(m);
	size_t header =
		p->family == FAMILY_V4 ? sizeof(struct rte_ipv4_hdr) : sizeof(struct rte_ipv6_hdr);

	return p->fragment == 0 && p->l4_off == header && (p->flags & IP_RUN_NONE) == 0 &&
	       p->proto != IPPROTO_MH && p->proto != IPPROTO_ICMPV6 &&
	       rte_pktmbuf_data_len(m) >= header + sizeof(uint32_t);
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
 * ip_parse() of what most packets are: IPv4 without options, whole, of UDP, TCP or ESP, between
 * addresses that may be anywhere. Its header stands behind the first `front` of the
 * mbuf, which are taken off, and the packet has `room` bytes at most. False, and nothing is
 * changed, for all others and where anything is wrong.
 */
static inline bool
ip_parse_plain(struct rte_mbuf *m, uint32_t front, uint32_t room, bool check_sum)
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
	return true;
}

static inline uint64_t
ip_word(const uint8_t *at)
{
	uint64_t word;

	memcpy(&word, at, sizeof(word));
	return word;
}

/* A parsed packet that those behind it are compared with: they differ in lengths, identification,
 * TTL and checksum at most. */
struct ip_like {
	uint8_t family;
	uint16_t l2_len; /* in front of each; may still be read */
	uint32_t least;  /* bytes of a packet: header, and ports */
	uint32_t most;
	uint64_t words[5]; /* of the header and the ports; of IPv4 3 */
	uint32_t last;     /* IPv6: the ports */
	uint64_t fixed;    /* IPv4: the sum of all words that do not differ, of 32 bits each */
};

/* What packets that are alike have in common in the first two words of an IPv4 header, */
#define IP_SAME_FIRST  rte_cpu_to_be_64(0xffff00000000ffff)
#define IP_SAME_SECOND rte_cpu_to_be_64(0x00ff0000ffffffff)
/* and in the first of IPv6. */
#define IP6_SAME_FIRST rte_cpu_to_be_64(0xffffffff0000ff00)

/*
 * The packet may lead others (ip_may_lead()), of `least` bytes behind `l4_off` and `most` in all.
 */
static inline void
ip_like_begin(struct ip_like *like, const struct rte_mbuf *m, uint32_t least, uint32_t most)
{
	const uint8_t *ip = rte_pktmbuf_mtod(m, const uint8_t *);
	const struct packet *p = packet(m);

	*like = (struct ip_like){
		.family = p->family,
		.l2_len = p->l2_len,
		.least = p->l4_off + least,
		.most = most,
		.words = {ip_word(ip), ip_word(ip + 8), ip_word(ip + 16)},
	};
	like->fixed = (like->words[1] >> 32) + (uint32_t)like->words[2];
	if (unlikely(p->family != FAMILY_V4)) {
		like->words[3] = ip_word(ip + 24);
		like->words[4] = ip_word(ip + 32);
		memcpy(&like->last, ip + 40, sizeof(like->last));
	}
}

/* The length that the header at `ip`, of `room` bytes at most, says; 0 where it is another's. */
static inline uint32_t
ip_like_len(const struct ip_like *like, const uint8_t *ip, bool check_sum)
{
	uint64_t first = ip_word(ip), second = ip_word(ip + 8), sum;
	uint64_t differ = (first ^ like->words[0]) & IP_SAME_FIRST;
	uint32_t last;

	if (likely(like->family == FAMILY_V4)) {
		differ |= (second ^ like->words[1]) & IP_SAME_SECOND;
		differ |= ip_word(ip + 16) ^ like->words[2];
		/* As checksum_ipv4_right() has it. */
		sum = (uint32_t)first + (first >> 32) + (uint32_t)second + like->fixed;
		if (unlikely(differ != 0 || (check_sum && sum % UINT16_MAX != 0)))
			return 0;
		return rte_be_to_cpu_16((uint16_t)(first >> 16));
	}
	memcpy(&last, ip + 40, sizeof(last));
	differ = (first ^ like->words[0]) & IP6_SAME_FIRST;
	differ |= second ^ like->words[1];
	differ |= ip_word(ip + 16) ^ like->words[2];
	differ |= ip_word(ip + 24) ^ like->words[3];
	differ |= ip_word(ip + 32) ^ like->words[4];
	if (unlikely((differ | (last ^ like->last)) != 0))
		return 0;
	return (uint32_t)sizeof(struct rte_ipv6_hdr) + rte_be_to_cpu_16((uint16_t)(first >> 32));
}

/*
 * Parses a packet of `room` bytes at most behind the first `front` of the mbuf, if it is like the
 * other: takes off what is in front, and cuts what lies behind the IP length. False, and nothing is
 * changed, where it is not like it, is longer than `most`, or something is wrong with it:
 * ip_parse() says what. Its struct packet is neither read nor written.
 */
static inline bool
ip_like_parse(const struct ip_like *like, struct rte_mbuf *m, uint32_t front, uint32_t room,
	      bool check_sum)
{
	const uint8_t *at = rte_pktmbuf_mtod_offset(m, const uint8_t *, front);
	uint32_t len;

	if (unlikely(room < like->least))
		return false;
	len = ip_like_len(like, at, check_sum);
	if (unlikely(len < like->least || len > room || len > like->most))
		return false;
	m->data_off += (uint16_t)front;
	m->data_len = (uint16_t)len;
	m->pkt_len = len;
	room_fit(m, like->l2_len);
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
