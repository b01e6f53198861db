/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stateful fragment checking (RFC 4301 section 7.4): a later fragment has no ports, and ICMP's type
 * and code neither, but its first fragment had. A worker remembers those for a while, in a table
 * of fixed size, and policies that ask for ports judge the later fragment by them. Nothing of the
 * verdict is remembered, so that a policy that changes meanwhile counts.
 */
#pragma once

#include <stdint.h>

#include "frag.h"
#include "sadb/addr.h"

#define FRAG_PORTS_ROWS 128
#define FRAG_PORTS_WAYS 4

struct frag_ports {
	uint64_t seed;
	uint64_t patience; /* ticks */
	struct frag_ports_entry {
		struct frag_id id;
		uint64_t until; /* TSC; 0 for a free one */
		rte_be16_t sport, dport;
		uint8_t proto;
	} rows[FRAG_PORTS_ROWS][FRAG_PORTS_WAYS];
};

/*
 * Of a parsed packet with packet.fragment not 0, and its flow: a first fragment is remembered, the
 * flow of a later one gets the ports of its first one if that has come (flow.ports_of_first).
 */
void frag_ports_apply(struct worker *w, const struct rte_mbuf *m, struct flow *flow);
