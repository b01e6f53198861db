/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A mix of good and bad packets through the real stages, for as long as it is asked to: at the end
 * every one of them was counted as its sender expects, and every buffer is back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dataplane/esp.h"
#include "frame.h"
#include "peer.h"

#define TUNNELS 4
#define BATCH   512

static const struct tunnel tunnels[TUNNELS] = {
	{"aes128gcm16", FAMILY_V4, 3, false, false, 0x1000, 0, ESP_TUNNEL},
	{"aes256gcm16", FAMILY_V6, 4, true, false, 0x2000, 0, ESP_TUNNEL},
	{"chacha20poly1305", FAMILY_V4, 5, false, true, 0x3000, 0, ESP_TUNNEL},
	{"aes128-sha256", FAMILY_V4, 6, true, false, 0x4000, 0, ESP_TUNNEL},
};

static struct engine e;
static struct peer peer;
static const struct sa *sas[TUNNELS];
static unsigned long packets = 200000;

/* What the sender expects. */
static struct expected {
	uint64_t delivered, sealed, consumed, drops[DROP_COUNT];
} expected;

/* The last good packet of each tunnel, to be sent again or damaged. */
static struct last {
	uint64_t seq;
	size_t len;
	uint8_t frame[512];
} last[TUNNELS];

static size_t
seal_text(unsigned int t, uint8_t *text, size_t len, uint8_t next_header)
{
	struct last *l = &last[t];

	len = peer_trailer(sas[t], text, len, next_header);
	if (next_header == 0) { /* a byte of the trailer that is wrong */
		text[len - 2] = 255;
		text[len - 1] = IPPROTO_IPIP;
	}
	l->len = peer_seal(&peer, sas[t], ++l->seq, text, len, l->frame);
	return l->len;
}

static size_t
inner(unsigned int t, uint8_t *text)
{
	return peer_inner(&tunnels[t], text, 20 + (size_t)rand() % 100);
}

/* A frame for the unprotected port, or the protected one. Every second one is good. */
static const uint8_t *
make(unsigned int *port, size_t *len)
{
	static uint8_t frame[512];
	unsigned int t = (unsigned int)rand() % TUNNELS, kind = (unsigned int)rand() % 16;
	uint8_t text[256] = {0};
	size_t size, l2;

	*port = 1;
	switch (kind) {
	default:
		*len = seal_text(t, text, inner(t, text), IPPROTO_IPIP);
		expected.delivered++;
		return last[t].frame;
	case 8:
	case 9: /* once more, or for the first time damaged */
		memcpy(frame, last[t].frame, last[t].len);
		*len = last[t].len;
		expected.drops[DROP_REPLAY]++;
		return frame;
	case 10:
		size = seal_text(t, text, inner(t, text), IPPROTO_IPIP);
		memcpy(frame, last[t].frame, size);
		last[t].seq--; /* the number is still free */
		last[t].len = 0;
		frame[size - 1 - (size_t)rand() % 8] ^= 0x21;
		*len = size;
		expected.drops[DROP_ICV]++;
		/* What is sent again later must have been good once. */
		engine_receive(&e, 1, engine_frame(&e, frame, size));
		*len = seal_text(t, text, inner(t, text), IPPROTO_IPIP);
		expected.delivered++;
		return last[t].frame;
	case 11:
		*len = seal_text(t, text, inner(t, text), 0);
		expected.drops[DROP_PAD]++;
		return last[t].frame;
	case 12:
		*len = seal_text(t, text, 40, ESP_NEXT_NONE);
		expected.consumed++;
		return last[t].frame;
	case 13:
		*len = seal_text(t, text, inner(t, text), 6);
		expected.drops[DROP_NEXT_HEADER]++;
		return last[t].frame;
	case 14:
		l2 = engine_put_l2(&e, frame, 1, RTE_ETHER_TYPE_IPV4);
		memset(frame + l2 + 20, 0x77, 64); /* SPI 0x77777777 */
		*len = l2 + put_ipv4(frame + l2, WAN_PEER, WAN_SELF, IPPROTO_ESP, 64);
		expected.drops[DROP_NO_SA]++;
		return frame;
	case 15:
		*port = 0;
		l2 = engine_put_l2(&e, frame, 0, RTE_ETHER_TYPE_IPV4);
		memset(frame + l2 + 20, 0x5a, 100);
		*len = l2 +
		       put_ipv4(frame + l2, LAN_HOST, peer_host(&tunnels[t]), IPPROTO_UDP, 100);
		expected.sealed++;
		return frame;
	}
}

static void
count_out(uint64_t out[2])
{
	struct rte_mbuf *m;

	for (unsigned int port = 0; port < 2; port++) {
		while ((m = engine_sent(&e, port)) != NULL) {
			rte_pktmbuf_free(m);
			out[port]++;
		}
	}
}

static void
B42_every_packet_of_a_long_run_is_counted_as_its_sender_expects(void **state)
{
	struct worker_counters c;
	uint64_t out[2] = {0, 0};

	srand(42);
	for (unsigned int t = 0; t < TUNNELS; t++) { /* so that there is a last one */
		uint8_t text[256];
		size_t len = seal_text(t, text, inner(t, text), IPPROTO_IPIP);

		engine_receive(&e, 1, engine_frame(&e, last[t].frame, len));
		expected.delivered++;
	}
	for (unsigned long sent = 0; sent < packets; sent += BATCH) {
		for (unsigned int i = 0; i < BATCH; i++) {
			unsigned int port;
			size_t len;
			const uint8_t *frame = make(&port, &len);

			engine_receive(&e, port, engine_frame(&e, frame, len));
		}
		engine_settle(&e);
		count_out(out);
	}
	engine_check(&e);
	workers_sum(e.dp, &c);
	for (unsigned int i = 0; i < DROP_COUNT; i++)
		assert_int_equal(c.drops[i], expected.drops[i]);
	assert_int_equal(c.consumed, expected.consumed);
	assert_int_equal(c.sealed, expected.sealed);
	assert_int_equal(out[0], expected.delivered);
	assert_int_equal(out[1], expected.sealed);
	assert_int_equal(rte_mempool_in_use_count(e.dp->pool), 0);
	print_message("%lu packets\n", (unsigned long)c.received);
}

static int
setup(void **state)
{
	peer_begin(&peer, &e, 2, tunnels, TUNNELS, sas);
	*state = &peer;
	return 0;
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			B42_every_packet_of_a_long_run_is_counted_as_its_sender_expects, setup,
			peer_teardown),
	};

	if (argc > 1)
		packets = strtoul(argv[1], NULL, 10);
	engine_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
