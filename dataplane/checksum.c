/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Internet checksums (RFC 1071). Packets are whole (one segment) and parsed. A kernel that sends
 * over a veth or a TAP may leave TCP and UDP checksums to a network card that is not there:
 * they are completed as soon as the packet was classified.
 */
#include "checksum.h"

#include <netinet/in.h>

#include <rte_tcp.h>
#include <rte_udp.h>

#include "ip_parse.h"

void
checksum_ipv4(struct rte_ipv4_hdr *ip)
{
	ip->hdr_checksum = 0;
	ip->hdr_checksum = (rte_be16_t)~rte_raw_cksum(ip, rte_ipv4_hdr_len(ip));
}

static uint16_t
fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

uint16_t
checksum_pseudo(const struct rte_mbuf *m, uint32_t l4_len)
{
	const struct packet *p = packet(m);
	uint32_t sum = (uint32_t)rte_cpu_to_be_16(p->proto) + rte_cpu_to_be_16((uint16_t)l4_len) +
		       rte_cpu_to_be_16((uint16_t)(l4_len >> 16));

	if (p->family == FAMILY_V4) {
		const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);

		return fold(sum + rte_raw_cksum(&ip->src_addr, 2 * sizeof(ip->src_addr)));
	}
	const struct rte_ipv6_hdr *ip6 = rte_pktmbuf_mtod(m, const struct rte_ipv6_hdr *);

	return fold(sum + rte_raw_cksum(&ip6->src_addr, 2 * sizeof(ip6->src_addr)));
}

rte_be16_t
checksum_l4(const struct rte_mbuf *m)
{
	const struct packet *p = packet(m);
	uint32_t len = rte_pktmbuf_pkt_len(m) - p->l4_off;
	uint32_t sum = rte_raw_cksum(rte_pktmbuf_mtod_offset(m, const void *, p->l4_off), len);

	return (rte_be16_t)~fold(sum + checksum_pseudo(m, len));
}

/* Where the checksum of the parsed packet stands; NULL where there is none, or no whole header. */
static unaligned_uint16_t *
checksum_field(const struct rte_mbuf *m)
{
	const struct packet *p = packet(m);
	uint32_t len = rte_pktmbuf_pkt_len(m) - p->l4_off;

	if (p->fragment != 0)
		return NULL;
	if (p->proto == IPPROTO_TCP && len >= sizeof(struct rte_tcp_hdr))
		return rte_pktmbuf_mtod_offset(m, unaligned_uint16_t *,
					       p->l4_off + offsetof(struct rte_tcp_hdr, cksum));
	if (p->proto == IPPROTO_UDP && len >= sizeof(struct rte_udp_hdr))
		return rte_pktmbuf_mtod_offset(m, unaligned_uint16_t *,
					       p->l4_off +
						       offsetof(struct rte_udp_hdr, dgram_cksum));
	return NULL;
}

void
checksum_mend(struct rte_mbuf *m, const union ip_addr *original)
{
	const struct packet *p = packet(m);
	unaligned_uint16_t *field = checksum_field(m);
	union ip_addr now = ip_src(m);
	const rte_be16_t *from = (const rte_be16_t *)original, *to = (const rte_be16_t *)&now;

	if (field == NULL || (p->proto == IPPROTO_UDP && *field == 0))
		return;
	if (ip_addr_is_any(original)) {
		*field = 0;
		*field = checksum_l4(m);
	} else {
		for (unsigned int i = 0; i < sizeof(now) / sizeof(*to); i++)
			*field = checksum_replace(*field, from[i], to[i]);
	}
	if (*field == 0 && p->proto == IPPROTO_UDP)
		*field = 0xffff;
}

void
checksum_complete(struct rte_mbuf *m, bool certain)
{
	const struct packet *p = packet(m);
	unaligned_uint16_t *field = checksum_field(m);

	if (field == NULL || (p->proto == IPPROTO_UDP && *field == 0))
		return;
	/* A right checksum may equal this sum by chance: completing it computes the same again. */
	if (!certain && *field != checksum_pseudo(m, rte_pktmbuf_pkt_len(m) - p->l4_off))
		return;
	*field = 0;
	*field = checksum_l4(m);
	if (*field == 0 && p->proto == IPPROTO_UDP)
		*field = 0xffff;
}
