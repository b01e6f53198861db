/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Outbound policies point at the SA to use. Policies hang in a list by what of their template names
 * an SA: the SPI, else the reqid, else the peer, which may be any. When an SA comes or goes only
 * the policies of its SPI, its reqid, its peer and of any peer are looked at again.
 *
 * Inbound policies with a mark hang in the list of their reqid as well: what they let in has that
 * mark although its SA names none (sad_give_mark()).
 */
#include "spd_private.h"

/* What of a policy names its SA. */
struct wanted {
	const union ip_addr *src, *dst;
	uint8_t family;
	rte_be32_t spi;
	uint32_t reqid;
};

/* In transport mode the hosts themselves are the endpoints, where the selector names them. */
static struct wanted
wanted_by(const struct entry *e)
{
	const struct spd_template *t = &e->policy.tmpl;
	const struct tuple *tuple = e->tuple;
	unsigned int host = tuple->family == FAMILY_V4 ? 32 : 128;
	struct wanted w = {&t->src, &t->dst, t->family, t->spi, t->reqid};

	if (t->mode == SA_MODE_TRANSPORT && tuple->src_len == host && tuple->dst_len == host) {
		w.src = &e->src;
		w.dst = &e->dst;
		w.family = tuple->family;
	}
	return w;
}

static struct entry_list *
list_of(struct spd *spd, const struct wanted *w)
{
	uint64_t h = spd->seed;

	if (w->spi)
		h = chash_mix(h, UINT64_C(1) << 32 | w->spi);
	else if (w->reqid)
		h = chash_mix(h, UINT64_C(2) << 32 | w->reqid);
	else
		h = chash_mix(chash_mix(h, w->dst->u64[0]), w->dst->u64[1]);
	return &spd->by_sa[h & spd->by_sa_mask];
}

static void
resolve(struct spd *spd, struct entry *e, const struct wanted *w)
{
	const struct spd_template *t = &e->policy.tmpl;
	struct sa *sa = sad_find_outbound(spd->sad, w->src, w->dst, w->family, t->proto, w->spi,
					  w->reqid, e->tuple->domain->tenant, t->mode);

	/* Release: a worker that follows the pointer sees the whole SA. */
	atomic_store_explicit(&e->policy.sa, sa, memory_order_release);
	spd->version++;
}

static bool
same_list(const struct wanted *a, const struct wanted *b)
{
	if (a->spi || b->spi)
		return a->spi == b->spi;
	if (a->reqid || b->reqid)
		return a->reqid == b->reqid;
	return ip_addr_equal(a->dst, b->dst);
}

static bool
wants_sa(const struct entry *e)
{
	return e->policy.action == SPD_PROTECT && e->tuple->domain->dir == SPD_OUT;
}

static bool
gives_mark(const struct entry *e)
{
	const struct domain *d = e->tuple->domain;

	return e->policy.action == SPD_PROTECT && d->dir != SPD_OUT && tenant_mark(d->tenant) &&
	       e->policy.tmpl.reqid != 0;
}

static void
resolve_list(struct spd *spd, struct wanted changed)
{
	struct entry *e;

	for (e = LIST_FIRST(list_of(spd, &changed)); e; e = LIST_NEXT(e, by_sa)) {
		const struct wanted w = wanted_by(e);

		if (wants_sa(e) && same_list(&w, &changed))
			resolve(spd, e, &w);
	}
}

static struct entry_list *
list_of_marked(struct spd *spd, uint32_t reqid)
{
	return &spd->by_sa[chash_mix(spd->seed, UINT64_C(3) << 32 | reqid) & spd->by_sa_mask];
}

/* The mark that the inbound policies of a reqid have; 0 where they are not of one mind. */
static uint32_t
mark_of(struct spd *spd, uint32_t reqid, uint32_t if_id)
{
	struct entry *e;
	uint32_t mark = 0, its;

	LIST_FOREACH(e, list_of_marked(spd, reqid), by_sa)
	{
		if (!gives_mark(e) || e->policy.tmpl.reqid != reqid || e->policy.if_id != if_id)
			continue;
		its = tenant_mark(e->tuple->domain->tenant);
		if (mark != 0 && mark != its)
			return 0;
		mark = its;
	}
	return mark;
}

static void
resolve_marks(struct spd *spd, const struct policy *p)
{
	sad_give_marks(spd->sad, p->tmpl.reqid, p->if_id, mark_of(spd, p->tmpl.reqid, p->if_id));
}

/* The SAD calls it before a deleted SA's grace period: afterwards no policy leads to it. */
static void
sa_changed(void *ctx, struct sa_control *c, bool added)
{
	const union ip_addr any = {0};
	const struct sa *sa = c->sa;

	resolve_list(ctx, (struct wanted){.spi = sa->spi});
	if (sa->reqid)
		resolve_list(ctx, (struct wanted){.reqid = sa->reqid});
	if (sa->reqid && added)
		sad_give_mark(c, mark_of(ctx, sa->reqid, sa->if_id));
	resolve_list(ctx, (struct wanted){.dst = &sa->dst});
	resolve_list(ctx, (struct wanted){.dst = &any});
}

int
resolve_init(struct spd *spd)
{
	uint32_t lists = 1;

	while (lists < spd->max_policies)
		lists *= 2;
	spd->by_sa = calloc(lists, sizeof(*spd->by_sa));
	if (!spd->by_sa)
		return -ENOMEM;
	spd->by_sa_mask = lists - 1;
	spd->observer = (struct sad_observer){.ctx = spd, .changed = sa_changed};
	sad_observe(spd->sad, &spd->observer);
	return 0;
}

void
resolve_add(struct spd *spd, struct entry *e)
{
	const struct wanted w = wanted_by(e);

	if (wants_sa(e)) {
		LIST_INSERT_HEAD(list_of(spd, &w), e, by_sa);
		resolve(spd, e, &w);
	} else if (gives_mark(e)) {
		LIST_INSERT_HEAD(list_of_marked(spd, e->policy.tmpl.reqid), e, by_sa);
		resolve_marks(spd, &e->policy);
	}
}

void
resolve_remove(struct spd *spd, struct entry *e)
{
	if (wants_sa(e) || gives_mark(e))
		LIST_REMOVE(e, by_sa);
	if (gives_mark(e))
		resolve_marks(spd, &e->policy);
}
