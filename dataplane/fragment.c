/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Making a packet fit. Parts are copies: transmit may then free without looking at reference
 * counts, and encryption works in place.
 */
#include "fragment.h"

#include <netinet/in.h>

#include <rte_tcp.h>

#include "checksum.h"
#include "room.h"
#include "worker.h"

#define OPTION_END      0
#define OPTION_NOP      1
#define OPTION_COPIED   0x80 /* into every fragment, RFC 791 section 3.1 */
#define IPV4_HEADER_MAX 60

static bool
is_merged(const struct rte_mbuf *m)
{
	return (packet(m)->flags & PACKET_MERGED) != 0;
}

bool
fragment_allowed(const struct rte_mbuf *m)
{
	if (packet(m)->family != FAMILY_V4)
		return is_merged(m);
	return is_merged(m) || (rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *)->fragment_offset &
				RTE_BE16(RTE_IPV4_HDR_DF_FLAG)) == 0;
}

/* New buffers with a copy of what is known of the packet. False, and none, without memory. */
static bool
make_parts(struct worker *w, const struct rte_mbuf *m, struct rte_mbuf **out, unsigned int n)
{
	if (n == 0 || n > FRAGMENTS_MAX || rte_pktmbuf_alloc_bulk(w->dp->pool, out, n) != 0)
		return false;
	for (unsigned int i = 0; i < n; i++) {
		*packet(out[i]) = *packet(m);
		/* No part has the header that stood in front of the whole. */
		packet(out[i])->flags &= (uint16_t) ~(PACKET_MERGED | PACKET_FROM_HOST);
		packet(out[i])->flags |= PACKET_CUT;
		packet(out[i])->l2_len = 0;
	}
	return true;
}

/* A part's bytes: header and payload. False without room. */
static bool
fill(struct rte_mbuf *part, const void *header, uint32_t header_len, const void *payload,
     uint32_t payload_len)
{
	char *at = packet_append(part, (uint16_t)(header_len + payload_len));

	if (at == NULL)
		return false;
	memcpy(at, header, header_len);
	memcpy(at + header_len, payload, payload_len);
	return true;
}

/* The header of later fragments: only some options are copied. Returns its length. */
static uint32_t
later_header(uint8_t later[IPV4_HEADER_MAX], const struct rte_ipv4_hdr *ip)
{
	const uint8_t *o = (const uint8_t *)(ip + 1);
	const uint8_t *end = (const uint8_t *)ip + rte_ipv4_hdr_len(ip);
	uint32_t len = sizeof(*ip);

	memcpy(later, ip, sizeof(*ip));
	while (o < end && *o != OPTION_END) {
		uint32_t size = *o == OPTION_NOP ? 1 : o[1]; /* checked by ip_parse */

		if ((*o & OPTION_COPIED) != 0) {
			memcpy(later + len, o, size);
			len += size;
		}
		o += size;
	}
	while (len % 4 != 0)
		later[len++] = OPTION_END;
	later[0] = (uint8_t)(RTE_IPV4_VHL_DEF & 0xf0) | (uint8_t)(len / 4);
	return len;
}

/* Payload bytes of a fragment: all that is left, or the most that is a multiple of 8. */
static uint32_t
fragment_size(uint32_t left, uint32_t room)
{
	return left <= room ? left : room & ~7u;
}

static unsigned int
count_fragments(uint32_t payload, uint32_t first_room, uint32_t later_room)
{
	uint32_t first = fragment_size(payload, first_room);

	return 1 + (payload - first + (later_room & ~7u) - 1) / (later_room & ~7u);
}

/* What differs from fragment to fragment. `offset` in bytes, within the whole datagram. */
static void
finish_fragment(struct rte_mbuf *part, uint32_t header_len, uint32_t offset, bool more)
{
	struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(part, struct rte_ipv4_hdr *);
	struct packet *p = packet(part);

	ip->total_length = rte_cpu_to_be_16((uint16_t)rte_pktmbuf_pkt_len(part));
	ip->fragment_offset =
		rte_cpu_to_be_16((uint16_t)(offset / 8) | (more ? RTE_IPV4_HDR_MF_FLAG : 0));
	checksum_ipv4(ip);
	p->l4_off = (uint16_t)header_len;
	p->fragment = offset != 0 ? 2 : 1;
}

static unsigned int
cut_ipv4(struct worker *w, const struct rte_mbuf *m, uint32_t mtu, struct rte_mbuf **out)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	const uint8_t *payload = (const uint8_t *)ip + rte_ipv4_hdr_len(ip);
	uint32_t left = rte_pktmbuf_pkt_len(m) - rte_ipv4_hdr_len(ip);
	uint16_t flags = rte_be_to_cpu_16(ip->fragment_offset);
	uint32_t offset = (flags & RTE_IPV4_HDR_OFFSET_MASK) * 8u;
	uint32_t header_len = rte_ipv4_hdr_len(ip);
	uint8_t later[IPV4_HEADER_MAX];
	uint32_t later_len = later_header(later, ip);
	const void *header = ip;
	unsigned int n;

	if (mtu < header_len + 8)
		return 0;
	n = count_fragments(left, mtu - header_len, mtu - later_len);
	if (!make_parts(w, m, out, n))
		return 0;
	for (unsigned int i = 0; i < n; i++) {
		uint32_t size = fragment_size(left, mtu - header_len);

		if (!fill(out[i], header, header_len, payload, size)) {
			rte_pktmbuf_free_bulk(out, n);
			return 0;
		}
		left -= size;
		finish_fragment(out[i], header_len, offset,
				left > 0 || (flags & RTE_IPV4_HDR_MF_FLAG) != 0);
		offset += size;
		payload += size;
		header = later;
		header_len = later_len;
	}
	return n;
}

/* What differs from segment to segment, as a sender's card would have written it. */
static void
finish_segment(struct rte_mbuf *part, unsigned int index, bool last, uint32_t offset)
{
	const struct packet *p = packet(part);
	struct rte_tcp_hdr *tcp = rte_pktmbuf_mtod_offset(part, struct rte_tcp_hdr *, p->l4_off);

	if (p->family == FAMILY_V4) {
		struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(part, struct rte_ipv4_hdr *);

		ip->total_length = rte_cpu_to_be_16((uint16_t)rte_pktmbuf_pkt_len(part));
		ip->packet_id =
			rte_cpu_to_be_16((uint16_t)(rte_be_to_cpu_16(ip->packet_id) + index));
		checksum_ipv4(ip);
	} else {
		struct rte_ipv6_hdr *ip = rte_pktmbuf_mtod(part, struct rte_ipv6_hdr *);

		ip->payload_len =
			rte_cpu_to_be_16((uint16_t)(rte_pktmbuf_pkt_len(part) - sizeof(*ip)));
	}
	tcp->sent_seq = rte_cpu_to_be_32(rte_be_to_cpu_32(tcp->sent_seq) + offset);
	if (index != 0)
		tcp->tcp_flags &= (uint8_t)~RTE_TCP_CWR_FLAG;
	if (!last)
		tcp->tcp_flags &= (uint8_t) ~(RTE_TCP_FIN_FLAG | RTE_TCP_PSH_FLAG);
	tcp->cksum = 0;
	tcp->cksum = checksum_l4(part);
}

static unsigned int
cut_tcp(struct worker *w, const struct rte_mbuf *m, uint32_t mtu, struct rte_mbuf **out)
{
	const struct packet *p = packet(m);
	uint32_t len = rte_pktmbuf_pkt_len(m);
	const uint8_t *header = rte_pktmbuf_mtod(m, const uint8_t *);
	const struct rte_tcp_hdr *tcp = (const struct rte_tcp_hdr *)(header + p->l4_off);
	uint32_t header_len, segment, n;

	if (len < p->l4_off + sizeof(*tcp))
		return 0;
	header_len = p->l4_off + (tcp->data_off >> 4) * 4u;
	if (header_len < p->l4_off + sizeof(*tcp) || header_len >= len || header_len >= mtu)
		return 0;
	segment = mtu - header_len;
	n = (len - header_len + segment - 1) / segment;
	if (!make_parts(w, m, out, n))
		return 0;
	for (unsigned int i = 0; i < n; i++) {
		uint32_t offset = i * segment;
		uint32_t size = RTE_MIN(segment, len - header_len - offset);

		if (!fill(out[i], header, header_len, header + header_len + offset, size)) {
			rte_pktmbuf_free_bulk(out, n);
			return 0;
		}
		finish_segment(out[i], i, i == n - 1, offset);
	}
	return n;
}

/* A fragment of ESP over IPv6: the fragment header stands between IP and ESP. */
struct header6 {
	struct rte_ipv6_hdr ip;
	struct rte_ipv6_fragment_ext fragment;
};

static void
finish_fragment6(struct header6 *h, uint8_t proto, uint32_t size, uint32_t offset, bool more)
{
	h->ip.payload_len = rte_cpu_to_be_16((uint16_t)(sizeof(h->fragment) + size));
	h->ip.proto = IPPROTO_FRAGMENT;
	h->fragment.next_header = proto;
	h->fragment.reserved = 0;
	h->fragment.frag_data = rte_cpu_to_be_16((uint16_t)(offset | more));
}

static unsigned int
cut_ipv6(struct worker *w, const struct rte_mbuf *m, uint32_t mtu, struct rte_mbuf **out)
{
	const struct rte_ipv6_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv6_hdr *);
	struct header6 h = {.ip = *ip, .fragment.id = rte_cpu_to_be_32(worker_ip_id(w))};
	const uint8_t *payload = (const uint8_t *)(ip + 1);
	uint32_t left = rte_pktmbuf_pkt_len(m) - sizeof(*ip), room = mtu - sizeof(h), offset = 0;
	unsigned int n = count_fragments(left, room, room);

	if (!make_parts(w, m, out, n))
		return 0;
	for (unsigned int i = 0; i < n; i++) {
		uint32_t size = fragment_size(left, room);

		left -= size;
		finish_fragment6(&h, ip->proto, size, offset, left > 0);
		if (!fill(out[i], &h, sizeof(h), payload + offset, size)) {
			rte_pktmbuf_free_bulk(out, n);
			return 0;
		}
		packet(out[i])->l4_off = sizeof(h);
		packet(out[i])->fragment = offset != 0 ? 2 : 1;
		offset += size;
	}
	return n;
}

/* The parts take the packet's place. */
static unsigned int
finish(struct worker *w, struct rte_mbuf *m, unsigned int n)
{
	if (n > 0) {
		w->count.made += n - 1;
		rte_pktmbuf_free(m);
	}
	return n;
}

unsigned int
fragment_packet(struct worker *w, struct rte_mbuf *m, uint32_t mtu,
		struct rte_mbuf *out[FRAGMENTS_MAX])
{
	return finish(w, m, is_merged(m) ? cut_tcp(w, m, mtu, out) : cut_ipv4(w, m, mtu, out));
}

unsigned int
fragment_sealed(struct worker *w, struct rte_mbuf *m, uint32_t mtu,
		struct rte_mbuf *out[FRAGMENTS_MAX])
{
	struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, struct rte_ipv4_hdr *);

	if (packet(m)->family == FAMILY_V6)
		return finish(w, m, cut_ipv6(w, m, mtu, out));
	/* One with DF may have none of its own yet; in transport mode it is the sender's. */
	if (ip->packet_id == 0 && ip->next_proto_id != IPPROTO_AH)
		ip->packet_id = rte_cpu_to_be_16((uint16_t)worker_ip_id(w));
	return finish(w, m, cut_ipv4(w, m, mtu, out));
}
