/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ESP inbound with the right keys. A record is a byte that says which tunnel, one that says what
 * becomes of the rest, and the rest: the text that is sealed, trailer and all, so that what stands
 * behind the integrity check is reached; or ESP as it is; or a sealed packet with one byte changed.
 */
#include <string.h>

#include "dataplane/esp.h"
#include "harness.h"
#include "tests/unit/dataplane/frame.h"

#define TEXT     0u /* the rest is the text, padded so that its length fits */
#define INNER    1u /* the rest is a packet, its header checksum made right: given its trailer */
#define RAW      2u /* the rest stands behind the SPI */
#define CHANGED  3u /* a text, and one byte of the whole changed */
#define KIND     3u
#define OLD_SEQ  4u /* a number from the past */
#define CE       8u /* congestion was experienced */
#define FRAGMENT 16u
#define CUT      32u

static size_t
raw(const struct sa *sa, const uint8_t *data, size_t size, uint8_t *frame)
{
	uint8_t none[1] = {0};
	size_t head = 14u + sa->outer_len - 4;

	peer_seal(&fuzz_peer, sa, 1, none, 0, frame);
	memcpy(frame + head, data, size);
	return head + size;
}

static size_t
sealed(unsigned int tunnel, uint8_t choice, const uint8_t *data, size_t size, uint8_t *frame)
{
	static uint8_t text[FUZZ_FRAME_MAX];
	const struct sa *sa = fuzz_sas[tunnel];
	uint64_t seq = (choice & OLD_SEQ) != 0 ? 1 : fuzz_next_seq();
	size_t len;

	memcpy(text, data, size);
	if ((choice & KIND) == INNER) {
		fuzz_mend(text, size);
		size = peer_trailer(sa, text, size, text[0] >> 4 == 6 ? 41 : 4);
	}
	size -= size % sa->align;
	len = peer_seal(&fuzz_peer, sa, seq, text, size, frame);
	if ((choice & KIND) == CHANGED && size > 0)
		frame[14 + data[0] % (len - 14)] ^= (uint8_t)(data[size - 1] | 1);
	return len;
}

/* The outer header says the length that is there, whatever was done. */
static void
put_outer(const struct sa *sa, uint8_t choice, uint8_t *ip, size_t len)
{
	struct rte_ipv4_hdr *v4 = (struct rte_ipv4_hdr *)ip;

	if (sa->family == FAMILY_V6) {
		((struct rte_ipv6_hdr *)ip)->payload_len = rte_cpu_to_be_16((uint16_t)(len - 40));
		if ((choice & CE) != 0)
			ip[1] |= 0x30;
		return;
	}
	v4->total_length = rte_cpu_to_be_16((uint16_t)len);
	if ((choice & CE) != 0)
		v4->type_of_service |= 3;
	if ((choice & FRAGMENT) != 0)
		v4->fragment_offset = RTE_BE16(RTE_IPV4_HDR_MF_FLAG);
	fuzz_mend(ip, len);
}

static size_t
make(const uint8_t *data, size_t size, uint8_t *frame, struct fuzz_way *way)
{
	unsigned int tunnel = size > 0 ? data[0] % FUZZ_TUNNELS : 0;
	const struct sa *sa = fuzz_sas[tunnel];
	uint8_t choice = size > 1 ? data[1] : 0;
	size_t len, least = sa->family == FAMILY_V4 ? 20 : 40;

	if (size < 2)
		return 0;
	data += 2;
	size -= 2;
	if ((choice & KIND) == RAW)
		len = raw(sa, data, size, frame);
	else
		len = sealed(tunnel, choice, data, size, frame);
	if ((choice & CUT) != 0)
		len -= size > 0 ? data[0] % (len - 14 - least) : 0;
	if ((choice & KIND) != CHANGED)
		put_outer(sa, choice, frame + 14, len - 14);
	return len;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_run(data, size, make);
	return 0;
}
