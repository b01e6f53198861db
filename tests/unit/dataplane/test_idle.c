/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Idle workers: who polls whose queues, and who wakes whom. The test plays the queues, and the
 * kernel's part of sleeping: what happens while a worker dozes happens in its futex call.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <linux/futex.h>
#include <rte_eal.h>
#include <sys/syscall.h>
#include <time.h>

#include "dataplane/idle.h"
#include "dataplane/walk.h"
#include "dataplane/worker.h"

#define LONG_IDLE 100000 /* polls, after which a worker dozes */

static struct dataplane dp;
static struct worker watch, other;
static unsigned int found, polled, flushed, reminded, woken, slept, waited;
static uint32_t state_at_poll, state_at_flush;
static void (*meanwhile)(void);

unsigned int
worker_poll_queues(struct worker *w, unsigned int queue)
{
	assert_ptr_equal(w, &watch);
	assert_int_equal(queue, other.id);
	polled++;
	state_at_poll = atomic_load(&other.idle);
	return found;
}

void
tx_flush(struct worker *w)
{
	assert_ptr_equal(w, &watch);
	flushed++;
	state_at_flush = atomic_load(&other.idle);
}

void
tx_remind(struct worker *w)
{
	assert_int_equal(slept + waited, 0);
	reminded++;
}

long __wrap_syscall(long number, _Atomic uint32_t *word, int op, uint32_t value);
int __wrap_nanosleep(const struct timespec *ts, struct timespec *left);

long
__wrap_syscall(long number, _Atomic uint32_t *word, int op, uint32_t value)
{
	assert_int_equal(number, SYS_futex);
	assert_ptr_equal(word, &other.idle);
	if (op == FUTEX_WAKE_PRIVATE) {
		woken++;
		return 1;
	}
	assert_int_equal(op, FUTEX_WAIT_PRIVATE);
	assert_int_equal(value, IDLE_DOZING);
	waited++;
	if (meanwhile != NULL)
		meanwhile();
	return 0;
}

int
__wrap_nanosleep(const struct timespec *ts, struct timespec *left)
{
	assert_true(ts->tv_sec == 0 && ts->tv_nsec < 1000000);
	slept++;
	return 0;
}

static int
set_up(void **state)
{
	(void)state;
	memset(&watch, 0, sizeof(watch));
	memset(&other, 0, sizeof(other));
	watch.dp = other.dp = &dp;
	turns_start(&watch.turns, 0, 0);
	turns_start(&other.turns, 0, 0);
	other.id = 1;
	dp.workers[0] = &watch;
	dp.workers[1] = &other;
	dp.workers_count = 2;
	other.inbox = rte_ring_create("inbox", 16, SOCKET_ID_ANY, 0);
	assert_non_null(other.inbox);
	found = polled = flushed = reminded = woken = slept = waited = 0;
	meanwhile = NULL;
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	rte_ring_free(other.inbox);
	return 0;
}

static void
test_a_worker_that_is_awake_keeps_its_queues(void **state)
{
	(void)state;
	found = 3;
	assert_int_equal(idle_watch(&watch), 0);
	assert_int_equal(polled, 0);
	assert_int_equal(idle_watch(&other), 0); /* and it keeps no watch */
}

static void
test_queues_that_are_lent_already_are_left_alone(void **state)
{
	(void)state;
	atomic_store(&other.idle, IDLE_LENT);
	assert_int_equal(idle_watch(&watch), 0);
	assert_int_equal(polled, 0);
}

static void
test_empty_queues_wake_nobody(void **state)
{
	(void)state;
	atomic_store(&other.idle, IDLE_DOZING);
	assert_int_equal(idle_watch(&watch), 0);
	assert_int_equal(polled, 1);
	assert_int_equal(state_at_poll, IDLE_LENT);
	assert_int_equal(atomic_load(&other.idle), IDLE_DOZING);
	assert_int_equal(woken, 0);
}

static void
test_what_the_watch_finds_leaves_before_the_owner_goes_on(void **state)
{
	(void)state;
	found = 3;
	atomic_store(&other.idle, IDLE_DOZING);
	assert_int_equal(idle_watch(&watch), 3);
	assert_int_equal(flushed, 1);
	assert_int_equal(state_at_flush, IDLE_LENT);
	assert_int_equal(atomic_load(&other.idle), IDLE_DOZING);
	assert_int_equal(woken, 1);
}

static void
test_a_full_inbox_wakes_its_worker(void **state)
{
	(void)state;
	assert_int_equal(rte_ring_enqueue(other.inbox, &other), 0);
	atomic_store(&other.idle, IDLE_DOZING);
	assert_int_equal(idle_watch(&watch), 0);
	assert_int_equal(woken, 1);
}

static void
test_crypto_to_be_shared_wakes_a_worker(void **state)
{
	static struct spread jobs, none;

	(void)state;
	watch.spread = &jobs;
	other.spread = &none;
	atomic_store(&other.idle, IDLE_DOZING);
	jobs.offered = 1;
	assert_int_equal(idle_watch(&watch), 0);
	assert_int_equal(woken, 0); /* of no SA */
	atomic_store(&dp.sharing, 1);
	assert_int_equal(idle_watch(&watch), 0);
	assert_int_equal(woken, 1);
	jobs.taken = 1;
	assert_int_equal(idle_watch(&watch), 0);
	assert_int_equal(woken, 1);
	atomic_store(&dp.sharing, 0);
}

static void
watch_looks(void)
{
	assert_int_equal(atomic_load(&other.idle), IDLE_DOZING);
	found = 1;
	idle_watch(&watch);
}

static void
test_a_worker_dozes_when_long_idle_and_takes_its_queues_back(void **state)
{
	(void)state;
	meanwhile = watch_looks;
	other.idle_polls = LONG_IDLE;
	idle_turn(&other, 0);
	assert_int_equal(waited, 1);
	assert_int_equal(polled, 1);
	assert_int_equal(woken, 1);
	assert_int_equal(atomic_load(&other.idle), IDLE_AWAKE);
	assert_int_equal(other.count.sleeps, 1);
}

static void
test_the_watch_only_sleeps(void **state)
{
	(void)state;
	watch.idle_polls = LONG_IDLE;
	idle_turn(&watch, 0);
	assert_int_equal(slept, 1);
	assert_int_equal(waited, 0);
}

static void
test_a_packet_ends_the_rest(void **state)
{
	(void)state;
	other.idle_polls = LONG_IDLE;
	idle_turn(&other, 1);
	assert_int_equal(slept + waited, 0);
	for (unsigned int i = 0; i < 1000; i++)
		idle_turn(&other, 0);
	assert_int_equal(slept + waited, 0);
}

static void
test_ports_are_reminded_once_before_a_rest(void **state)
{
	(void)state;
	idle_turn(&other, 1);
	while (slept < 3)
		idle_turn(&other, 0);
	assert_int_equal(reminded, 1);
}

int
main(void)
{
	char *args[] = {"test", "--no-huge",      "--no-shconf",   "-m",
			"32",   "--no-telemetry", "--log-level=4", "--no-pci"};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_worker_that_is_awake_keeps_its_queues,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_queues_that_are_lent_already_are_left_alone,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_empty_queues_wake_nobody, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_what_the_watch_finds_leaves_before_the_owner_goes_on, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(test_a_full_inbox_wakes_its_worker, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_crypto_to_be_shared_wakes_a_worker, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(
			test_a_worker_dozes_when_long_idle_and_takes_its_queues_back, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(test_the_watch_only_sleeps, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_packet_ends_the_rest, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_ports_are_reminded_once_before_a_rest, set_up,
						tear_down),
	};
	int failed;

	if (rte_eal_init(RTE_DIM(args), args) < 0)
		return 1;
	dp.reclaim = reclaim_new(2);
	rte_rcu_qsbr_thread_register(reclaim_qsbr(dp.reclaim), 0);
	rte_rcu_qsbr_thread_register(reclaim_qsbr(dp.reclaim), 1);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	reclaim_free(dp.reclaim);
	return failed;
}
