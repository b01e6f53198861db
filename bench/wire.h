/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory in the place of wires. The ports are of the null driver, started like any port, and their
 * receive and transmit functions (rte_eth_fp_ops) are exchanged for a source and a sink: the
 * engine calls them just as it calls a driver's. The source does what a driver does when a frame
 * has arrived: it fills the mbuf's first line and gives the pointer. The sink keeps the pointers.
 * No ring, no copy and no pool stand between them and the stages.
 *
 * Frames are made in large numbers beforehand, inbound ones sealed, with numbers that go on from
 * lap to lap, and copied to their mbufs before each lap: making them leaves nothing of what the
 * stages look for in the cache where SAs are many.
 */
#pragma once

#include "gateway.h"

/* One direction of one worker. */
struct traffic {
	const struct options *options;
	bool out;
	struct sa *const *sas;      /* by number */
	const uint32_t *numbers;    /* of the worker's SAs */
	const double *distribution; /* sums of their shares, for Zipf's order */
	uint32_t numbers_count, turn;
	uint64_t random;
	uint32_t *seq; /* inbound: last number used, by SA number */
	struct crypto_ctx *crypto;

	/* Frames in store. */
	uint8_t *frames;
	uint32_t *frame_number; /* of their SA */
	uint16_t *frame_len;
	size_t stride;
	uint32_t stored, taken;
	uint32_t first; /* of the lap, in store */

	/* A lap: what the source has, and what the sink got. */
	uint64_t rearm; /* an mbuf's rearm_data */
	struct rte_mbuf *ready[LAP_MAX], *sent[LAP_MAX];
	uint16_t len[LAP_MAX];
	unsigned int end, next, sent_count;
	uint64_t bytes; /* of the lap's inner packets */
};

/* A worker and its traffic. */
struct lane {
	const struct options *options;
	struct gateway *gateway;
	struct worker *worker;
	struct traffic out, in;
	uint32_t *numbers;
	double *distribution;
};

/* The others have no packets. */
static inline unsigned int
lanes_with_packets(const struct options *o)
{
	return o->shared ? 1 : o->workers;
}

/* Puts sources and sinks on the gateway's ports: one lane for each worker. */
void wire_start(struct lane *lanes, struct gateway *g, const struct options *o);
void wire_stop(struct lane *lanes, struct gateway *g);

/* Readies a lap of packets. The sink is empty after it. */
void wire_fill(struct lane *lane);

/* How many packets a lap has, both directions together, and how many polls it takes. */
unsigned int wire_lap(const struct options *o);
unsigned int wire_polls(const struct options *o);

/* Moves a lap from source to sink with nothing between: what the two cost alone. */
void wire_idle(struct lane *lane);

/* Whether something of a lap has not come out yet. */
bool wire_under_way(const struct lane *lane);

/* Ends the program unless all of a lap came out. */
void wire_check(const struct lane *lane);
