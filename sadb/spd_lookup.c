/* SPDX-License-Identifier: BSD-3-Clause */
/* What workers ask the SPD: the policy of a flow, and whether a decrypted packet may pass. */
#include <netinet/in.h>

#include <rte_prefetch.h>

#include "spd_private.h"

/*
 * Ports and protocol; the addresses are known to be equal. What cannot be seen, of a later fragment
 * or a cut header, may be anything: it matches what protects or discards, and no bypass, so that it
 * does not fall through to a policy of less priority that lets it go (RFC 4301 section 7). What the
 * first fragment showed counts for later ones (section 7.4).
 */
static inline bool
entry_fits(const struct entry *e, const struct flow *f)
{
	if (unlikely(spd_blind(&e->policy, f) && !f->ports_of_first))
		return e->policy.action != SPD_BYPASS &&
		       (f->proto_opaque || e->proto == 0 || e->proto == f->proto);
	if (e->proto != 0 && e->proto != f->proto)
		return false;
	return !e->ports || (((f->sport ^ e->sport) & e->sport_mask) == 0 &&
			     ((f->dport ^ e->dport) & e->dport_mask) == 0);
}

static inline union ip_addr
masked(const union ip_addr *a, const uint64_t mask[2])
{
	return (union ip_addr){.u64 = {a->u64[0] & mask[0], a->u64[1] & mask[1]}};
}

/* The chain in which a flow's policies of a tuple are. */
static inline const _Atomic(struct chash_node *) *
chain_of(const struct spd *spd, const struct view *v, const struct flow *f)
{
	union ip_addr src = masked(&f->src, v->src_mask), dst = masked(&f->dst, v->dst_mask);

	return &spd->policies.heads[spd_hash(spd, v->seed, &src, &dst) & spd->policies.mask];
}

/* The first policy of the tuple, in that chain, that the flow matches; NULL for none. */
static inline struct entry *
probe(const struct view *v, const _Atomic(struct chash_node *) *chain, const struct flow *f)
{
	union ip_addr src = masked(&f->src, v->src_mask), dst = masked(&f->dst, v->dst_mask);
	/* Acquire: pairs with the release that put the entry there. */
	struct chash_node *node = atomic_load_explicit(chain, memory_order_acquire);

	for (; node; node = chash_next(node)) {
		struct entry *e = entry_of(node);

		if (likely(e->tuple == v->tuple && ip_addr_equal(&e->src, &src) &&
			   ip_addr_equal(&e->dst, &dst)) &&
		    entry_fits(e, f))
			return e;
	}
	return NULL;
}

/* The tuples whose chains are fetched ahead: the rest are rarely asked. */
#define VIEWS_AHEAD 2

/* Where a lookup begins: a tenant's tuples for the flow's family, and the chains of the first. */
struct start {
	const struct view *views;
	const _Atomic(struct chash_node *) *chain[VIEWS_AHEAD];
	uint32_t count;
};

static inline void
start_in(struct start *s, const struct spd *spd, const struct group *g, const struct flow *f)
{
	bool v6 = f->family == FAMILY_V6;

	s->count = g ? g->count[v6] : 0;
	if (s->count == 0)
		return;
	s->views = g->views + (v6 ? g->count[0] : 0);
	for (uint32_t i = 0; i < VIEWS_AHEAD && i < s->count; i++) {
		s->chain[i] = chain_of(spd, &s->views[i], f);
		rte_prefetch0((const void *)s->chain[i]);
	}
}

/* What a lookup compares, and what is asked of the policy that it gives. */
static inline void
fetch_entries(const struct start *s, enum spd_dir dir)
{
	for (uint32_t i = 0; i < VIEWS_AHEAD && i < s->count; i++) {
		/* Relaxed: only a hint; the lookup reads it again. */
		struct chash_node *node = atomic_load_explicit(s->chain[i], memory_order_relaxed);
		const struct entry *e = node ? entry_of(node) : NULL;

		if (!e)
			continue;
		rte_prefetch0(e);
		rte_prefetch0(&e->policy);
		if (dir != SPD_OUT)
			rte_prefetch0(&e->policy.tmpl.dst); /* spd_allows() */
	}
}

/* The better of `best` and what other tuples have, of which none but a better one is asked. */
static struct entry *
search_on(const struct spd *spd, const struct view *v, uint32_t n, const struct flow *f,
	  struct entry *best)
{
	for (; n > 0 && !(best && best->priority < v->best); v++, n--) {
		struct entry *e = probe(v, chain_of(spd, v, f), f);

		if (e && !(best && entry_before(best, e)))
			best = e;
	}
	return best;
}

/* A tenant with a mark has the policies of its if_id, too. */
static struct entry *
search_unmarked(const struct spd *spd, const struct spd_query *q, struct entry *best)
{
	const struct group *g = spd_group(spd, tenant_if_id(q->tenant), q->dir);
	bool v6 = q->flow.family == FAMILY_V6;

	return g ? search_on(spd, g->views + (v6 ? g->count[0] : 0), g->count[v6], &q->flow, best)
		 : best;
}

static inline struct entry *
search(const struct spd *spd, const struct start *s, const struct spd_query *q)
{
	struct entry *e = NULL;

	if (likely(s->count > 0)) {
		e = probe(s->views, s->chain[0], &q->flow);
		if (s->count > 1 && !(e && e->priority < s->views[1].best))
			e = search_on(spd, s->views + 1, s->count - 1, &q->flow, e);
	}
	if (unlikely(tenant_mark(q->tenant) != 0))
		e = search_unmarked(spd, q, e);
	return e;
}

static void
look_up(const struct spd *spd, struct spd_query *queries, unsigned int n)
{
	struct start starts[SPD_BURST];
	const struct group *g = NULL;

	for (unsigned int i = 0; i < n; i++) {
		const struct spd_query *q = &queries[i];

		if (i == 0 || q->tenant != q[-1].tenant || q->dir != q[-1].dir)
			g = spd_group(spd, q->tenant, q->dir);
		start_in(&starts[i], spd, g, &q->flow);
	}
	for (unsigned int i = 0; n > 1 && i < n; i++)
		fetch_entries(&starts[i], queries[i].dir);
	for (unsigned int i = 0; i < n; i++) {
		struct entry *e = search(spd, &starts[i], &queries[i]);

		queries[i].policy = e ? &e->policy : NULL;
	}
}

void
spd_lookup_burst(const struct spd *spd, struct spd_query *queries, unsigned int n)
{
	uint32_t moves, now = atomic_load_explicit(&spd->moves, memory_order_acquire);

	/* What moved in its chain meanwhile may have been missed in both places (entry_move()). */
	do {
		moves = now;
		look_up(spd, queries, n);
		/* Relaxed: the search's loads are acquires, this one cannot come before them. */
		now = atomic_load_explicit(&spd->moves, memory_order_relaxed);
	} while (unlikely(moves != now));
}

struct policy *
spd_lookup(const struct spd *spd, uint64_t tenant, enum spd_dir dir, const struct flow *flow)
{
	struct spd_query q = {.flow = *flow, .tenant = tenant, .dir = dir};

	spd_lookup_burst(spd, &q, 1);
	return q.policy;
}

/* RFC 4301 section 5.2 step 4. Endpoints are a matter of tunnels. */
bool
spd_allows(const struct policy *policy, const struct sa *sa)
{
	const struct spd_template *t = &policy->tmpl;

	if (policy->action != SPD_PROTECT || t->proto != sa->proto || t->mode != sa->mode ||
	    policy->if_id != sa->if_id)
		return false;
	if ((t->reqid != 0 && t->reqid != sa->reqid) || (t->spi != 0 && t->spi != sa->spi))
		return false;
	if (t->mode == SA_MODE_TRANSPORT)
		return true;
	return t->family == sa->family &&
	       (ip_addr_is_any(&t->src) || ip_addr_equal(&t->src, &sa->src)) &&
	       (ip_addr_is_any(&t->dst) || ip_addr_equal(&t->dst, &sa->dst));
}
