/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Nothing that a packet says moves anything before its integrity is known: after any number of
 * forged packets, windows, lifetimes, times of use, peers' addresses and path MTUs are what they
 * were, to the byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "frame.h"
#include "peer.h"

#define TUNNELS 5
#define BATCH   256

static const struct tunnel tunnels[TUNNELS] = {
	{"aes128gcm16", FAMILY_V4, 3, false, false, 0x1000, 0, ESP_TUNNEL},
	{"aes256gcm16", FAMILY_V6, 4, true, false, 0x2000, 0, ESP_TUNNEL},
	{"aes128-sha256", FAMILY_V4, 5, true, false, 0x3000, 0, ESP_TUNNEL},
	{"chacha20poly1305", FAMILY_V4, 6, false, true, 0x4000, 0, ESP_TUNNEL},
	{"null-sha256", FAMILY_V6, 7, false, true, 0x5000, 0, ESP_TUNNEL},
};

static struct engine e;
static struct peer peer;
static const struct sa *sas[TUNNELS];
static unsigned long forged_packets = 1000000;

/* All that an SA is, but for the key, and its two counters of bad packets. */
struct picture {
	struct sa sa;
	struct sa_params params;
	struct sa_usage usage;
	uint8_t replay[1024];
};

static void
take_picture(struct picture *p, const struct sa_control *c)
{
	memset(p, 0, sizeof(*p));
	memcpy(&p->sa, c->sa, sizeof(p->sa));
	sad_params_and_keys(c, &p->params);
	p->usage = sad_usage(e.dp->sad, c);
	p->usage.replay_drops = p->usage.auth_drops = 0;
	assert_true(replay_size(c->sa->replay->window) <= sizeof(p->replay));
	memcpy(p->replay, c->sa->replay, replay_size(c->sa->replay->window));
}

static void
take_pictures(struct picture p[2 * TUNNELS])
{
	for (unsigned int i = 0; i < TUNNELS; i++) {
		take_picture(&p[2 * i], peer_inbound(&peer, &tunnels[i]));
		take_picture(&p[2 * i + 1], peer_outbound(&peer, &tunnels[i]));
	}
}

static size_t
seal(unsigned int tunnel, uint64_t seq, uint8_t *frame)
{
	uint8_t text[256];
	size_t len = peer_inner(&tunnels[tunnel], text, 60 + (size_t)rand() % 60);

	len = peer_trailer(sas[tunnel], text, len, IPPROTO_IPIP);
	return peer_seal(&peer, sas[tunnel], seq, text, len, frame);
}

static void
mend4(uint8_t *ip, size_t len)
{
	struct rte_ipv4_hdr *h = (struct rte_ipv4_hdr *)ip;

	if (ip[0] >> 4 != 4)
		return;
	h->total_length = rte_cpu_to_be_16((uint16_t)len);
	h->hdr_checksum = 0;
	h->hdr_checksum = rte_cpu_to_be_16((uint16_t)~naive_sum(0, h, sizeof(*h)));
}

/* What an attacker can make of a packet that he saw, or of its SPI alone. */
static size_t
forge(uint8_t *frame)
{
	unsigned int tunnel = (unsigned int)rand() % TUNNELS;
	const struct sa *sa = sas[tunnel];
	uint8_t *ip = frame + 14, *esp = ip + sa->outer_len - 8;
	size_t len = seal(tunnel, 101 + (uint64_t)rand() % 2000, frame), head = 14u + sa->outer_len;
	uint32_t seq = rte_cpu_to_be_32((uint32_t)rand() << 8);

	switch (rand() % 6) {
	case 0: /* a bit anywhere behind the header */
		frame[head + (size_t)rand() % (len - head)] ^= (uint8_t)(1u << rand() % 8);
		break;
	case 1: /* any number, the huge jump among them */
		memcpy(esp + 4, &seq, sizeof(seq));
		break;
	case 2: /* from another address, and where there is UDP another port, with an ICV of zeros
		 */
		ip[sa->family == FAMILY_V4 ? 15 : 23] ^= 0x40;
		if ((sa->flags & SA_ENCAP_UDP) != 0)
			esp[-8] ^= 0x11;
		memset(frame + len - sa->icv_len, 0, sa->icv_len);
		break;
	case 3: /* random bytes behind the SPI */
		for (uint8_t *at = esp + 4; at < frame + len; at++)
			*at = (uint8_t)rand();
		break;
	case 4: /* congestion, and an ICV of the next packet */
		ip[1] |= 0x33;
		frame[len - 1] ^= 0x80;
		break;
	default: /* one that was received already */
		len = seal(tunnel, 100, frame);
	}
	mend4(ip, len - 14);
	return len;
}

/* Packet-too-big that quotes an SPI which is none of ours (an SPI that is, may be genuine). */
static size_t
forge_too_big(uint8_t *frame)
{
	uint8_t *ip = frame + engine_put_l2(&e, frame, 1, RTE_ETHER_TYPE_IPV4), *icmp = ip + 20;
	const struct sa *sa = peer_outbound(&peer, &tunnels[0])->sa;
	size_t len = 8u + sa->outer_len;
	uint16_t sum;

	put_ipv4(ip, WAN_PEER, WAN_SELF, IPPROTO_ICMP, len);
	memset(icmp, 0, 8);
	icmp[0] = 3;
	icmp[1] = 4;
	icmp[6] = (uint8_t)rand();
	memcpy(icmp + 8, sa->outer, sa->outer_len);
	icmp[8 + sa->outer_len - 7] ^= (uint8_t)(1 + rand() % 255);
	sum = rte_cpu_to_be_16((uint16_t)~naive_sum(0, icmp, len));
	memcpy(icmp + 2, &sum, sizeof(sum));
	return 14 + 20 + len;
}

static void
set_clock(uint64_t now)
{
	for (unsigned int i = 0; i < e.dp->workers_count; i++) {
		e.dp->workers[i]->now = now;
		e.dp->workers[i]->clock_due = UINT64_MAX;
	}
}

/* One genuine packet a tunnel, so that there is something to be moved. */
static void
exchange_greetings(void)
{
	uint8_t frame[512];

	set_clock(1000);
	for (unsigned int i = 0; i < TUNNELS; i++) {
		size_t len = seal(i, 100, frame);

		assert_int_equal(engine_fate(&e, 1, frame, len), DROP_COUNT);
		assert_int_equal(sad_usage(e.dp->sad, peer_inbound(&peer, &tunnels[i])).packets, 1);
	}
	engine_drain(&e);
	set_clock(2000);
}

static void
send_forged(unsigned long packets)
{
	uint8_t frame[512];

	for (unsigned long sent = 0; sent < packets; sent += BATCH) {
		for (unsigned int i = 0; i < BATCH; i++) {
			size_t len = i == 0 ? forge_too_big(frame) : forge(frame);

			engine_receive(&e, 1, engine_frame(&e, frame, len));
		}
		engine_settle(&e);
		assert_null(engine_sent(&e, 0));
		engine_drain(&e);
	}
}

static void
C19_C33_C34_B16_B18_B30_B35_forged_packets_move_nothing(void **state)
{
	static struct picture before[2 * TUNNELS], after[2 * TUNNELS];
	struct worker_counters c;
	uint64_t blamed = 0;

	srand(33);
	exchange_greetings();
	take_pictures(before);
	send_forged(forged_packets);
	take_pictures(after);
	for (unsigned int i = 0; i < 2 * TUNNELS; i++)
		assert_memory_equal(&after[i], &before[i], sizeof(after[i]));
	workers_sum(e.dp, &c);
	assert_int_equal(c.opened, TUNNELS);
	for (unsigned int i = 0; i < TUNNELS; i++) {
		struct sa_usage usage = sad_usage(e.dp->sad, peer_inbound(&peer, &tunnels[i]));

		blamed += usage.auth_drops + usage.replay_drops;
	}
	assert_int_equal(blamed, c.drops[DROP_ICV] + c.drops[DROP_REPLAY]);
	assert_true(c.drops[DROP_ICV] > forged_packets / 2);
	assert_true(c.drops[DROP_REPLAY] > forged_packets / 16);
}

static int
setup(void **state)
{
	peer_begin(&peer, &e, *state != NULL ? 2 : 1, tunnels, TUNNELS, sas);
	*state = &peer;
	return 0;
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			C19_C33_C34_B16_B18_B30_B35_forged_packets_move_nothing, setup,
			peer_teardown),
	};

	if (argc > 1)
		forged_packets = strtoul(argv[1], NULL, 10);
	engine_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
