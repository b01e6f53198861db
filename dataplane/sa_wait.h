/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packets that wait for an SA while IKE negotiates it. A worker puts them, with the flow that
 * policy was asked about, on a ring; the control thread keeps them in one queue, in their order,
 * and gives them back to that worker's inbox as soon as policy has another answer for the flow than
 * to wait: an SA, or a policy that came, changed or went. They come back at SPD lookup, so whatever
 * holds then is what they get. What waited in vain comes back to be dropped (RESUME_DROP_NO_SA), so
 * that workers alone count packets.
 *
 * A worker that finds too many waiting drops its own packet at once: a flood costs the control
 * thread nothing, and the first packets, which ask for the SA, are those that get it. The pool of
 * packet buffers has SA_WAIT_MAX for them, beside all others.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "crypto/reason.h"

#define SA_WAIT_PER_POLICY 64
#define SA_WAIT_MAX        1024 /* for all policies together */
/* An IKE daemon sends its request at once and, by strongSwan's default, after 4 and 11 seconds. */
#define SA_WAIT_SECONDS 15

struct dataplane;
struct flow;
struct policy;
struct rte_mbuf;
struct worker;

int sa_wait_start(struct dataplane *dp, struct reason *why); /* makes dp->sa_wait */
void sa_wait_stop(struct dataplane *dp);                     /* frees what waits */

/*
 * Worker: takes a clear packet over whose policy protects its flow and has no SA. False, and the
 * packet is still the caller's, where too many wait or no IKE daemon listens for acquires.
 */
bool sa_wait_put(struct worker *w, struct rte_mbuf *m, const struct policy *policy,
		 const struct flow *flow);

/*
 * Control thread: after SAs and policies changed, and every few ms. `heard` says whether an IKE
 * daemon listens for acquires, `now` is monotonic milliseconds.
 */
void sa_wait_poll(struct dataplane *dp, bool heard, uint64_t now);

struct sa_wait_stats {
	uint64_t waiting;             /* now */
	uint64_t expired, overflowed; /* dropped so far: in vain; as too many waited */
	bool heard;                   /* an IKE daemon listens: packets may wait */
};
struct sa_wait_stats sa_wait_stats(const struct dataplane *dp);
