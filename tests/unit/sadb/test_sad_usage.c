/* SPDX-License-Identifier: BSD-3-Clause */
/* What the SAD counts and when SAs end: counters, lifetimes, observers, sequence numbers. */
#include <sys/resource.h>
#include <time.h>

#include "../random.h"
#include "sad_env.h"

struct events {
	int added, removed, soft, hard;
	struct sad_observer observer;
};

static void
on_changed(void *ctx, struct sa_control *c, bool added)
{
	struct events *ev = ctx;

	assert_non_null(c->sa);
	*(added ? &ev->added : &ev->removed) += 1;
}

static void
on_expire(void *ctx, struct sa_control *c, bool hard)
{
	struct events *ev = ctx;

	*(hard ? &ev->hard : &ev->soft) += 1;
}

static void
observe(struct env *e, struct events *ev)
{
	*ev = (struct events){.observer = {.ctx = ev, .changed = on_changed, .expire = on_expire}};
	sad_observe(e->sad, &ev->observer);
}

static void
counters_are_the_sum_over_workers_and_start_at_zero(void **state)
{
	struct env e = env_new(16);
	struct sa_params p = sa_params(THERE, HERE, 0x1000, 1);

	for (int round = 0; round < 3; round++) {
		struct sa *sa = env_add(&e, &p);
		struct sa_usage u = sad_usage(e.sad, sa->control);

		assert_int_equal(u.packets | u.bytes | u.first_used | u.last_used, 0);
		assert_int_equal(u.replay_drops | u.auth_drops, 0);
		sad_charge(e.sad, 0, sa, 1, 100, 5000);
		sad_charge(e.sad, 1, sa, 1, 50, 4000);
		sad_charge(e.sad, 1, sa, 1, 7, 6000);
		sad_blame(e.sad, 0, sa, SAD_FAULT_REPLAY);
		sad_blame(e.sad, 1, sa, SAD_FAULT_AUTH);
		sad_blame(e.sad, 1, sa, SAD_FAULT_AUTH);
		u = sad_usage(e.sad, sa->control);
		assert_int_equal(u.packets, 3);
		assert_int_equal(u.bytes, 157);
		assert_int_equal(u.first_used, 4000);
		assert_int_equal(u.last_used, 6000);
		assert_int_equal(u.replay_drops, 1);
		assert_int_equal(u.auth_drops, 2);
		env_delete(&e, &p);
		reclaim_poll(e.reclaim);
	}
	env_free(&e);
}

static void
C63_a_soft_limit_is_told_once_and_a_hard_one_deletes(void **state)
{
	struct env e = env_new(16);
	struct sa_params p = sa_params(THERE, HERE, 0x1000, 1);
	struct events ev;
	struct sa *sa;

	observe(&e, &ev);
	p.limits.soft_bytes = 100;
	p.limits.hard_bytes = 200;
	sa = env_add(&e, &p);
	assert_int_equal(ev.added, 1);
	sad_charge(e.sad, 0, sa, 1, 99, 1);
	sad_tick(e.sad, 1);
	assert_int_equal(ev.soft, 0);
	sad_charge(e.sad, 1, sa, 1, 1, 1);
	sad_tick(e.sad, 1);
	sad_tick(e.sad, 1);
	assert_int_equal(ev.soft, 1);
	assert_int_equal(ev.hard, 0);
	sad_charge(e.sad, 1, sa, 1, 100, 1);
	sad_tick(e.sad, 1);
	assert_int_equal(ev.hard, 1);
	assert_int_equal(ev.removed, 1);
	assert_null(sad_find(e.sad, &p.id));
	assert_null(env_lookup(&e, 0x1000, HERE, NULL));
	env_free(&e);
}

/* However the packets fall on the workers: neither before the limit nor after the next tick. */
static void
a_limit_is_seen_whichever_workers_count(void **state)
{
	struct env e = env_new(16);
	uint64_t now = (uint64_t)time(NULL) * 1000, random = 42;

	for (uint32_t round = 0; round < 50; round++) {
		struct sa_params p = sa_params(THERE, HERE, 0x1000 + round, (uint8_t)(1 + round));
		uint32_t mostly = random_below(&random, ENV_WORKERS);
		struct sa *sa;

		p.limits.hard_packets = 1 + random_below(&random, 500);
		sa = env_add(&e, &p);
		for (uint64_t sent = 1; sent <= p.limits.hard_packets; sent++) {
			bool stray = random_below(&random, 8) == 0;

			assert_non_null(sad_find(e.sad, &p.id));
			sad_charge(e.sad, stray ? random_below(&random, ENV_WORKERS) : mostly, sa,
				   1, 64, now / 1000);
			sad_tick(e.sad, now);
		}
		assert_null(sad_find(e.sad, &p.id));
	}
	env_free(&e);
}

static void
C63_limits_in_packets_and_seconds_expire_too(void **state)
{
	struct env e = env_new(16);
	uint64_t now = (uint64_t)time(NULL);
	struct sa_params packets = sa_params(THERE, HERE, 0x1000, 1);
	struct sa_params added = sa_params(THERE, HERE, 0x1001, 2);
	struct sa_params used = sa_params(THERE, HERE, 0x1002, 3);
	struct events ev;

	observe(&e, &ev);
	packets.limits.hard_packets = 2;
	added.limits.soft_add_seconds = 10;
	added.limits.hard_add_seconds = 20;
	used.limits.hard_use_seconds = 100;
	used.limits.hard_bytes = used.limits.hard_packets = UINT64_MAX;
	for (int i = 0; i < 2; i++)
		sad_charge(e.sad, 0,
			   i == 0 ? env_add(&e, &packets) : sad_find(e.sad, &packets.id)->sa, 1, 1,
			   now);
	env_add(&e, &added);
	sad_charge(e.sad, 0, env_add(&e, &used), 1, 1, now);
	sad_tick(e.sad, (now + 5) * 1000);
	assert_null(sad_find(e.sad, &packets.id));
	assert_int_equal(ev.soft, 0);
	sad_tick(e.sad, (now + 12) * 1000);
	assert_int_equal(ev.soft, 1);
	sad_tick(e.sad, (now + 22) * 1000);
	assert_null(sad_find(e.sad, &added.id));
	assert_non_null(sad_find(e.sad, &used.id));
	sad_tick(e.sad, (now + 100) * 1000);
	assert_null(sad_find(e.sad, &used.id));
	assert_int_equal(ev.hard, 3);
	env_free(&e);
}

/* An SA with limits of every kind ends by the one that is reached first, and is told of once. */
static void
C63_of_several_limits_the_first_wins(void **state)
{
	static const struct {
		uint32_t packets, bytes, seconds; /* of use, within 100 packets, 1000 bytes, 10 s */
	} ends[] = {{100, 200, 5}, {20, 1000, 5}, {20, 200, 10}};
	struct env e = env_new(16);
	uint64_t now = (uint64_t)time(NULL);
	struct events ev;

	observe(&e, &ev);
	for (uint32_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		struct sa_params p = sa_params(THERE, HERE, 0x1000 + i, (uint8_t)(1 + i));
		struct sa *sa;

		p.limits.hard_packets = 100;
		p.limits.hard_bytes = 1000;
		p.limits.hard_add_seconds = 10;
		sa = env_add(&e, &p);
		sad_charge(e.sad, 0, sa, ends[i].packets - 1, ends[i].bytes - 10, now);
		sad_tick(e.sad, (now + ends[i].seconds - 1) * 1000);
		assert_int_equal(ev.hard, i);
		sad_charge(e.sad, 0, sa, 1, 10, now);
		sad_tick(e.sad, (now + ends[i].seconds + 1) * 1000);
		assert_int_equal(ev.hard, i + 1);
		assert_null(sad_find(e.sad, &p.id));
	}
	sad_tick(e.sad, (now + 20) * 1000);
	assert_int_equal(ev.hard, sizeof(ends) / sizeof(ends[0]));
	env_free(&e);
}

/* ---- sequence numbers ---- */

static void
send_packets(struct env *e, struct sa *sa, uint32_t packets)
{
	uint64_t first;

	assert_int_equal(sa_seq_reserve(sa, packets, &first), packets);
	sad_charge(e->sad, 0, sa, packets, packets, 1);
}

/* RFC 4303 section 3.3.3: a successor is negotiated before the numbers are used up. */
static void
C8_an_event_comes_well_before_the_numbers_end(void **state)
{
	struct env e = env_new(16);
	uint64_t now = (uint64_t)time(NULL) * 1000;
	struct sa_params p = sa_params(HERE, THERE, 0x1000, 1);
	struct sa_params esn = sa_params(HERE, THERE, 0x1001, 2);
	struct events ev;
	struct sa *sa;

	observe(&e, &ev);
	p.out_seq = UINT32_MAX - (1u << 28) - 3;
	sa = env_add(&e, &p);
	sad_charge(e.sad, 0, sa, 5, 5, 1); /* received: uses up no numbers */
	send_packets(&e, sa, 1);
	sad_tick(e.sad, now);
	send_packets(&e, sa, 1);
	sad_tick(e.sad, now + SAD_TICK_MS);
	assert_int_equal(ev.soft, 0);
	send_packets(&e, sa, 1);
	sad_tick(e.sad, now + 2 * SAD_TICK_MS);
	assert_int_equal(ev.soft, 1);
	send_packets(&e, sa, 9);
	sad_tick(e.sad, now + 3 * SAD_TICK_MS);
	assert_int_equal(ev.soft, 1);

	esn.flags |= SA_ESN;
	esn.out_seq = UINT32_MAX;
	send_packets(&e, env_add(&e, &esn), 1);
	sad_tick(e.sad, now + 4 * SAD_TICK_MS);
	assert_int_equal(ev.soft, 1);
	assert_int_equal(ev.hard, 0);
	env_free(&e);
}

static void
C8_numbers_end_before_the_counter_wraps(void **state)
{
	struct env e = env_new(16);
	struct sa_params p = sa_params(HERE, THERE, 0x1000, 1);
	struct sa_params esn = sa_params(HERE, THERE, 0x1001, 2);
	struct sa *sa;
	uint64_t first;

	p.out_seq = UINT32_MAX - 5;
	sa = env_add(&e, &p);
	assert_int_equal(sa_seq_reserve(sa, 3, &first), 3);
	assert_int_equal(first, UINT32_MAX - 4);
	assert_int_equal(sa_seq_reserve(sa, 64, &first), 2);
	assert_int_equal(first, UINT32_MAX - 1);
	assert_int_equal(sa_seq_reserve(sa, 1, &first), 0);

	esn.flags = SA_ESN;
	esn.out_seq = UINT64_MAX - (UINT64_C(1) << 20) - 3;
	sa = env_add(&e, &esn);
	assert_int_equal(sa_seq_reserve(sa, 64, &first), 3);
	assert_int_equal(sa_seq_reserve(sa, 64, &first), 0);
	env_free(&e);
}

static void
sequences_are_reported_as_the_kernel_does(void **state)
{
	struct env e = env_new(16);
	struct sa_params p = sa_params(THERE, HERE, 0x1000, 1);
	struct sa *sa = env_add(&e, &p);
	uint64_t out, in, first;
	uint32_t bitmap[2];

	sa_seq_reserve(sa, 10, &first);
	replay_claim(sa->replay, 1);
	replay_claim(sa->replay, 3);
	sad_sequences(e.sad, sa->control, &out, &in, bitmap, 2);
	assert_int_equal(out, 10);
	assert_int_equal(in, 3);
	assert_int_equal(bitmap[0], 0x5);
	assert_int_equal(bitmap[1], 0);
	env_free(&e);
}

static long
page_faults(void)
{
	struct rusage usage;

	assert_int_equal(getrusage(RUSAGE_THREAD, &usage), 0);
	return usage.ru_minflt;
}

static void
a_worker_comes_to_no_page_of_counters_first(void **state)
{
	enum { SAS = 10000 }; /* counted in 157 pages, for each worker */
	struct env e = env_new(SAS);
	const struct sa **sas = calloc(SAS, sizeof(*sas));
	long before;

	for (uint32_t i = 0; i < SAS; i++) {
		struct sa_params p = sa_params(THERE, HERE, 0x1000 + i, i);

		sas[i] = env_add(&e, &p);
	}
	before = page_faults();
	for (uint32_t w = 0; w < ENV_WORKERS; w++)
		for (uint32_t i = 0; i < SAS; i++)
			sad_charge(e.sad, w, sas[i], 1, 100, 1);
	assert_in_range(page_faults() - before, 0, 16); /* what else a system does */
	free(sas);
	env_free(&e);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counters_are_the_sum_over_workers_and_start_at_zero),
		cmocka_unit_test(C63_a_soft_limit_is_told_once_and_a_hard_one_deletes),
		cmocka_unit_test(a_limit_is_seen_whichever_workers_count),
		cmocka_unit_test(C63_limits_in_packets_and_seconds_expire_too),
		cmocka_unit_test(C63_of_several_limits_the_first_wins),
		cmocka_unit_test(C8_an_event_comes_well_before_the_numbers_end),
		cmocka_unit_test(C8_numbers_end_before_the_counter_wraps),
		cmocka_unit_test(sequences_are_reported_as_the_kernel_does),
		cmocka_unit_test(a_worker_comes_to_no_page_of_counters_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
