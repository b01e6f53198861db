/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two workers, each a thread, receive the same packets at the same time, each in an order of its
 * own: of each packet exactly one copy is delivered (RFC 4303 section 3.4.3). They go burst by
 * burst, so that both have their part in that whatever the scheduler does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <pthread.h>

#include "frame.h"
#include "peer.h"

#define BATCH 256 /* within the window, so that no order makes a packet too late */

/*
 * With four bursts a batch, 6 of 16 packets are in an earlier burst of the one worker than of the
 * other, which cannot have them. For the 4 of 16 that are in the same burst of both they race.
 */
#define LEAST_SHARE(count) ((count) / 4)

static const struct tunnel tunnel = {"aes128gcm16", FAMILY_V4, 3, false,
				     false,         0x1000,    0, ESP_TUNNEL};

static struct engine e;
static struct peer peer;
static pthread_barrier_t together;
static unsigned long packets = 200000;

/* One batch, which is in the worker's inbox. */
static void
turn(struct worker *w)
{
	for (unsigned int i = 0; i < BATCH / BURST_MAX; i++) {
		pthread_barrier_wait(&together);
		worker_poll(w);
	}
	pthread_barrier_wait(&together);
}

static void *
second_worker(void *batches)
{
	for (uint32_t i = 0; i < *(const uint32_t *)batches; i++)
		turn(e.dp->workers[1]);
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
	for (unsigned int i = 0; i < BATCH; i++) {
		give(0, frames[order[0][i]], len[order[0][i]]);
		give(1, frames[order[1][i]], len[order[1][i]]);
	}
	turn(e.dp->workers[0]);
	while (worker_poll(e.dp->workers[0]) > 0) /* what the other one finished */
		;
}

/* Each worker had a copy of every packet, and accepted its share of them. */
static void
check_parts(uint64_t count)
{
	for (unsigned int i = 0; i < 2; i++) {
		const struct worker_counters *c = &e.dp->workers[i]->count;

		print_message("worker %u: %lu accepted, %lu were duplicates\n", i,
			      (unsigned long)c->opened, (unsigned long)c->drops[DROP_REPLAY]);
		assert_int_equal(c->opened + c->drops[DROP_REPLAY], count);
		assert_true(c->opened >= LEAST_SHARE(count));
		assert_true(c->drops[DROP_REPLAY] >= LEAST_SHARE(count));
	}
}

static void
C17_C21_each_of_many_packets_is_delivered_once_by_two_workers(void **state)
{
	uint32_t batches = (uint32_t)(packets / BATCH), count = batches * BATCH;
	const struct sa *sa = peer_tunnel(&peer, &tunnel);
	uint8_t *came = calloc(count, 1);
	struct worker_counters c;
	pthread_t thread;

	srand(21);
	assert_int_equal(pthread_barrier_init(&together, NULL, 2), 0);
	assert_int_equal(pthread_create(&thread, NULL, second_worker, &batches), 0);
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
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&together);
	assert_null(memchr(came, 0, count));
	free(came);
	workers_sum(e.dp, &c);
	assert_int_equal(c.drops[DROP_REPLAY], count);
	assert_int_equal(sad_usage(e.dp->sad, peer_inbound(&peer, &tunnel)).packets, count);
	check_parts(count);
}

static int
setup(void **state)
{
	peer_begin(&peer, &e, 2, NULL, 0, NULL);
	*state = &peer;
	return 0;
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			C17_C21_each_of_many_packets_is_delivered_once_by_two_workers, setup,
			peer_teardown),
	};

	if (argc > 1)
		packets = strtoul(argv[1], NULL, 10);
	engine_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
