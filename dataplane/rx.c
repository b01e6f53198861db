/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From a port's queue to a burst of frames. Every frame gets a buffer of ours that nobody else
 * holds, so that the stages may write into it. Where a port has fewer queues than there are
 * workers, their owners spread the frames, by flow, as a network card would.
 */
#include <netinet/in.h>

#include <rte_ethdev.h>
#include <rte_ip.h>

#include "room.h"
#include "walk.h"
#include "worker.h"

/* Whether the stages may write into the mbuf: of our pool, direct, of one segment, ours alone. */
static inline bool
is_own(const struct worker *w, const struct rte_mbuf *m)
{
	return m->pool == w->dp->pool && m->nb_segs == 1 && RTE_MBUF_DIRECT(m) &&
	       rte_mbuf_refcnt_read(m) == 1;
}

/* A copy in one buffer of the pool; the original is let go. NULL where it does not fit. */
static struct rte_mbuf *
copy_frame(struct worker *w, struct rte_mbuf *m)
{
	struct rte_mbuf *copy = rte_pktmbuf_copy(m, w->dp->pool, 0, UINT32_MAX);

	if (copy != NULL && copy->nb_segs > 1) {
		rte_pktmbuf_free(copy);
		copy = NULL;
	}
	if (copy != NULL)
		rte_pktmbuf_free(m);
	return copy;
}

static uint32_t
read32(const uint8_t *at)
{
	uint32_t v;

	memcpy(&v, at, sizeof(v));
	return v;
}

static uint32_t
mix(uint32_t h, uint32_t v)
{
	h = (h ^ v) * 0x9e3779b1;
	return h ^ h >> 15;
}

/*
 * A hash of the flow, before anything was checked: addresses, and ports, or ESP's SPI, right
 * behind the header. Fragments, and what has options, spread by addresses alone.
 */
static uint32_t
spread_hash(const struct rte_mbuf *m)
{
	const uint8_t *at = rte_pktmbuf_mtod(m, const uint8_t *);
	uint32_t len = rte_pktmbuf_data_len(m), h = 0, words = 0, header = 0;
	uint8_t proto = 0;
	bool whole = true;

	if (len >= 18 && at[12] == 0x81 && at[13] == 0) {
		at += 4;
		len -= 4;
	}
	if (len >= 14 + 40 && at[12] == 0x86 && at[13] == 0xdd) {
		header = 40;
		words = 8;
		proto = at[14 + 6];
	} else if (len >= 14 + 20 && at[12] == 0x08 && at[13] == 0) {
		header = 20;
		words = 2;
		proto = at[14 + 9];
		whole = at[14] == 0x45 && (at[14 + 6] & 0x3f) == 0 && at[14 + 7] == 0;
	}
	at += 14 + header - words * 4;
	for (uint32_t i = 0; i < words; i++)
		h = mix(h, read32(at + i * 4));
	if (whole && len >= 14 + header + 4 &&
	    (proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_ESP ||
	     proto == IPPROTO_SCTP))
		h = mix(h, read32(at + words * 4));
	return h;
}

static void
begin(const struct rte_mbuf *m, const struct port *port)
{
	*packet_open(m) = (struct packet){.in = port->iface, .out = IFACE_NONE};
}

/* True where another worker shall carry the frame, and was given it. */
static bool
spread(struct worker *w, const struct port *port, struct rte_mbuf *m)
{
	unsigned int to = (unsigned int)((uint64_t)spread_hash(m) * w->dp->workers_count >> 32);

	if (to == w->id)
		return false;
	begin(m, port);
	packet_handover(w, m, to, RESUME_CLASSIFY);
	return true;
}

/* What may enter the walk of the n frames; how many. */
static unsigned int
admit(struct worker *w, const struct port *port, struct rte_mbuf **frames, unsigned int n)
{
	bool shared = port->rx_queues < w->dp->workers_count;
	unsigned int kept = 0;

	for (unsigned int i = 0; i < n; i++) {
		struct rte_mbuf *m = frames[i];

		if (unlikely(!is_own(w, m))) {
			m = copy_frame(w, m);
			if (m == NULL) {
				packet_drop(w, frames[i], DROP_NO_BUF);
				continue;
			}
		}
		room_fit(m, 0);
		if (likely(!shared) || !spread(w, port, m))
			frames[kept++] = m;
	}
	return kept;
}

/* So far all that is known of them is the same: they are one run. */
unsigned int
rx(struct worker *w, const struct port *port, uint16_t queue, struct burst *b)
{
	unsigned int n;

	if (queue >= port->rx_queues)
		return 0;
	n = rte_eth_rx_burst(port->ethdev, queue, b->m, BURST_MAX);
	for (unsigned int i = 0; i < n; i++)
		rte_prefetch0(rte_pktmbuf_mtod(b->m[i], const void *));
	w->count.received += n;
	b->n = (uint16_t)admit(w, port, b->m, n);
	if (b->n > 0) {
		begin(b->m[0], port);
		burst_join(b, 0, b->n);
	}
	return n;
}
