/* SPDX-License-Identifier: BSD-3-Clause */
/* Packets that wait for a neighbour: order, bounds, expiry, and that none is lost or counted twice.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <rte_ring.h>

#include "dataplane/neigh.h"
#include "dataplane/packet.h"
#include "dataplane/rtnl.h"
#include "dataplane/waiting.h"
#include "dataplane/worker.h"

/* ---- what waiting.c asks of its neighbours ---- */

static uint64_t clock_seconds;
static uint32_t known_below;  /* neighbours with a smaller address are resolved */
static unsigned int resolved; /* calls of rtnl_resolve() */

int __wrap_clock_gettime(clockid_t id, struct timespec *t);
int
__wrap_clock_gettime(clockid_t id, struct timespec *t)
{
	assert_int_equal(id, CLOCK_MONOTONIC);
	*t = (struct timespec){.tv_sec = (time_t)clock_seconds};
	return 0;
}

struct neigh *
neigh_lookup(const struct neigh_table *t, uint16_t iface, uint8_t family, const union ip_addr *addr)
{
	static struct neigh neigh;

	return addr->v4 < known_below ? &neigh : NULL;
}

void
rtnl_resolve(struct rtnl *rtnl, uint16_t iface, uint8_t family, const union ip_addr *addr)
{
	resolved++;
}

/* ---- the world ---- */

#define PACKETS_MAX 4096

struct buffer {
	struct rte_mbuf m;
	struct packet p;
};

struct world {
	struct dataplane dp;
	struct buffer *buffers;
	unsigned int used;
};

static struct rte_ring *
ring_new(unsigned int size)
{
	struct rte_ring *ring = aligned_alloc(64, (size_t)rte_ring_get_memsize(size));

	assert_non_null(ring);
	assert_int_equal(rte_ring_init(ring, "inbox", size, RING_F_SC_DEQ), 0);
	return ring;
}

static void
world_start(struct world *w, unsigned int workers, unsigned int inbox)
{
	memset(w, 0, sizeof(*w));
	clock_seconds = 100;
	known_below = 0;
	resolved = 0;
	w->buffers = aligned_alloc(64, PACKETS_MAX * sizeof(*w->buffers));
	memset(w->buffers, 0, PACKETS_MAX * sizeof(*w->buffers));
	for (unsigned int i = 0; i < workers; i++) {
		w->dp.workers[i] = aligned_alloc(64, RTE_ALIGN(sizeof(struct worker), 64));
		memset(w->dp.workers[i], 0, sizeof(struct worker));
		w->dp.workers[i]->inbox = ring_new(inbox);
	}
	w->dp.workers_count = workers;
	assert_int_equal(waiting_start(&w->dp, NULL), 0);
}

static void
world_stop(struct world *w)
{
	assert_int_equal(waiting_stats(&w->dp).waiting, 0); /* no pool to give packets back to */
	waiting_stop(&w->dp);
	assert_null(w->dp.waiting);
	for (unsigned int i = 0; i < w->dp.workers_count; i++) {
		free(w->dp.workers[i]->inbox);
		free(w->dp.workers[i]);
	}
	free(w->buffers);
}

/* A packet to a next hop, as a worker hands it over. */
static struct rte_mbuf *
packet_to(struct world *w, uint32_t next_hop, uint32_t flow)
{
	struct buffer *b = &w->buffers[w->used++];

	assert_true(w->used <= PACKETS_MAX);
	b->p.out = 1;
	b->p.next_hop.v4 = next_hop;
	b->p.next_hop_family = FAMILY_V4;
	b->p.flow_hash = flow;
	b->p.resume = 0xff;
	return &b->m;
}

/* The packet that comes out of a worker's inbox next, or NULL. */
static struct rte_mbuf *
out_of(struct world *w, unsigned int worker)
{
	struct rte_mbuf *m = NULL;

	rte_ring_dequeue(w->dp.workers[worker]->inbox, (void **)&m);
	return m;
}

static void
expect_out(struct world *w, const struct rte_mbuf *m, enum resume resume)
{
	assert_ptr_equal(out_of(w, 0), m);
	assert_int_equal(packet((struct rte_mbuf *)(uintptr_t)m)->resume, resume);
}

/* ---- behaviour ---- */

static void
packets_go_on_in_order_once_the_neighbour_is_known(void **state)
{
	struct rte_mbuf *m[5];
	struct world w;

	world_start(&w, 1, 64);
	for (int i = 0; i < 5; i++) {
		m[i] = packet_to(&w, 7, 0);
		assert_true(waiting_put(&w.dp, m[i]));
		waiting_poll(&w.dp, NULL);
	}
	assert_int_equal(resolved, 1);
	assert_null(out_of(&w, 0));
	assert_int_equal(waiting_stats(&w.dp).waiting, 5);

	known_below = 8;
	waiting_poll(&w.dp, NULL);
	for (int i = 0; i < 5; i++)
		expect_out(&w, m[i], RESUME_ADJACENCY);
	assert_int_equal(waiting_stats(&w.dp).expired, 0);
	world_stop(&w);
}

/* Policy may have changed while it waited: only what was sealed need not ask again. */
static void
a_clear_packet_for_the_unprotected_side_comes_back_at_policy(void **state)
{
	struct rte_mbuf *clear, *sealed;
	struct world w;

	world_start(&w, 1, 64);
	w.dp.ifaces[1].side = SIDE_UNPROTECTED;
	clear = packet_to(&w, 7, 0);
	sealed = packet_to(&w, 7, 0);
	packet(sealed)->flags |= PACKET_SEALED;
	known_below = 8;
	waiting_put(&w.dp, clear);
	waiting_put(&w.dp, sealed);
	waiting_poll(&w.dp, NULL);
	expect_out(&w, clear, RESUME_SPD_LOOKUP);
	expect_out(&w, sealed, RESUME_ADJACENCY);
	world_stop(&w);
}

static void
a_neighbour_known_meanwhile_is_not_asked_for(void **state)
{
	struct rte_mbuf *m;
	struct world w;

	world_start(&w, 1, 64);
	known_below = 8;
	m = packet_to(&w, 7, 0);
	waiting_put(&w.dp, m);
	waiting_poll(&w.dp, NULL);
	assert_int_equal(resolved, 0);
	expect_out(&w, m, RESUME_ADJACENCY);
	world_stop(&w);
}

static void
expired_packets_go_back_to_be_dropped(void **state)
{
	struct rte_mbuf *m;
	struct world w;

	world_start(&w, 1, 64);
	m = packet_to(&w, 7, 0);
	waiting_put(&w.dp, m);
	waiting_poll(&w.dp, NULL);
	clock_seconds += WAITING_SECONDS - 1;
	waiting_poll(&w.dp, NULL);
	assert_null(out_of(&w, 0));
	clock_seconds += 1;
	waiting_poll(&w.dp, NULL);
	expect_out(&w, m, RESUME_DROP_NO_NEIGHBOUR);
	assert_int_equal(waiting_stats(&w.dp).expired, 1);

	/* The next packet asks anew. */
	waiting_put(&w.dp, packet_to(&w, 7, 0));
	waiting_poll(&w.dp, NULL);
	assert_int_equal(resolved, 2);
	known_below = 8;
	waiting_poll(&w.dp, NULL);
	world_stop(&w);
}

static void
a_full_queue_keeps_the_latest(void **state)
{
	struct rte_mbuf *m[WAITING_PER_NEIGHBOUR + 2];
	struct world w;

	world_start(&w, 1, 64);
	for (int i = 0; i < WAITING_PER_NEIGHBOUR + 2; i++) {
		m[i] = packet_to(&w, 7, 0);
		waiting_put(&w.dp, m[i]);
	}
	waiting_poll(&w.dp, NULL);
	expect_out(&w, m[0], RESUME_DROP_NO_NEIGHBOUR);
	expect_out(&w, m[1], RESUME_DROP_NO_NEIGHBOUR);
	assert_null(out_of(&w, 0));
	assert_int_equal(waiting_stats(&w.dp).overflowed, 2);
	known_below = 8;
	waiting_poll(&w.dp, NULL);
	for (int i = 2; i < WAITING_PER_NEIGHBOUR + 2; i++)
		expect_out(&w, m[i], RESUME_ADJACENCY);
	world_stop(&w);
}

static void
the_sum_over_all_neighbours_is_bounded(void **state)
{
	struct world w;

	world_start(&w, 1, PACKETS_MAX);
	for (unsigned int i = 0; i < WAITING_MAX + 100; i++) {
		assert_true(waiting_put(&w.dp, packet_to(&w, 1 + i, 0)));
		waiting_poll(&w.dp, NULL);
		assert_true(waiting_stats(&w.dp).waiting <= WAITING_MAX);
	}
	assert_int_equal(waiting_stats(&w.dp).overflowed, 100);
	assert_int_equal(resolved, WAITING_MAX);
	clock_seconds += WAITING_SECONDS;
	waiting_poll(&w.dp, NULL);
	assert_int_equal(waiting_stats(&w.dp).expired, WAITING_MAX);
	world_stop(&w);
}

static void
a_full_ring_refuses(void **state)
{
	struct world w;

	world_start(&w, 1, PACKETS_MAX);
	for (unsigned int i = 0; i < WAITING_MAX - 1; i++)
		assert_true(waiting_put(&w.dp, packet_to(&w, 1 + i, 0)));
	assert_false(waiting_put(&w.dp, packet_to(&w, 1, 0)));
	known_below = UINT32_MAX;
	waiting_poll(&w.dp, NULL);
	world_stop(&w);
}

/* Every packet comes back exactly once, in the order of its neighbour, through an inbox of 3. */
static void
a_full_inbox_loses_nothing(void **state)
{
	struct rte_mbuf *m[40], *got;
	unsigned int back = 0, dropped = 0;
	struct world w;

	world_start(&w, 1, 4);
	for (int i = 0; i < 40; i++) {
		m[i] = packet_to(&w, 7, 0);
		assert_true(waiting_put(&w.dp, m[i]));
	}
	for (int turn = 0; turn < 100; turn++) {
		waiting_poll(&w.dp, NULL);
		if (turn == 50)
			known_below = 8;
		while ((got = out_of(&w, 0)) != NULL) {
			assert_ptr_equal(got, m[back++]);
			dropped += packet(got)->resume == RESUME_DROP_NO_NEIGHBOUR;
		}
	}
	assert_int_equal(back, 40);
	assert_int_equal(dropped, 40 - WAITING_PER_NEIGHBOUR);
	assert_int_equal(waiting_stats(&w.dp).overflowed, dropped);
	world_stop(&w);
}

static void
a_flow_goes_to_one_worker(void **state)
{
	struct rte_mbuf *m;
	struct world w;

	world_start(&w, 3, 64);
	for (uint32_t i = 0; i < 12; i++)
		waiting_put(&w.dp, packet_to(&w, 7, i % 3));
	known_below = 8;
	waiting_poll(&w.dp, NULL);
	for (unsigned int worker = 0; worker < 3; worker++) {
		unsigned int n = 0;

		for (; (m = out_of(&w, worker)) != NULL; n++)
			assert_int_equal(packet(m)->flow_hash, worker);
		assert_int_equal(n, 4);
	}
	world_stop(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packets_go_on_in_order_once_the_neighbour_is_known),
		cmocka_unit_test(a_clear_packet_for_the_unprotected_side_comes_back_at_policy),
		cmocka_unit_test(a_neighbour_known_meanwhile_is_not_asked_for),
		cmocka_unit_test(expired_packets_go_back_to_be_dropped),
		cmocka_unit_test(a_full_queue_keeps_the_latest),
		cmocka_unit_test(the_sum_over_all_neighbours_is_bounded),
		cmocka_unit_test(a_full_ring_refuses),
		cmocka_unit_test(a_full_inbox_loses_nothing),
		cmocka_unit_test(a_flow_goes_to_one_worker),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
