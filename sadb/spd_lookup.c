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

/* A lookup under way. */
struct search {
	const struct view *view, *end;            /* the tuple that is asked, and behind the last */
	const struct group *then;                 /* whose tuples come after these, or NULL */
	const _Atomic(struct chash_node *) *link; /* in the tuple's chain: what is read next */
	struct chash_node *node;                  /* what was read there */
	struct entry *best;                       /* of the tuples before */
};

/* The first of the group's tuples for the flow's family. */
static inline const struct view *
search_group(struct search *s, const struct group *g, const struct flow *f)
{
	bool v6 = f->family == FAMILY_V6;
	const struct view *first = g ? g->views + (v6 ? g->count[0] : 0) : NULL;

	s->end = g ? first + g->count[v6] : NULL;
	return first;
}

/* The chain of the first tuple, from `v` on, that may have a better policy. False for none. */
static inline bool
search_tuple(const struct spd *spd, struct search *s, const struct view *v, const struct flow *f)
{
	uint64_t limit = s->best ? s->best->priority : UINT64_MAX;

	for (; v < s->end && v->best <= limit; v++) {
		const union ip_addr src = masked(&f->src, v->src_mask);
		const union ip_addr dst = masked(&f->dst, v->dst_mask);
		uint64_t hash = spd_hash(spd, v->seed, &src, &dst);

		/* Acquire: see tuple_count_in(). */
		if (atomic_load_explicit(&v->tuple->has[tuple_bucket(hash)],
					 memory_order_acquire) == 0)
			continue;
		s->view = v;
		s->link = spd_chain(spd, hash);
		rte_prefetch0((const void *)s->link);
		return true;
	}
	return false;
}

/* A tenant with a mark has the policies of its if_id, too. */
static bool
search_unmarked(const struct spd *spd, struct search *s, const struct flow *f)
{
	const struct view *first = search_group(s, s->then, f);

	s->then = NULL;
	return search_tuple(spd, s, first, f);
}

static inline bool
search_next(const struct spd *spd, struct search *s, const struct view *v, const struct flow *f)
{
	return search_tuple(spd, s, v, f) ||
	       (unlikely(s->then != NULL) && search_unmarked(spd, s, f));
}

/* Whether the policy is the flow's first in that tuple. */
static inline bool
search_fits(const struct search *s, const struct entry *e, const struct flow *f)
{
	const union ip_addr src = masked(&f->src, s->view->src_mask);
	const union ip_addr dst = masked(&f->dst, s->view->dst_mask);

	return likely(e->tuple == s->view->tuple && ip_addr_equal(&e->src, &src) &&
		      ip_addr_equal(&e->dst, &dst)) &&
	       entry_fits(e, f);
}

/* Reads what was fetched of the chain, and fetches what a lookup compares, and what is asked of the
 * policy that it gives. */
static inline void
search_read(struct search *s, enum spd_dir dir)
{
	const struct entry *e;

	/* Acquire: pairs with the release that put the entry there. */
	s->node = atomic_load_explicit(s->link, memory_order_acquire);
	if (!s->node)
		return;
	e = entry_of(s->node);
	rte_prefetch0(e);
	rte_prefetch0(&e->policy);
	if (dir != SPD_OUT)
		rte_prefetch0(&e->policy.tmpl.dst); /* spd_allows() */
}

/* Compares what was read. Whether the search goes on: in the chain, or another that is fetched. */
static inline bool
search_compare(const struct spd *spd, struct search *s, const struct spd_query *q)
{
	struct entry *e = s->node ? entry_of(s->node) : NULL;

	if (e && !search_fits(s, e, &q->flow)) {
		s->link = &e->node.next;
		return true;
	}
	if (e && !(s->best && entry_before(s->best, e)))
		s->best = e;
	return search_next(spd, s, s->view + 1, &q->flow);
}

/* Begins all searches; the numbers of those that go on in `on`, and how many. */
static inline unsigned int
begin(const struct spd *spd, const struct spd_query *queries, unsigned int n,
      struct search *searches, uint8_t *on)
{
	const struct group *g = NULL, *then = NULL;
	unsigned int left = 0;

	for (unsigned int i = 0; i < n; i++) {
		const struct spd_query *q = &queries[i];
		struct search *s = &searches[i];

		if (i == 0 || q->tenant != q[-1].tenant || q->dir != q[-1].dir) {
			g = spd_group(spd, q->tenant, q->dir);
			then = tenant_mark(q->tenant) == 0
				       ? NULL
				       : spd_group(spd, tenant_if_id(q->tenant), q->dir);
		}
		s->then = then;
		s->best = NULL;
		on[left] = (uint8_t)i;
		left += search_next(spd, s, search_group(s, g, &q->flow), &q->flow);
	}
	return left;
}

/* All searches take each step together: what one waits for comes while the others work. */
static void
look_up(const struct spd *spd, struct spd_query *queries, unsigned int n)
{
	struct search searches[SPD_BURST];
	uint8_t on[SPD_BURST];
	unsigned int left = begin(spd, queries, n, searches, on);

	while (left > 0) {
		unsigned int before = left;

		for (unsigned int k = 0; k < before; k++)
			search_read(&searches[on[k]], queries[on[k]].dir);
		left = 0;
		for (unsigned int k = 0; k < before; k++) {
			unsigned int i = on[k];

			on[left] = (uint8_t)i;
			left += search_compare(spd, &searches[i], &queries[i]);
		}
	}
	for (unsigned int i = 0; i < n; i++)
		queries[i].policy = searches[i].best ? &searches[i].best->policy : NULL;
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
