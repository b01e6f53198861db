/* SPDX-License-Identifier: BSD-3-Clause */
/* Turns of a loop, measured by the thread itself: which had the core, and what is forgotten when.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "dataplane/turns.h"

#define NOW   UINT64_C(1800000000)
#define TICKS 20000
#define HZ    (TICKS / 2 * UINT64_C(1000000) / TURNS_LONG_US) /* what lasts TICKS is long */
#define TRIES 10000 /* on a machine where others want the core as well */

static struct turns turns;

static int
set_up(void **state)
{
	(void)state;
	memset(&turns, 0, sizeof(turns));
	return 0;
}

/* A turn of so many ticks. Gives the TSC at which it ended. */
static uint64_t
spin(uint64_t begin, uint64_t ticks)
{
	while (rte_rdtsc() - begin < ticks)
		;
	return turns_next(&turns, begin);
}

/* A turn in which the thread gives its core away. */
static uint64_t
sleep_through(uint64_t begin)
{
	const struct timespec ts = {.tv_nsec = 2000000};

	nanosleep(&ts, NULL);
	return turns_next(&turns, begin);
}

static uint64_t
longest(enum turn kind, uint64_t seconds)
{
	return turns_longest(&turns, kind, seconds);
}

/* Sooner or later one turn is not interrupted, whatever the last one was. */
static void
spin_whole(uint64_t begin, uint64_t seconds)
{
	for (int i = 0; i < TRIES && longest(TURN_WHOLE, seconds) < TICKS; i++)
		begin = spin(begin, TICKS);
	assert_true(longest(TURN_WHOLE, seconds) >= TICKS);
}

static void
test_a_turn_with_the_core_is_whole(void **state)
{
	uint64_t begin;

	(void)state;
	begin = turns_start(&turns, NOW, HZ);
	assert_int_equal(longest(TURN_WHOLE, NOW), 0);
	spin_whole(begin, NOW);
}

static void
test_a_turn_without_the_core_is_broken_and_the_next_is_not(void **state)
{
	uint64_t begin = turns_start(&turns, NOW, HZ), end = sleep_through(begin);

	(void)state;
	assert_int_equal(longest(TURN_WHOLE, NOW), 0);
	assert_true(longest(TURN_BROKEN, NOW) > 0 && longest(TURN_BROKEN, NOW) <= end - begin);
	spin_whole(end, NOW);
}

static void
test_a_sleep_between_turns_is_part_of_none(void **state)
{
	const struct timespec ts = {.tv_nsec = 2000000};
	uint64_t before, after;

	(void)state;
	/* A machine that stands still between the two ends of a turn may do so again. */
	for (int i = 0; i < TRIES; i++) {
		set_up(state);
		before = turns_start(&turns, NOW, HZ);
		nanosleep(&ts, NULL);
		after = turns_begin(&turns);
		turns_next(&turns, after);
		if (longest(TURN_WHOLE, NOW) > 0 && longest(TURN_WHOLE, NOW) < after - before)
			return;
	}
	fail();
}

static void
test_the_longest_stays(void **state)
{
	uint64_t begin, most;

	(void)state;
	spin_whole(turns_start(&turns, NOW, HZ), NOW);
	most = longest(TURN_WHOLE, NOW);
	begin = turns_begin(&turns);
	for (int i = 0; i < 100; i++)
		begin = turns_next(&turns, begin);
	assert_true(longest(TURN_WHOLE, NOW) >= most);
}

static void
test_what_was_a_minute_ago_is_forgotten(void **state)
{
	const uint64_t most = TURNS_PERIODS * TURNS_PERIOD, least = most - TURNS_PERIOD;

	(void)state;
	spin_whole(turns_start(&turns, NOW, HZ), NOW);
	for (uint64_t s = 1; s <= least; s++) {
		turns_clock(&turns, NOW + s);
		assert_true(longest(TURN_WHOLE, NOW + s) >= TICKS);
	}
	/* And so for a worker that has not looked at the clock since. */
	assert_true(longest(TURN_WHOLE, NOW + least) >= TICKS);
	assert_int_equal(longest(TURN_WHOLE, NOW + most), 0);
	turns_clock(&turns, NOW + most);
	assert_int_equal(longest(TURN_WHOLE, NOW + least), 0);
}

static void
test_long_turns_with_the_core_are_counted_for_a_minute(void **state)
{
	uint64_t begin = sleep_through(turns_start(&turns, NOW, HZ)), first;

	(void)state;
	assert_int_equal(turns_long(&turns, NOW), 0);
	spin_whole(begin, NOW);
	first = turns_long(&turns, NOW);
	assert_true(first >= 1);
	/* Shorter than the longest, and counted all the same. */
	begin = turns_begin(&turns);
	for (int i = 0; i < TRIES && turns_long(&turns, NOW) == first; i++)
		begin = spin(begin, TICKS * 3 / 4);
	assert_true(turns_long(&turns, NOW) > first);
	turns_clock(&turns, NOW + TURNS_PERIOD);
	assert_true(turns_long(&turns, NOW + TURNS_PERIOD) > first);
	assert_int_equal(turns_long(&turns, NOW + TURNS_PERIOD * TURNS_PERIODS), 0);
}

static void
test_short_turns_are_not_counted(void **state)
{
	uint64_t begin;

	(void)state;
	/* A machine that stands still makes them long: some of the tries are short all through. */
	for (int i = 0; i < TRIES; i++) {
		set_up(state);
		begin = turns_start(&turns, NOW, HZ);
		for (int k = 0; k < 10; k++)
			begin = spin(begin, TICKS / 100);
		if (longest(TURN_WHOLE, NOW) > 0 && longest(TURN_WHOLE, NOW) < TICKS / 2)
			break;
	}
	assert_int_equal(turns_long(&turns, NOW), 0);
}

static void *
rest(void *begin)
{
	uint64_t *end = begin;

	*end = sleep_through(turns_start(&turns, NOW, HZ));
	return NULL;
}

static void
test_each_thread_has_its_own(void **state)
{
	pthread_t thread;
	uint64_t end;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, rest, &end), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(longest(TURN_BROKEN, NOW) > 0);
	assert_int_equal(longest(TURN_WHOLE, NOW), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_a_turn_with_the_core_is_whole, set_up),
		cmocka_unit_test_setup(test_a_turn_without_the_core_is_broken_and_the_next_is_not,
				       set_up),
		cmocka_unit_test_setup(test_a_sleep_between_turns_is_part_of_none, set_up),
		cmocka_unit_test_setup(test_the_longest_stays, set_up),
		cmocka_unit_test_setup(test_what_was_a_minute_ago_is_forgotten, set_up),
		cmocka_unit_test_setup(test_long_turns_with_the_core_are_counted_for_a_minute,
				       set_up),
		cmocka_unit_test_setup(test_short_turns_are_not_counted, set_up),
		cmocka_unit_test_setup(test_each_thread_has_its_own, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
