/* SPDX-License-Identifier: BSD-3-Clause */
#include "wire.h"

#include <inttypes.h>
#include <stdlib.h>

#include <rte_ethdev.h>

#include "dataplane/room.h"
#include "frame.h"

/* Frames in store: with many SAs so many that their keys do not stay in the cache. */
#define STORE_FEW  4096
#define STORE_MANY 65536
#define MANY_SAS   1000
#define FRAME_ROOM 192 /* Ethernet header, and what ESP adds */

unsigned int
wire_polls(const struct options *o)
{
	return o->lap / o->burst;
}

static unsigned int
lap_each_way(const struct options *o)
{
	return wire_polls(o) * o->burst;
}

unsigned int
wire_lap(const struct options *o)
{
	return lap_each_way(o) * (o->direction == DIRECTION_BOTH ? 2 : 1);
}

/* ---- the store ---- */

static uint64_t
random_next(struct traffic *t)
{
	t->random ^= t->random << 13;
	t->random ^= t->random >> 7;
	t->random ^= t->random << 17;
	return t->random;
}

static uint32_t
zipf_place(struct traffic *t)
{
	double at =
		(double)(random_next(t) >> 11) * 0x1p-53 * t->distribution[t->numbers_count - 1];
	uint32_t low = 0, high = t->numbers_count - 1;

	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (t->distribution[middle] < at)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static uint32_t
next_number(struct traffic *t)
{
	switch (t->options->order) {
	case ORDER_RANDOM:
		return t->numbers[(random_next(t) >> 32) * t->numbers_count >> 32];
	case ORDER_ZIPF:
		return t->numbers[zipf_place(t)];
	default:
		return t->numbers[t->turn++ % t->numbers_count];
	}
}

static void
restock(struct traffic *t, const struct gateway *g)
{
	struct crypto_op ops[BURST_MAX];
	unsigned int n = 0;

	for (uint32_t i = 0; i < t->stored; i++) {
		uint32_t number = next_number(t);
		uint16_t size = (uint16_t)frame_size(t->options, i);
		uint8_t *frame = t->frames + i * t->stride, *ip;

		ip = frame_l2(frame, g, t->options->family, t->out ? LAN : WAN);
		if (t->out)
			frame_inner(ip, t->options, true, number, size, 64);
		else
			size = frame_esp(ip, t->options, t->sas[number], number, size,
					 ++t->seq[number], &ops[n++]);
		t->frame_number[i] = number;
		t->frame_len[i] = (uint16_t)(ip - frame + size);
		if (n == BURST_MAX || (n > 0 && i + 1 == t->stored)) {
			crypto_seal(t->crypto, ops, n);
			n = 0;
		}
	}
	t->taken = 0;
}

static void
fill(struct traffic *t, const struct gateway *g, unsigned int count)
{
	if (t->taken == t->stored || t->stored - t->taken < count)
		restock(t, g);
	t->bytes = 0;
	t->first = t->taken;
	for (unsigned int i = 0; i < count; i++, t->taken++) {
		struct rte_mbuf *m = t->ready[i];

		t->len[i] = t->frame_len[t->taken];
		room_open(m);
		memcpy((uint8_t *)m->buf_addr + PACKET_HEADROOM, t->frames + t->taken * t->stride,
		       t->len[i]);
		t->bytes += frame_size(t->options, t->taken);
	}
	t->next = 0;
	t->end = count;
	t->sent_count = 0;
}

void
wire_fill(struct lane *lane)
{
	if (lane->out.frames != NULL)
		fill(&lane->out, lane->gateway, lap_each_way(lane->options));
	if (lane->in.frames != NULL)
		fill(&lane->in, lane->gateway, lap_each_way(lane->options));
}

/* ---- source and sink ---- */

static uint16_t
source(void *queue, struct rte_mbuf **frames, uint16_t n)
{
	struct traffic *t = queue;
	unsigned int count = RTE_MIN(t->options->burst, t->end - t->next);

	count = RTE_MIN(count, n);
	for (unsigned int i = 0; i < count; i++) {
		struct rte_mbuf *m = t->ready[t->next + i];

		memcpy(&m->rearm_data, &t->rearm, sizeof(t->rearm));
		m->ol_flags = 0;
		m->data_len = t->len[t->next + i];
		m->pkt_len = t->len[t->next + i];
		frames[i] = m;
	}
	t->next += count;
	return (uint16_t)count;
}

static uint16_t
sink(void *queue, struct rte_mbuf **frames, uint16_t n)
{
	struct traffic *t = queue;

	n = (uint16_t)RTE_MIN((unsigned int)n, LAP_MAX - t->sent_count);
	memcpy(t->sent + t->sent_count, frames, n * sizeof(*frames));
	t->sent_count += n;
	return n;
}

static void
idle(const struct port *from, const struct port *to, uint16_t queue)
{
	struct rte_mbuf *frames[BURST_MAX];
	uint16_t n = rte_eth_rx_burst(from->ethdev, queue, frames, BURST_MAX);

	if (n > 0)
		rte_eth_tx_burst(to->ethdev, queue, frames, n);
}

void
wire_idle(struct lane *lane)
{
	const struct port *ports = lane->gateway->dp->ports;
	uint16_t queue = (uint16_t)lane->worker->id;

	for (unsigned int i = 0; i < wire_polls(lane->options); i++) {
		idle(&ports[LAN], &ports[WAN], queue);
		idle(&ports[WAN], &ports[LAN], queue);
	}
}

static void
check(const struct traffic *t, const struct worker *w)
{
	if (t->sent_count == t->end)
		return;
	for (unsigned int i = 0; i < DROP_COUNT; i++)
		if (w->count.drops[i] > 0)
			fprintf(stderr, "sealane-bench: %" PRIu64 " dropped: %s\n",
				w->count.drops[i], drop_names[i]);
	bench_fail("%u packets came out of %u that went in", t->sent_count, t->end);
}

void
wire_check(const struct lane *lane)
{
	check(&lane->out, lane->worker);
	check(&lane->in, lane->worker);
}

bool
wire_under_way(const struct lane *lane)
{
	return lane->out.sent_count + lane->in.sent_count < lane->out.end + lane->in.end;
}

/* Queues of both ports, as the ethdev library wants them. */
static void *rx_queues[SIDES][WORKERS_MAX], *tx_queues[SIDES][WORKERS_MAX];

static void
replace_driver(const struct gateway *g)
{
	for (unsigned int side = LAN; side < SIDES; side++) {
		struct rte_eth_fp_ops *ops = &rte_eth_fp_ops[g->dp->ports[side].ethdev];

		ops->rxq.data = rx_queues[side];
		ops->txq.data = tx_queues[side];
		ops->rx_pkt_burst = source;
		ops->tx_pkt_burst = sink;
	}
}

static void
find_numbers(struct lane *lane, const struct gateway *g)
{
	struct sa *const *sas = g->out != NULL ? g->out : g->in;
	uint32_t n = 0;

	lane->numbers = calloc(lane->options->sas, sizeof(*lane->numbers));
	lane->distribution = calloc(lane->options->sas, sizeof(*lane->distribution));
	if (lane->numbers == NULL || lane->distribution == NULL)
		bench_fail("no memory");
	for (uint32_t i = 0; i < lane->options->sas; i++)
		if (i % lanes_with_packets(lane->options) == lane->worker->id)
			lane->numbers[n++] = i;
	for (uint32_t i = 0; i < n; i++)
		lane->distribution[i] = (i > 0 ? lane->distribution[i - 1] : 0) + 1.0 / (i + 1);
	/* Who carries an SA is the engine's to say; here its number tells it. */
	for (uint32_t i = 0; i < n && g->out != NULL; i++) {
		_Atomic uint32_t *owner = &sas[lane->numbers[i]]->owner;

		atomic_store(owner, (atomic_load(owner) & SA_SPREAD) | lane->worker->id);
	}
	lane->out.numbers_count = lane->in.numbers_count = n;
}

static void
start(struct traffic *t, const struct lane *lane, struct gateway *g, bool out)
{
	const struct options *o = lane->options;
	uint32_t most = o->size != 0 ? o->size : 1420;
	struct rte_mbuf *m;

	t->out = out;
	t->sas = out ? g->out : g->in;
	t->numbers = lane->numbers;
	t->distribution = lane->distribution;
	t->crypto = lane->worker->crypto;
	t->random = 88172645463325252 + lane->worker->id;
	t->stored = o->sas > MANY_SAS ? STORE_MANY : STORE_FEW;
	t->taken = t->stored;
	t->stride = RTE_ALIGN_CEIL(most + FRAME_ROOM, 64);
	t->frames = malloc(t->stored * t->stride);
	t->frame_number = calloc(t->stored, sizeof(*t->frame_number));
	t->frame_len = calloc(t->stored, sizeof(*t->frame_len));
	t->seq = calloc(o->sas, sizeof(*t->seq));
	if (t->frames == NULL || t->frame_number == NULL || t->frame_len == NULL || t->seq == NULL)
		bench_fail("no memory for frames");
	if (rte_pktmbuf_alloc_bulk(g->dp->pool, t->ready, LAP_MAX) != 0)
		bench_fail("no packet buffers");
	m = t->ready[0];
	rte_pktmbuf_reset(m);
	memcpy(&t->rearm, &m->rearm_data, sizeof(t->rearm));
}

void
wire_start(struct lane *lanes, struct gateway *g, const struct options *o)
{
	for (unsigned int i = 0; i < o->workers; i++) {
		struct lane *lane = &lanes[i];

		lane->options = o;
		lane->worker = g->dp->workers[i];
		find_numbers(lane, g);
		lane->gateway = g;
		lane->out.options = lane->in.options = o;
		if (i < lanes_with_packets(o) && options_carry(o, DIRECTION_OUT))
			start(&lane->out, lane, g, true);
		if (i < lanes_with_packets(o) && options_carry(o, DIRECTION_IN))
			start(&lane->in, lane, g, false);
		rx_queues[LAN][i] = tx_queues[WAN][i] = &lane->out;
		rx_queues[WAN][i] = tx_queues[LAN][i] = &lane->in;
	}
	replace_driver(g);
}

static void
stop(struct traffic *t)
{
	if (t->frames == NULL)
		return;
	rte_pktmbuf_free_bulk(t->ready, LAP_MAX);
	free(t->frames);
	free(t->frame_number);
	free(t->frame_len);
	free(t->seq);
}

void
wire_stop(struct lane *lanes, struct gateway *g)
{
	for (unsigned int i = 0; i < g->dp->workers_count; i++) {
		stop(&lanes[i].out);
		stop(&lanes[i].in);
		free(lanes[i].numbers);
		free(lanes[i].distribution);
	}
}
