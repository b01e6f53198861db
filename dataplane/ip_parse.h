/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading and checking an IP header: received packets, decrypted ones, and the flow of either. */
#pragma once

#include <stdbool.h>
#include <string.h>

#include <rte_ip.h>

#include "drop.h"
#include "packet.h"

#define IP_EXT_MAX 8 /* IPv6 extension headers of one packet */

/*
 * Checks the IP header at the mbuf's data (RFC 791, RFC 8200), cuts what lies behind the IP length,
 * and fills packet's family, proto, l4_off, fragment and flow_hash. `check_sum`: whether the IPv4
 * header checksum is verified here. False with the reason where the packet cannot be used. The
 * packet is of one segment.
 */
bool ip_parse(struct rte_mbuf *m, bool check_sum, enum drop_reason *reason);

/* What selectors are compared with; for a parsed packet. */
void packet_flow(const struct rte_mbuf *m, struct flow *flow);

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
	memcpy(&a, rte_pktmbuf_mtod(m, const struct rte_ipv6_hdr *)->dst_addr, sizeof(a));
	return a;
}

static inline union ip_addr
ip_src(const struct rte_mbuf *m)
{
	union ip_addr a;

	if (packet(m)->family == FAMILY_V4)
		return ip_addr_v4(rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *)->src_addr);
	memcpy(&a, rte_pktmbuf_mtod(m, const struct rte_ipv6_hdr *)->src_addr, sizeof(a));
	return a;
}

/*
 * Whether all that a policy may ask is known to be the same of two parsed packets: what struct
 * packet says of them but for the SA, and what packet_flow() reads.
 */
static inline bool
packet_same_flow(const struct rte_mbuf *a, const struct rte_mbuf *b)
{
	const struct packet *p = packet(a), *q = packet(b);
	const uint8_t *x = rte_pktmbuf_mtod(a, const uint8_t *);
	const uint8_t *y = rte_pktmbuf_mtod(b, const uint8_t *);
	const uint32_t ports = sizeof(uint32_t);

	if (memcmp(p, q, offsetof(struct packet, seq)) != 0 || p->fragment != 0 ||
	    rte_pktmbuf_data_len(a) < p->l4_off + ports ||
	    rte_pktmbuf_data_len(b) < p->l4_off + ports ||
	    memcmp(x + p->l4_off, y + p->l4_off, ports) != 0)
		return false;
	if (p->family == FAMILY_V4)
		return memcmp(x + offsetof(struct rte_ipv4_hdr, src_addr),
			      y + offsetof(struct rte_ipv4_hdr, src_addr), 8) == 0;
	return memcmp(x + offsetof(struct rte_ipv6_hdr, src_addr),
		      y + offsetof(struct rte_ipv6_hdr, src_addr), 32) == 0;
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
