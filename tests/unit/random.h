/* SPDX-License-Identifier: BSD-3-Clause */
/* Repeatable random numbers for tests (xorshift64*). */
#pragma once

#include <stdint.h>

static inline uint64_t
random_next(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dULL;
}

static inline uint32_t
random_below(uint64_t *state, uint32_t n)
{
	return (uint32_t)((random_next(state) >> 32) * n >> 32);
}
