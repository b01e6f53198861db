/* SPDX-License-Identifier: BSD-3-Clause */
/* A line in the log about a worker that does not come round: what was deleted waits for it. */
#pragma once

#include <stdint.h>

struct dataplane;

struct stall_log {
	int worker; /* that was told of and still holds, plus one; 0 none */
};

/*
 * Counts each time that a worker begins to hold up the reclamation of memory for longer than
 * RECLAIM_STALL_MS, in dataplane.stalls, and logs it. Control thread, now and then.
 */
void stall_log_tick(struct stall_log *log, struct dataplane *dp, uint64_t milliseconds);
