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
	return DROP_COUNT;
}

/* Whether the port says nothing odd of a received frame: it may be like another. */
static inline bool
is_plain(const struct rte_mbuf *m)
{
	/* What "bad" says, and "none" as well: both have that bit. */
	const uint64_t odd = RTE_MBUF_F_RX_IP_CKSUM_BAD | RTE_MBUF_F_RX_L4_CKSUM_BAD |
			     RTE_MBUF_F_RX_VLAN_STRIPPED;

	return (m->ol_flags & odd) == 0 && rte_pktmbuf_data_len(m) >= RTE_ETHER_HDR_LEN;
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

/* A received packet to the list where it starts; NULL where it goes to the host at once. */
static inline struct burst *
received(struct worker *w, struct rte_mbuf *m, struct packet *p)
{
	struct burst *list = &w->clear;

	if (is_esp(w, m, p)) {
		list = &w->inbound;
	} else if (is_ah(p)) {
		list = &w->inbound_ah;
	} else if (unlikely(p->family == FAMILY_V6) && is_link_nd(m)) {
		packet_punt(w, m);
		return NULL;
	}
	burst_add(list, m);
	return list;
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

/* A packet that those behind it are compared with, the Ethernet header in front. */
struct like {
	struct ip_like ip;
	uint64_t l2[2]; /* words that overlap */
	uint32_t l4_off;
	uint32_t spi_lead, spi; /* of ESP in UDP, and of AH; ESP's own stands where ports do */
};

/* How long a packet behind l4_off is at least, so that it may be compared. */
static uint32_t
least_payload(const struct packet *p)
{
	return p->spi_lead == 0 ? (uint32_t)sizeof(uint32_t)
				: p->spi_lead + (uint32_t)sizeof(struct esp_header);
}

/*
 * Whether frames from the port interface `in` may be like a packet. Of what came to a port of
 * encapsulation and is no ESP, each has to be looked at.
 */
static bool
may_lead(const struct worker *w, const struct rte_mbuf *m, uint16_t in)
{
	const struct packet *p = packet(m);
	const struct rte_udp_hdr *udp =
		rte_pktmbuf_mtod_offset(m, const struct rte_udp_hdr *, p->l4_off);

	return ip_may_lead(m) && p->l2_len == RTE_ETHER_HDR_LEN && p->in == in &&
	       rte_pktmbuf_data_len(m) >= p->l4_off + least_payload(p) &&
	       (p->proto != IPPROTO_UDP || (p->flags & PACKET_UDP_ENCAP) != 0 ||
		!natt_is_port(w->dp, udp->dst_port));
}

static uint32_t
get_spi(const uint8_t *l4, uint32_t spi_lead)
{
	uint32_t spi;

	memcpy(&spi, l4 + spi_lead, sizeof(spi));
	return spi;
}

static void
like_begin(const struct worker *w, struct like *like, const struct rte_mbuf *m)
{
	const struct packet *p = packet(m);
	const uint8_t *ip = rte_pktmbuf_mtod(m, const uint8_t *);

	ip_like_begin(&like->ip, m, least_payload(p), w->dp->ifaces[p->in].mtu);
	like->l2[0] = ip_word(ip - RTE_ETHER_HDR_LEN);
	like->l2[1] = ip_word(ip - RTE_ETHER_HDR_LEN + 6);
	like->l4_off = p->l4_off;
	like->spi_lead = p->spi_lead;
	like->spi = get_spi(ip + p->l4_off, p->spi_lead);
}

/* Whether what comes protected, in UDP or as AH, has the same SPI; and UDP the length of IP. */
static bool
is_like_protected(const struct like *like, const uint8_t *ip, uint32_t len)
{
	const uint8_t *l4 = ip + like->l4_off;
	uint32_t payload;

	if (len < like->ip.least || get_spi(l4, like->spi_lead) != like->spi)
		return false;
	if (like->spi_lead != UDP_HEADER)
		return true;
	payload = like->ip.family == FAMILY_V4
			  ? rte_be_to_cpu_16(((const struct rte_ipv4_hdr *)ip)->total_length) -
				    like->l4_off
			  : rte_be_to_cpu_16(((const struct rte_ipv6_hdr *)ip)->payload_len);
	return rte_be_to_cpu_16(((const struct rte_udp_hdr *)l4)->dgram_len) == payload;
}

/* Parsed then. Else nothing is changed. */
static inline bool
parse_like(const struct like *like, struct rte_mbuf *m)
{
	const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *),
		      *ip = frame + RTE_ETHER_HDR_LEN;
	uint32_t len = rte_pktmbuf_data_len(m) - RTE_ETHER_HDR_LEN;

	if (!is_plain(m) ||
	    ((ip_word(frame) ^ like->l2[0]) | (ip_word(frame + 6) ^ like->l2[1])) != 0 ||
	    (unlikely(like->spi_lead != 0) && !is_like_protected(like, ip, len)))
		return false;
	return ip_like_parse(&like->ip, m, RTE_ETHER_HDR_LEN, len,
			     (m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_GOOD) == 0);
}

/*
 * Frames whose headers are those of the one before, which is the last on its list, join its run.
 * Returns how many of the n there are.
 */
static unsigned int
classify_like(struct worker *w, struct rte_mbuf *const *m, unsigned int n,
	      const struct rte_mbuf *before, struct burst *list)
{
	uint16_t in = packet(before)->in;
	bool partial = w->dp->ports[w->dp->ifaces[in].port].rx_partial;
	struct like like;
	uint64_t bytes = 0;
	unsigned int i;

	like_begin(w, &like, before);
	for (i = 0; i < n; i++) {
		uint32_t len = rte_pktmbuf_data_len(m[i]);

		if (!parse_like(&like, m[i]))
			break;
		bytes += len;
		if (unlikely(partial)) {
			packet_tell(m[i], packet(before));
			checksum_complete(m[i], false);
		}
	}
	burst_add_all_like(list, m, i);
	w->count.iface[in].rx_packets += i;
	w->count.iface[in].rx_bytes += bytes;
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

	if (!is_plain(m) || p->flags != 0 || eth->ether_type != ETHERTYPE_IPV4 ||
	    !rte_is_same_ether_addr(&eth->dst_addr, &iface->mac) ||
	    len > iface->mtu + sizeof(*eth) || w->dp->ports[iface->port].rx_partial)
		return false;
	p->l2_len = sizeof(*eth);
	if (!ip_parse_plain(m, sizeof(*eth), len - (uint32_t)sizeof(*eth),
			    (m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_GOOD) == 0))
		return false;
	p->vrf = iface->vrf;
	p->tenant = iface->tenant;
	w->count.iface[p->in].rx_packets++;
	w->count.iface[p->in].rx_bytes += len;
	return true;
}

/* The list on which the packet is now, if others may be like it, else NULL. */
static struct burst *
classify_one(struct worker *w, struct rte_mbuf *m)
{
	struct packet *p = packet(m);
	bool host = (p->flags & PACKET_FROM_HOST) != 0;
	rte_be16_t type = 0;
	enum drop_reason reason;

	if (likely(parse_plain(w, m, p)))
		return received(w, m, p);
	reason = parse_frame(w, m, p, &type);
	if (unlikely(reason != DROP_COUNT)) {
		packet_drop(w, m, reason);
		return NULL;
	}
	if (unlikely(type != ETHERTYPE_IPV4 && type != ETHERTYPE_IPV6)) {
		if (type != ETHERTYPE_ARP)
			packet_drop(w, m, DROP_ETH_TYPE);
		else if (host)
			from_host(w, m, p, true);
		else
			packet_punt(w, m);
		return NULL;
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
	return NULL;
}

/*
 * Whether a frame may be like the packet before: a first look, at what flows differ in mostly, at
 * IPv4's destination and ports. With many flows hardly any is.
 */
static inline bool
may_be_like(const struct rte_mbuf *frame, const struct rte_mbuf *before)
{
	const uint32_t at = 16, end = at + (uint32_t)sizeof(uint64_t);

	return rte_pktmbuf_data_len(before) >= end &&
	       rte_pktmbuf_data_len(frame) >= RTE_ETHER_HDR_LEN + end &&
	       ip_word(rte_pktmbuf_mtod_offset(frame, const uint8_t *, RTE_ETHER_HDR_LEN + at)) ==
		       ip_word(rte_pktmbuf_mtod_offset(before, const uint8_t *, at));
}

/* Frames of which the same is known. */
static void
classify_run(struct worker *w, struct rte_mbuf *const *m, unsigned int n)
{
	const struct packet known = *packet(m[0]);
	/* Not known.in: the compiler would write it to each copy by itself, which stalls the copy.
	 */
	uint16_t in = packet(m[0])->in;
	unsigned int same;

	for (unsigned int i = 0; i < n; i += same) {
		struct burst *list;

		*packet_open(m[i]) = known;
		list = classify_one(w, m[i]);
		same = 1;
		if (list != NULL && i + 1 < n && may_be_like(m[i + 1], m[i]) &&
		    may_lead(w, m[i], in))
			same += classify_like(w, m + i + 1, n - i - 1, m[i], list);
	}
}

void
classify(struct worker *w, struct burst *b)
{
	unsigned int run;

	for (unsigned int i = 0; i < b->n; i += run) {
		run = burst_run(b, i);
		classify_run(w, b->m + i, run);
	}
	burst_clear(b);
}
