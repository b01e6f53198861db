/* SPDX-License-Identifier: BSD-3-Clause */
#include "segment.h"

#include <netinet/in.h>
#include <string.h>

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include "checksum.h"

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4 /* headers before Linux 6.2 */
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

#define L2              RTE_ETHER_HDR_LEN
#define IPV4_WHOLE_MASK RTE_BE16(0x3fff) /* of the fragment field: offset, more fragments */

struct ends {
	bool v4;
	uint8_t proto;
	uint16_t l4;
};

/* Where the transport header of a whole packet stands; no IPv6 extension headers. */
static bool
find_l4(const uint8_t *frame, uint32_t len, struct ends *e)
{
	const struct rte_ether_hdr *eth = (const struct rte_ether_hdr *)frame;
	const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)(frame + L2);
	const struct rte_ipv6_hdr *ip6 = (const struct rte_ipv6_hdr *)(frame + L2);

	if (len >= L2 + sizeof(*ip) && eth->ether_type == RTE_BE16(RTE_ETHER_TYPE_IPV4)) {
		*e = (struct ends){true, ip->next_proto_id, (uint16_t)(L2 + rte_ipv4_hdr_len(ip))};
		return (ip->fragment_offset & IPV4_WHOLE_MASK) == 0;
	}
	if (len < L2 + sizeof(*ip6) || eth->ether_type != RTE_BE16(RTE_ETHER_TYPE_IPV6))
		return false;
	*e = (struct ends){false, ip6->proto, L2 + sizeof(*ip6)};
	return true;
}

/* The sum, not yet complemented, of the pseudo-header. */
static uint16_t
pseudo(const uint8_t *frame, bool v4, uint8_t proto, uint32_t l4_len)
{
	uint32_t sum = (uint32_t)rte_cpu_to_be_16(proto) + rte_cpu_to_be_16((uint16_t)l4_len);

	sum += v4 ? rte_raw_cksum(frame + L2 + 12, 8) : rte_raw_cksum(frame + L2 + 8, 32);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

/* The length that the IP header tells, and with it its checksum. */
static void
set_length(uint8_t *frame, bool v4, uint32_t len)
{
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(frame + L2);
	struct rte_ipv6_hdr *ip6 = (struct rte_ipv6_hdr *)(frame + L2);

	if (!v4) {
		ip6->payload_len = rte_cpu_to_be_16((uint16_t)(len - L2 - sizeof(*ip6)));
		return;
	}
	ip->total_length = rte_cpu_to_be_16((uint16_t)(len - L2));
	checksum_ipv4(ip);
}

/* ---- cutting ---- */

bool
segments_read(struct segments *s, const uint8_t *frame, uint32_t len,
	      const struct virtio_net_hdr *about)
{
	uint8_t type = about->gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;
	const struct rte_tcp_hdr *tcp;
	struct ends e;

	/* What is in a tunnel of the sender's has its inner header as the start. */
	if (len > SEGMENT_FRAME_MAX + L2 || !find_l4(frame, len, &e) || e.l4 != about->csum_start ||
	    len <= e.l4 + sizeof(struct rte_udp_hdr) || about->gso_size == 0)
		return false;
	*s = (struct segments){frame, len, e.l4, e.l4, about->gso_size, e.v4, false};
	if (e.proto == IPPROTO_UDP && type == VIRTIO_NET_HDR_GSO_UDP_L4) {
		s->head += (uint16_t)sizeof(struct rte_udp_hdr);
		return true;
	}
	tcp = (const struct rte_tcp_hdr *)(frame + e.l4);
	if (e.proto != IPPROTO_TCP || len < e.l4 + sizeof(*tcp))
		return false;
	s->tcp = true;
	s->head += (uint16_t)((tcp->data_off >> 4) * 4);
	return s->head >= e.l4 + sizeof(*tcp) && s->head < len &&
	       type == (e.v4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6);
}

/* What differs from segment to segment of TCP. */
static void
finish_tcp(struct rte_tcp_hdr *tcp, uint32_t offset, bool last)
{
	tcp->sent_seq = rte_cpu_to_be_32(rte_be_to_cpu_32(tcp->sent_seq) + offset);
	if (offset != 0)
		tcp->tcp_flags &= (uint8_t)~RTE_TCP_CWR_FLAG;
	if (!last)
		tcp->tcp_flags &= (uint8_t) ~(RTE_TCP_FIN_FLAG | RTE_TCP_PSH_FLAG);
}

static void
finish_l4(const struct segments *s, uint8_t *to, uint32_t offset, uint32_t len)
{
	struct rte_udp_hdr *udp = (struct rte_udp_hdr *)(to + s->l4);
	struct rte_tcp_hdr *tcp = (struct rte_tcp_hdr *)(to + s->l4);
	unaligned_uint16_t *field =
		(unaligned_uint16_t *)(to + s->l4 +
				       (s->tcp ? offsetof(struct rte_tcp_hdr, cksum)
					       : offsetof(struct rte_udp_hdr, dgram_cksum)));

	if (s->tcp)
		finish_tcp(tcp, offset, s->head + offset + s->size >= s->len);
	else
		udp->dgram_len = rte_cpu_to_be_16((uint16_t)(len - s->l4));
	*field = pseudo(to, s->v4, s->tcp ? IPPROTO_TCP : IPPROTO_UDP, len - s->l4);
	*field = (rte_be16_t)~rte_raw_cksum(tcp, len - s->l4);
	if (!s->tcp && *field == 0)
		*field = 0xffff;
}

uint32_t
segments_cut(const struct segments *s, uint32_t offset, uint8_t *to)
{
	uint32_t size = RTE_MIN(s->size, s->len - s->head - offset), len = s->head + size;
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(to + L2);

	memcpy(to, s->frame, s->head);
	memcpy(to + s->head, s->frame + s->head + offset, size);
	if (s->v4)
		ip->packet_id = rte_cpu_to_be_16(
			(uint16_t)(rte_be_to_cpu_16(ip->packet_id) + offset / s->size));
	set_length(to, s->v4, len);
	finish_l4(s, to, offset, len);
	return len;
}

/* ---- merging ---- */

/* A segment with data, and nothing in its headers that merging would lose. */
struct segment {
	const uint8_t *frame;
	uint32_t len, payload;
	uint16_t l4, head;
	bool v4, tcp;
};

static const struct rte_tcp_hdr *
tcp_of(const struct segment *s)
{
	return (const struct rte_tcp_hdr *)(s->frame + s->l4);
}

static const struct rte_udp_hdr *
udp_of(const struct segment *s)
{
	return (const struct rte_udp_hdr *)(s->frame + s->l4);
}

/* The length that the IP header tells. */
static uint32_t
ip_length(const struct segment *s)
{
	const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)(s->frame + L2);
	const struct rte_ipv6_hdr *ip6 = (const struct rte_ipv6_hdr *)(s->frame + L2);

	return s->v4 ? rte_be_to_cpu_16(ip->total_length)
		     : rte_be_to_cpu_16(ip6->payload_len) + (uint32_t)sizeof(*ip6);
}

/* TCP that neither begins nor ends, nor says anything urgent. */
static bool
read_tcp(struct segment *s)
{
	if (s->len < s->l4 + sizeof(struct rte_tcp_hdr))
		return false;
	s->tcp = true;
	s->head += (uint16_t)((tcp_of(s)->data_off >> 4) * 4);
	return s->head >= s->l4 + sizeof(struct rte_tcp_hdr) &&
	       (tcp_of(s)->tcp_flags & (uint8_t)~RTE_TCP_PSH_FLAG) == RTE_TCP_ACK_FLAG;
}

static bool
read_udp(struct segment *s)
{
	if (s->len < s->l4 + sizeof(struct rte_udp_hdr))
		return false;
	s->head += (uint16_t)sizeof(struct rte_udp_hdr);
	return rte_be_to_cpu_16(udp_of(s)->dgram_len) == s->len - s->l4;
}

static bool
read_segment(struct segment *s, const struct rte_mbuf *m)
{
	const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);
	uint32_t len = rte_pktmbuf_data_len(m);
	struct ends e;

	if (!find_l4(frame, len, &e) ||
	    e.l4 != L2 + (e.v4 ? sizeof(struct rte_ipv4_hdr) : sizeof(struct rte_ipv6_hdr)))
		return false;
	*s = (struct segment){.frame = frame, .len = len, .l4 = e.l4, .head = e.l4, .v4 = e.v4};
	if (ip_length(s) != len - L2 || !(e.proto == IPPROTO_TCP   ? read_tcp(s)
					  : e.proto == IPPROTO_UDP ? read_udp(s)
								   : false))
		return false;
	s->payload = len - s->head;
	return s->head < len;
}

/* UDP over IPv4 may do without. */
static bool
sum_is_right(const struct segment *s)
{
	uint32_t len = s->len - s->l4, sum;

	if (!s->tcp && s->v4 && udp_of(s)->dgram_cksum == 0)
		return true;
	sum = (uint32_t)pseudo(s->frame, s->v4, s->tcp ? IPPROTO_TCP : IPPROTO_UDP, len) +
	      rte_raw_cksum(s->frame + s->l4, len);
	return sum == UINT16_MAX || sum == 2 * UINT16_MAX;
}

/* Whether the IP headers are those of segments i places apart. */
static bool
ip_alike(const struct segment *a, const struct segment *b, unsigned int i)
{
	const struct rte_ipv4_hdr *x = (const struct rte_ipv4_hdr *)(a->frame + L2);
	const struct rte_ipv4_hdr *y = (const struct rte_ipv4_hdr *)(b->frame + L2);

	if (!a->v4)
		return memcmp(a->frame + L2, b->frame + L2, 4) == 0 &&
		       memcmp(a->frame + L2 + 6, b->frame + L2 + 6, 34) == 0;
	/* An identification means nothing where DF is set (RFC 6864). */
	return x->type_of_service == y->type_of_service && x->time_to_live == y->time_to_live &&
	       x->fragment_offset == y->fragment_offset && x->src_addr == y->src_addr &&
	       x->dst_addr == y->dst_addr &&
	       ((x->fragment_offset & RTE_BE16(RTE_IPV4_HDR_DF_FLAG)) != 0 ||
		(uint16_t)(rte_be_to_cpu_16(x->packet_id) + i) == rte_be_to_cpu_16(y->packet_id));
}

/* Whether TCP's b goes on `payload` bytes behind a's beginning, options and all. */
static bool
tcp_goes_on(const struct segment *a, const struct segment *b, uint32_t payload)
{
	const struct rte_tcp_hdr *x = tcp_of(a), *y = tcp_of(b);

	return rte_be_to_cpu_32(y->sent_seq) == rte_be_to_cpu_32(x->sent_seq) + payload &&
	       x->recv_ack == y->recv_ack && x->rx_win == y->rx_win && x->tcp_urp == y->tcp_urp &&
	       memcmp(x + 1, y + 1, a->head - a->l4 - sizeof(*x)) == 0;
}

/* Whether b is the i-th behind a, where all before it have `payload` bytes. */
static bool
goes_on(const struct segment *a, const struct segment *b, unsigned int i, uint32_t payload)
{
	return a->v4 == b->v4 && a->tcp == b->tcp && a->head == b->head &&
	       b->payload <= a->payload && a->head + payload + b->payload <= SEGMENT_FRAME_MAX &&
	       memcmp(a->frame, b->frame, L2) == 0 && ip_alike(a, b, i) &&
	       memcmp(a->frame + a->l4, b->frame + b->l4, 4) == 0 && /* ports */
	       (!a->tcp || tcp_goes_on(a, b, payload)) && sum_is_right(b);
}

/* Nothing goes on behind a shorter one, or one that TCP pushed. */
static bool
is_last(const struct segment *s, const struct segment *first)
{
	return s->payload < first->payload ||
	       (s->tcp && (tcp_of(s)->tcp_flags & RTE_TCP_PSH_FLAG) != 0);
}

/* The header of what is put together of `payload` bytes, up to the segment `last`. */
static void
write_head(struct segment_head *head, const struct segment *s, const struct segment *last,
	   uint32_t payload)
{
	struct rte_tcp_hdr *tcp = (struct rte_tcp_hdr *)(head->bytes + s->l4);
	struct rte_udp_hdr *udp = (struct rte_udp_hdr *)(head->bytes + s->l4);
	uint32_t l4_len = s->head - s->l4 + payload;

	head->len = s->head;
	memcpy(head->bytes, s->frame, s->head);
	set_length(head->bytes, s->v4, s->head + payload);
	head->about = (struct virtio_net_hdr){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.hdr_len = s->head,
		.gso_size = (uint16_t)s->payload,
		.csum_start = s->l4,
	};
	if (s->tcp) {
		tcp->tcp_flags = tcp_of(last)->tcp_flags;
		tcp->cksum = pseudo(head->bytes, s->v4, IPPROTO_TCP, l4_len);
		head->about.csum_offset = offsetof(struct rte_tcp_hdr, cksum);
		head->about.gso_type = s->v4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
	} else {
		udp->dgram_len = rte_cpu_to_be_16((uint16_t)l4_len);
		udp->dgram_cksum = pseudo(head->bytes, s->v4, IPPROTO_UDP, l4_len);
		head->about.csum_offset = offsetof(struct rte_udp_hdr, dgram_cksum);
		head->about.gso_type = VIRTIO_NET_HDR_GSO_UDP_L4;
	}
}

unsigned int
segments_merge(struct rte_mbuf *const *m, unsigned int n, struct segment_head *head)
{
	struct segment first, last, next;
	uint32_t payload;
	unsigned int i;

	if (n < 2 || !read_segment(&first, m[0]))
		return 1;
	payload = first.payload;
	last = first;
	for (i = 1; i < n && !is_last(&last, &first); i++) {
		if (!read_segment(&next, m[i]) || !goes_on(&first, &next, i, payload) ||
		    (i == 1 && !sum_is_right(&first)))
			break;
		payload += next.payload;
		last = next;
	}
	if (i > 1)
		write_head(head, &first, &last, payload);
	return i;
}
