/* SPDX-License-Identifier: BSD-3-Clause */
/* What workers ask the SPD: the policy of a flow, and whether a decrypted packet may pass. */
#include <netinet/in.h>

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

/* The better of `best` and the first policy of the tuple that the flow matches. */
static inline struct entry *
probe(const struct spd *spd, const struct view *v, const struct flow *f, struct entry *best)
{
	union ip_addr src = masked(&f->src, v->src_mask), dst = masked(&f->dst, v->dst_mask);
	struct chash_node *node = chash_first(&spd->policies, spd_hash(spd, v->seed, &src, &dst));

	for (; node; node = chash_next(node)) {
		struct entry *e = entry_of(node);

		if (best && best->priority < e->priority)
			break;
		if (e->tuple == v->tuple && ip_addr_equal(&e->src, &src) &&
		    ip_addr_equal(&e->dst, &dst) && entry_fits(e, f))
			return best && entry_before(best, e) ? best : e;
	}
	return best;
}

/* The better of `best` and the first policy of the tenant's. */
static inline struct entry *
search(const struct spd *spd, uint64_t tenant, enum spd_dir dir, const struct flow *f,
       struct entry *best)
{
	const struct group *g = spd_group(spd, tenant, dir);
	bool v6 = f->family == FAMILY_V6;
	const struct view *v, *end;

	if (!g)
		return best;
	v = g->views + (v6 ? g->count[0] : 0);
	end = v + g->count[v6];
	for (; v < end && !(best && best->priority < v->best); v++)
		best = probe(spd, v, f, best);
	return best;
}

struct policy *
spd_lookup(const struct spd *spd, uint64_t tenant, enum spd_dir dir, const struct flow *flow)
{
	uint32_t moves, now = atomic_load_explicit(&spd->moves, memory_order_acquire);
	struct entry *e;

	/* What moved in its chain meanwhile may have been missed in both places (entry_move()). */
	do {
		moves = now;
		e = search(spd, tenant, dir, flow, NULL);
		if (unlikely(tenant_mark(tenant) != 0))
			e = search(spd, tenant_if_id(tenant), dir, flow, e);
		/* Relaxed: the search's loads are acquires, this one cannot come before them. */
		now = atomic_load_explicit(&spd->moves, memory_order_relaxed);
	} while (moves != now);
	return e ? &e->policy : NULL;
}

/* The tuples whose chains are fetched ahead: the rest are rarely asked. */
#define VIEWS_AHEAD 2

/* Where the lookup of a query begins: the heads of its first chains. */
struct start {
	_Atomic(struct chash_node *) *head[VIEWS_AHEAD];
};

static void
fetch_heads(const struct spd *spd, const struct group *g, const struct flow *f, struct start *start)
{
	bool v6 = f->family == FAMILY_V6;
	const struct view *v = g->views + (v6 ? g->count[0] : 0);

	for (uint32_t i = 0; i < VIEWS_AHEAD && i < g->count[v6]; i++) {
		union ip_addr src = masked(&f->src, v[i].src_mask);
		union ip_addr dst = masked(&f->dst, v[i].dst_mask);
		uint32_t hash = spd_hash(spd, v[i].seed, &src, &dst);

		start->head[i] = &spd->policies.heads[hash & spd->policies.mask];
		__builtin_prefetch(start->head[i]);
	}
}

static void
fetch_entries(const struct start *start)
{
	for (uint32_t i = 0; i < VIEWS_AHEAD && start->head[i]; i++) {
		/* Relaxed: only a hint; the lookup reads it again. */
		struct chash_node *node =
			atomic_load_explicit(start->head[i], memory_order_relaxed);

		if (node) {
			__builtin_prefetch(entry_of(node));
			__builtin_prefetch(&entry_of(node)->policy);
		}
	}
}

void
spd_lookup_burst(const struct spd *spd, struct spd_query *queries, unsigned int n)
{
	struct start starts[SPD_BURST];
	const struct group *g = NULL;

	for (unsigned int i = 0; n > 1 && i < n; i++) {
		const struct spd_query *q = &queries[i];

		if (i == 0 || q->tenant != q[-1].tenant || q->dir != q[-1].dir)
			g = spd_group(spd, q->tenant, q->dir);
		starts[i] = (struct start){{NULL}};
		if (g)
			fetch_heads(spd, g, &q->flow, &starts[i]);
	}
	for (unsigned int i = 0; n > 1 && i < n; i++)
		fetch_entries(&starts[i]);
	for (unsigned int i = 0; i < n; i++) {
		struct spd_query *q = &queries[i];

		q->policy = spd_lookup(spd, q->tenant, q->dir, &q->flow);
	}
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
