/* SPDX-License-Identifier: BSD-3-Clause */
/* Workers count and keep the last one; the control thread, which may write, tells of them. */
#include "ecn_log.h"

#include <inttypes.h>

#include <rte_log.h>

#include "worker.h"

#define INTERVAL_MS 60000

RTE_LOG_REGISTER(ecn_logtype, sealane.ecn, NOTICE);

void
ecn_log_tick(struct ecn_log *log, const struct dataplane *dp, uint64_t milliseconds)
{
	static const char *const names[] = {"Not-ECT", "ECT(1)", "ECT(0)", "CE"};
	uint64_t count = 0;
	uint32_t spi = 0, fields = 0;

	if (dp->config->tunnels.ecn_anomalies == ECN_SILENT || milliseconds < log->due)
		return;
	for (unsigned int i = 0; i < dp->workers_count; i++) {
		const struct worker *w = dp->workers[i];
		/* Relaxed: the packet may be another one than the last that was counted. */
		uint64_t n = __atomic_load_n(&w->count.ecn_odd, __ATOMIC_RELAXED);
		uint64_t last = __atomic_load_n(&w->ecn_last, __ATOMIC_RELAXED);

		count += n;
		if (n > 0) {
			spi = (uint32_t)(last >> 32);
			fields = (uint32_t)last;
		}
	}
	if (count == log->logged)
		return;
	rte_log(RTE_LOG_WARNING, ecn_logtype,
		"ECN: %" PRIu64 " packets came out of tunnels with %s outside and %s inside or the "
		"like (RFC 6040), last by SPI 0x%08x\n",
		count - log->logged, names[fields & 3], names[fields >> 2 & 3],
		rte_be_to_cpu_32(spi));
	log->logged = count;
	log->due = milliseconds + INTERVAL_MS;
}
