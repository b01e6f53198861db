/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * classify: from a frame to a packet on the list where it starts. Reads the Ethernet and IP headers
 * once; what is not for the packet path goes to the host or is dropped here.
 */
#include <netinet/in.h>

#include <rte_ethdev.h>
#include <rte_ip.h>
#include <rte_udp.h>

#include "ah.h"
#include "checksum.h"
#include "esp.h"
#include "frag.h"
#include "ip_parse.h"
#include "natt.h"
#include "reassembly.h"
#include "room.h"
#include "walk.h"
#include "worker.h"

#define ETHERTYPE_IPV4 RTE_BE16(RTE_ETHER_TYPE_IPV4)
#define ETHERTYPE_IPV6 RTE_BE16(RTE_ETHER_TYPE_IPV6)
#define ETHERTYPE_ARP  RTE_BE16(RTE_ETHER_TYPE_ARP)
#define ETHERTYPE_VLAN RTE_BE16(RTE_ETHER_TYPE_VLAN)
#define ETHERTYPE_QINQ RTE_BE16(RTE_ETHER_TYPE_QINQ)

#define ND_HOP_LIMIT 255 /* proves that the sender is on the link */

/*
 * 802.1Q: the sub-port of the tag, the port itself for a priority tag (id 0). The tag stands in the
 * frame, or the port took it out. False where no sub-port has it, and for two tags.
 */
static bool
vlan(struct worker *w, struct rte_mbuf *m, struct packet *p, rte_be16_t *type)
{
	const struct port *port = &w->dp->ports[w->dp->ifaces[p->in].port];
	uint16_t tci = m->vlan_tci;

	if ((m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) == 0) {
		const struct rte_vlan_hdr *tag =
			rte_pktmbuf_mtod_offset(m, const struct rte_vlan_hdr *, RTE_ETHER_HDR_LEN);

		if (*type == ETHERTYPE_QINQ ||
		    rte_pktmbuf_data_len(m) < RTE_ETHER_HDR_LEN + sizeof(*tag))
			return false;
		tci = rte_be_to_cpu_16(tag->vlan_tci);
		*type = tag->eth_proto;
		p->l2_len += (uint16_t)sizeof(*tag);
	}
	if (*type == ETHERTYPE_VLAN || *type == ETHERTYPE_QINQ)
		return false;
	if ((tci & 0xfff) != 0)
		p->in = port->vlan_iface[tci & 0xfff];
	return p->in != IFACE_NONE;
}

static void
count_frame(struct worker *w, const struct packet *p, const struct rte_mbuf *m)
{
	if ((p->flags & PACKET_FROM_HOST) != 0)
		return;
	w->count.iface[p->in].rx_packets++;
	w->count.iface[p->in].rx_bytes += rte_pktmbuf_pkt_len(m);
}

/* The Ethernet header, up to the payload, which then is where data begins. */
static enum drop_reason
parse_frame(struct worker *w, struct rte_mbuf *m, struct packet *p, rte_be16_t *type)
{
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	const struct iface *iface;
	uint16_t port_iface = p->in;

	if (rte_pktmbuf_data_len(m) < sizeof(*eth)) {
		count_frame(w, p, m);
		return DROP_ETH_RUNT;
	}
	*type = eth->ether_type;
	p->l2_len = sizeof(*eth);
	if (unlikely(*type == ETHERTYPE_VLAN || *type == ETHERTYPE_QINQ ||
		     (m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) != 0)) {
		if ((p->flags & PACKET_FROM_HOST) != 0 || !vlan(w, m, p, type)) {
			p->in = port_iface;
			count_frame(w, p, m);
			return DROP_VLAN;
		}
	}
	count_frame(w, p, m);
	iface = &w->dp->ifaces[p->in];
	p->vrf = iface->vrf;
	p->tenant = iface->tenant;
	if (rte_is_multicast_ether_addr(&eth->dst_addr))
		p->flags |= PACKET_L2_GROUP;
	else if ((p->flags & PACKET_FROM_HOST) == 0 &&
		 !rte_is_same_ether_addr(&eth->dst_addr, &iface->mac))
		return DROP_ETH_DST;
	packet_adj(m, p->l2_len);
	return DROP_COUNT;
}

/* What the sender's card, or ours, left for others to do. */
static inline void
complete(const struct worker *w, struct rte_mbuf *m, struct packet *p)
{
	const struct iface *iface = &w->dp->ifaces[p->in];
	bool certain = (p->flags & PACKET_L4_PARTIAL) != 0 ||
		       (m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_NONE;

	if (p->proto == IPPROTO_TCP && p->fragment == 0 && rte_pktmbuf_pkt_len(m) > iface->mtu)
		p->flags |= PACKET_MERGED;
	if (certain || w->dp->ports[iface->port].rx_partial)
		checksum_complete(m, certain);
	p->flags &= (uint16_t)~PACKET_L4_PARTIAL;
}

/* The IP header; the port may have checked the checksum, or left it out, already. */
static enum drop_reason
parse_packet(struct worker *w, struct rte_mbuf *m, struct packet *p, rte_be16_t type)
{
	uint64_t state = m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK;
	enum drop_reason reason;

	if (!ip_parse(m, state == RTE_MBUF_F_RX_IP_CKSUM_UNKNOWN, &reason))
		return reason;
	if ((p->family == FAMILY_V4) != (type == ETHERTYPE_IPV4))
		return DROP_IP_HDR;
	if (p->family == FAMILY_V4 && state == RTE_MBUF_F_RX_IP_CKSUM_BAD)
		return DROP_IP_CSUM;
	if (p->family == FAMILY_V4 && state == RTE_MBUF_F_RX_IP_CKSUM_NONE)
		checksum_ipv4(rte_pktmbuf_mtod(m, struct rte_ipv4_hdr *));
	complete(w, m, p);
	ip_parse_run(m, &w->runs);
	return DROP_COUNT;
}

/* Whether nothing is known of a received frame, and nothing odd: it may be like another. */
static inline bool
is_plain(const struct rte_mbuf *m, uint16_t in)
{
	/* What "bad" says, and "none" as well: both have that bit. */
	const uint64_t odd = RTE_MBUF_F_RX_IP_CKSUM_BAD | RTE_MBUF_F_RX_L4_CKSUM_BAD |
			     RTE_MBUF_F_RX_VLAN_STRIPPED;

	return (m->ol_flags & odd) == 0 && packet(m)->in == in && packet(m)->flags == 0 &&
	       rte_pktmbuf_data_len(m) >= RTE_ETHER_HDR_LEN;
}

/* Neighbour discovery of the link itself, which the kernel does. */
static bool
is_link_nd(const struct rte_mbuf *m)
{
	return ip_is_nd(m) &&
	       rte_pktmbuf_mtod(m, const struct rte_ipv6_hdr *)->hop_limits == ND_HOP_LIMIT;
}

/* ESP in UDP (RFC 3948 section 2.2): behind the header stands an SPI, which is not 0. */
static bool
is_udp_encap(const struct worker *w, const struct rte_mbuf *m, const struct packet *p)
{
	uint32_t len = rte_pktmbuf_data_len(m) - p->l4_off, udp_len, spi;
	const struct rte_udp_hdr *udp =
		rte_pktmbuf_mtod_offset(m, const struct rte_udp_hdr *, p->l4_off);

	if (len < sizeof(*udp) + sizeof(spi) || !natt_is_port(w->dp, udp->dst_port) ||
	    p->fragment == 2)
		return false;
	udp_len = rte_be_to_cpu_16(udp->dgram_len);
	if (udp_len < sizeof(*udp) + sizeof(spi) || (udp_len > len && p->fragment == 0))
		return false;
	memcpy(&spi, udp + 1, sizeof(spi));
	return spi != 0;
}

static bool
is_esp(const struct worker *w, const struct rte_mbuf *m, struct packet *p)
{
	if (p->proto == IPPROTO_ESP)
		return true;
	if (p->proto != IPPROTO_UDP || !is_udp_encap(w, m, p))
		return false;
	p->flags |= PACKET_UDP_ENCAP;
	p->spi_lead = UDP_HEADER;
	return true;
}

static bool
is_ah(struct packet *p)
{
	if (likely(p->proto != IPPROTO_AH))
		return false;
	p->spi_lead = AH_SPI_LEAD;
	return true;
}

/* What the kernel sends leaves by the interface whose TAP it was sent on. */
static void
from_host(struct worker *w, struct rte_mbuf *m, struct packet *p, bool link)
{
	const struct iface *iface = &w->dp->ifaces[p->in];

	p->out = p->in;
	if (link || iface->side == SIDE_PROTECTED)
		burst_add(&w->leaving, m);
	else
		burst_add(&w->outbound, m);
}

/* A received packet to the list where it starts. False where it goes to the host at once. */
static bool
received(struct worker *w, struct rte_mbuf *m, struct packet *p)
{
	if (is_esp(w, m, p)) {
		burst_add(&w->inbound, m);
	} else if (is_ah(p)) {
		burst_add(&w->inbound_ah, m);
	} else if (p->family == FAMILY_V6 && is_link_nd(m)) {
		packet_punt(w, m);
		return false;
	} else {
		burst_add(&w->clear, m);
	}
	return true;
}

/*
 * A received fragment: with others of its datagram it is put together where that is for us, on
 * the one worker that has them all.
 */
void
classify_fragment(struct worker *w, struct rte_mbuf *m)
{
	unsigned int to = frag_worker(w, m);
	enum drop_reason reason;

	if (to != w->id) {
		packet_handover(w, m, to, RESUME_FRAGMENT);
		return;
	}
	if (reassembly_takes(w, m)) {
		m = reassembly_add(w, m);
		if (m == NULL)
			return;
		reason = parse_packet(w, m, packet(m),
				      packet(m)->family == FAMILY_V4 ? ETHERTYPE_IPV4
								     : ETHERTYPE_IPV6);
		if (reason != DROP_COUNT) {
			packet_drop(w, m, reason);
			return;
		}
	}
	received(w, m, packet(m));
}

/* The list of all packets that are like this one, or NULL where it hangs on each packet. */
static inline struct burst *
list_of(struct worker *w, const struct rte_mbuf *m, const struct packet *p)
{
	const struct rte_udp_hdr *udp =
		rte_pktmbuf_mtod_offset(m, const struct rte_udp_hdr *, p->l4_off);

	switch (p->proto) {
	case IPPROTO_ESP:
		return &w->inbound;
	case IPPROTO_AH:
		return &w->inbound_ah;
	case IPPROTO_UDP: /* to such a port, ESP or not */
		return natt_is_port(w->dp, udp->dst_port) ? NULL : &w->clear;
	case IPPROTO_ICMPV6: /* neighbour discovery, by its hop limit */
		return NULL;
	default:
		return &w->clear;
	}
}

/* A packet of which is known what the one before turned out to be. */
static void
receive_again(struct worker *w, struct rte_mbuf *m, struct packet *p)
{
	p->flags &= (uint16_t)~PACKET_UDP_ENCAP;
	p->spi_lead = 0;
	received(w, m, p);
}

/*
 * Frames whose headers are those of the one before, which is on a list: what was found out about
 * that one is so of them, too. Returns how many of the n there are.
 */
static unsigned int
classify_like(struct worker *w, struct rte_mbuf *const *m, unsigned int n,
	      const struct rte_mbuf *before)
{
	const struct iface *iface = &w->dp->ifaces[packet(before)->in];
	const uint8_t *l2 = rte_pktmbuf_mtod(before, const uint8_t *) - RTE_ETHER_HDR_LEN;
	struct burst *list = list_of(w, before, packet(before));
	struct ip_like like;
	uint64_t bytes = 0;
	unsigned int i;

	ip_like_begin(&like, before);
	for (i = 0; i < n; i++) {
		const uint8_t *frame = rte_pktmbuf_mtod(m[i], const uint8_t *);
		uint32_t len = rte_pktmbuf_data_len(m[i]);

		if (!is_plain(m[i], like.known->in) ||
		    (ip_differ(frame, l2, UINT64_MAX) | ip_differ(frame + 6, l2 + 6, UINT64_MAX)) !=
			    0 ||
		    !ip_like_parse(&like, m[i], RTE_ETHER_HDR_LEN, len - RTE_ETHER_HDR_LEN,
				   iface->mtu, (m[i]->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_GOOD) == 0))
			break;
		bytes += len;
		if (unlikely(w->dp->ports[iface->port].rx_partial))
			checksum_complete(m[i], false);
		if (likely(list != NULL))
			burst_add(list, m[i]);
		else
			receive_again(w, m[i], packet(m[i]));
	}
	w->count.iface[like.known->in].rx_packets += i;
	w->count.iface[like.known->in].rx_bytes += bytes;
	return i;
}

/*
 * Most frames carry ip_parse_plain()'s packets, for us, without a tag, and their sender's card left
 * nothing to do: parsed in one go. False, and nothing is changed, for all others.
 */
static inline bool
parse_plain(struct worker *w, struct rte_mbuf *m, struct packet *p)
{
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	const struct iface *iface = &w->dp->ifaces[p->in];
	uint32_t len = rte_pktmbuf_data_len(m);

	if (!is_plain(m, p->in) || eth->ether_type != ETHERTYPE_IPV4 ||
	    !rte_is_same_ether_addr(&eth->dst_addr, &iface->mac) ||
	    len > iface->mtu + sizeof(*eth) || w->dp->ports[iface->port].rx_partial)
		return false;
	p->l2_len = sizeof(*eth);
	if (!ip_parse_plain(m, sizeof(*eth), len - (uint32_t)sizeof(*eth),
			    (m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_GOOD) == 0, &w->runs))
		return false;
	p->vrf = iface->vrf;
	p->tenant = iface->tenant;
	w->count.iface[p->in].rx_packets++;
	w->count.iface[p->in].rx_bytes += len;
	return true;
}

/* True where the packet is on a list now, for others to be compared with. */
static bool
classify_one(struct worker *w, struct rte_mbuf *m)
{
	struct packet *p = packet(m);
	bool host = (p->flags & PACKET_FROM_HOST) != 0;
	rte_be16_t type = 0;
	enum drop_reason reason;

	if (likely(parse_plain(w, m, p))) {
		struct burst *list = list_of(w, m, p);

		if (unlikely(list == NULL))
			return received(w, m, p);
		burst_add(list, m);
		return true;
	}
	reason = parse_frame(w, m, p, &type);
	if (unlikely(reason != DROP_COUNT)) {
		packet_drop(w, m, reason);
		return false;
	}
	if (unlikely(type != ETHERTYPE_IPV4 && type != ETHERTYPE_IPV6)) {
		if (type != ETHERTYPE_ARP)
			packet_drop(w, m, DROP_ETH_TYPE);
		else if (host)
			from_host(w, m, p, true);
		else
			packet_punt(w, m);
		return false;
	}
	reason = parse_packet(w, m, p, type);
	if (unlikely(reason != DROP_COUNT))
		packet_drop(w, m, reason);
	else if (host)
		from_host(w, m, p, is_link_nd(m));
	else if (unlikely(p->fragment != 0))
		classify_fragment(w, m);
	else
		return received(w, m, p);
	return false;
}

/*
 * Whether a frame may be like the packet before: a first look, at what flows differ in mostly, at
 * IPv4's destination and ports. With many flows hardly any is.
 */
static inline bool
may_be_like(const struct rte_mbuf *frame, const struct rte_mbuf *before)
{
	const uint32_t at = 16, end = RTE_ETHER_HDR_LEN + at + (uint32_t)sizeof(uint64_t);

	return rte_pktmbuf_data_len(frame) >= end &&
	       ip_differ(rte_pktmbuf_mtod_offset(frame, const uint8_t *, RTE_ETHER_HDR_LEN + at),
			 rte_pktmbuf_mtod_offset(before, const uint8_t *, at), UINT64_MAX) == 0;
}

void
classify(struct worker *w, struct burst *b)
{
	unsigned int run;

	for (unsigned int i = 0; i < b->n; i += run) {
		struct rte_mbuf *m = b->m[i];

		run = 1;
		if (classify_one(w, m) && packet(m)->run != 0 &&
		    packet(m)->l2_len == RTE_ETHER_HDR_LEN && i + 1 < b->n &&
		    may_be_like(b->m[i + 1], m))
			run += classify_like(w, b->m + i + 1, b->n - i - 1, m);
	}
	b->n = 0;
}
