/* SPDX-License-Identifier: BSD-3-Clause */
/* A token bucket per worker, on the time-stamp counter: ICMP errors and acquires are limited by it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <rte_cycles.h>

#include "worker.h"

/*
 * Takes a token: false where there is none. `tsc` is the worker's; `per_second` tokens come in a
 * second, and at most `burst` (not above per_second) gather. A zeroed bucket is full.
 */
static inline bool
rate_limit_take(struct rate_limit *limit, uint64_t tsc, uint32_t per_second, uint32_t burst)
{
	uint64_t hz = rte_get_tsc_hz();
	uint64_t elapsed = tsc - limit->refilled;
	uint64_t fresh;

	if (elapsed >= hz) {
		limit->tokens = burst;
		limit->refilled = tsc;
	} else {
		fresh = elapsed * per_second / hz;
		limit->tokens = limit->tokens + fresh > burst ? burst : limit->tokens + fresh;
		/* Only whole tokens are taken from the time that passed. */
		limit->refilled += fresh * hz / per_second;
	}
	if (limit->tokens == 0)
		return false;
	limit->tokens--;
	return true;
}
