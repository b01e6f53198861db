/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Dummy packets (RFC 4303 section 2.6): ESP of next header 59, which its receiver throws away, so
 * that who watches cannot tell how much there is to say. By choice (tunnels.dummy_rate).
 */
#pragma once

#include <stdint.h>

struct dataplane;

/* Where the control thread is on its way round the SAD. */
struct dummies {
	uint64_t then; /* milliseconds of the last turn, 0 before the first */
	uint64_t owed; /* thousandths of packets */
	uint32_t cursor;
};

/*
 * Sends what is due: to each SA that sends ESP the configured number a second, at random distances.
 * Control thread, every turn; milliseconds of a clock that does not jump.
 */
void dummies_tick(struct dummies *d, struct dataplane *dp, uint64_t milliseconds);
