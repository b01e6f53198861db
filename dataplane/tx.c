/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tx: finished frames to the ports. They are gathered for each port and sent when a burst is full
 * and at the end of each poll. A worker without a queue of its own gives them to the queue's owner.
 */
#include <rte_ethdev.h>

#include "walk.h"
#include "worker.h"

#define TX_TRIES 8 /* for a queue that is full; what then is left is dropped */

/* What is counted of a frame, which once sent is not ours to look at any more. */
struct frame {
	uint16_t iface;
	uint32_t bytes;
};

static void
count_sent(struct worker *w, const struct frame *frames, unsigned int n)
{
	unsigned int end;

	for (unsigned int i = 0; i < n; i = end) {
		uint16_t iface = frames[i].iface;
		uint64_t bytes = 0;

		for (end = i; end < n && frames[end].iface == iface; end++)
			bytes += frames[end].bytes;
		w->count.iface[iface].tx_packets += end - i;
		w->count.iface[iface].tx_bytes += bytes;
	}
	w->count.forwarded += n;
}

static void
flush_port(struct worker *w, unsigned int number)
{
	const struct port *port = &w->dp->ports[number];
	struct rte_mbuf **frames = w->tx[number];
	uint16_t n = w->tx_count[number], sent = 0;
	struct frame of[BURST_MAX];

	for (unsigned int i = 0; i < n; i++)
		of[i] = (struct frame){packet(frames[i])->out, rte_pktmbuf_pkt_len(frames[i])};
	for (unsigned int tries = 0; sent < n && tries < TX_TRIES; tries++)
		sent += rte_eth_tx_burst(port->ethdev, (uint16_t)w->id, frames + sent, n - sent);
	count_sent(w, of, sent);
	for (unsigned int i = sent; i < n; i++)
		packet_drop(w, frames[i], DROP_TX_FULL);
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
tx(struct worker *w, struct burst *b)
{
	for (unsigned int i = 0; i < b->n; i++) {
		struct rte_mbuf *m = b->m[i];
		unsigned int number = w->dp->ifaces[packet(m)->out].port;
		const struct port *port = &w->dp->ports[number];

		if (unlikely(rte_pktmbuf_pkt_len(m) > port->max_frame)) {
			packet_drop(w, m, DROP_MTU);
			continue;
		}
		if (w->id >= port->tx_queues) {
			packet_handover(w, m, w->id % port->tx_queues, RESUME_TX);
			continue;
		}
		m->ol_flags = 0;
		w->tx[number][w->tx_count[number]++] = m;
		if (w->tx_count[number] == BURST_MAX)
			flush_port(w, number);
	}
	b->n = 0;
}
