/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Making a packet fit: fragmentation of IPv4 (RFC 791) and of IPv6 that starts here (RFC 8200
 * section 4.5), and TCP segments of merged (GRO) packets.
 */
#pragma once

#include "packet.h"

struct worker;

#define FRAGMENTS_MAX BURST_MAX

/*
 * Cuts an IPv4 packet into fragments, or a merged TCP packet of either family into segments, of
 * at most `mtu` bytes each. Takes the packet; gives new ones of the same struct packet in `out`,
 * and counts those beyond the first as made. 0 where it cannot be (the packet stays the caller's).
 */
unsigned int fragment_packet(struct worker *w, struct rte_mbuf *m, uint32_t mtu,
			     struct rte_mbuf *out[FRAGMENTS_MAX]);

/* The same for a sealed packet of either family, whatever its DF bit says. */
unsigned int fragment_sealed(struct worker *w, struct rte_mbuf *m, uint32_t mtu,
			     struct rte_mbuf *out[FRAGMENTS_MAX]);

/* Whether the packet, too long for its way, may be cut: merged TCP, or IPv4 without DF. */
bool fragment_allowed(const struct rte_mbuf *m);
