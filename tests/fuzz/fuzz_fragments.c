/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fragments, of IPv4 and IPv6: of sealed packets, cut anywhere, repeated, overlapping, out of order
 * and with gaps; and of UDP that may or may not be ESP. A record is a fragment: which packet,
 * identification, offset and flags, how much of the packet it carries, and bytes written over it.
 */
#include <string.h>

#include "harness.h"
#include "tests/unit/dataplane/frame.h"

#define MORE       1u
#define ODD_PLACE  2u    /* the bytes are not those that belong there */
#define OTHER_ID   0xf4u /* any of these bits */
#define HOP_BY_HOP 8u

#define WHOLE_MAX 2600
#define PIECE_MAX 1200

/* Tunnels whose packets are longer than a buffer: one that, decrypted, fits into one, and one not.
 */
enum { LONG = 6, JUST_FITTING = 7 };

/* Packets in full, sealed for the first fragment of an input: what is behind their IP header. */
static struct whole {
	uint8_t frame[WHOLE_MAX + 200];
	size_t len; /* behind the IP header, 0 before the first fragment */
} wholes[FUZZ_TUNNELS];

static size_t
inner_len(unsigned int tunnel)
{
	if (tunnel == LONG)
		return WHOLE_MAX;
	return tunnel == JUST_FITTING ? 1960 : 64 + tunnel * 64;
}

static void
make_whole(unsigned int tunnel)
{
	static uint8_t text[WHOLE_MAX + 32];
	const struct sa *sa = fuzz_sas[tunnel];
	size_t inner = inner_len(tunnel), len, l3 = sa->family == FAMILY_V4 ? 20 : 40;
	struct whole *whole = &wholes[tunnel];

	put_ipv4(text, 0x0a020001 + ((uint32_t)fuzz_tunnels[tunnel].net << 8), LAN_HOST,
		 IPPROTO_UDP, inner - 20);
	len = peer_trailer(sa, text, inner, 4);
	len = peer_seal(&fuzz_peer, sa, fuzz_next_seq(), text, len, whole->frame);
	whole->len = len - 14 - l3;
}

static size_t
put_header(uint8_t *ip, const struct sa *sa, uint8_t choice, uint16_t offset, size_t len)
{
	struct rte_ipv4_hdr *v4 = (struct rte_ipv4_hdr *)ip;
	struct rte_ipv6_hdr *v6 = (struct rte_ipv6_hdr *)ip;
	uint8_t *ext = ip + 40;
	size_t hop = (choice & HOP_BY_HOP) != 0 ? 8 : 0;

	memcpy(ip, sa->outer, sa->family == FAMILY_V4 ? 20 : 40);
	if (sa->family == FAMILY_V4) {
		v4->total_length = rte_cpu_to_be_16((uint16_t)(20 + len));
		v4->packet_id = (rte_be16_t)(0x11 + (choice & OTHER_ID));
		v4->fragment_offset = rte_cpu_to_be_16(
			(uint16_t)(offset | ((choice & MORE) != 0 ? RTE_IPV4_HDR_MF_FLAG : 0)));
		fuzz_mend(ip, 20);
		return 20;
	}
	memset(ext, 0, 16);
	if (hop != 0) {
		ext[0] = IPPROTO_FRAGMENT;
		ext[2] = 1; /* PadN */
		ext[3] = 4;
	}
	ext[hop] = v6->proto;
	ext[hop + 2] = (uint8_t)(offset >> 5);
	ext[hop + 3] = (uint8_t)(offset << 3 | (choice & MORE));
	ext[hop + 7] = (uint8_t)(0x11 + (choice & OTHER_ID));
	v6->proto = hop != 0 ? IPPROTO_HOPOPTS : IPPROTO_FRAGMENT;
	v6->payload_len = rte_cpu_to_be_16((uint16_t)(8 + hop + len));
	return 48 + hop;
}

static size_t
make(const uint8_t *data, size_t size, uint8_t *frame, struct fuzz_way *way)
{
	const struct whole *whole;
	const struct sa *sa;
	size_t len, from, l3;
	uint16_t offset;

	if (size < 5)
		return 0;
	whole = &wholes[data[0] % FUZZ_TUNNELS];
	if (whole->len == 0)
		make_whole(data[0] % FUZZ_TUNNELS);
	sa = fuzz_sas[data[0] % FUZZ_TUNNELS];
	offset = (uint16_t)((data[2] | data[3] << 8) & RTE_IPV4_HDR_OFFSET_MASK);
	len = data[4] * 8u;
	from = (data[1] & ODD_PLACE) != 0 ? data[4] : offset * 8u;
	engine_put_l2(&fuzz_engine, frame, 1,
		      sa->family == FAMILY_V4 ? RTE_ETHER_TYPE_IPV4 : RTE_ETHER_TYPE_IPV6);
	if (from < whole->len && len > whole->len - from)
		len = whole->len - from;
	l3 = put_header(frame + 14, sa, data[1], offset, RTE_MIN(len, (size_t)PIECE_MAX));
	len = RTE_MIN(len, (size_t)PIECE_MAX);
	if (from < whole->len)
		memcpy(frame + 14 + l3,
		       whole->frame + 14 + (sa->family == FAMILY_V4 ? 20 : 40) + from,
		       RTE_MIN(len, whole->len - from));
	else
		memset(frame + 14 + l3, 0, len);
	for (size_t i = 5; i + 1 < size && len > 0; i += 2)
		frame[14 + l3 + data[i] % len] ^= data[i + 1];
	return 14 + l3 + len;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (unsigned int i = 0; i < FUZZ_TUNNELS; i++)
		wholes[i].len = 0;
	fuzz_run(data, size, make);
	return 0;
}
