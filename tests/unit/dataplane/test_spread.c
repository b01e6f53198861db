/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One SA whose crypto two workers share: packets leave in the order of their numbers, so that a
 * peer with the least window loses nothing, inner flows keep theirs, and nobody seals with an SA
 * that is gone.
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
#include "sadb/sad_private.h"

#define PACKETS   20000
#define INNER     200 /* bytes of an inner packet */
#define BURST     48  /* enough to be shared */
#define REKEYS    200
#define UNDER_WAY 1024       /* fewer than an inbox holds */
#define SPIS      (1u << 20) /* more than there are rekeyings */

static struct tunnel tunnel = {"aes128gcm16", FAMILY_V4, 3, false, false, 0x1000, 0, ESP_TUNNEL};

static struct engine e;
static struct peer peer;
static const struct sa *far_sa; /* the peer's, to seal with */
static struct sa *out, *in;
static struct worker *owner, *helper;
static uint32_t given, left; /* packets: into the engine, out of it */
static atomic_bool over, it_helps;

/* As if another worker had received it and handed it over: held until it is taken. */
static void
give(struct worker *w, uint16_t iface, const uint8_t *frame, size_t len)
{
	struct rte_mbuf *m = engine_frame(&e, frame, len);

	*packet(m) = (struct packet){.in = iface, .out = IFACE_NONE, .resume = RESUME_CLASSIFY};
	w->count.received++;
	w->count.held++;
	assert_int_equal(rte_ring_enqueue(w->inbox, m), 0);
}

/* Clear packets with their number inside. */
static void
give_clear(unsigned int n, size_t size)
{
	static uint8_t frame[2048];
	size_t l2 = engine_put_l2(&e, frame, 0, RTE_ETHER_TYPE_IPV4);

	for (unsigned int i = 0; i < n; i++, given++) {
		put_ipv4(frame + l2, LAN_HOST, peer_host(&tunnel), IPPROTO_UDP, size - 20);
		memcpy(frame + l2 + 28, &given, sizeof(given));
		give(owner, LAN, frame, l2 + size);
	}
}

static void
give_sealed(struct worker *w, unsigned int n)
{
	uint8_t text[INNER + 64], frame[INNER + 256];

	for (unsigned int i = 0; i < n; i++, given++) {
		size_t len = peer_inner(&tunnel, text, INNER - 20);

		memcpy(text + 28, &given, sizeof(given));
		len = peer_seal(&peer, far_sa, given + 1, text,
				peer_trailer(far_sa, text, len, IPPROTO_IPIP), frame);
		give(w, WAN, frame, len);
	}
}

/* Opens ESP of the engine's; the number inside. */
static uint32_t
open_sent(struct rte_mbuf *m)
{
	uint8_t *esp = rte_pktmbuf_mtod_offset(m, uint8_t *, 14 + 20);
	struct esp_header header;
	struct crypto_op op;
	uint32_t number;

	memcpy(&header, esp, sizeof(header));
	assert_int_equal(header.spi, out->spi);
	esp_op_open(&op, out, esp, rte_pktmbuf_pkt_len(m) - 34 - 8 - esp_crypto_overhead(out),
		    rte_be_to_cpu_32(header.seq));
	crypto_open(peer.crypto, &op, 1);
	assert_true(op.ok);
	memcpy(&number, op.text + 28, sizeof(number));
	assert_int_equal(rte_be_to_cpu_32(header.seq), left + 1);
	return number;
}

/* What came out of a port is the next, and the next. */
static void
take_out(unsigned int port)
{
	struct rte_mbuf *m;

	while ((m = engine_sent(&e, port)) != NULL) {
		uint32_t number;

		if (port == 1)
			number = open_sent(m);
		else
			memcpy(&number, rte_pktmbuf_mtod_offset(m, void *, 14 + 28), 4);
		assert_int_equal(number, left);
		left++;
		rte_pktmbuf_free(m);
	}
}

static void
polls(struct worker *w, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		worker_poll(w);
}

static void
nothing_is_under_way(void)
{
	assert_int_equal(owner->lent, 0);
	assert_int_equal(rte_mempool_in_use_count(e.dp->pool), 0);
	engine_check(&e);
}

/* ---- order ---- */

static void
packets_leave_in_the_order_of_their_numbers(void **state)
{
	srand(1);
	while (left < PACKETS) {
		if (given < PACKETS && rte_ring_count(owner->inbox) < 256)
			give_clear(1 + (unsigned int)rand() % 100, INNER);
		polls(owner, (unsigned int)rand() % 2);
		polls(helper, (unsigned int)rand() % 4);
		if (given >= PACKETS)
			polls(owner, 1);
		take_out(1);
	}
	engine_settle(&e);
	take_out(1);
	assert_int_equal(left, given);
	assert_in_range(helper->count.helped, PACKETS / 10, PACKETS);
	assert_int_equal(owner->count.sealed, given);
	assert_int_equal(helper->count.sealed, 0);
	nothing_is_under_way();
}

static void
inner_flows_keep_their_order(void **state)
{
	srand(2);
	while (left < PACKETS) {
		if (given < PACKETS && rte_ring_count(owner->inbox) < 256)
			give_sealed(owner, 1 + (unsigned int)rand() % 100);
		polls(owner, (unsigned int)rand() % 2);
		polls(helper, (unsigned int)rand() % 4);
		if (given >= PACKETS)
			polls(owner, 1);
		take_out(0);
	}
	engine_settle(&e);
	take_out(0);
	assert_int_equal(left, given);
	assert_in_range(helper->count.helped, PACKETS / 10, PACKETS);
	nothing_is_under_way();
}

/* Both workers receive each packet, and share the crypto. */
static void
C21_a_duplicate_is_dropped_whoever_opens_it(void **state)
{
	for (unsigned int i = 0; i < 20; i++) {
		give_sealed(owner, BURST);
		given -= BURST;
		give_sealed(helper, BURST);
		polls(owner, 1);
		polls(helper, 1);
		engine_settle(&e);
		engine_drain(&e);
	}
	assert_int_equal(owner->count.opened + helper->count.opened, given);
	assert_int_equal(owner->count.drops[DROP_REPLAY] + helper->count.drops[DROP_REPLAY], given);
	nothing_is_under_way();
}

static void
few_packets_leave_in_the_poll_that_received_them(void **state)
{
	give_clear(3, INNER);
	polls(owner, 1);
	take_out(1);
	assert_int_equal(left, 3);
	assert_int_equal(owner->lent, 0);
}

/* Jobs are under way, two of them left to others. */
static void
begin_jobs(void)
{
	give_clear(BURST, INNER);
	polls(owner, 1);
	assert_int_not_equal(owner->lent, 0);
}

static void
few_packets_do_not_overtake_those_under_way(void **state)
{
	begin_jobs();
	give_clear(1, INNER);
	atomic_fetch_and(&out->owner, SA_OWNER); /* though it is not shared any more */
	polls(owner, 1);
	polls(helper, 4);
	polls(owner, 2);
	take_out(1);
	assert_int_equal(left, given);
	nothing_is_under_way();
}

static void
what_was_left_to_others_is_not_left_for_long(void **state)
{
	begin_jobs();
	polls(owner, 1);
	take_out(1);
	assert_int_equal(left, given);
	nothing_is_under_way();
}

/* As in pmtu.c where jobs are in front of it. */
static void
a_packet_cut_after_sealing_keeps_its_place(void **state)
{
	struct rte_mbuf *m;
	unsigned int frames = 0;

	e.config.tunnels.fragment = FRAGMENT_AFTER;
	begin_jobs();
	give_clear(1, 1500);
	polls(owner, 1);
	give_clear(1, INNER);
	polls(owner, 3);
	for (; left < BURST; left++) {
		m = engine_sent(&e, 1);
		assert_int_equal(open_sent(m), left);
		rte_pktmbuf_free(m);
	}
	for (; (m = engine_sent(&e, 1)) != NULL; frames++) {
		if (frames == 2) {
			left++; /* in two parts */
			assert_int_equal(open_sent(m), BURST + 1);
		}
		rte_pktmbuf_free(m);
	}
	assert_int_equal(frames, 3);
	nothing_is_under_way();
}

/* ---- forged ones ---- */

static void
C20_a_forged_packet_is_dropped_whoever_opens_it(void **state)
{
	give_sealed(owner, BURST);
	for (struct rte_mbuf *m = NULL; m == NULL;) { /* the first one, put behind the others */
		assert_int_equal(rte_ring_dequeue(owner->inbox, (void **)&m), 0);
		rte_pktmbuf_mtod(m, uint8_t *)[100] ^= 1;
		assert_int_equal(rte_ring_enqueue(owner->inbox, m), 0);
	}
	polls(owner, 1);
	polls(helper, 4);
	engine_settle(&e);
	left = 1;
	take_out(0);
	assert_int_equal(left, BURST);
	assert_int_equal(owner->count.drops[DROP_ICV], 1);
	nothing_is_under_way();
}

/* ---- an SA that goes meanwhile ---- */

static void
a_deleted_SA_is_kept_until_its_packets_are_back(void **state)
{
	struct rte_rcu_qsbr *qsbr = reclaim_qsbr(e.dp->reclaim);
	struct sa_control *c = peer_outbound(&peer, &tunnel);
	struct sa_id id = sad_id(c);
	struct reason why;

	for (unsigned int i = 0; i < 2; i++) {
		rte_rcu_qsbr_thread_register(qsbr, i);
		rte_rcu_qsbr_thread_online(qsbr, i);
	}
	begin_jobs();
	spread_quiescent(owner); /* of what was before them */
	assert_int_equal(sad_delete(e.dp->sad, &id, &why), 0);
	for (unsigned int i = 0; i < 3; i++) {
		spread_quiescent(owner);
		rte_rcu_qsbr_quiescent(qsbr, helper->id);
		assert_int_equal(reclaim_poll(e.dp->reclaim), 1);
	}
	polls(helper, 1);
	spread_quiescent(owner);
	assert_int_equal(reclaim_poll(e.dp->reclaim), 1);
	polls(owner, 1);
	take_out(1); /* sealed with its key, which is still there */
	assert_int_equal(left, given);
	assert_int_equal(owner->lent, 0);
	rte_rcu_qsbr_quiescent(qsbr, owner->id);
	rte_rcu_qsbr_quiescent(qsbr, helper->id);
	assert_int_equal(reclaim_poll(e.dp->reclaim), 0);
	for (unsigned int i = 0; i < 2; i++)
		rte_rcu_qsbr_thread_unregister(qsbr, i);
	nothing_is_under_way();
}

/* Under load there always are jobs: it goes on with those of before the deletion. */
static void
a_deleted_SA_goes_though_jobs_never_end(void **state)
{
	struct rte_rcu_qsbr *qsbr = reclaim_qsbr(e.dp->reclaim);
	uint64_t token;

	rte_rcu_qsbr_thread_register(qsbr, 0);
	rte_rcu_qsbr_thread_online(qsbr, 0);
	begin_jobs();
	spread_quiescent(owner);
	token = rte_rcu_qsbr_start(qsbr);
	for (unsigned int i = 0; i < 4; i++) {
		begin_jobs();
		spread_quiescent(owner);
	}
	assert_int_equal(rte_rcu_qsbr_check(qsbr, token, false), 1);
	rte_rcu_qsbr_thread_unregister(qsbr, 0);
	engine_settle(&e);
	engine_drain(&e);
	nothing_is_under_way();
}

/* ---- a helper that does not come round ---- */

static void
a_job_that_does_not_come_back_stops_nothing(void **state)
{
	struct spread_job *job = &owner->spread->jobs[0];

	begin_jobs();
	owner->spread->taken++; /* the test is the helper */
	give_clear(BURST, INNER);
	polls(owner, 5);
	take_out(1);
	assert_int_equal(left, 0);
	owner->tsc += owner->spread->patience + 1;
	polls(owner, 1);
	left = job->n;
	take_out(1);
	assert_int_equal(left, given);
	give_clear(2, INNER); /* and so it goes on */
	polls(owner, 1);
	take_out(1);
	assert_int_equal(left, given);
	assert_int_not_equal(owner->lent, 0); /* its key is not to be freed */
	assert_int_equal(worker_poll(owner) > 0, 1);
	atomic_store(&job->done, true);
	polls(owner, 1);
	assert_int_equal(owner->count.drops[DROP_HANDOVER], job->n);
	nothing_is_under_way();
}

/* One batch is lost, not all that come behind it. */
static void
a_job_that_does_not_come_back_is_given_up_when_places_run_short(void **state)
{
	struct spread_job *job = &owner->spread->jobs[0];

	begin_jobs();
	owner->spread->taken++;
	left = job->n;
	for (unsigned int i = 0; i < SPREAD_JOBS; i++) {
		give_clear(BURST, INNER);
		polls(owner, 1);
		assert_in_range(owner->lent, 1, SPREAD_JOBS - 1);
		assert_int_equal(owner->count.drops[DROP_HANDOVER], 0);
		take_out(1);
	}
	atomic_store(&job->done, true);
	engine_settle(&e);
	take_out(1);
	assert_int_equal(left, given);
	assert_int_equal(owner->count.drops[DROP_HANDOVER], job->n);
	nothing_is_under_way();
}

static void
jobs_under_way_at_the_end_are_freed(void **state)
{
	begin_jobs();
	e.dp->workers[0]->count.forwarded += BURST; /* for the balance at the end */
	engine_drain(&e);
	worker_free(owner);
	e.dp->workers[0] = helper; /* freed with the engine */
	e.dp->workers_count = 1;
	assert_int_equal(rte_mempool_in_use_count(e.dp->pool), 0);
}

/* ---- by itself, as load asks for it ---- */

/* Nothing is shared but by the workers' own decision. */
static void
choose_auto(void)
{
	e.config.workers.spread = SPREAD_AUTO;
	atomic_store(&out->owner, owner->id);
	atomic_store(&in->owner, 0);
	atomic_store(&e.dp->sharing, 0);
	balance_review(owner);
	balance_review(helper);
	engine_pass_busy(helper, 5);
}

/* It looks first whether it has an SA to give away (move.h). */
static void
become_full(void)
{
	engine_pass_busy(owner, 95);
	engine_pass_busy(owner, 95);
}

/* In the time of a review the helper does its part, if it is to, and it takes so long. */
static void
share(bool helps, uint64_t ticks_a_packet)
{
	for (unsigned int i = 0; i < 4; i++) {
		give_clear(BURST, INNER);
		polls(owner, 1);
		polls(helper, helps ? 1 : 0);
		polls(owner, 1);
	}
	owner->spread->least = ticks_a_packet;
}

static void
a_full_worker_lends_while_another_one_has_time(void **state)
{
	choose_auto();
	engine_pass_busy(owner, 80);
	give_clear(BURST, INNER);
	polls(owner, 1);
	assert_int_equal(owner->count.offered, 0);
	become_full();
	assert_true(owner->lends);
	share(true, 1000);
	assert_int_not_equal(owner->count.offered, 0);
	assert_int_not_equal(helper->count.helped, 0);
	engine_pass_busy(owner, 95);
	share(true, 1000);
	engine_pass_busy(owner, 60); /* since it lends */
	assert_true(owner->lends);
	share(true, 1000);
	engine_pass_busy(owner, 40);
	assert_false(owner->lends);
	engine_settle(&e);
	take_out(1);
	assert_int_equal(left, given);
	nothing_is_under_way();
	assert_int_equal(atomic_load(&e.dp->sharing), 0);
}

/* Though there always is some of the SA under way. */
static void
who_stops_to_lend_does_all_itself(void **state)
{
	uint64_t before;

	choose_auto();
	become_full();
	give_clear(BURST, INNER);
	polls(owner, 1);
	assert_int_not_equal(owner->lent, 0);
	engine_pass_busy(owner, 40);
	assert_false(owner->lends);
	give_clear(BURST, INNER); /* behind them */
	polls(owner, 1);
	before = owner->count.offered;
	give_clear(BURST, INNER);
	polls(owner, 1);
	assert_int_equal(owner->count.offered, before);
	take_out(1);
	assert_int_equal(left, given);
	nothing_is_under_way();
}

static void
nobody_lends_while_others_are_busy_too(void **state)
{
	choose_auto();
	engine_pass_busy(helper, 60);
	become_full();
	assert_false(owner->lends);
	assert_int_equal(atomic_load(&e.dp->sharing), 0);
}

/* Stops, and for a while does not try again. */
static void
stops_for_a_while(bool helps, uint64_t ticks_a_packet)
{
	choose_auto();
	become_full();
	assert_true(owner->lends);
	share(helps, ticks_a_packet);
	engine_pass_busy(owner, 100);
	assert_false(owner->lends);
	engine_pass_busy(owner, 100);
	assert_false(owner->lends);
	owner->tsc += 4 * rte_get_tsc_hz();
	engine_pass_busy(owner, 25700); /* all that time */
	engine_pass_busy(owner, 100);
	assert_true(owner->lends);
	engine_settle(&e);
	take_out(1);
	assert_int_equal(left, given);
}

static void
a_worker_that_nobody_helps_lends_no_more(void **state)
{
	stops_for_a_while(false, 1000);
}

static void
what_is_sealed_faster_than_carried_is_lent_no_more(void **state)
{
	stops_for_a_while(true, 200);
}

/* ---- threads ---- */

static void *
help_on(void *arg)
{
	(void)arg;
	while (!atomic_load(&over))
		worker_poll(helper);
	return NULL;
}

static void
threads_share_both_directions(void **state)
{
	pthread_t thread;

	atomic_store(&over, false);
	assert_int_equal(pthread_create(&thread, NULL, help_on, NULL), 0);
	while (given < PACKETS) {
		give_clear(BURST, INNER);
		while (left < given) {
			worker_poll(owner);
			take_out(1);
		}
	}
	given = left = 0;
	while (given < PACKETS) {
		give_sealed(owner, BURST);
		while (left < given) {
			worker_poll(owner);
			take_out(0);
		}
	}
	atomic_store(&over, true);
	pthread_join(thread, NULL);
	polls(owner, 2);
	nothing_is_under_way();
}

/* A turn as worker_main() has it. */
static void
turn(struct worker *w)
{
	worker_poll(w);
	if (w->lent == 0)
		rte_rcu_qsbr_quiescent(reclaim_qsbr(e.dp->reclaim), w->id);
	else
		spread_quiescent(w);
}

static void *
turn_on(void *arg)
{
	struct rte_rcu_qsbr *qsbr = reclaim_qsbr(e.dp->reclaim);

	(void)arg;
	rte_rcu_qsbr_thread_online(qsbr, helper->id);
	while (!atomic_load(&over)) {
		turn(helper);
		atomic_store(&it_helps, helper->count.helped > 0);
	}
	rte_rcu_qsbr_thread_offline(qsbr, helper->id);
	return NULL;
}

/* Make before break; false where something is refused. */
static bool
succeed(struct sa_params *p, unsigned int number)
{
	struct sa_id old = p->id;
	struct reason why;

	p->id.spi = rte_cpu_to_be_32(0x10000 + number);
	memcpy(p->key, &number, sizeof(number));
	if (sad_add(e.dp->sad, p, &why) != 0 || sad_delete(e.dp->sad, &old, &why) != 0)
		return false;
	return true;
}

/* The control thread: one SA after the other. Ends when it is told to, or with a failure. */
static void *
rekey_on(void *arg)
{
	struct sa_params p = sad_params(peer_outbound(&peer, &tunnel));
	atomic_uint *rekeyed = arg;

	while (!atomic_load(&over) && succeed(&p, atomic_load(rekeyed)))
		for (atomic_fetch_add(rekeyed, 1); reclaim_poll(e.dp->reclaim) > 8;)
			sched_yield();
	return NULL;
}

/* What left is ESP; of each SA the next, and the next. */
static void
take_any(uint32_t *last)
{
	struct rte_mbuf *m;

	for (; (m = engine_sent(&e, 1)) != NULL; left++) {
		struct esp_header header;
		uint32_t spi, seq;

		assert_int_equal(rte_pktmbuf_mtod(m, uint8_t *)[14 + 9], IPPROTO_ESP);
		memcpy(&header, rte_pktmbuf_mtod_offset(m, uint8_t *, 14 + 20), sizeof(header));
		spi = rte_be_to_cpu_32(header.spi) % SPIS;
		seq = rte_be_to_cpu_32(header.seq);
		assert_int_equal(seq, last[spi] + 1);
		last[spi] = seq;
		rte_pktmbuf_free(m);
	}
}

/*
 * All SAs are the owner's, so that no packet goes by an inbox to the other thread: ThreadSanitizer
 * cannot follow that, as of rings' 64-bit tails halves are read.
 */
static void
all_are_the_owners(bool so)
{
	e.dp->sad->config.spread = so;
	e.dp->sad->config.workers = so ? 1 : 2;
}

/* What a helper seals for an SA is there until it has, though it was deleted meanwhile. */
static void
threads_share_while_SAs_come_and_go(void **state)
{
	struct rte_rcu_qsbr *qsbr = reclaim_qsbr(e.dp->reclaim);
	uint32_t *last = calloc(SPIS, sizeof(*last));
	pthread_t threads[2];
	atomic_uint rekeyed = 1;

	all_are_the_owners(true);
	atomic_store(&it_helps, false);
	atomic_store(&over, false);
	for (unsigned int i = 0; i < 2; i++)
		rte_rcu_qsbr_thread_register(qsbr, i);
	rte_rcu_qsbr_thread_online(qsbr, owner->id);
	assert_int_equal(pthread_create(&threads[0], NULL, turn_on, NULL), 0);
	assert_int_equal(pthread_create(&threads[1], NULL, rekey_on, &rekeyed), 0);
	while (left < PACKETS || atomic_load(&rekeyed) < REKEYS || !atomic_load(&it_helps)) {
		if (given - left < UNDER_WAY)
			give_clear(BURST, INNER);
		turn(owner);
		take_any(last);
	}
	rte_rcu_qsbr_thread_offline(qsbr, owner->id);
	atomic_store(&over, true);
	for (unsigned int i = 0; i < 2; i++) {
		pthread_join(threads[i], NULL);
		rte_rcu_qsbr_thread_unregister(qsbr, i);
	}
	all_are_the_owners(false);
	engine_settle(&e);
	take_any(last);
	assert_int_equal(left, given);
	assert_int_equal(reclaim_poll(e.dp->reclaim), 0);
	free(last);
	nothing_is_under_way();
}

static int
setup(void **state)
{
	peer_begin(&peer, &e, 2, &tunnel, 1, &far_sa);
	*state = &peer;
	owner = e.dp->workers[0];
	helper = e.dp->workers[1];
	out = peer_outbound(&peer, &tunnel)->sa;
	in = peer_inbound(&peer, &tunnel)->sa;
	atomic_store(&out->owner, owner->id | SA_SPREAD);
	atomic_store(&in->owner, SA_SPREAD);
	atomic_store(&e.dp->sharing, 2);
	given = left = 0;
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, peer_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(packets_leave_in_the_order_of_their_numbers),
		TEST(inner_flows_keep_their_order),
		TEST(C21_a_duplicate_is_dropped_whoever_opens_it),
		TEST(few_packets_leave_in_the_poll_that_received_them),
		TEST(few_packets_do_not_overtake_those_under_way),
		TEST(what_was_left_to_others_is_not_left_for_long),
		TEST(a_packet_cut_after_sealing_keeps_its_place),
		TEST(C20_a_forged_packet_is_dropped_whoever_opens_it),
		TEST(a_deleted_SA_is_kept_until_its_packets_are_back),
		TEST(a_deleted_SA_goes_though_jobs_never_end),
		TEST(a_job_that_does_not_come_back_stops_nothing),
		TEST(a_job_that_does_not_come_back_is_given_up_when_places_run_short),
		TEST(jobs_under_way_at_the_end_are_freed),
		TEST(a_full_worker_lends_while_another_one_has_time),
		TEST(who_stops_to_lend_does_all_itself),
		TEST(nobody_lends_while_others_are_busy_too),
		TEST(a_worker_that_nobody_helps_lends_no_more),
		TEST(what_is_sealed_faster_than_carried_is_lent_no_more),
		TEST(threads_share_both_directions),
		TEST(threads_share_while_SAs_come_and_go),
	};

	engine_eal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
