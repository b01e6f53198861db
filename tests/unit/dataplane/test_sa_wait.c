/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packets that wait for an SA: they go on in their order once there is one, or as policy says by
 * then; how many wait, and how long, is bounded; none is lost, sent in clear text or counted twice.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <rte_ring_elem.h>

#include "dataplane/sa_wait.h"
#include "frame.h"
#include "peer.h"

#define NET   3
#define OTHER 77 /* behind the peer as well, without a policy */
#define PORT  7000

/* What is sealed can be read. */
static const struct tunnel tunnel = {
	"null-sha256", FAMILY_V4, NET, false, false, 0x1000, 0, ESP_TUNNEL,
};

static struct engine e;
static struct peer peer;
static const struct sa *sa;
static struct sa_params lost; /* the tunnel's outbound SA */
static uint64_t now;
static uint32_t number; /* of the last packet sent */

static int
start(void **state, unsigned int workers)
{
	peer_begin(&peer, &e, workers, &tunnel, 1, &sa);
	*state = &peer;
	e.config.spd.no_match = NO_MATCH_DISCARD;
	sad_params_and_keys(peer_outbound(&peer, &tunnel), &lost);
	assert_int_equal(sad_delete(e.dp->sad, &lost.id, NULL), 0);
	now = 1000;
	number = 0;
	sa_wait_poll(e.dp, true, now);
	return 0;
}

static int
setup(void **state)
{
	return start(state, 1);
}

static int
setup_two_workers(void **state)
{
	return start(state, 2);
}

static uint32_t
host(unsigned int net)
{
	return 0x0a020003 + (net << 8);
}

/* Sends a numbered packet of the lan's: UDP, whole or a fragment of a datagram of its own. */
static void
send_part(unsigned int net, uint16_t dport, uint16_t offset)
{
	uint8_t frame[14 + 20 + 8 + 56] = {0}, *ip = frame + 14;
	struct rte_ipv4_hdr *v4 = (struct rte_ipv4_hdr *)ip;
	rte_be16_t ports[2] = {RTE_BE16(4000), rte_cpu_to_be_16(dport)};
	uint32_t n = ++number;

	engine_put_l2(&e, frame, 0, RTE_ETHER_TYPE_IPV4);
	put_ipv4(ip, LAN_HOST + n % 7 * 256, host(net), IPPROTO_UDP, sizeof(frame) - 34);
	v4->fragment_offset = rte_cpu_to_be_16(offset);
	v4->hdr_checksum = 0;
	v4->hdr_checksum = rte_cpu_to_be_16((uint16_t)~naive_sum(0, ip, 20));
	memcpy(ip + 20, ports, sizeof(ports));
	memcpy(frame + sizeof(frame) - sizeof(n), &n, sizeof(n));
	engine_receive(&e, 0, engine_frame(&e, frame, sizeof(frame)));
	engine_settle(&e);
}

static void
send_packets(unsigned int net, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		send_part(net, PORT, 0);
}

/* A turn of the control thread, and what the workers make of it. */
static void
turn(void)
{
	sa_wait_poll(e.dp, true, now);
	engine_settle(&e);
	engine_check(&e);
}

static void
find_sa(void)
{
	assert_int_equal(sad_add(e.dp->sad, &lost, NULL), 0);
}

static struct spd_params
rule(unsigned int net, enum spd_action action, uint32_t priority)
{
	return (struct spd_params){
		.priority = priority,
		.action = action,
		.tmpl = {.src = lost.src,
			 .dst = lost.id.dst,
			 .family = FAMILY_V4,
			 .proto = IPPROTO_ESP,
			 .mode = SA_MODE_TUNNEL,
			 .reqid = 100000 + net},
		.id = {.sel = {.src = {.bytes = {10, 1}},
			       .dst = {.bytes = {10, 2, (uint8_t)net}},
			       .src_len = 16,
			       .dst_len = 24,
			       .family = FAMILY_V4},
		       .dir = SPD_OUT},
	};
}

static void
add(const struct spd_params *p, bool replace)
{
	assert_int_equal(spd_add(e.dp->spd, p, replace, NULL), 0);
}

/* The next packet on the unprotected wire: its number; 0 for none. */
static uint32_t
sent(bool sealed)
{
	struct rte_mbuf *m = engine_sent(&e, 1);
	size_t trailer = 2 + 2 + 16; /* padding to 4, its length, next header, ICV */
	const uint8_t *ip;
	uint32_t n;

	if (m == NULL)
		return 0;
	ip = rte_pktmbuf_mtod_offset(m, const uint8_t *, 14);
	assert_int_equal(ip[9], sealed ? IPPROTO_ESP : IPPROTO_UDP);
	memcpy(&n, ip + rte_pktmbuf_pkt_len(m) - 14 - sizeof(n) - (sealed ? trailer : 0),
	       sizeof(n));
	rte_pktmbuf_free(m);
	return n;
}

static void
expect_sent(uint32_t first, uint32_t last, bool sealed)
{
	for (uint32_t n = first; n <= last; n++)
		assert_int_equal(sent(sealed), n);
	assert_int_equal(sent(sealed), 0);
}

static uint64_t
dropped(enum drop_reason reason)
{
	struct worker_counters c;

	workers_sum(e.dp, &c);
	return c.drops[reason];
}

static void
expect_waiting(uint64_t waiting, uint64_t expired, uint64_t overflowed)
{
	struct sa_wait_stats stats = sa_wait_stats(e.dp);

	assert_int_equal(stats.waiting, waiting);
	assert_int_equal(stats.expired, expired);
	assert_int_equal(stats.overflowed, overflowed);
	assert_int_equal(dropped(DROP_NO_SA_OUT), expired + overflowed);
}

static void
C55_packets_wait_and_go_on_in_their_order_once_there_is_an_sa(void **state)
{
	send_packets(NET, 10);
	turn();
	send_packets(NET, 10);
	turn();
	expect_sent(1, 0, true);
	expect_waiting(20, 0, 0);
	find_sa();
	send_packets(NET, 0);
	turn();
	expect_sent(1, 20, true);
	expect_waiting(0, 0, 0);
}

/* Where the SA came while they were on the ring. */
static void
packets_that_just_began_to_wait_are_looked_at(void **state)
{
	send_packets(NET, 2);
	find_sa();
	turn();
	expect_sent(1, 2, true);
	now += 10;
	turn();
	expect_waiting(0, 0, 0);
}

static void
B39_nobody_waits_where_nobody_can_bring_an_sa(void **state)
{
	sa_wait_poll(e.dp, false, now);
	send_packets(NET, 3);
	assert_int_equal(dropped(DROP_NO_SA_OUT), 3);
	assert_int_equal(sa_wait_stats(e.dp).waiting, 0);
}

static void
B39_the_first_packets_of_a_policy_are_kept(void **state)
{
	struct spd_params other = rule(OTHER, SPD_PROTECT, 1);

	add(&other, false);
	send_packets(NET, SA_WAIT_PER_POLICY / 2);
	turn();
	send_packets(NET, SA_WAIT_PER_POLICY / 2 + 5);
	expect_waiting(SA_WAIT_PER_POLICY, 0, 5);
	send_packets(OTHER, 1);
	expect_waiting(SA_WAIT_PER_POLICY + 1, 0, 5);
	find_sa();
	turn();
	expect_sent(1, SA_WAIT_PER_POLICY, true);
	expect_waiting(1, 0, 5);
	/* There is room again. */
	assert_int_equal(sad_delete(e.dp->sad, &lost.id, NULL), 0);
	send_packets(NET, SA_WAIT_PER_POLICY);
	expect_waiting(SA_WAIT_PER_POLICY + 1, 0, 5);
	turn();
	now += SA_WAIT_SECONDS * 1000;
	turn();
	expect_waiting(0, SA_WAIT_PER_POLICY + 1, 5);
}

static void
B39_the_sum_over_all_policies_is_bounded(void **state)
{
	unsigned int policies = SA_WAIT_MAX / SA_WAIT_PER_POLICY + 2;

	for (unsigned int i = 0; i < policies; i++) {
		struct spd_params p = rule(100 + i, SPD_PROTECT, 1);

		add(&p, false);
		send_packets(100 + i, SA_WAIT_PER_POLICY);
		turn();
	}
	expect_waiting(SA_WAIT_MAX, 0, 2 * SA_WAIT_PER_POLICY);
	assert_int_equal(rte_mempool_in_use_count(e.dp->pool), SA_WAIT_MAX);
	assert_true(rte_mempool_avail_count(e.dp->pool) > SA_WAIT_MAX);
	now += SA_WAIT_SECONDS * 1000;
	turn();
	engine_settle(&e);
	expect_waiting(0, SA_WAIT_MAX, 2 * SA_WAIT_PER_POLICY);
}

static void
B39_packets_that_waited_in_vain_are_dropped(void **state)
{
	send_packets(NET, 2);
	turn();
	now += 1000;
	send_packets(NET, 1);
	turn();
	now += SA_WAIT_SECONDS * 1000 - 1001;
	turn();
	expect_waiting(3, 0, 0);
	now += 1;
	turn();
	expect_waiting(1, 2, 0);
	find_sa();
	turn();
	expect_sent(3, 3, true);
	expect_waiting(0, 2, 0);
}

static void
the_policy_was_deleted_meanwhile(void **state)
{
	struct spd_params p = rule(OTHER, SPD_PROTECT, 1);

	add(&p, false);
	send_packets(OTHER, 2);
	turn();
	assert_int_equal(spd_delete(e.dp->spd, &p.id, 0, NULL), 0);
	turn();
	expect_sent(1, 0, false);
	assert_int_equal(dropped(DROP_POLICY_OUT), 2);
	expect_waiting(0, 0, 0);
}

static void
the_policy_was_exchanged_meanwhile(void **state)
{
	struct spd_params p = rule(OTHER, SPD_PROTECT, 1);

	add(&p, false);
	send_packets(OTHER, 1);
	turn();
	/* By one that wants another SA, which is not there either. */
	p.tmpl.reqid++;
	add(&p, true);
	turn();
	expect_waiting(1, 0, 0);
	p.action = SPD_BYPASS;
	add(&p, true);
	turn();
	expect_sent(1, 1, false);

	p.action = SPD_PROTECT;
	add(&p, true);
	send_packets(OTHER, 1);
	turn();
	p.action = SPD_DISCARD;
	add(&p, true);
	turn();
	expect_sent(1, 0, false);
	assert_int_equal(dropped(DROP_POLICY_OUT), 1);

	p.action = SPD_PROTECT;
	p.tmpl.reqid = lost.reqid;
	add(&p, true);
	send_packets(OTHER, 1);
	find_sa();
	turn();
	expect_sent(3, 3, true);
	expect_waiting(0, 0, 0);
}

/* A peer that narrows: the SA comes with a policy of its own, the trap keeps none. */
static void
a_narrower_policy_came_with_an_sa(void **state)
{
	struct spd_params trap = rule(OTHER, SPD_PROTECT, 2), narrow;

	add(&trap, false);
	send_packets(OTHER, 2);
	turn();
	find_sa();
	narrow = rule(OTHER, SPD_PROTECT, 1);
	narrow.id.sel.dst_len = 28;
	narrow.tmpl.reqid = lost.reqid;
	add(&narrow, false);
	turn();
	expect_sent(1, 2, true);
	expect_waiting(0, 0, 0);
}

/* What only workers know of later fragments, the one that comes back to knows. */
static void
fragments_go_on_together(void **state)
{
	struct spd_params bypass = rule(NET, SPD_BYPASS, 0);

	for (unsigned int i = 0; i < 7; i++) {
		number = i;
		send_part(NET, PORT, 0x2000);
		number = i; /* of the same host */
		send_part(NET, 0, 8);
	}
	turn();
	expect_waiting(14, 0, 0);
	bypass.id.sel.proto = IPPROTO_UDP;
	bypass.id.sel.dport = rte_cpu_to_be_16(PORT);
	bypass.id.sel.dport_mask = UINT16_MAX;
	add(&bypass, false);
	turn();
	for (unsigned int i = 0; i < 14; i++)
		assert_int_not_equal(sent(false), 0);
	expect_waiting(0, 0, 0);
}

/* The only request for an SA since the last look: the number of the packet that it is about. */
static uint32_t
asked(void)
{
	struct acquire request;

	assert_int_equal(rte_ring_sc_dequeue_elem(e.dp->acquires, &request, sizeof(request)), 0);
	assert_int_not_equal(rte_ring_sc_dequeue_elem(e.dp->acquires, &request, sizeof(request)),
			     0);
	return request.flow.src.bytes[2]; /* send_part() */
}

/* Whether it is their policy's first request or not: each of them is asked for. */
static void
C55_those_that_wait_are_asked_for_in_turn(void **state)
{
	struct spd_params p = rule(OTHER, SPD_PROTECT, 1);
	struct policy *policy;
	uint32_t seen = 0;

	add(&p, false);
	policy = spd_find(e.dp->spd, &p.id, 0);
	send_packets(OTHER, 3);
	rte_ring_reset(e.dp->acquires);
	for (unsigned int i = 0; i < 3; i++) {
		atomic_store(&policy->acquired, 0); /* longer ago than a second */
		turn();
		assert_int_equal(rte_ring_count(e.dp->acquires), 0);
		now += 1000;
		turn();
		seen |= 1u << asked();
	}
	assert_int_equal(seen, 1 << 1 | 1 << 2 | 1 << 3);
	now += SA_WAIT_SECONDS * 1000;
	turn();
	expect_waiting(0, 3, 0);
}

/* Every packet comes back exactly once and in order, though the inbox takes three at a time. */
static void
a_full_inbox_loses_nothing(void **state)
{
	struct worker *w = e.dp->workers[0];
	struct rte_ring *inbox = w->inbox;
	uint32_t n, next = 1;

	send_packets(NET, 20);
	turn();
	find_sa();
	w->inbox = rte_ring_create("small", 4, SOCKET_ID_ANY, RING_F_SC_DEQ);
	assert_non_null(w->inbox);
	for (unsigned int i = 0; i < 7; i++) {
		assert_int_equal(sa_wait_stats(e.dp).waiting, 20 - 3 * i);
		turn();
		while ((n = sent(true)) != 0)
			assert_int_equal(n, next++);
	}
	assert_int_equal(next, 21);
	expect_waiting(0, 0, 0);
	rte_ring_free(w->inbox);
	w->inbox = inbox;
}

#define test(f)             cmocka_unit_test_setup_teardown(f, setup, peer_teardown)
#define test_two_workers(f) cmocka_unit_test_setup_teardown(f, setup_two_workers, peer_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		test(C55_packets_wait_and_go_on_in_their_order_once_there_is_an_sa),
		test(packets_that_just_began_to_wait_are_looked_at),
		test(B39_nobody_waits_where_nobody_can_bring_an_sa),
		test(B39_the_first_packets_of_a_policy_are_kept),
		test(B39_the_sum_over_all_policies_is_bounded),
		test(B39_packets_that_waited_in_vain_are_dropped),
		test(the_policy_was_deleted_meanwhile),
		test(the_policy_was_exchanged_meanwhile),
		test(a_narrower_policy_came_with_an_sa),
		test(fragments_go_on_together),
		test_two_workers(fragments_go_on_together),
		test(C55_those_that_wait_are_asked_for_in_turn),
		test(a_full_inbox_loses_nothing),
	};

	engine_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
