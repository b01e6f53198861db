/* SPDX-License-Identifier: BSD-3-Clause */
/* Packets for tests: an mbuf that needs no pool, and builders of headers. */
#pragma once

#include <stdint.h>
#include <string.h>

#include <netinet/in.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include "dataplane/room.h"

/* An mbuf with its private area and room, as a pool would lay it out. */
struct frame {
	struct rte_mbuf m;
	struct packet p;
	uint8_t room[PACKET_HEADROOM + 70000];
};

static inline struct rte_mbuf *
frame_set(struct frame *f, const void *data, size_t len)
{
	memset(&f->m, 0, sizeof(f->m));
	memset(&f->p, 0, sizeof(f->p));
	f->m.priv_size = sizeof(f->p);
	f->m.buf_addr = f->room;
	f->m.buf_len = UINT16_MAX;
	f->m.data_off = PACKET_HEADROOM;
	f->m.data_len = (uint16_t)len;
	f->m.pkt_len = (uint32_t)len;
	f->m.nb_segs = 1;
	room_fit(&f->m, 0);
	memcpy(f->room + PACKET_HEADROOM, data, len);
	return &f->m;
}

/* A sum that shares no code with the engine: one's complement, byte by byte. */
static inline uint16_t
naive_sum(uint32_t sum, const void *data, size_t len)
{
	const uint8_t *b = data;

	for (size_t i = 0; i < len; i++)
		sum += i % 2 == 0 ? (uint32_t)b[i] << 8 : b[i];
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* The same over an L4 part behind IP header `ip`, its pseudo-header included: 0xffff is right. */
static inline uint16_t
naive_l4_sum(const uint8_t *ip, size_t l4_off, size_t len, uint8_t proto)
{
	bool v4 = ip[0] >> 4 == 4;
	uint32_t sum = naive_sum(proto + (uint32_t)(len - l4_off), ip + (v4 ? 12 : 8), v4 ? 8 : 32);

	return naive_sum(sum, ip + l4_off, len - l4_off);
}

/* Headers in front of `payload` bytes. Return the bytes written, header included. */
static inline size_t
put_ipv4(uint8_t *at, uint32_t src, uint32_t dst, uint8_t proto, size_t payload)
{
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)at;

	*ip = (struct rte_ipv4_hdr){
		.version_ihl = 0x45,
		.total_length = rte_cpu_to_be_16((uint16_t)(sizeof(*ip) + payload)),
		.packet_id = RTE_BE16(0x1234),
		.time_to_live = 64,
		.next_proto_id = proto,
		.src_addr = rte_cpu_to_be_32(src),
		.dst_addr = rte_cpu_to_be_32(dst),
	};
	ip->hdr_checksum = rte_cpu_to_be_16((uint16_t)~naive_sum(0, ip, sizeof(*ip)));
	return sizeof(*ip) + payload;
}

/* 2001:db8:NET::HOST */
static inline void
put_address6(uint8_t at[16], uint16_t net, uint16_t host)
{
	static const uint8_t prefix[] = {0x20, 0x01, 0x0d, 0xb8};

	memset(at, 0, 16);
	memcpy(at, prefix, sizeof(prefix));
	at[4] = (uint8_t)(net >> 8);
	at[5] = (uint8_t)net;
	at[14] = (uint8_t)(host >> 8);
	at[15] = (uint8_t)host;
}

static inline size_t
put_ipv6(uint8_t *at, uint16_t src_net, uint16_t dst_net, uint8_t proto, size_t payload)
{
	struct rte_ipv6_hdr *ip = (struct rte_ipv6_hdr *)at;

	*ip = (struct rte_ipv6_hdr){
		.vtc_flow = RTE_BE32(0x60000000),
		.payload_len = rte_cpu_to_be_16((uint16_t)payload),
		.proto = proto,
		.hop_limits = 64,
	};
	put_address6((uint8_t *)&ip->src_addr, src_net, 2);
	put_address6((uint8_t *)&ip->dst_addr, dst_net, 3);
	return sizeof(*ip) + payload;
}
