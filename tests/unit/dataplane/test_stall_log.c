/* SPDX-License-Identifier: BSD-3-Clause */
/* A worker that holds up the freeing of memory is counted once for each time it does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <rte_log.h>

#include "dataplane/dataplane.h"
#include "dataplane/stall_log.h"

static void
release(void *ctx, struct reclaim_item *item)
{
	(void)ctx;
	(void)item;
}

static void
each_stall_is_counted_and_logged_once_with_its_end(void **state)
{
	static unsigned int cores[] = {4, 7};
	struct config config = {.workers = {.cores = cores, .cores_count = 2}};
	struct dataplane *dp = calloc(1, sizeof(*dp));
	struct reclaim_item items[2];
	struct stall_log log = {0};
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);
	uint64_t now = 1;

	(void)state;
	rte_openlog_stream(stream);
	dp->config = &config;
	dp->reclaim = reclaim_new(2);
	for (unsigned int i = 0; i < 2; i++) {
		rte_rcu_qsbr_thread_register(reclaim_qsbr(dp->reclaim), i);
		rte_rcu_qsbr_thread_online(reclaim_qsbr(dp->reclaim), i);
	}
	for (unsigned int i = 0; i < 2; i++) {
		reclaim_defer(dp->reclaim, release, NULL, &items[i]);
		rte_rcu_qsbr_quiescent(reclaim_qsbr(dp->reclaim), 0);
		for (unsigned int turn = 0; turn < 30; turn++, now += 100)
			stall_log_tick(&log, dp, now);
		assert_int_equal(dp->stalls[1], i + 1);
		rte_rcu_qsbr_quiescent(reclaim_qsbr(dp->reclaim), 1);
		assert_int_equal(reclaim_poll(dp->reclaim), 0);
		stall_log_tick(&log, dp, now);
	}
	assert_int_equal(dp->stalls[0], 0);
	rte_openlog_stream(NULL);
	fclose(stream);
	assert_non_null(
		strstr(text, "worker 1 on core 7 has not come round for 1000 ms: 1 deleted"));
	assert_non_null(strstr(text, "no worker holds up"));
	free(text);
	reclaim_free(dp->reclaim);
	free(dp);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_stall_is_counted_and_logged_once_with_its_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
