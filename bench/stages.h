/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where the ticks go: a clock between the stages. The linker leads the calls of the stages (and of
 * rx, tx_flush and the crypto contract) through here (--wrap), so that the lists that are timed are
 * walk.c's own. Off, a call costs a predicted branch, a few ticks for a whole burst.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

extern const char *const stage_names[];
extern const unsigned int stage_count;

/* Between the two, each stage's ticks add up. For one worker, on the caller's thread. */
void stages_begin(void);
void stages_end(uint64_t *ticks); /* stage_count of them */
