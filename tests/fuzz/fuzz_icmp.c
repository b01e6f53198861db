/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ICMP: errors that come in, with a quote of any bytes or of an ESP packet that was ours, in clear
 * or out of a tunnel; and packets that we answer with an error. A record is two bytes of choices
 * and the rest: what is behind the IP header, or what is written over the quote.
 */
#include <string.h>

#include "harness.h"
#include "tests/unit/dataplane/frame.h"

#define KIND     3u
#define RECEIVED 0u /* to our own address, from the wire */
#define PASSING  1u /* through us, from either side */
#define ANSWERED 2u /* a packet that earns an error */
#define TUNNELED 3u /* out of a tunnel */
#define QUOTE    4u /* begins with a quote of our own ESP */
#define V6       8u
#define LAN_SIDE 16u

/* Destinations that cause errors of each kind; the last is too far for a TTL of 1. */
static const uint32_t refused4[] = {0x0a030001, 0x0a040001, 0x0a050001, 0x0b000001, FAR_HOST};
static const uint16_t refused6[] = {0x33, 0x34, 0x35, 0x77, 2};

/* The header and what quotes a packet that we sealed, for the rest to be written over. */
static size_t
put_quote(uint8_t *at, uint8_t which)
{
	unsigned int tunnel = which % FUZZ_TUNNELS;
	const struct sa *sa = peer_outbound(&fuzz_peer, &fuzz_tunnels[tunnel])->sa;

	memset(at, 0, 8);
	at[0] = sa->family == FAMILY_V4 ? 3 : 2;
	at[1] = sa->family == FAMILY_V4 ? 4 : 0;
	at[6] = 0x05;
	memcpy(at + 8, sa->outer, sa->outer_len);
	return 8u + sa->outer_len;
}

static size_t
put_l4(uint8_t *at, uint8_t choice, const uint8_t *data, size_t size)
{
	size_t len = (choice & QUOTE) != 0 && size > 0 ? put_quote(at, data[0]) : 0;

	if (len == 0) {
		memcpy(at, data, size);
		return size;
	}
	/* Pairs of place and value over the quote. */
	for (size_t i = 1; i + 1 < size; i += 2)
		at[data[i] % len] ^= data[i + 1];
	return len;
}

static size_t
put_packet(uint8_t *ip, uint8_t choice, uint8_t more, const uint8_t *data, size_t size)
{
	bool v6 = (choice & V6) != 0;
	size_t l3 = v6 ? 40 : 20, len = put_l4(ip + l3, choice, data, size);
	unsigned int to = more % RTE_DIM(refused4);
	uint32_t dst = FAR_HOST;

	if ((choice & KIND) == RECEIVED)
		dst = WAN_SELF;
	else if ((choice & KIND) == TUNNELED)
		dst = LAN_HOST;
	else if ((choice & KIND) == ANSWERED)
		dst = refused4[to];
	if (v6) {
		put_ipv6(ip,
			 dst == WAN_SELF   ? 0x99
			 : dst == LAN_HOST ? 2
					   : 1,
			 dst == WAN_SELF || dst == LAN_HOST ? (dst == LAN_HOST ? 1 : 0x99)
							    : refused6[to],
			 more & 0x80 ? IPPROTO_UDP : IPPROTO_ICMPV6, len);
		if (dst == WAN_SELF)
			ip[39] = 1;
		ip[7] = (uint8_t)((more >> 5 & 3) == 0 ? 1 : 64);
	} else {
		put_ipv4(ip,
			 dst == WAN_SELF   ? WAN_PEER
			 : dst == LAN_HOST ? 0x0a020303
					   : LAN_HOST,
			 dst, more & 0x80 ? IPPROTO_UDP : IPPROTO_ICMP, len);
		ip[8] = (uint8_t)((more >> 5 & 3) == 0 ? 1 : 64);
		fuzz_mend(ip, l3);
	}
	return l3 + len;
}

/* The checksum of ICMP is right: else nothing would be looked at. */
static void
mend_icmp(uint8_t *ip, size_t len)
{
	bool v6 = ip[0] >> 4 == 6;
	size_t l3 = v6 ? 40 : 20;
	uint16_t sum;

	if (len < l3 + 4)
		return;
	memset(ip + l3 + 2, 0, 2);
	sum = v6 ? naive_l4_sum(ip, l3, len, IPPROTO_ICMPV6) : naive_sum(0, ip + l3, len - l3);
	sum = rte_cpu_to_be_16((uint16_t)~sum);
	memcpy(ip + l3 + 2, &sum, sizeof(sum));
}

static size_t
make(const uint8_t *data, size_t size, uint8_t *frame, struct fuzz_way *way)
{
	static uint8_t inner[FUZZ_FRAME_MAX];
	uint8_t choice = size > 0 ? data[0] : 0, more = size > 1 ? data[1] : 0;
	uint8_t *ip = frame + 14;
	size_t len;

	if (size < 2)
		return 0;
	if ((choice & KIND) == TUNNELED) {
		len = put_packet(inner, choice, more, data + 2, size - 2);
		mend_icmp(inner, len);
		len = peer_trailer(fuzz_sas[0], inner, len, (choice & V6) != 0 ? 41 : 4);
		return peer_seal(&fuzz_peer, fuzz_sas[0], fuzz_next_seq(), inner, len, frame);
	}
	way->port = (choice & KIND) == ANSWERED || (choice & LAN_SIDE) != 0 ? 0 : 1;
	engine_put_l2(&fuzz_engine, frame, way->port,
		      (choice & V6) != 0 ? RTE_ETHER_TYPE_IPV6 : RTE_ETHER_TYPE_IPV4);
	len = put_packet(ip, choice, more, data + 2, size - 2);
	if ((more & 0x80) == 0)
		mend_icmp(ip, len);
	return 14 + len;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_run(data, size, make);
	return 0;
}
