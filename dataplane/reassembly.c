/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DPDK's rte_ip_frag is not used: it takes no notice of overlaps, gives up at eight fragments, and
 * does not say what became of a fragment, so that the counters could not add up.
 *
 * A fragment in the table counts as held. When its datagram is complete all of them are resumed:
 * one goes on as the whole, the others are consumed.
 */
#include "reassembly.h"

#include <netinet/in.h>
#include <sys/queue.h>

#include <rte_ip.h>
#include <rte_malloc.h>

#include "checksum.h"
#include "frag.h"
#include "ip_parse.h"
#include "room.h"
#include "tos.h"
#include "worker.h"

/* A datagram under way. */
struct set {
	TAILQ_ENTRY(set) by_age; /* or in the list of free ones */
	LIST_ENTRY(set) by_id;
	struct frag_id id;
	uint64_t deadline;      /* TSC */
	struct rte_mbuf *first; /* by packet.later, in the order of their start */
	uint32_t end;           /* of the datagram, 0 while the last fragment has not come */
	uint32_t have;          /* bytes of it */
	uint32_t cost;          /* of the buffers */
	uint16_t fragments;
	uint8_t ecn;             /* which ECN fields came, by bits */
	enum drop_reason reason; /* why it was discarded, and its fragments are; DROP_COUNT else */
};

TAILQ_HEAD(set_queue, set);
LIST_HEAD(set_list, set);

struct reassembly {
	struct set *sets;
	struct set_list *heads;
	uint32_t heads_mask;
	uint64_t seed;
	uint64_t patience; /* ticks */
	uint64_t cost, max_cost;
	struct set_queue used; /* the oldest first */
	struct set_queue free;
};

struct reassembly *
reassembly_new(const struct config_reassembly *config, uint64_t hz, int socket)
{
	struct reassembly *r = rte_zmalloc_socket("reassembly", sizeof(*r), 0, socket);
	uint32_t heads = rte_align32pow2(config->max_sets);

	if (r == NULL)
		return NULL;
	r->sets = rte_zmalloc_socket("reassembly", config->max_sets * sizeof(*r->sets), 0, socket);
	r->heads = rte_zmalloc_socket("reassembly", heads * sizeof(*r->heads), 0, socket);
	if (r->sets == NULL || r->heads == NULL) {
		rte_free(r->sets);
		rte_free(r->heads);
		rte_free(r);
		return NULL;
	}
	r->heads_mask = heads - 1;
	r->seed = rte_rand();
	r->patience = config->timeout * hz;
	r->max_cost = config->max_bytes;
	TAILQ_INIT(&r->used);
	TAILQ_INIT(&r->free);
	for (uint32_t i = 0; i < config->max_sets; i++)
		TAILQ_INSERT_TAIL(&r->free, &r->sets[i], by_age);
	return r;
}

void
reassembly_free(struct reassembly *r)
{
	struct set *s;

	if (r == NULL)
		return;
	TAILQ_FOREACH(s, &r->used, by_age)
	{
		while (s->first != NULL) {
			struct rte_mbuf *m = s->first;

			s->first = packet(m)->later;
			rte_pktmbuf_free(m);
		}
	}
	rte_free(r->sets);
	rte_free(r->heads);
	rte_free(r);
}

uint32_t
reassembly_cost(const struct rte_mbuf *m)
{
	return (uint32_t)sizeof(*m) + m->priv_size + m->buf_len;
}

/* What follows the IP header, or the IPv6 fragment header: that is the same in all fragments. */
static uint8_t
next_header(const struct rte_mbuf *m, const struct packet *p)
{
	uint32_t next;

	if (p->family == FAMILY_V4)
		return p->proto;
	return *rte_pktmbuf_mtod_offset(m, const uint8_t *, frag_header6(m, &next));
}

bool
reassembly_takes(const struct worker *w, const struct rte_mbuf *m)
{
	const struct packet *p = packet(m);
	union ip_addr dst = ip_dst(m);

	switch (next_header(m, p)) {
	case IPPROTO_ESP:
	case IPPROTO_AH:
	case IPPROTO_UDP:
	case IPPROTO_DSTOPTS: /* behind which there may be one of them */
		return fib_lookup(w->dp->fib, p->vrf, p->family, &dst, 0)->type == NEXTHOP_LOCAL;
	default:
		return false;
	}
}

/* ---- sets ---- */

static struct set_list *
set_head(struct reassembly *r, const struct frag_id *id)
{
	return &r->heads[frag_id_hash(id, r->seed) & r->heads_mask];
}

static struct set *
set_find(struct reassembly *r, const struct frag_id *id)
{
	struct set *s;

	LIST_FOREACH(s, set_head(r, id), by_id)
	if (memcmp(&s->id, id, sizeof(*id)) == 0)
		break;
	return s;
}

/* From now on fragments of the datagram are dropped for that reason, those at hand first. */
static void
set_discard(struct worker *w, struct set *s, enum drop_reason reason)
{
	s->reason = reason;
	w->count.resumed += s->fragments;
	w->reassembly->cost -= s->cost;
	while (s->first != NULL) {
		struct rte_mbuf *m = s->first;

		s->first = packet(m)->later;
		packet_drop(w, m, reason);
	}
	s->fragments = 0;
	s->cost = 0;
}

static void
set_due(struct worker *w)
{
	const struct set *oldest = TAILQ_FIRST(&w->reassembly->used);

	w->reassembly_due = oldest != NULL ? oldest->deadline : UINT64_MAX;
}

/* Forgets it; it has no fragments any more. */
static void
set_forget(struct worker *w, struct set *s)
{
	struct reassembly *r = w->reassembly;

	LIST_REMOVE(s, by_id);
	TAILQ_REMOVE(&r->used, s, by_age);
	TAILQ_INSERT_HEAD(&r->free, s, by_age);
	set_due(w);
}

static void
set_give_up(struct worker *w, struct set *s, enum drop_reason reason)
{
	set_discard(w, s, reason);
	set_forget(w, s);
}

static struct set *
set_new(struct worker *w, const struct frag_id *id)
{
	struct reassembly *r = w->reassembly;
	struct set *s;

	if (TAILQ_EMPTY(&r->free))
		set_give_up(w, TAILQ_FIRST(&r->used), DROP_FRAG_LIMIT);
	s = TAILQ_FIRST(&r->free);
	TAILQ_REMOVE(&r->free, s, by_age);
	*s = (struct set){.id = *id, .deadline = w->tsc + r->patience, .reason = DROP_COUNT};
	LIST_INSERT_HEAD(set_head(r, id), s, by_id);
	TAILQ_INSERT_TAIL(&r->used, s, by_age);
	set_due(w);
	return s;
}

/* ---- one fragment ---- */

/* Empty, of no whole number of units of 8 bytes before the end, or beyond the end of any packet. */
static bool
is_bad(const struct frag *f)
{
	return f->start == f->end || (f->more && (f->end - f->start) % 8 != 0) ||
	       f->payload + f->end > UINT16_MAX;
}

/* Whether the fragment's end, or its being followed by more, is not what others said of the end. */
static bool
contradicts(const struct set *s, const struct frag *f)
{
	uint32_t reach = 0;

	if (f->more)
		return s->end != 0 && f->end >= s->end;
	for (const struct rte_mbuf *m = s->first; m != NULL; m = packet(m)->later)
		reach = packet(m)->end;
	return (s->end != 0 && s->end != f->end) || reach > f->end;
}

static bool
same_bytes(const struct rte_mbuf *a, const struct rte_mbuf *b, uint32_t len)
{
	return memcmp(rte_pktmbuf_mtod_offset(a, const void *, rte_pktmbuf_data_len(a) - len),
		      rte_pktmbuf_mtod_offset(b, const void *, rte_pktmbuf_data_len(b) - len),
		      len) == 0;
}

/* Puts the fragment into its place. DROP_COUNT, or why it cannot be. */
static enum drop_reason
set_put(struct set *s, struct rte_mbuf *m, const struct frag *f)
{
	struct rte_mbuf **link = &s->first, *next;
	struct packet *p = packet(m);

	while (*link != NULL && packet(*link)->end <= f->start)
		link = &packet(*link)->later;
	next = *link;
	if (next != NULL && packet(next)->start < f->end) {
		bool same = packet(next)->start == f->start && packet(next)->end == f->end;

		return same && same_bytes(next, m, f->end - f->start) ? DROP_FRAG_DUPLICATE
								      : DROP_FRAG_OVERLAP;
	}
	if (contradicts(s, f))
		return DROP_FRAG_BAD;
	if (s->fragments == REASSEMBLY_FRAGMENTS_MAX)
		return DROP_FRAG_LIMIT;
	p->later = next;
	p->start = f->start;
	p->end = f->end;
	p->payload = f->payload;
	*link = m;
	return DROP_COUNT;
}

static void
set_count(struct worker *w, struct set *s, const struct rte_mbuf *m, const struct frag *f)
{
	s->fragments++;
	s->have += f->end - f->start;
	s->cost += reassembly_cost(m);
	s->ecn |= (uint8_t)(1u << (tos_get(rte_pktmbuf_mtod(m, void *), packet(m)->family) &
				   ECN_MASK));
	if (!f->more)
		s->end = f->end;
	w->reassembly->cost += reassembly_cost(m);
	w->count.held++;
}

/* ---- the whole ---- */

/* RFC 3168 section 5.3: congestion on the way of one is congestion; only ECN's own may tell. */
static bool
ecn_agrees(uint8_t seen)
{
	return (seen & 1u << ECN_CE) == 0 || (seen & 1) == 0;
}

/* The first fragment, with `more` bytes of room behind it: itself, or a copy. NULL without. */
static struct rte_mbuf *
with_room(const struct worker *w, struct rte_mbuf *first, uint32_t more)
{
	uint32_t l2_len = packet(first)->l2_len;
	struct rte_mbuf *m;

	if (more <= rte_pktmbuf_tailroom(first))
		return first;
	m = rte_pktmbuf_alloc(w->dp->large_pool);
	if (m == NULL)
		return NULL;
	if (rte_pktmbuf_data_len(first) + more > rte_pktmbuf_tailroom(m)) {
		rte_pktmbuf_free(m);
		return NULL;
	}
	*packet(m) = *packet(first);
	packet(m)->flags |= PACKET_LARGE;
	memcpy(rte_pktmbuf_mtod(m, uint8_t *) - l2_len,
	       rte_pktmbuf_mtod(first, const uint8_t *) - l2_len,
	       l2_len + rte_pktmbuf_data_len(first));
	m->data_len = first->data_len;
	m->pkt_len = first->data_len;
	rte_pktmbuf_free(first);
	return m;
}

/* Behind the first fragment come the parts of the others, which end here. */
static void
append_others(struct rte_mbuf *whole)
{
	struct rte_mbuf *m = packet(whole)->later;

	while (m != NULL) {
		struct rte_mbuf *later = packet(m)->later;
		uint16_t len = (uint16_t)(packet(m)->end - packet(m)->start);

		whole->data_len += len;
		whole->pkt_len += len;
		room_fit(whole, packet(whole)->l2_len);
		memcpy(rte_pktmbuf_mtod_offset(whole, uint8_t *, whole->data_len - len),
		       rte_pktmbuf_mtod_offset(m, const uint8_t *, packet(m)->payload), len);
		rte_pktmbuf_free(m);
		m = later;
	}
}

static void
finish_v4(struct rte_mbuf *m)
{
	struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, struct rte_ipv4_hdr *);

	ip->total_length = rte_cpu_to_be_16(rte_pktmbuf_data_len(m));
	ip->fragment_offset &= RTE_BE16(RTE_IPV4_HDR_DF_FLAG);
	checksum_ipv4(ip);
}

/* Takes the fragment header out: what stands in front of it moves up. */
static void
finish_v6(struct rte_mbuf *m)
{
	uint8_t *ip = rte_pktmbuf_mtod(m, uint8_t *);
	uint32_t l2_len = packet(m)->l2_len, next, off = frag_header6(m, &next);
	const uint16_t size = 8;

	ip[next] = ip[off];
	memmove(ip - l2_len + size, ip - l2_len, l2_len + off);
	packet_adj(m, size);
	rte_pktmbuf_mtod(m, struct rte_ipv6_hdr *)->payload_len =
		rte_cpu_to_be_16((uint16_t)(rte_pktmbuf_data_len(m) - sizeof(struct rte_ipv6_hdr)));
}

static struct rte_mbuf *
set_join(struct worker *w, struct set *s)
{
	struct rte_mbuf *m = s->first;
	uint32_t len = packet(m)->payload + s->end;
	uint8_t tos;

	if (!ecn_agrees(s->ecn) || len > UINT16_MAX) {
		set_discard(w, s, DROP_FRAG_BAD);
		return NULL;
	}
	m = with_room(w, m, len - rte_pktmbuf_data_len(m));
	if (m == NULL) {
		set_discard(w, s, DROP_NO_BUF);
		return NULL;
	}
	w->count.resumed += s->fragments;
	w->count.consumed += s->fragments - 1u;
	w->reassembly->cost -= s->cost;
	set_forget(w, s);
	append_others(m);
	tos = tos_get(rte_pktmbuf_mtod(m, void *), packet(m)->family);
	if ((s->ecn & 1u << ECN_CE) != 0)
		tos_set(rte_pktmbuf_mtod(m, void *), packet(m)->family, tos | ECN_CE);
	if (packet(m)->family == FAMILY_V4)
		finish_v4(m);
	else
		finish_v6(m);
	m->ol_flags = 0; /* what the port said of the first fragment is not true of the whole */
	return m;
}

struct rte_mbuf *
reassembly_add(struct worker *w, struct rte_mbuf *m)
{
	struct reassembly *r = w->reassembly;
	enum drop_reason reason = DROP_FRAG_BAD;
	struct set *s;
	struct frag f;

	frag_read(w, m, &f);
	if (is_bad(&f)) {
		packet_drop(w, m, reason);
		return NULL;
	}
	while (r->cost + reassembly_cost(m) > r->max_cost && !TAILQ_EMPTY(&r->used))
		set_give_up(w, TAILQ_FIRST(&r->used), DROP_FRAG_LIMIT);
	s = set_find(r, &f.id);
	if (s == NULL)
		s = set_new(w, &f.id);
	reason = s->reason != DROP_COUNT ? s->reason : set_put(s, m, &f);
	if (reason != DROP_COUNT) {
		if (reason != DROP_FRAG_DUPLICATE)
			set_discard(w, s, reason);
		packet_drop(w, m, reason);
		return NULL;
	}
	set_count(w, s, m, &f);
	return s->end != 0 && s->have == s->end ? set_join(w, s) : NULL;
}

struct rte_mbuf *
reassembly_shrink(struct worker *w, struct rte_mbuf *m)
{
	uint32_t len = rte_pktmbuf_data_len(m);
	struct rte_mbuf *small = rte_pktmbuf_alloc(w->dp->pool);

	if (small == NULL)
		return NULL;
	if (len + PACKET_TAILROOM > rte_pktmbuf_tailroom(small)) {
		rte_pktmbuf_free(small);
		return m;
	}
	*packet(small) = *packet(m);
	packet(small)->flags &= (uint16_t)~PACKET_LARGE;
	packet(small)->l2_len = 0;
	memcpy(packet_append(small, (uint16_t)len), rte_pktmbuf_mtod(m, const void *), len);
	rte_pktmbuf_free(m);
	return small;
}

void
reassembly_expire(struct worker *w)
{
	struct set_queue *used = &w->reassembly->used;

	while (!TAILQ_EMPTY(used) && TAILQ_FIRST(used)->deadline <= w->tsc)
		set_give_up(w, TAILQ_FIRST(used), DROP_FRAG_TIMEOUT);
}
