/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A worker: a poll-mode thread that carries bursts through the two walks (walk.c). Everything
 * in struct worker belongs to that thread; the control thread reads the counters.
 */
#pragma once

#include <stdalign.h>
#include <stdint.h>

#include <rte_ring.h>

#include "burst.h"
#include "crypto/crypto.h"
#include "dataplane.h"
#include "drop.h"
#include "frag_ports.h"
#include "move.h"
#include "rate_limit.h"
#include "source_rate.h"
#include "spread.h"
#include "turns.h"

#define INBOX_SIZE 4096

/*
 * received + made + resumed = forwarded + punted + consumed + held + sum of drops, summed over all
 * workers, whenever no packet is under way. `held` and `resumed` bracket the time that a packet
 * waits for a neighbour, an SA or other fragments, or in another worker's inbox.
 */
struct worker_counters {
	uint64_t received;  /* from ports and from the host */
	uint64_t made;      /* here: fragments beyond the first, ICMP errors, split segments */
	uint64_t forwarded; /* sent out of a port */
	uint64_t punted;    /* to the host */
	uint64_t consumed;  /* ended here as they should: keepalives, dummy packets, fragments that
			     * became part of a whole */
	uint64_t held, resumed;
	uint64_t drops[DROP_COUNT];
	uint64_t sealed, opened;    /* packets through crypto, of those above */
	uint64_t path_mtus;         /* of SAs, learnt */
	uint64_t ecn_odd;           /* packets with ECN fields that should not occur together */
	uint64_t sa_wait_overflows; /* dropped, as too many waited for an SA */
	uint64_t moved;             /* outbound SAs, to other workers */
	uint64_t offered;           /* packets, for others to seal or open */
	uint64_t helped;            /* packets of other workers, sealed or opened for them */
	/* By interface: packets and bytes (of the frame), in from the wire, out to it. */
	struct {
		uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes, punted, from_host;
	} iface[IFACES_MAX];
	uint64_t polls, busy_polls; /* turns of the loop; those that found packets */
	uint64_t busy_cycles, idle_cycles, sleeps;
};

struct worker {
	struct dataplane *dp;
	unsigned int id; /* 0 to workers - 1: its queue number and its QSBR thread */
	unsigned int lcore;
	struct crypto_ctx *crypto;
	struct rte_ring *inbox; /* mbufs that resume here: from workers, host and control thread */
	uint64_t now;           /* wall-clock seconds, read once a poll */
	uint64_t tsc;           /* rte_rdtsc(), read once a poll */
	uint64_t clock_due;     /* TSC at which `now` is read again */
	uint32_t idle_polls;    /* in succession */
	_Atomic uint32_t idle;  /* enum idle_state: who polls the queues */
	uint32_t ip_id, ip_id_end; /* of this worker's block: worker_ip_id() */
	/* Why a packet may have to go another way than most, where that is looked at. */
	union {
		uint32_t unusual; /* any of these */
		struct {
			uint16_t lent; /* jobs in `spread`, from their offer until retired */
			bool lends;    /* runs of any SA that are long enough are shared */
			uint8_t moves; /* MOVE_* */
		};
	};
	struct spread *spread; /* spread.h; NULL where there are no others to share with */

	/* Between the lists of stages (walk.c). At most one poll's packets each. */
	struct burst inbound;                 /* ESP for us, at sad_lookup */
	struct burst inbound_ah, outbound_ah; /* AH for us, at sad_lookup; ours, at ah_encap */
	/* Of SAs whose crypto is shared: at spread_open; at esp_encap */
	struct burst inbound_spread, outbound_spread;
	struct burst clear;    /* at route: received clear or decrypted */
	struct burst outbound; /* about to leave by an unprotected interface, at spd_lookup */
	struct burst leaving;  /* at adjacency */
	struct burst errors;   /* ICMP errors made here, at route, after this burst */

	struct crypto_op ops[BURST_MAX];           /* of the burst in the crypto stages */
	struct rte_mbuf *tx[PORTS_MAX][BURST_MAX]; /* frames for each port */
	uint16_t tx_count[PORTS_MAX];
	struct rate_limit icmp_rate, acquire_rate, too_big_rate;
	struct reassembly *reassembly;
	uint64_t reassembly_due; /* TSC at which the oldest datagram in it has waited too long */
	struct worker_counters count;
	struct turns turns;
	uint64_t ecn_last; /* of the last of count.ecn_odd: SPI, inner and outer field; relaxed */
	struct source_rate punt_rate;
	struct frag_ports frag_ports;
	struct sa_move move;
	struct { /* balance_review() */
		uint64_t tsc, busy;
	} reviewed;
	alignas(64) _Atomic uint32_t busy; /* balance_busy(): read by others */
};

/*
 * A worker that is not running yet, with its inbox and crypto context; NULL with the reason.
 * workers_start() makes all of them; tests drive one by hand.
 */
struct worker *worker_new(struct dataplane *dp, unsigned int id, unsigned int lcore,
			  struct reason *why);
void worker_free(struct worker *w); /* and what its inbox holds */

/* One turn: a burst from each queue and one from the inbox. Returns how many packets came. */
unsigned int worker_poll(struct worker *w);

/* Carries a burst from the queue of that number of each port; its owner, or the watch (idle.h). */
unsigned int worker_poll_queues(struct worker *w, unsigned int queue);

/*
 * Starts a worker for each configured core: worker i on EAL's i-th worker lcore. All or nothing.
 * Control thread.
 */
int workers_start(struct dataplane *dp, struct reason *why);
void workers_stop(struct dataplane *dp); /* waits for them, frees what their inboxes hold */

/* Sums the counters of all workers. Control thread; a snapshot, not a barrier. */
void workers_sum(const struct dataplane *dp, struct worker_counters *sum);

/* Whether there is anything for spread_turn() to do, perhaps. */
static inline bool
spread_in_use(const struct worker *w)
{
	/* Relaxed: in the next poll, at worst. */
	return w->lent != 0 || atomic_load_explicit(&w->dp->sharing, memory_order_relaxed) != 0;
}

/* Takes the worker's next block of IP identifications. */
void worker_take_ip_ids(struct worker *w);

/*
 * An identification for a packet that is fragmented, or may be on its way. Workers take blocks of
 * one sequence, so an IPv4 one (the low 16 bits) returns after 65536 such packets at the earliest,
 * less the blocks under way, whichever workers send them (RFC 6864 section 4.3).
 */
static inline uint32_t
worker_ip_id(struct worker *w)
{
	if (unlikely(w->ip_id == w->ip_id_end))
		worker_take_ip_ids(w);
	return w->ip_id++;
}

/* ---- the ways in which a packet leaves the line; on the worker's own thread ---- */

void packet_drop(struct worker *w, struct rte_mbuf *m, enum drop_reason reason);
void packet_consume(struct worker *w, struct rte_mbuf *m);

/*
 * To the host, up the TAP of `in`, or of `out` where the packet was decrypted. Data begins behind
 * the L2 header; an untagged header is put in front, a made-up one where there was none (l2_len 0).
 */
void packet_punt(struct worker *w, struct rte_mbuf *m);

/* To another worker's inbox; clears the SA pointer. Drops as `handover` when it is full. */
void packet_handover(struct worker *w, struct rte_mbuf *m, unsigned int to, enum resume resume);

/* To the queue of packets that wait for a neighbour (waiting.h). */
void packet_wait(struct worker *w, struct rte_mbuf *m);
