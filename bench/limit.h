/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "options.h"

/*
 * TSC ticks an operation that the crypto alone costs for inner packets of that size: a burst on hot
 * buffers with one key, everything prepared well before, the least of many. AES-GCM by IPsec-MB's
 * direct calls, other suites by the contract's run of jobs, which is what the library has for them.
 */
double limit_measure(const struct options *o, bool open, uint32_t size);

/* The table's entry for a text of that size, on the machine that it was made on; 0 for none. */
double limit_known(const struct options *o, bool open, uint32_t size);

/* A time stamp that waits for what stands before it. */
uint64_t limit_ticks(void);
