/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reassembly of what comes to the gateway itself in fragments: ESP, AH, and UDP, in which there may
 * be ESP or IKE. Fragments that are only forwarded stay as they are.
 *
 * A table belongs to one worker, and is bounded in datagrams, in bytes of buffers and in time. The
 * oldest datagram gives way to a new one: an honest one is complete within milliseconds, so only a
 * flood of as many within that time can push it out. Overlaps discard the datagram (RFC 5722), in
 * IPv4 as well, and what is still to come of it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "packet.h"

struct worker;
struct reassembly;

/* Fragments of one datagram at most; 64 KiB in fragments for 576 bytes are 119. */
#define REASSEMBLY_FRAGMENTS_MAX 128

/* Bytes that a packet's buffer counts for. */
uint32_t reassembly_cost(const struct rte_mbuf *m);

/* NULL without memory. `hz`: ticks of worker.tsc in a second. */
struct reassembly *reassembly_new(const struct config_reassembly *config, uint64_t hz, int socket);
void reassembly_free(struct reassembly *r); /* and the fragments in it; NULL is nothing */

/* Whether a fragment, parsed, is of a datagram that is to be put together here. */
bool reassembly_takes(const struct worker *w, const struct rte_mbuf *m);

/*
 * Takes a fragment. Gives the whole packet with the last one of a datagram, else NULL. Data of the
 * whole begins at its IP header, which says nothing of fragments any more; it is to be parsed.
 */
struct rte_mbuf *reassembly_add(struct worker *w, struct rte_mbuf *m);

/*
 * A packet in a large buffer, of which only a part is left now, into an ordinary one if it fits:
 * ports are given no others. What does not fit no port takes uncut. NULL without a buffer; the
 * packet stays the caller's then.
 */
struct rte_mbuf *reassembly_shrink(struct worker *w, struct rte_mbuf *m);

/* Gives up what has waited too long. To be called once worker.tsc has reached reassembly_due. */
void reassembly_expire(struct worker *w);
