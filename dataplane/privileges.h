/* SPDX-License-Identifier: BSD-3-Clause */
/* Secrets stay in memory, and the process keeps no more power than its work needs. */
#pragma once

#include "crypto/reason.h"

/* No core files, no debugger, no swap for our memory. First thing; best effort, with warnings. */
void privileges_guard_memory(void);

/*
 * All threads of the process, those to come included, keep CAP_NET_ADMIN (host interfaces,
 * neighbours, the end of an AF_XDP port) and nothing else. Once everything is open. 0, or a
 * negative errno with the reason.
 */
int privileges_drop(struct reason *why);
