/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two workers, each a thread, receive the same packets at the same time, each in an order of its
 * own: of each packet exactly one copy is delivered (RFC 4303 section 3.4.3).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>

#include "frame.h"
#include "peer.h"

#define BATCH 256 /* within the window, so that no order makes a packet too late */

static const struct tunnel tunnel = {"aes128gcm16", FAMILY_V4, 3, false, false, 0x1000, 0};

static struct engine e;
static struct peer peer;
static _Atomic bool stop;
static unsigned long packets = 200000;

static void *
turn(void *worker)
{
	while (!atomic_load(&stop))
		if (worker_poll(worker) == 0)
			sched_yield();
	return NULL;
}

static void
shuffle(unsigned int order[BATCH])
{
	for (unsigned int i = 0; i < BATCH; i++) {
		unsigned int other = (unsigned int)rand() % (i + 1);

		order[i] = order[other];
		order[other] = i;
	}
}

/* One packet with `id` inside, as a frame. */
static size_t
seal(const struct sa *sa, uint32_t id, uint8_t *frame)
{
	uint8_t text[128];
	size_t len = peer_inner(&tunnel, text, 40);

	memcpy(text + 28, &id, sizeof(id));
	return peer_seal(&peer, sa, (uint64_t)id + 1, text, peer_trailer(sa, text, len, 4), frame);
}

/* As if another worker had received it and handed it over: held until it is taken. */
static void
give(unsigned int worker, const uint8_t *frame, size_t len)
{
	struct rte_mbuf *m = engine_frame(&e, frame, len);

	*packet(m) = (struct packet){.in = WAN, .out = IFACE_NONE, .resume = RESUME_CLASSIFY};
	assert_int_equal(rte_ring_enqueue(e.dp->workers[worker]->inbox, m), 0);
}

/* Until so many packets have ended. */
static void
wait_for(uint64_t ended)
{
	struct worker_counters c;

	do {
		sched_yield();
		workers_sum(e.dp, &c);
	} while (c.forwarded + c.drops[DROP_REPLAY] < ended);
}

static void
send_copies(const struct sa *sa, uint32_t first)
{
	static uint8_t frames[BATCH][256];
	unsigned int order[2][BATCH];
	size_t len[BATCH];

	for (unsigned int i = 0; i < BATCH; i++)
		len[i] = seal(sa, first + i, frames[i]);
	shuffle(order[0]);
	shuffle(order[1]);
	e.dp->workers[0]->count.received += 2 * BATCH; /* nothing is under way */
	e.dp->workers[0]->count.held += 2 * BATCH;
	for (unsigned int i = 0; i < 2 * BATCH; i++) {
		unsigned int worker = (i + first / BATCH) % 2, which = order[worker][i / 2];

		give(worker, frames[which], len[which]);
	}
	wait_for(2 * ((uint64_t)first + BATCH));
}

static void
C17_C21_each_of_many_packets_is_delivered_once_by_two_workers(void **state)
{
	uint32_t count = (uint32_t)(packets / BATCH) * BATCH;
	const struct sa *sa = peer_tunnel(&peer, &tunnel);
	uint8_t *came = calloc(count, 1);
	struct worker_counters c;
	pthread_t threads[2];

	srand(21);
	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, turn, e.dp->workers[i]), 0);
	for (uint32_t first = 0; first < count; first += BATCH) {
		struct rte_mbuf *m;

		send_copies(sa, first);
		while ((m = engine_sent(&e, 0)) != NULL) {
			uint32_t id;

			memcpy(&id, rte_pktmbuf_mtod_offset(m, void *, 14 + 28), sizeof(id));
			assert_true(id < count);
			assert_int_equal(came[id]++, 0);
			rte_pktmbuf_free(m);
		}
	}
	atomic_store(&stop, true);
	for (unsigned int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	assert_null(memchr(came, 0, count));
	free(came);
	workers_sum(e.dp, &c);
	assert_int_equal(c.drops[DROP_REPLAY], count);
	assert_int_equal(sad_usage(e.dp->sad, peer_inbound(&peer, &tunnel)).packets, count);
	print_message("%lu and %lu\n", (unsigned long)e.dp->workers[0]->count.opened,
		      (unsigned long)e.dp->workers[1]->count.opened);
}

static int
setup(void **state)
{
	engine_start(&e, 2);
	peer_start(&peer, &e);
	return 0;
}

static int
teardown(void **state)
{
	peer_stop(&peer);
	engine_stop(&e);
	return 0;
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			C17_C21_each_of_many_packets_is_delivered_once_by_two_workers, setup,
			teardown),
	};

	if (argc > 1)
		packets = strtoul(argv[1], NULL, 10);
	engine_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
