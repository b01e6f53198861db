/* SPDX-License-Identifier: BSD-3-Clause */
#include "stall_log.h"

#include <inttypes.h>

#include <rte_log.h>

#include "dataplane.h"

RTE_LOG_REGISTER(stall_logtype, sealane.stall, NOTICE);
#define LOG(level, ...) rte_log(RTE_LOG_##level, stall_logtype, __VA_ARGS__)

void
stall_log_tick(struct stall_log *log, struct dataplane *dp, uint64_t milliseconds)
{
	int worker = reclaim_stalled(dp->reclaim, milliseconds);

	if (worker + 1 == log->worker)
		return;
	log->worker = worker + 1;
	if (worker < 0) {
		LOG(NOTICE, "STALL: no worker holds up the freeing of memory any more\n");
		return;
	}
	dp->stalls[worker]++;
	LOG(WARNING,
	    "STALL: worker %d on core %u has not come round for %d ms: %" PRIu64
	    " deleted objects, keys of SAs among them, wait for it\n",
	    worker, dp->config->workers.cores[worker], RECLAIM_STALL_MS, reclaim_poll(dp->reclaim));
}
