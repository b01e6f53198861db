/* SPDX-License-Identifier: BSD-3-Clause */
/* DPDK's environment (EAL): memory, threads and buses, as the configuration needs them. */
#pragma once

#include "config.h"
#include "crypto/reason.h"

/*
 * Starts EAL: on hugepages where enough are free, else on ordinary memory with a warning. Worker
 * i is lcore i + 1 on its CPU; lcore 0, the control thread, may use every CPU. `memory` is how many
 * bytes will be needed. 0, or a negative errno with the reason. End with rte_eal_cleanup().
 */
int eal_start(const struct config *config, size_t memory, struct reason *why);
