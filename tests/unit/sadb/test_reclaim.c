/* SPDX-License-Identifier: BSD-3-Clause */
/* Reclamation: what is freed and when, in what order, and who holds it up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <rte_common.h>

#include "sadb/reclaim.h"

#define READERS 3
#define THINGS  5

/* Of the test's own: it says when it was released. */
struct thing {
	unsigned int released; /* as the how manieth, 0 not yet */
	struct reclaim_item retired;
};

static struct reclaim *r;
static struct thing things[THINGS];
static unsigned int count;

static int
begin(void **state)
{
	(void)state;
	r = reclaim_new(READERS);
	assert_non_null(r);
	memset(things, 0, sizeof(things));
	count = 0;
	for (unsigned int i = 0; i < READERS; i++) {
		rte_rcu_qsbr_thread_register(reclaim_qsbr(r), i);
		rte_rcu_qsbr_thread_online(reclaim_qsbr(r), i);
	}
	return 0;
}

static int
end(void **state)
{
	(void)state;
	reclaim_free(r);
	return 0;
}

static void
release(void *ctx, struct reclaim_item *item)
{
	assert_ptr_equal(ctx, things);
	container_of(item, struct thing, retired)->released = ++count;
}

static void
defer(unsigned int i)
{
	reclaim_defer(r, release, things, &things[i].retired);
}

static void
quiescent(unsigned int reader)
{
	rte_rcu_qsbr_quiescent(reclaim_qsbr(r), reader);
}

static void
nothing_is_freed_before_every_reader_came_round(void **state)
{
	(void)state;
	defer(0);
	for (unsigned int i = 0; i < READERS; i++) {
		assert_int_equal(reclaim_poll(r), 1);
		assert_int_equal(things[0].released, 0);
		quiescent(i);
	}
	assert_int_equal(reclaim_poll(r), 0);
	assert_int_equal(things[0].released, 1);
}

static void
what_was_deferred_first_is_freed_first(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < THINGS; i++)
		defer(i);
	for (unsigned int i = 0; i < READERS; i++)
		quiescent(i);
	assert_int_equal(reclaim_poll(r), 0);
	for (unsigned int i = 0; i < THINGS; i++)
		assert_int_equal(things[i].released, i + 1);
}

static void
at_the_end_all_is_freed(void **state)
{
	(void)state;
	defer(0);
	defer(1);
	reclaim_free(r);
	assert_int_equal(count, 2);
	r = reclaim_new(READERS);
}

static void
a_reader_that_does_not_come_round_is_named(void **state)
{
	(void)state;
	assert_int_equal(reclaim_stalled(r, 100), -1);
	defer(0);
	quiescent(0);
	quiescent(2);
	assert_int_equal(reclaim_stalled(r, 5000), -1);
	assert_int_equal(reclaim_stalled(r, 5000 + RECLAIM_STALL_MS - 1), -1);
	assert_int_equal(reclaim_stalled(r, 5000 + RECLAIM_STALL_MS), 1);
	quiescent(1);
	reclaim_poll(r);
	assert_int_equal(reclaim_stalled(r, 9000), -1);
}

/* Each grace period has its own time: a reader that is merely busy is not blamed. */
static void
readers_that_come_round_are_not_named_however_much_waits(void **state)
{
	uint64_t now = 1;

	(void)state;
	for (unsigned int turn = 0; turn < 50; turn++, now += RECLAIM_STALL_MS / 2) {
		defer(turn % THINGS);
		for (unsigned int i = 0; i < READERS; i++)
			quiescent(i);
		assert_int_equal(reclaim_stalled(r, now), -1);
		reclaim_poll(r);
	}
	assert_int_equal(count, 50);
}

static void
a_reader_that_sleeps_holds_up_nothing(void **state)
{
	(void)state;
	rte_rcu_qsbr_thread_offline(reclaim_qsbr(r), 1);
	defer(0);
	quiescent(0);
	quiescent(2);
	assert_int_equal(reclaim_stalled(r, 1), -1);
	assert_int_equal(reclaim_stalled(r, 1 + 2 * RECLAIM_STALL_MS), -1);
	assert_int_equal(reclaim_poll(r), 0);
	assert_int_equal(things[0].released, 1);
}

int
main(void)
{
#define reclaim_test(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = {
		reclaim_test(nothing_is_freed_before_every_reader_came_round),
		reclaim_test(what_was_deferred_first_is_freed_first),
		reclaim_test(at_the_end_all_is_freed),
		reclaim_test(a_reader_that_does_not_come_round_is_named),
		reclaim_test(readers_that_come_round_are_not_named_however_much_waits),
		reclaim_test(a_reader_that_sleeps_holds_up_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
