/* SPDX-License-Identifier: BSD-3-Clause */
/* Internet checksums (RFC 1071): the IPv4 header's, its increments (RFC 1624), and L4 completion. */
#pragma once

#include <stdbool.h>

#include "packet.h"

/*
 * Completes a TCP or UDP checksum that so far covers only the pseudo-header, as a sender with
 * checksum offload leaves it. `certain`: the port said so (PACKET_L4_PARTIAL); else it is done
 * only where the field equals the pseudo-header's sum.
 */
void checksum_complete(struct rte_mbuf *m, bool certain);
