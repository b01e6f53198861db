/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A limit for each of many senders, in memory that does not grow: senders share buckets by a keyed
 * hash, so that nobody can choose whose bucket to empty. A bucket is the time at which what it let
 * pass would have been sent at the limit's pace; being ahead of that by `ahead` at most is the
 * burst. One thread's.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <rte_common.h>

#include "sadb/chash.h"

#define SOURCE_RATE_BUCKETS 4096

struct source_rate {
	uint64_t seed;
	uint64_t interval; /* ticks between two packets */
	uint64_t ahead;
	uint64_t due[SOURCE_RATE_BUCKETS]; /* TSC */
};

/* `hz` ticks a second; bursts are what the rate gives in a fortieth of a second. */
static inline void
source_rate_init(struct source_rate *r, uint64_t seed, uint64_t hz, uint32_t per_second)
{
	r->seed = seed;
	r->interval = hz / per_second;
	r->ahead = hz / 40;
	memset(r->due, 0, sizeof(r->due));
}

/* Whether a packet of that sender may pass at time `tsc`, which does not go back. */
static inline bool
source_rate_take(struct source_rate *r, uint64_t source, uint64_t tsc)
{
	uint64_t *due = &r->due[chash_mix(r->seed, source) % SOURCE_RATE_BUCKETS];

	if (*due > tsc + r->ahead)
		return false;
	*due = RTE_MAX(*due, tsc) + r->interval;
	return true;
}
