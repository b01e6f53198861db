/* SPDX-License-Identifier: BSD-3-Clause */
/* How long packets are in a worker: from the receive call that gave them to the end of the poll. */
#pragma once

#include "wire.h"

struct latency {
	double p50, p99, p999, most; /* ticks */
};

/*
 * Carries so many packets, burst by burst, on the worker's own core. Ends the program where one did
 * not leave in the poll that received it.
 */
struct latency latency_measure(struct lane *lane, uint64_t packets);
