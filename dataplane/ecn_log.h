/* SPDX-License-Identifier: BSD-3-Clause */
/* Lines in the log about ECN fields that should not occur together (RFC 6040 section 4.2). */
#pragma once

#include <stdint.h>

struct dataplane;

struct ecn_log {
	uint64_t logged; /* packets of which the log has told */
	uint64_t due;    /* milliseconds at which the next line may come */
};

/* Writes a line if there is something new, at most one a minute. Control thread, now and then. */
void ecn_log_tick(struct ecn_log *log, const struct dataplane *dp, uint64_t milliseconds);
