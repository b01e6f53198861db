/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An SA moves to a worker that has more time: packets leave in the order of their numbers, none of
 * which is used twice, and inner flows keep theirs, whichever worker receives them and however the
 * workers' turns fall.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>

#include "dataplane/balance.h"
#include "dataplane/esp_op.h"
#include "frame.h"
#include "peer.h"

#define ROUNDS    200
#define INNER     100 /* bytes of an inner packet */
#define WORKERS   3
#define FLOWS     (2 * WORKERS) /* of both SAs by each worker */
#define UNDER_WAY 256

static struct tunnel tunnels[] = {
	{"aes128gcm16", FAMILY_V4, 3, false, false, 0x1000, 0, ESP_TUNNEL},
	{"aes128gcm16", FAMILY_V4, 4, false, false, 0x2000, 0, ESP_TUNNEL},
};

static struct engine e;
static struct peer peer;
static struct sa *sas[2];
static struct worker *const *workers;
static uint32_t given[FLOWS], left[FLOWS], all_given, all_left;
static uint32_t last[2]; /* number that has left, of each SA */
static atomic_bool over;

/* A packet of a flow, as its worker receives it. */
static void
give(unsigned int flow)
{
	struct worker *w = workers[flow / 2];
	uint32_t mark = flow << 24 | given[flow]++;
	uint8_t frame[14 + INNER];
	size_t l2 = engine_put_l2(&e, frame, 0, RTE_ETHER_TYPE_IPV4);
	struct rte_mbuf *m;

	put_ipv4(frame + l2, LAN_HOST + 1 + flow, peer_host(&tunnels[flow % 2]), IPPROTO_UDP,
		 INNER - 20);
	memcpy(frame + l2 + 28, &mark, sizeof(mark));
	m = engine_frame(&e, frame, sizeof(frame));
	*packet(m) = (struct packet){.in = LAN, .out = IFACE_NONE, .resume = RESUME_CLASSIFY};
	workers[0]->count.received++;
	workers[0]->count.held++;
	all_given++;
	assert_int_equal(rte_ring_enqueue(w->inbox, m), 0);
}

static void
open_sent(struct rte_mbuf *m)
{
	uint8_t *esp = rte_pktmbuf_mtod_offset(m, uint8_t *, 14 + 20);
	struct esp_header header;
	struct crypto_op op;
	unsigned int i, flow;
	uint32_t mark;

	assert_int_equal(esp[-11], IPPROTO_ESP);
	memcpy(&header, esp, sizeof(header));
	i = header.spi == sas[1]->spi;
	assert_int_equal(header.spi, sas[i]->spi);
	assert_int_equal(rte_be_to_cpu_32(header.seq), ++last[i]);
	esp_op_open(&op, sas[i], esp, rte_pktmbuf_pkt_len(m) - 34 - 8 - esp_crypto_overhead(sas[i]),
		    last[i]);
	crypto_open(peer.crypto, &op, 1);
	assert_true(op.ok);
	memcpy(&mark, op.text + 28, sizeof(mark));
	flow = mark >> 24;
	assert_in_range(flow, 0, FLOWS - 1);
	assert_int_equal(mark & 0xffffff, left[flow]++);
}

static void
take_out(void)
{
	struct rte_mbuf *m;

	while ((m = engine_sent(&e, 1)) != NULL) {
		open_sent(m);
		rte_pktmbuf_free(m);
		all_left++;
	}
}

/* As worker_main() has it. */
static unsigned int
turn(struct worker *w)
{
	unsigned int n = worker_poll(w);

	rte_rcu_qsbr_quiescent(reclaim_qsbr(e.dp->reclaim), w->id);
	return n;
}

static void
settle(void)
{
	unsigned int moved;

	do {
		moved = 0;
		for (unsigned int i = 0; i < WORKERS; i++)
			moved += turn(workers[i]);
		take_out();
	} while (moved > 0);
}

/* Packets of all flows come, and workers turn as it happens. */
static void
traffic(unsigned int steps)
{
	for (unsigned int i = 0; i < steps; i++) {
		for (unsigned int flow = (unsigned int)rand() % FLOWS,
				  n = (unsigned int)rand() % 16;
		     n > 0 && all_given - all_left < UNDER_WAY; n--)
			give(flow);
		turn(workers[(unsigned int)rand() % WORKERS]);
		take_out();
	}
}

static void
all_idle(void)
{
	for (unsigned int i = 0; i < WORKERS; i++) {
		engine_pass_busy(workers[i], 0);
		engine_pass_busy(workers[i], 0);
	}
}

/* It looks, and chooses an SA to give away. */
static void
be_full(struct worker *w, unsigned int steps)
{
	w->tsc += rte_get_tsc_hz();
	balance_review(w);
	engine_pass_busy(w, 100);
	traffic(steps);
	engine_pass_busy(w, 100);
}

static void
own(struct worker *w)
{
	atomic_store(&sas[0]->owner, w->id);
	atomic_store(&sas[1]->owner, w->id);
}

/* The SAs' crypto is shared as well. */
static void
own_shared(struct worker *w)
{
	atomic_store(&sas[0]->owner, w->id | SA_SPREAD);
	atomic_store(&sas[1]->owner, w->id | SA_SPREAD);
	atomic_store(&e.dp->sharing, 1);
}

static void
nothing_is_lost(void)
{
	struct worker_counters sum;

	workers_sum(e.dp, &sum);
	for (unsigned int i = 0; i < DROP_COUNT; i++)
		assert_int_equal(sum.drops[i], 0);
	assert_int_equal(all_left, all_given);
	assert_int_equal(rte_mempool_in_use_count(e.dp->pool), 0);
	engine_check(&e);
}

static void
move_often(void (*set_owner)(struct worker *w))
{
	srand(3);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		struct worker *w = workers[i % WORKERS];
		uint64_t before = w->count.moved;

		set_owner(w);
		all_idle();
		be_full(w, 100);
		traffic(100);
		settle();
		assert_int_equal(w->count.moved, before + 1);
		assert_int_not_equal(sa_owner(sas[0]), sa_owner(sas[1]));
		assert_true(sa_owner(sas[0]) == w->id || sa_owner(sas[1]) == w->id);
		for (unsigned int k = 0; k < WORKERS; k++)
			assert_int_equal(workers[k]->moves, 0);
		traffic(10); /* and so it goes on */
		settle();
		nothing_is_lost();
	}
}

static void
of_two_SAs_one_moves_and_all_keep_their_order(void **state)
{
	move_often(own);
}

static void
what_is_shared_moves_in_order_too(void **state)
{
	move_often(own_shared);
	assert_int_not_equal(workers[0]->count.helped, 0);
}

/* A full worker keeps what it has. */
static void
nothing_moves(struct worker *w)
{
	be_full(w, 100);
	traffic(100);
	settle();
	assert_int_equal(w->count.moved, 0);
	nothing_is_lost();
}

static void
what_has_a_worker_alone_stays(void **state)
{
	own(workers[0]);
	all_idle();
	atomic_store(&sas[1]->owner, workers[1]->id);
	nothing_moves(workers[0]);
}

static void
nothing_moves_while_all_are_busy(void **state)
{
	own(workers[0]);
	for (unsigned int i = 0; i < WORKERS; i++) {
		engine_pass_busy(workers[i], 80);
		engine_pass_busy(workers[i], 80);
	}
	nothing_moves(workers[0]);
}

/* What waits for the end of its move, or comes meanwhile, asks the policies again. */
static void
an_SA_is_deleted_while_it_moves(void **state)
{
	struct worker_counters sum;
	struct reason why;
	struct sa_id id;

	srand(4);
	own(workers[0]);
	all_idle();
	be_full(workers[0], 100);
	while (workers[0]->move.phase < MOVE_GRACE)
		traffic(1);
	for (unsigned int flow = 0; flow < FLOWS; flow++)
		give(flow);
	for (unsigned int i = 1; i < WORKERS; i++) /* the first one does not come round */
		for (unsigned int k = 0; k < 5; k++)
			turn(workers[i]);
	take_out();
	id = sad_id(peer_outbound(&peer, &tunnels[sa_owner(sas[1]) != 0]));
	assert_int_equal(sad_delete(e.dp->sad, &id, &why), 0);
	settle();
	workers_sum(e.dp, &sum);
	assert_int_equal(all_left + sum.drops[DROP_NO_SA_OUT], all_given);
	assert_int_not_equal(sum.drops[DROP_NO_SA_OUT], 0);
	while (reclaim_poll(e.dp->reclaim) > 0)
		settle();
	for (unsigned int k = 0; k < WORKERS; k++)
		assert_int_equal(workers[k]->moves, 0);
	engine_check(&e);
}

/* It does not come round for so long that a move is ended without it. */
static void
a_worker_that_stalls_stops_no_move(void **state)
{
	srand(5);
	own(workers[0]);
	all_idle();
	be_full(workers[0], 100);
	while (workers[0]->move.phase < MOVE_GRACE)
		traffic(1);
	for (unsigned int k = 0; k < 10; k++) {
		turn(workers[0]);
		turn(workers[1]);
	}
	assert_int_equal(workers[0]->move.phase, MOVE_GRACE);
	workers[0]->tsc += rte_get_tsc_hz() / 5;
	for (unsigned int k = 0; k < 10; k++) {
		turn(workers[0]);
		turn(workers[1]);
	}
	assert_int_equal(workers[0]->move.phase, MOVE_NONE);
	settle();
	nothing_is_lost();
}

/* ---- threads ---- */

static void *
turn_on(void *arg)
{
	struct rte_rcu_qsbr *qsbr = reclaim_qsbr(e.dp->reclaim);
	struct worker *w = arg;

	rte_rcu_qsbr_thread_online(qsbr, w->id);
	while (!atomic_load(&over))
		if (turn(w) == 0)
			sched_yield();
	return NULL;
}

static void
threads_keep_the_order(void **state)
{
	pthread_t threads[WORKERS];

	for (unsigned int round = 0; round < 10; round++) {
		own(workers[0]);
		all_idle();
		be_full(workers[0], 50);
		atomic_store(&over, false);
		for (unsigned int i = 1; i < WORKERS; i++)
			pthread_create(&threads[i], NULL, turn_on, workers[i]);
		for (uint32_t enough = all_left + 2000; all_left < enough;) {
			for (unsigned int flow = 0; flow < FLOWS; flow++)
				if (all_given - all_left < UNDER_WAY)
					give(flow);
			if (turn(workers[0]) == 0)
				sched_yield();
			take_out();
		}
		atomic_store(&over, true);
		for (unsigned int i = 1; i < WORKERS; i++)
			pthread_join(threads[i], NULL);
		settle();
		assert_int_equal(workers[0]->count.moved, round + 1);
		nothing_is_lost();
	}
}

static int
setup(void **state)
{
	const struct sa *far[2];
	struct rte_rcu_qsbr *qsbr;

	peer_begin(&peer, &e, WORKERS, tunnels, 2, far);
	*state = &peer;
	workers = e.dp->workers;
	qsbr = reclaim_qsbr(e.dp->reclaim);
	for (unsigned int i = 0; i < 2; i++)
		sas[i] = peer_outbound(&peer, &tunnels[i])->sa;
	for (unsigned int i = 0; i < WORKERS; i++) {
		rte_rcu_qsbr_thread_register(qsbr, i);
		rte_rcu_qsbr_thread_online(qsbr, i);
	}
	memset(given, 0, sizeof(given));
	memset(left, 0, sizeof(left));
	memset(last, 0, sizeof(last));
	all_given = all_left = 0;
	return 0;
}

static int
teardown(void **state)
{
	for (unsigned int i = 0; i < WORKERS; i++)
		rte_rcu_qsbr_thread_unregister(reclaim_qsbr(e.dp->reclaim), i);
	return peer_teardown(state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(of_two_SAs_one_moves_and_all_keep_their_order),
		TEST(what_is_shared_moves_in_order_too),
		TEST(what_has_a_worker_alone_stays),
		TEST(nothing_moves_while_all_are_busy),
		TEST(an_SA_is_deleted_while_it_moves),
		TEST(a_worker_that_stalls_stops_no_move),
		TEST(threads_keep_the_order),
	};

	engine_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
