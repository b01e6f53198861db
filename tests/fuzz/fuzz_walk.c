/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames of any bytes, on either port: Ethernet and IP headers, options and extension headers, what
 * is forwarded, punted or answered. A record is a byte of choices, one of what the port says of the
 * frame, then the frame from its ethertype on; or, so that chance finds the deep ways, from its IP
 * header on.
 */
#include <string.h>

#include "harness.h"

#define PORT      1u /* lan or wan */
#define MEND      2u /* the IPv4 checksum is made right */
#define BARE      4u /* the record begins at the IP header */
#define OTHERS    8u /* the destination address is not ours */
#define LONG_TCP  16u
#define FROM_HOST 32u

/* What a port may say. */
static const uint64_t offloads[] = {
	0,
	RTE_MBUF_F_RX_IP_CKSUM_GOOD,
	RTE_MBUF_F_RX_IP_CKSUM_BAD,
	RTE_MBUF_F_RX_IP_CKSUM_NONE,
	RTE_MBUF_F_RX_L4_CKSUM_NONE,
	RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED,
};

static size_t
make(const uint8_t *data, size_t size, uint8_t *frame, struct fuzz_way *way)
{
	uint8_t choice = size > 0 ? data[0] : 0;
	uint16_t type = RTE_ETHER_TYPE_IPV4;
	size_t l2;

	if (size < 3)
		return 0;
	*way = (struct fuzz_way){
		.port = choice & PORT,
		.from_host = (choice & FROM_HOST) != 0,
		.ol_flags = offloads[data[1] % RTE_DIM(offloads)],
		.vlan_tci = data[1] / RTE_DIM(offloads),
	};
	data += 2;
	size -= 2;
	if ((choice & BARE) != 0 && data[0] >> 4 == 6)
		type = RTE_ETHER_TYPE_IPV6;
	l2 = engine_put_l2(&fuzz_engine, frame, way->port, type);
	if ((choice & OTHERS) != 0)
		frame[0] ^= data[size - 1];
	if ((choice & BARE) == 0)
		l2 -= 2;
	memcpy(frame + l2, data, size);
	if ((choice & LONG_TCP) != 0) { /* as merged frames come from a veth */
		memset(frame + l2 + size, 0x5a, FUZZ_FRAME_MAX - l2 - size);
		size = FUZZ_FRAME_MAX - l2;
	}
	if ((choice & MEND) != 0 && l2 + size > 14)
		fuzz_mend(frame + 14, l2 + size - 14);
	return l2 + size;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_run(data, size, make);
	return 0;
}
