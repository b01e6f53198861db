/* SPDX-License-Identifier: BSD-3-Clause */
/* The timing wheel, against a list of due times. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../random.h"
#include "sadb/wheel.h"

#define TIMERS 200

struct model {
	struct wheel wheel;
	struct wheel_timer timer[TIMERS];
	uint64_t due[TIMERS]; /* 0: does not run */
	uint64_t now;
	uint64_t random;
	unsigned int expired;
};

static unsigned int
number_of(const struct model *m, const struct wheel_timer *t)
{
	return (unsigned int)(t - m->timer);
}

/* What is due comes once, when it is due; whoever is told may start and stop others. */
static void
expired(void *ctx, struct wheel_timer *t)
{
	struct model *m = ctx;
	unsigned int i = number_of(m, t), other = random_below(&m->random, TIMERS);

	assert_int_not_equal(m->due[i], 0);
	assert_true(m->due[i] <= m->now);
	m->due[i] = 0;
	m->expired++;
	if (random_below(&m->random, 4) == 0) {
		wheel_stop(&m->timer[other]);
		m->due[other] = 0;
	}
	if (random_below(&m->random, 2) == 0) {
		m->due[i] = m->now + 1 + random_below(&m->random, 1000);
		wheel_start(&m->wheel, t, m->due[i]);
	}
}

/* The tick at hand is the time that the wheel was turned to, or one on the way there. */
static void
turn(struct model *m, uint64_t to)
{
	if (to - m->now > UINT64_C(1) << 20) {
		m->now = to;
		wheel_turn(&m->wheel, to, expired, m);
	}
	while (m->now < to)
		wheel_turn(&m->wheel, ++m->now, expired, m);
	for (unsigned int i = 0; i < TIMERS; i++)
		assert_true(m->due[i] == 0 || m->due[i] > m->now);
}

static void
test_each_timer_comes_once_and_in_its_tick(void **state)
{
	static const uint64_t spans[] = {10, 300, 70000, 1 << 24, UINT64_C(1) << 34};
	struct model *m = calloc(1, sizeof(*m));

	(void)state;
	m->random = 4711;
	m->now = UINT64_C(17637000000) - 12345; /* of no round number of ticks */
	wheel_init(&m->wheel, m->now);
	for (int round = 0; round < 20000; round++) {
		unsigned int i = random_below(&m->random, TIMERS);
		uint64_t span = spans[random_below(&m->random, 5)];

		if (random_below(&m->random, 5) == 0) {
			wheel_stop(&m->timer[i]);
			m->due[i] = 0;
		} else {
			m->due[i] = m->now + 1 +
				    (random_below(&m->random, UINT32_MAX) *
				     UINT64_C(0x9e3779b97f4a7c15)) %
					    span;
			wheel_start(&m->wheel, &m->timer[i], m->due[i]);
		}
		turn(m, m->now + random_below(&m->random, 60));
		if (round % 400 == 0)
			turn(m, m->now + random_below(&m->random, 200000));
		if (round % 5000 == 0)
			turn(m, m->now + (UINT64_C(1) << 26)); /* the clock was set */
	}
	assert_true(m->expired > 5000);
	free(m);
}

static void
note(void *ctx, struct wheel_timer *t)
{
	(*(unsigned int *)ctx)++;
}

static void
test_what_is_due_already_comes_with_the_next_tick(void **state)
{
	struct wheel *w = calloc(1, sizeof(*w));
	struct wheel_timer t = {.due = 0};
	unsigned int told = 0;

	(void)state;
	wheel_init(w, 1000);
	wheel_start(w, &t, 3);
	wheel_turn(w, 1000, note, &told);
	assert_int_equal(told, 0);
	wheel_turn(w, 1001, note, &told);
	assert_int_equal(told, 1);
	wheel_turn(w, 5000, note, &told);
	assert_int_equal(told, 1);
	free(w);
}

static void
test_time_that_goes_back_changes_nothing(void **state)
{
	struct wheel *w = calloc(1, sizeof(*w));
	struct wheel_timer t = {.due = 0};
	unsigned int told = 0;

	(void)state;
	wheel_init(w, 1000);
	wheel_start(w, &t, 1010);
	wheel_turn(w, 5, note, &told);
	wheel_turn(w, 1009, note, &told);
	assert_int_equal(told, 0);
	wheel_turn(w, 1010, note, &told);
	assert_int_equal(told, 1);
	free(w);
}

/* At once, over every number of slots and of rounds: one tick early, and right in time. */
static void
test_long_turns_find_what_is_due_and_no_more(void **state)
{
	struct wheel *w = calloc(1, sizeof(*w));
	uint64_t now = 12345;

	(void)state;
	wheel_init(w, now);
	for (unsigned int bits = 1; bits < 40; bits++) {
		struct wheel_timer t = {.due = 0};
		unsigned int told = 0;

		wheel_start(w, &t, now + (UINT64_C(1) << bits));
		now += (UINT64_C(1) << bits) - 1;
		wheel_turn(w, now, note, &told);
		assert_int_equal(told, 0);
		wheel_turn(w, ++now, note, &told);
		assert_int_equal(told, 1);
	}
	free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_timer_comes_once_and_in_its_tick),
		cmocka_unit_test(test_what_is_due_already_comes_with_the_next_tick),
		cmocka_unit_test(test_time_that_goes_back_changes_nothing),
		cmocka_unit_test(test_long_turns_find_what_is_due_and_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
