/* SPDX-License-Identifier: BSD-3-Clause */
/* What workers ask the SPD: the policy of a flow, and whether a decrypted packet may pass. */
#include <netinet/in.h>

#include "spd_private.h"

/*
 * Ports and protocol; the addresses are known to be equal. What cannot be seen, of a later fragment
 * or a cut header, may be anything: it matches what protects or discards, and no bypass, so that it
 * does not fall through to a policy of less priority that lets it go (RFC 4301 section 7).
 */
static inline bool
entry_fits(const struct entry *e, const struct flow *f)
{
	if (unlikely(selector_blind(&e->policy.params.id.sel, f)))
		return e->policy.params.action != SPD_BYPASS &&
		       (f->proto_opaque || e->proto == 0 || e->proto == f->proto);
	if (e->proto != 0 && e->proto != f->proto)
		return false;
	return !e->ports || (((f->sport ^ e->sport) & e->sport_mask) == 0 &&
			     ((f->dport ^ e->dport) & e->dport_mask) == 0);
}

/* The better of `best` and the first policy of the tuple that the flow matches. */
static inline struct entry *
probe(const struct spd *spd, const struct view *v, const struct flow *f, struct entry *best)
{
	union ip_addr src = {
		.u64 = {f->src.u64[0] & v->src_mask[0], f->src.u64[1] & v->src_mask[1]}};
	union ip_addr dst = {
		.u64 = {f->dst.u64[0] & v->dst_mask[0], f->dst.u64[1] & v->dst_mask[1]}};
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

/* RFC 4301 section 5.2 step 4. Endpoints are a matter of tunnels. */
bool
spd_allows(const struct policy *policy, const struct sa *sa)
{
	const struct spd_params *p = &policy->params;
	const struct spd_template *t = &p->tmpl;

	if (p->action != SPD_PROTECT || t->proto != sa->proto || t->mode != sa->mode ||
	    p->id.if_id != sa->if_id)
		return false;
	if ((t->reqid != 0 && t->reqid != sa->reqid) || (t->spi != 0 && t->spi != sa->spi))
		return false;
	if (t->mode != SA_MODE_TUNNEL)
		return true;
	return t->family == sa->family &&
	       (ip_addr_is_any(&t->src) || ip_addr_equal(&t->src, &sa->src)) &&
	       (ip_addr_is_any(&t->dst) || ip_addr_equal(&t->dst, &sa->dst));
}
