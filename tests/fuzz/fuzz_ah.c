/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * AH with the right keys, in and out. A record is a byte that says which SA, one that says what
 * becomes of the rest, and the rest: a text behind AH, with options or extension headers in front
 * of it, signed; or AH as it is; or a packet of the host's or of the lan's that is to be signed.
 */
#include <string.h>

#include "harness.h"
#include "tests/unit/dataplane/frame.h"

#define TEXT    0u /* a byte of how much stands in front of AH, that much, a text, its protocol */
#define CHANGED 1u /* likewise, and a byte of the whole changed afterwards */
#define RAW     2u /* the rest stands behind the SPI */
#define OUT     3u /* the rest is a packet from its IP header on */
#define KIND    3u
#define OLD_SEQ 4u
#define WAY     8u  /* what routers may change is changed */
#define LENGTHS 16u /* extension headers have the lengths that fit */

enum { V4, V4_GMAC, V6_ESN, V4_HOST, V6_HOST, TUNNELS };

static const struct tunnel tunnels[TUNNELS] = {
	[V4] = {"null-sha256", FAMILY_V4, 21, false, false, 0x11000, 0, AH_TUNNEL},
	[V4_GMAC] = {"aes128gmac", FAMILY_V4, 22, true, false, 0x12000, SA_ALIGN4, AH_TUNNEL},
	[V6_ESN] = {"null-aescmac", FAMILY_V6, 23, true, false, 0x13000, 0, AH_TUNNEL},
	[V4_HOST] = {"null-sha256", FAMILY_V4, 24, false, false, 0x14000, 0, AH_TRANSPORT},
	[V6_HOST] = {"aes128gmac", FAMILY_V6, 25, true, false, 0x15000, 0, AH_TRANSPORT},
};
static const struct sa *sas[TUNNELS];

void
fuzz_start(void)
{
	for (unsigned int i = 0; i < TUNNELS; i++)
		sas[i] = peer_tunnel(&fuzz_peer, &tunnels[i]);
}

static size_t
raw(const struct sa *sa, const uint8_t *data, size_t size, uint8_t *frame)
{
	static const uint8_t none[1];
	size_t head = sa->family == FAMILY_V4 ? 14 + 20 + 8 : 14 + 40 + 8;

	peer_seal(&fuzz_peer, sa, 1, none, 0, frame);
	memcpy(frame + head, data, size);
	return head + size;
}

/* Extension headers of 8 or 16 bytes: a chain that ends in front of AH. */
static uint8_t
make_chain(uint8_t *more, size_t len)
{
	static const uint8_t kinds[] = {IPPROTO_HOPOPTS, IPPROTO_DSTOPTS, IPPROTO_ROUTING,
					IPPROTO_DSTOPTS};
	uint8_t first = kinds[more[0] % 4];

	for (size_t at = 0, size; at < len; at += size) {
		size = len - at > 8 && (more[at + 1] & 1) != 0 ? 16 : 8;
		more[at] = at + size < len ? kinds[more[at + size] % 4] : IPPROTO_AH;
		more[at + 1] = (uint8_t)(size / 8 - 1);
	}
	return first;
}

/* As a router on the way may. */
static void
change_on_the_way(uint8_t *ip)
{
	ip[1] ^= 0x1c;
	if (ip[0] >> 4 == 4)
		ip[8] ^= 0x55;
	else
		ip[7] ^= 0x55;
}

static size_t
sealed(const struct sa *sa, uint8_t choice, const uint8_t *data, size_t size, uint8_t *frame)
{
	static uint8_t text[FUZZ_FRAME_MAX], more[64];
	size_t more_len = size > 0 ? data[0] % 6u * 8 : 0, len;
	uint64_t seq = (choice & OLD_SEQ) != 0 ? 1 : fuzz_next_seq();
	uint8_t kind = IPPROTO_DSTOPTS;

	if (size < more_len + 2)
		return 0;
	memcpy(more, data + 1, more_len);
	if (sa->family == FAMILY_V6 && more_len > 0 && (choice & LENGTHS) != 0)
		kind = make_chain(more, more_len);
	len = size - 2 - more_len;
	memcpy(text, data + 1 + more_len, len + 1);
	fuzz_mend(text, len);
	len = peer_seal(&fuzz_peer, sa, seq, text, len, frame);
	len = peer_insert(&fuzz_peer, sa, seq, frame, len, more, more_len, kind);
	if ((choice & WAY) != 0)
		change_on_the_way(frame + 14);
	if ((choice & KIND) == CHANGED)
		frame[14 + data[0] % (len - 14)] ^= (uint8_t)(data[size - 1] | 1);
	fuzz_mend(frame + 14, len - 14);
	return len;
}

/* To the other end of the SA: by the lan port, or from the host. */
static size_t
outbound(unsigned int tunnel, const uint8_t *data, size_t size, uint8_t *frame,
	 struct fuzz_way *way)
{
	const struct sa *sa = sas[tunnel];
	bool host = sa->mode == SA_MODE_TRANSPORT, v4 = size > 0 && data[0] >> 4 != 6;
	uint8_t *ip = frame + 14;

	*way = (struct fuzz_way){.port = host, .from_host = host};
	engine_put_l2(&fuzz_engine, frame, way->port,
		      v4 ? RTE_ETHER_TYPE_IPV4 : RTE_ETHER_TYPE_IPV6);
	memcpy(ip, data, size);
	if (host && size >= 40) { /* the peer's SA is the other way round */
		memcpy(ip + (v4 ? 12 : 8), sa->dst.bytes, v4 ? 4 : 16);
		memcpy(ip + (v4 ? 16 : 24), sa->src.bytes, v4 ? 4 : 16);
	}
	fuzz_mend(ip, size);
	return 14 + size;
}

static size_t
make(const uint8_t *data, size_t size, uint8_t *frame, struct fuzz_way *way)
{
	unsigned int tunnel = size > 0 ? data[0] % TUNNELS : 0;
	uint8_t choice = size > 1 ? data[1] : 0;

	if (size < 2)
		return 0;
	data += 2;
	size -= 2;
	switch (choice & KIND) {
	case RAW:
		return raw(sas[tunnel], data, size, frame);
	case OUT:
		return outbound(tunnel, data, size, frame, way);
	default:
		return sealed(sas[tunnel], choice, data, size, frame);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_run(data, size, make);
	return 0;
}
