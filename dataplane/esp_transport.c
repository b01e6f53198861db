/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ESP in transport mode (RFC 4303 sections 3.1.1, 3.3.1.1 and 3.4): the packet keeps its IP header,
 * and ESP protects what follows it. AH (RFC 4302 section 3.1.1) stands in the same place. What of
 * an IPv6 packet routers read on the way stays in front of ESP: hop-by-hop options, routing
 * headers, and destination options before one of these. Destination options for the last
 * destination alone go inside.
 */
#include <netinet/in.h>

#include <rte_ip.h>
#include <rte_udp.h>

#include "checksum.h"
#include "esp_mode.h"
#include "esp_write.h"
#include "room.h"
#include "sadb/sad.h"

/* To a place that overlaps: a header of the usual length by words that are all loaded first. */
static inline void
move_header(uint8_t *to, const uint8_t *from, uint32_t len)
{
	uint64_t first[2];
	uint32_t last;

	if (unlikely(len != sizeof(struct rte_ipv4_hdr))) {
		memmove(to, from, len);
		return;
	}
	memcpy(first, from, sizeof(first));
	memcpy(&last, from + sizeof(first), sizeof(last));
	memcpy(to, first, sizeof(first));
	memcpy(to + sizeof(first), &last, sizeof(last));
}

/* Bytes of the extension header of that kind. */
static uint32_t
extension_len(uint8_t kind, const uint8_t *h)
{
	return kind == IPPROTO_FRAGMENT ? 8 : (h[1] + 1) * 8u;
}

/* An atomic fragment (RFC 6946) is a whole packet; its header is where a fragment's would be. */
static bool
read_on_the_way(uint8_t kind)
{
	return kind == IPPROTO_HOPOPTS || kind == IPPROTO_ROUTING || kind == IPPROTO_FRAGMENT;
}

static struct esp_front
front_v6(const uint8_t *ip, uint32_t l4_off)
{
	struct esp_front front = {sizeof(struct rte_ipv6_hdr),
				  offsetof(struct rte_ipv6_hdr, proto)};
	uint32_t off = front.len, at = front.next_at;

	while (off < l4_off) {
		uint8_t kind = ip[at];

		at = off;
		off += extension_len(kind, ip + at);
		if (read_on_the_way(kind))
			front = (struct esp_front){(uint16_t)off, (uint16_t)at};
	}
	return front;
}

struct esp_front
esp_transport_front(const struct rte_mbuf *m, const struct packet *p)
{
	if (p->family == FAMILY_V6)
		return front_v6(rte_pktmbuf_mtod(m, const uint8_t *), p->l4_off);
	return (struct esp_front){p->l4_off, offsetof(struct rte_ipv4_hdr, next_proto_id)};
}

void
esp_transport_mend(struct rte_mbuf *m, uint8_t family, uint32_t next_at, uint8_t next)
{
	uint32_t len = rte_pktmbuf_pkt_len(m);
	uint8_t *header = rte_pktmbuf_mtod(m, uint8_t *);
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)header;
	struct rte_ipv6_hdr *ip6 = (struct rte_ipv6_hdr *)header;

	if (family == FAMILY_V4) {
		rte_be16_t total = rte_cpu_to_be_16((uint16_t)len);
		/* The number of what follows is the low byte of its word. */
		uint32_t from = ip->total_length + (uint32_t)rte_cpu_to_be_16(ip->next_proto_id);
		uint32_t to = total + (uint32_t)rte_cpu_to_be_16(next);

		ip->next_proto_id = next;
		ip->total_length = total;
		ip->hdr_checksum = checksum_replace(ip->hdr_checksum, from, to);
	} else {
		header[next_at] = next;
		ip6->payload_len = rte_cpu_to_be_16((uint16_t)(len - sizeof(*ip6)));
	}
}

/* UDP, if any, and ESP, from the SA's template, where they go. Returns where the IV goes. */
static uint8_t *
write_esp(uint8_t *at, const struct sa *sa, uint64_t seq, uint32_t len)
{
	struct esp_header esp = {.spi = sa->spi, .seq = rte_cpu_to_be_32((uint32_t)seq)};

	if (unlikely((sa->flags & SA_ENCAP_UDP) != 0)) {
		memcpy(at, sa_outer(sa), UDP_HEADER);
		((struct rte_udp_hdr *)at)->dgram_len = rte_cpu_to_be_16((uint16_t)len);
		at += UDP_HEADER;
	}
	memcpy(at, &esp, sizeof(esp));
	return at + sizeof(esp);
}

uint16_t
esp_transport_encap(struct rte_mbuf *m, const struct packet *inner, struct crypto_op *op)
{
	const struct sa *sa = inner->sa;
	uint64_t seq = packet_seq(m);
	struct esp_front front = esp_transport_front(m, inner);
	uint8_t *header = rte_pktmbuf_mtod(m, uint8_t *), *at, *iv;
	uint32_t len = rte_pktmbuf_pkt_len(m), payload = len - front.len;
	uint32_t pad_len = esp_padding(payload, sa->align);
	uint32_t text_len = payload + pad_len + ESP_TRAILER;

	at = packet_widen(m, sa->outer_len + sa->iv_len, text_len - payload + sa->icv_len);
	if (unlikely(at == NULL))
		return 0;

	/* 1. Trailer behind the payload, with what stood behind the header. */
	esp_write_trailer(header + len, pad_len, header[front.next_at]);

	/* 2. The header moves forward; ESP, its number and its IV come behind it. */
	move_header(at, header, front.len);
	iv = write_esp(at + front.len, sa, seq, rte_pktmbuf_pkt_len(m) - front.len);
	esp_write_iv(iv, sa->iv_len, sa->iv_base + seq);

	/* 3. The header says so. */
	esp_transport_mend(m, inner->family, front.next_at, sa->carrier);

	/* 4. What the crypto stage is to do. */
	if (likely(esp_op_is_plain(sa)))
		esp_op_plain(op, sa, iv - sizeof(struct esp_header), text_len);
	else
		esp_op_seal(op, sa, iv - sizeof(struct esp_header), text_len, seq);
	return front.len;
}

/* Where the number of what is behind the headers of a parsed packet stands. */
static uint32_t
last_next_at(const uint8_t *ip, const struct packet *p)
{
	uint32_t off = sizeof(struct rte_ipv6_hdr), at = offsetof(struct rte_ipv6_hdr, proto);

	if (p->family == FAMILY_V4)
		return offsetof(struct rte_ipv4_hdr, next_proto_id);
	while (off < p->l4_off) {
		uint8_t kind = ip[at];

		at = off;
		off += extension_len(kind, ip + at);
	}
	return at;
}

/* Of extension headers only destination options have a place inside, and only in IPv6. */
static bool
next_header_fits(uint8_t family, uint8_t next_header)
{
	if (next_header == IPPROTO_DSTOPTS)
		return family == FAMILY_V6;
	return !read_on_the_way(next_header);
}

enum drop_reason
esp_transport_decap(struct rte_mbuf *m, const struct packet *outer, uint8_t next_header,
		    uint32_t front, uint32_t len)
{
	uint8_t *ip = rte_pktmbuf_mtod(m, uint8_t *);
	uint32_t removed = front - outer->l4_off, next_at = last_next_at(ip, outer);

	if (!next_header_fits(outer->family, next_header))
		return DROP_NEXT_HEADER;
	move_header(ip + removed, ip, outer->l4_off);
	packet_narrow(m, removed, outer->l4_off + len);
	esp_transport_mend(m, outer->family, next_at, next_header);
	return DROP_COUNT;
}

/* The header stays outside whatever its length, and only what is behind it is padded. */
uint32_t
esp_transport_mtu(const struct rte_mbuf *m, uint32_t mtu)
{
	uint32_t front = esp_transport_front(m, packet(m)).len;
	uint32_t payload = mtu < front ? 0 : esp_inner_mtu(packet(m)->sa, mtu - front);

	return payload == 0 ? 0 : front + payload;
}
