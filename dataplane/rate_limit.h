/* SPDX-License-Identifier: BSD-3-Clause */
/* A token bucket for what must be limited in rate: ICMP errors and acquires. One thread's. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct rate_limit {
	uint64_t interval; /* TSC ticks for a token */
	uint64_t burst;    /* tokens at most */
	uint64_t tokens;
	uint64_t refilled; /* TSC of the last refill */
};

/* `hz` TSC ticks a second; starts full. */
static inline void
rate_limit_init(struct rate_limit *r, uint64_t hz, uint64_t per_second, uint64_t burst)
{
	*r = (struct rate_limit){.interval = hz / per_second, .burst = burst, .tokens = burst};
}

/* Takes a token at time `tsc`. False where there is none. */
static inline bool
rate_limit_take(struct rate_limit *r, uint64_t tsc)
{
	uint64_t new = (tsc - r->refilled) / r->interval;

	if (new > 0) {
		r->tokens = r->tokens + new > r->burst ? r->burst : r->tokens + new;
		r->refilled += new * r->interval;
	}
	if (r->tokens == 0)
		return false;
	r->tokens--;
	return true;
}
