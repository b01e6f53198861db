/* SPDX-License-Identifier: BSD-3-Clause */
/* Where the lines of rte_log go: ours, and those of DPDK's libraries and drivers. */
#pragma once

#include "config.h"
#include "crypto/reason.h"

/* Before EAL starts. 0, or a negative errno with the reason. */
int log_open(const struct config_log *config, struct reason *why);
void log_close(void);
