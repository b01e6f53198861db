/* SPDX-License-Identifier: BSD-3-Clause */
#include "frame.h"

#include <netinet/in.h>

#include <rte_ip.h>
#include <rte_udp.h>

#include "dataplane/esp_op.h"

const uint16_t frame_mix[FRAME_MIX] = {64, 570, 64, 64, 1420, 64, 570, 64, 570, 64, 64, 570};

uint32_t
frame_size(const struct options *o, uint32_t i)
{
	return o->size != 0 ? o->size : frame_mix[i % FRAME_MIX];
}

uint32_t
frame_head(uint8_t family)
{
	return family == FAMILY_V4 ? sizeof(struct rte_ipv4_hdr) : sizeof(struct rte_ipv6_hdr);
}

uint32_t
frame_text_len(const struct options *o, uint32_t size)
{
	size -= o->transport ? frame_head(o->family) : 0;
	return size + esp_padding(size, crypto_suites[o->suite].align) + ESP_TRAILER;
}

static void
write_ip(uint8_t *at, uint8_t family, const union ip_addr *src, const union ip_addr *dst,
	 uint16_t size, uint8_t ttl)
{
	if (family == FAMILY_V4) {
		struct rte_ipv4_hdr ip = {.version_ihl = RTE_IPV4_VHL_DEF,
					  .total_length = rte_cpu_to_be_16(size),
					  .time_to_live = ttl,
					  .next_proto_id = IPPROTO_UDP,
					  .src_addr = src->v4,
					  .dst_addr = dst->v4};

		ip.hdr_checksum = rte_ipv4_cksum(&ip);
		memcpy(at, &ip, sizeof(ip));
	} else {
		struct rte_ipv6_hdr ip = {.vtc_flow = RTE_BE32(0x60000000),
					  .payload_len = rte_cpu_to_be_16(size - sizeof(ip)),
					  .proto = IPPROTO_UDP,
					  .hop_limits = ttl};

		memcpy(&ip.src_addr, src->bytes, sizeof(ip.src_addr));
		memcpy(&ip.dst_addr, dst->bytes, sizeof(ip.dst_addr));
		memcpy(at, &ip, sizeof(ip));
	}
}

void
frame_inner(uint8_t *at, const struct options *o, bool out, uint32_t number, uint16_t size,
	    uint8_t ttl)
{
	uint8_t family = o->family;
	union ip_addr far = gateway_addr(family, NET_FAR, number + 1);
	union ip_addr near = gateway_addr(family, NET_LAN, HOST_NEXT);
	uint16_t head = (uint16_t)frame_head(family);
	struct rte_udp_hdr udp = {.src_port = RTE_BE16(5000),
				  .dst_port = RTE_BE16(5001),
				  .dgram_len = rte_cpu_to_be_16(size - head)};

	write_ip(at, family, out ? &near : &far, out ? &far : &near, size, ttl);
	memcpy(at + head, &udp, sizeof(udp));
	for (uint16_t i = (uint16_t)(head + sizeof(udp)); i < size; i++)
		at[i] = (uint8_t)(i * 13 + number);
}

uint8_t *
frame_l2(uint8_t *at, const struct gateway *g, uint8_t family, unsigned int side)
{
	struct rte_ether_hdr eth = {
		.dst_addr = g->dp->ports[side].mac,
		.src_addr = {{0x02, 0, 0, 0, 0, 0x42}},
		.ether_type = family == FAMILY_V4 ? RTE_BE16(RTE_ETHER_TYPE_IPV4)
						  : RTE_BE16(RTE_ETHER_TYPE_IPV6),
	};

	memcpy(at, &eth, sizeof(eth));
	return at + sizeof(eth);
}

void
frame_mend(uint8_t *at, uint8_t family, uint8_t proto, uint16_t len)
{
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)at;
	struct rte_ipv6_hdr *ip6 = (struct rte_ipv6_hdr *)at;

	if (family == FAMILY_V4) {
		ip->next_proto_id = proto;
		ip->total_length = rte_cpu_to_be_16(len);
		ip->hdr_checksum = 0;
		ip->hdr_checksum = rte_ipv4_cksum(ip);
	} else {
		ip6->proto = proto;
		ip6->payload_len = rte_cpu_to_be_16((uint16_t)(len - sizeof(*ip6)));
	}
}

/* The outer header, of a packet of `len` bytes: in transport mode the inner one moves there. */
static void
write_outer(uint8_t *outer, const struct options *o, const struct sa *sa, const uint8_t *inner,
	    uint16_t len)
{
	uint16_t head = (uint16_t)frame_head(sa->family);

	if (o->transport)
		memmove(outer, inner, head);
	memcpy(outer + (o->transport ? head : 0), sa_outer(sa), sa->outer_len);
	frame_mend(outer, sa->family, sa->carrier, len);
	if ((sa->flags & SA_ENCAP_UDP) != 0)
		((struct rte_udp_hdr *)(outer + head))->dgram_len =
			rte_cpu_to_be_16((uint16_t)(len - head));
}

uint16_t
frame_esp(uint8_t *outer, const struct options *o, const struct sa *sa, uint32_t number,
	  uint16_t size, uint32_t seq, struct crypto_op *op)
{
	uint32_t head = o->transport ? frame_head(o->family) : 0, payload = size - head;
	uint32_t text_len = frame_text_len(o, size), pad = text_len - payload - ESP_TRAILER;
	uint8_t *esp = outer + head + sa->outer_len - sizeof(struct esp_header);
	uint8_t *iv = esp + sizeof(struct esp_header), *text = iv + sa->iv_len;
	uint8_t *trailer = text + payload;
	rte_be32_t wire_seq = rte_cpu_to_be_32(seq);
	uint16_t len = (uint16_t)(text + text_len + sa->icv_len - outer);

	frame_inner(text - head, o, false, number, size, 64);
	write_outer(outer, o, sa, text - head, len);
	memcpy(esp + offsetof(struct esp_header, seq), &wire_seq, sizeof(wire_seq));
	memset(iv, 0, sa->iv_len);
	memcpy(iv, &seq, sizeof(seq));
	for (uint32_t i = 0; i < pad; i++)
		trailer[i] = (uint8_t)(i + 1);
	trailer[pad] = (uint8_t)pad;
	trailer[pad + 1] = o->transport              ? IPPROTO_UDP
			   : sa->family == FAMILY_V4 ? IPPROTO_IPIP
						     : IPPROTO_IPV6;
	esp_op_seal(op, sa, esp, text_len, seq);
	return len;
}
