/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The stages, in the order of the two walks. A stage takes a burst and leaves in it the packets
 * that go on to the next stage of its list; the rest it dropped, punted, consumed, handed over or
 * moved to another list's burst. walk.c holds the lists.
 */
#pragma once

#include "burst.h"

struct worker;

typedef void stage_fn(struct worker *w, struct burst *b);

/*
 * The rule for full bursts. Every packet of a poll's burst (at most BURST_MAX) is in one list's
 * burst at a time, so that none can overflow by moving. Stages that make packets: `pmtu` and
 * `adjacency` send what their burst holds on its way before they add to a full one, and an ICMP
 * error is not made when `errors` is full.
 */

/* Runs a burst of received frames (data at the Ethernet header) through the walks. */
void walk(struct worker *w, struct burst *frames);
/* Runs a burst from a worker's inbox: each packet goes on where packet.resume says. */
void walk_resume(struct worker *w, struct burst *b);
/* Runs fitted packets from seq_reserve to tx, and leaves the burst and `leaving` empty. */
void walk_sealing(struct worker *w, struct burst *b);
/* The two halves of it: to `leaving`, which has room for the burst; and what is there to tx. */
void walk_seal(struct worker *w, struct burst *b);
void walk_leave(struct worker *w);

/* Runs opened packets (spread.h) from replay_commit to tx, and leaves the burst empty. */
void walk_opened(struct worker *w, struct burst *b);

stage_fn classify; /* L2 and IP headers; ESP and AH to `inbound`, host's frames on, the rest to
		      route */
/* The part of classify for a fragment whose headers are parsed: from another worker. */
void classify_fragment(struct worker *w, struct rte_mbuf *m);

stage_fn sad_stage;    /* sad_lookup: the SA of an inbound packet */
stage_fn replay_stage; /* replay_check: before any crypto */
stage_fn crypto_open_stage;
stage_fn replay_commit;
stage_fn esp_decap; /* trailer, padding, inner header; joins `clear` */

stage_fn ah_check; /* for AH: behind sad_stage */
stage_fn ah_open;
stage_fn ah_decap; /* replay_commit, inner header; joins `clear` */

stage_fn route; /* next hop of the destination; recognises packets for the host */
stage_fn
	spd_check; /* inbound policy: decrypted packets, and clear ones from the unprotected side */
stage_fn forward;  /* TTL; punts; direction is decided here, by the interface out */

stage_fn spd_stage;   /* spd_lookup: protect, bypass, discard */
stage_fn mss_in;      /* TCP MSS clamping, by choice: of decrypted packets, */
stage_fn mss_out;     /* and of those to be protected */
stage_fn pmtu;        /* fits the packet into the way: fragments, or answers too-big */
stage_fn seq_reserve; /* numbers for runs of packets of one SA; other owners' packets go there */
stage_fn esp_encap;   /* trailer, ESP header, outer header */
stage_fn crypto_seal_stage;
stage_fn spread_open; /* in place of the crypto stages, for packets of an SA_SPREAD: now, or in */
stage_fn spread_seal; /* a batch that goes on later */
stage_fn ah_encap;    /* for AH: behind seq_reserve */
stage_fn ah_seal;

stage_fn dummy_number; /* dummy packets: their SA, number and length, in place of seq_reserve */
stage_fn dummy_mark;   /* behind esp_encap: the trailer says that there is nothing inside */

stage_fn adjacency; /* outer route where sealed, neighbour, Ethernet header; tx_frames() */
stage_fn tx;        /* of finished frames */

/* Frames that leave by one interface, in their order, to the port's queue or its owner. */
void tx_frames(struct worker *w, uint16_t out, struct rte_mbuf *const *m, unsigned int n);

/* Sends what tx gathered for each port. Once a poll. */
void tx_flush(struct worker *w);

/*
 * Before a worker rests: a driver that hands frames to a kernel (af_xdp) may have been told of them
 * in vain, and would send them with the next ones only.
 */
void tx_remind(struct worker *w);

struct port;

/*
 * Takes the frames of a port's queue, if it has one of that number, into `b` (empty): each in a
 * buffer of its own, its struct packet begun, counted as received. Frames that another worker shall
 * carry are handed over. Returns how many the queue gave.
 */
unsigned int rx(struct worker *w, const struct port *port, uint16_t queue, struct burst *b);
