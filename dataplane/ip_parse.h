/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading and checking an IP header: received packets, decrypted ones, and the flow of either. */
#pragma once

#include <stdbool.h>

#include "drop.h"
#include "packet.h"

/*
 * Checks the IP header at the mbuf's data (RFC 791, RFC 8200), cuts what lies behind the IP length,
 * and fills packet's family, proto, l4_off, fragment and flow_hash. `check_sum`: whether the IPv4
 * header checksum is verified here. False with the reason where the packet cannot be used.
 */
bool ip_parse(struct rte_mbuf *m, bool check_sum, enum drop_reason *reason);

/* What selectors are compared with; for a parsed packet. */
void packet_flow(const struct rte_mbuf *m, struct flow *flow);
