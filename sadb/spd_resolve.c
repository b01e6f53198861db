/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Outbound policies point at the SA to use. Policies hang in a list by what of their template names
 * an SA: the SPI, else the reqid, else the peer, which may be any. When an SA comes or goes only
 * the policies of its SPI, its reqid, its peer and of any peer are looked at again.
 */
#include "spd_private.h"

static struct entry_list *
list_of(struct spd *spd, rte_be32_t spi, uint32_t reqid, const union ip_addr *peer)
{
	uint64_t h = spd->seed;

	if (spi)
		h = chash_mix(h, UINT64_C(1) << 32 | spi);
	else if (reqid)
		h = chash_mix(h, UINT64_C(2) << 32 | reqid);
	else
		h = chash_mix(chash_mix(h, peer->u64[0]), peer->u64[1]);
	return &spd->by_sa[h & spd->by_sa_mask];
}

static void
resolve(struct spd *spd, struct entry *e)
{
	const struct spd_params *p = &e->policy.params;
	const struct spd_template *t = &p->tmpl;
	struct sa *sa = sad_find_outbound(spd->sad, &t->src, &t->dst, t->family, t->spi, t->reqid,
					  p->id.if_id, t->mode);

	/* Release: a worker that follows the pointer sees the whole SA. */
	atomic_store_explicit(&e->policy.sa, sa, memory_order_release);
}

static bool
same_list(const struct spd_template *t, rte_be32_t spi, uint32_t reqid, const union ip_addr *peer)
{
	if (t->spi || spi)
		return t->spi == spi;
	if (t->reqid || reqid)
		return t->reqid == reqid;
	return ip_addr_equal(&t->dst, peer);
}

static void
resolve_list(struct spd *spd, rte_be32_t spi, uint32_t reqid, const union ip_addr *peer)
{
	struct entry *e;

	LIST_FOREACH(e, list_of(spd, spi, reqid, peer), by_sa)
	if (same_list(&e->policy.params.tmpl, spi, reqid, peer))
		resolve(spd, e);
}

/* The SAD calls it before a deleted SA's grace period: afterwards no policy leads to it. */
static void
sa_changed(void *ctx, struct sa_control *c, bool added)
{
	const union ip_addr any = {0};
	const struct sa_params *sa = &c->params;

	resolve_list(ctx, sa->id.spi, 0, &any);
	if (sa->reqid)
		resolve_list(ctx, 0, sa->reqid, &any);
	resolve_list(ctx, 0, 0, &sa->id.dst);
	resolve_list(ctx, 0, 0, &any);
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

static bool
wants_sa(const struct entry *e)
{
	return e->policy.params.action == SPD_PROTECT && e->policy.params.id.dir == SPD_OUT;
}

void
resolve_add(struct spd *spd, struct entry *e)
{
	const struct spd_template *t = &e->policy.params.tmpl;

	if (!wants_sa(e))
		return;
	LIST_INSERT_HEAD(list_of(spd, t->spi, t->reqid, &t->dst), e, by_sa);
	resolve(spd, e);
}

void
resolve_remove(struct entry *e)
{
	if (wants_sa(e))
		LIST_REMOVE(e, by_sa);
}
