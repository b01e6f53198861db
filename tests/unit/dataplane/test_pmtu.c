/* SPDX-License-Identifier: BSD-3-Clause */
/* The MTU of a tunnel: to the byte, for every suite, and what becomes of packets beyond it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dataplane/esp.h"
#include "dataplane/ip_parse.h"
#include "dataplane/room.h"
#include "dataplane/walk.h"
#include "engine.h"
#include "frame.h"

#define SPI       0x1001
#define INNER_MAX 1600

static struct engine e;

static int
setup(void **state)
{
	engine_start(&e, 1);
	return 0;
}

static int
setup_two_workers(void **state)
{
	engine_start(&e, 2);
	return 0;
}

static int
teardown(void **state)
{
	engine_stop(&e);
	return 0;
}

static union ip_addr
wan_address(uint8_t family, bool self)
{
	union ip_addr a = {0};

	if (family == FAMILY_V4)
		return ip_addr_v4(rte_cpu_to_be_32(self ? WAN_SELF : WAN_PEER));
	put_address6(a.bytes, 0x99, self ? 1 : 2);
	return a;
}

struct tunnel {
	uint8_t suite, outer; /* number and family */
	uint16_t flags;
};

static struct sa *
add_sa(const struct tunnel *t)
{
	static uint8_t fresh; /* the SAD remembers keys */
	struct sa_params p = {
		.id = {.dst = wan_address(t->outer, false),
		       .spi = RTE_BE32(SPI),
		       .family = t->outer,
		       .proto = IPPROTO_ESP},
		.src = wan_address(t->outer, true),
		.mode = SA_MODE_TUNNEL,
		.flags = t->flags,
		.reqid = 7,
		.suite = t->suite,
		.encap_sport = RTE_BE16(4500),
		.encap_dport = RTE_BE16(4500),
	};
	struct reason why = {""};

	p.key[0] = p.auth_key[0] = ++fresh;
	p.key[1] = t->suite;
	if (sad_add(e.dp->sad, &p, &why) != 0)
		fail_msg("%s: %s", crypto_suites[t->suite].name, why.text);
	return sad_find(e.dp->sad, &p.id)->sa;
}

/* A packet of that length on its way into the SA. */
static struct rte_mbuf *
clear_packet(struct sa *sa, uint16_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(e.dp->pool);
	uint8_t *at = (uint8_t *)rte_pktmbuf_append(m, len);

	put_ipv4(at, LAN_HOST, FAR_HOST, IPPROTO_UDP, len - 20u);
	*packet(m) = (struct packet){.in = LAN, .out = WAN, .family = FAMILY_V4, .sa = sa};
	return m;
}

/* How long packets of 28 bytes to INNER_MAX are on the wire, by the stages that make them so. */
static void
measure(struct sa *sa, uint32_t wire[INNER_MAX + 1])
{
	struct worker *w = e.dp->workers[0];

	for (uint16_t len = 28; len <= INNER_MAX; len++) {
		struct burst b = {.n = 1, .m = {clear_packet(sa, len)}};

		seq_reserve(w, &b);
		esp_encap(w, &b);
		assert_int_equal(b.n, 1);
		wire[len] = rte_pktmbuf_pkt_len(b.m[0]);
		rte_pktmbuf_free(b.m[0]);
	}
}

static void
the_inner_mtu_is_exact_for_every_suite(void **state)
{
	static uint32_t wire[INNER_MAX + 1];

	for (unsigned int i = 0; i < crypto_suites_count * 4; i++) {
		struct tunnel t = {.suite = (uint8_t)(i / 4),
				   .outer = (i & 1) != 0 ? FAMILY_V6 : FAMILY_V4,
				   .flags = (i & 2) != 0 ? SA_ENCAP_UDP : 0};
		struct sa *sa = add_sa(&t);

		measure(sa, wire);
		for (uint32_t mtu = wire[28]; mtu < wire[INNER_MAX]; mtu++) {
			uint32_t inner = esp_inner_mtu(sa, mtu);

			assert_in_range(inner, 28, INNER_MAX - 1);
			assert_true(wire[inner] <= mtu);
			assert_true(wire[inner + 1] > mtu);
		}
		sad_flush(e.dp->sad, 0);
		reclaim_poll(e.dp->reclaim);
	}
}

/* RFC 6864 section 4.3: blocks of one sequence, however unevenly the workers take them. */
static void
identifications_return_after_65536_packets_of_all_workers(void **state)
{
	static uint8_t seen[UINT16_MAX + 1];
	unsigned int under_way = 2 * 64;

	for (unsigned int i = 0; i < sizeof(seen) - under_way; i++) {
		uint16_t id = (uint16_t)worker_ip_id(e.dp->workers[i % 3 == 0]);

		assert_int_equal(seen[id], 0);
		seen[id] = 1;
	}
}

static void
protect_all_to_the_far_side(void)
{
	struct spd_params policy = {
		.id = {.dir = SPD_OUT,
		       .sel = {.dst = ip_addr_v4(rte_cpu_to_be_32(0x0a020000)),
			       .dst_len = 16,
			       .family = FAMILY_V4}},
		.action = SPD_PROTECT,
		.tmpl = {.src = wan_address(FAMILY_V4, true),
			 .dst = wan_address(FAMILY_V4, false),
			 .family = FAMILY_V4,
			 .proto = IPPROTO_ESP,
			 .mode = SA_MODE_TUNNEL,
			 .reqid = 7},
	};
	struct reason why = {""};

	if (spd_add(e.dp->spd, &policy, false, &why) != 0)
		fail_msg("%s", why.text);
}

/* Sends a packet of `len` bytes without DF from the lan; counts the frames of the wan port. */
static unsigned int
frames_sent_for(uint16_t len)
{
	static uint8_t frame[2048];
	size_t l2 = engine_put_l2(&e, frame, 0, RTE_ETHER_TYPE_IPV4);
	unsigned int frames = 0;
	struct rte_mbuf *m;

	put_ipv4(frame + l2, LAN_HOST, FAR_HOST, IPPROTO_UDP, len - 20u);
	assert_int_equal(engine_fate(&e, 0, frame, l2 + len), DROP_COUNT);
	while ((m = engine_sent(&e, 1)) != NULL) {
		const struct rte_ipv4_hdr *ip =
			rte_pktmbuf_mtod_offset(m, const struct rte_ipv4_hdr *, l2);

		assert_int_equal(ip->next_proto_id, IPPROTO_ESP);
		assert_in_range(rte_pktmbuf_pkt_len(m), 1, l2 + 1500);
		frames++;
		rte_pktmbuf_free(m);
	}
	return frames;
}

/* Where the packet came in, it is given to the SA's owner, who finds it too long in turn. */
static void
another_workers_packet_is_cut_after_sealing_by_the_owner(void **state)
{
	struct sa *sa = add_sa(&(struct tunnel){.outer = FAMILY_V4});

	e.config.tunnels.fragment = FRAGMENT_AFTER;
	protect_all_to_the_far_side();
	for (unsigned int owner = 0; owner < 2; owner++) {
		atomic_store(&sa->owner, owner);
		assert_int_equal(frames_sent_for(1500), 2);
		assert_int_equal(frames_sent_for(1000), 1);
	}
	assert_int_equal(e.dp->workers[1]->count.sealed, 2);
	assert_int_equal(e.dp->workers[1]->count.made, 1);
}

/* Where no path MTU is known: with DF, a byte more is answered instead of sealed. */
static void
C61_B32_what_is_longer_than_the_tunnel_takes_is_answered(void **state)
{
	uint32_t most = esp_inner_mtu(add_sa(&(struct tunnel){.outer = FAMILY_V4}), 1500);
	static uint8_t frame[2048];
	size_t l2 = engine_put_l2(&e, frame, 0, RTE_ETHER_TYPE_IPV4);
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(frame + l2);

	protect_all_to_the_far_side();
	for (uint32_t len = most; len < most + 2; len++) {
		put_ipv4(frame + l2, LAN_HOST, FAR_HOST, IPPROTO_UDP, len - 20);
		ip->fragment_offset = RTE_BE16(RTE_IPV4_HDR_DF_FLAG);
		ip->hdr_checksum = 0;
		ip->hdr_checksum = rte_cpu_to_be_16((uint16_t)~naive_sum(0, ip, sizeof(*ip)));
		assert_int_equal(engine_fate(&e, 0, frame, l2 + len),
				 len == most ? DROP_COUNT : DROP_MTU);
		assert_int_equal(e.dp->workers[0]->count.sealed, 1);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_inner_mtu_is_exact_for_every_suite, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			C61_B32_what_is_longer_than_the_tunnel_takes_is_answered, setup, teardown),
		cmocka_unit_test_setup_teardown(
			identifications_return_after_65536_packets_of_all_workers,
			setup_two_workers, teardown),
		cmocka_unit_test_setup_teardown(
			another_workers_packet_is_cut_after_sealing_by_the_owner, setup_two_workers,
			teardown),
	};

	engine_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
