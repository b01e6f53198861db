/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How busy workers are, and what one does that has no time left: it gives an SA to another one
 * (move.h), or, where one SA takes it all, lends its crypto (spread.h).
 */
#pragma once

#include <stdint.h>

struct worker;

#define BALANCE_FULL 90 /* percent of its time: a worker that busy looks for a remedy */
#define BALANCE_IDLE 50 /* less than that: it may be the remedy */

/* Some 64 times a second, on the worker's own thread, between two polls. */
void balance_review(struct worker *w);

/* How busy a worker was in the time before its last review, in percent. Any thread. */
uint32_t balance_busy(const struct worker *w);

/* The other worker that was least busy, if less than BALANCE_IDLE; else the worker itself. */
uint32_t balance_idlest(const struct worker *w);
