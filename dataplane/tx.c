/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tx: finished frames to the ports. They are gathered for each port and sent when a burst is full
 * and at the end of each poll. A worker without a queue of its own gives them to the queue's owner.
 */
#include <rte_ethdev.h>

#include "walk.h"
#include "worker.h"

#define TX_TRIES 8 /* for a queue that is full; what then is left is dropped */

static void
count_sent(struct worker *w, uint16_t out, uint64_t packets, uint64_t bytes)
{
	w->count.iface[out].tx_packets += packets;
	w->count.iface[out].tx_bytes += bytes;
}

/* A frame that was counted as sent, and is not. From here on its mbuf has the interface out. */
static void
uncount(struct worker *w, const struct rte_mbuf *m)
{
	count_sent(w, m->port, UINT64_MAX, -(uint64_t)rte_pktmbuf_pkt_len(m));
}

static void
flush_port(struct worker *w, unsigned int number)
{
	const struct port *port = &w->dp->ports[number];
	struct rte_mbuf **frames = w->tx[number];
	uint16_t n = w->tx_count[number], sent = 0;

	for (unsigned int tries = 0; sent < n && tries < TX_TRIES; tries++)
		sent += rte_eth_tx_burst(port->ethdev, (uint16_t)w->id, frames + sent, n - sent);
	w->count.forwarded += sent;
	for (unsigned int i = sent; i < n; i++) {
		uncount(w, frames[i]);
		packet_drop(w, frames[i], DROP_TX_FULL);
	}
	w->tx_count[number] = 0;
}

void
tx_flush(struct worker *w)
{
	for (unsigned int i = 0; i < w->dp->ports_count; i++)
		if (w->tx_count[i] > 0)
			flush_port(w, i);
}

void
tx_remind(struct worker *w)
{
	for (unsigned int i = 0; i < w->dp->ports_count; i++)
		if (w->id < w->dp->ports[i].tx_queues)
			rte_eth_tx_burst(w->dp->ports[i].ethdev, (uint16_t)w->id, NULL, 0);
}

/* What does not go to the port's queue of this worker: too long, or the queue is another's. */
static void
turn_away(struct worker *w, const struct port *port, struct rte_mbuf *m)
{
	uncount(w, m);
	if (rte_pktmbuf_pkt_len(m) > port->max_frame) {
		packet_drop(w, m, DROP_MTU);
		return;
	}
	packet_open(m)->out = m->port;
	packet_handover(w, m, w->id % port->tx_queues, RESUME_TX);
}

/* They are counted before they are sent: then they are not ours to look at any more. */
void
tx_frames(struct worker *w, uint16_t out, struct rte_mbuf *const *m, unsigned int n)
{
	const struct port *port = &w->dp->ports[w->dp->ifaces[out].port];
	uint32_t longest = w->id < port->tx_queues ? port->max_frame : 0;
	uint16_t number = port->number, count = w->tx_count[number];
	struct rte_mbuf **queue = w->tx[number];
	uint64_t bytes = 0;

	for (unsigned int i = 0; i < n; i++) {
		uint32_t len = rte_pktmbuf_pkt_len(m[i]);

		m[i]->port = out;
		bytes += len;
		if (unlikely(len > longest)) {
			turn_away(w, port, m[i]);
			continue;
		}
		m[i]->ol_flags = 0;
		queue[count++] = m[i];
		if (unlikely(count == BURST_MAX)) {
			w->tx_count[number] = count;
			flush_port(w, number);
			count = 0;
		}
	}
	w->tx_count[number] = count;
	count_sent(w, out, n, bytes);
}

void
tx(struct worker *w, struct burst *b)
{
	for (unsigned int i = 0; i < b->n; i++)
		tx_frames(w, packet(b->m[i])->out, &b->m[i], 1);
	burst_clear(b);
}
