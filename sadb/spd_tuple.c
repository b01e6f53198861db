/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tuples and domains: which combinations of prefix lengths a tenant's policies have, and the
 * immutable sets of them that workers search, best priority first. A set is exchanged when a
 * tuple appears or vanishes or its best priority changes, which is rare beside policies that
 * come and go.
 */
#include "spd_private.h"

static struct domain *
domain_find(struct spd *spd, const struct spd_id *id)
{
	struct group *g = spd_group(spd, spd_tenant(id), id->dir);

	return g ? g->domain : NULL;
}

static struct domain *
domain_get(struct spd *spd, const struct spd_id *id)
{
	struct domain *d = domain_find(spd, id);

	if (d)
		return d;
	d = calloc(1, sizeof(*d));
	if (!d)
		return NULL;
	d->tenant = spd_tenant(id);
	d->dir = id->dir;
	LIST_INSERT_HEAD(&spd->domains, d, link);
	return d;
}

static struct tuple *
tuple_in(struct domain *d, const struct selector *sel)
{
	struct tuple *t;

	for (t = LIST_FIRST(&d->tuples); t; t = LIST_NEXT(t, link))
		if (t->family == sel->family && t->src_len == sel->src_len &&
		    t->dst_len == sel->dst_len)
			return t;
	return NULL;
}

struct tuple *
tuple_find(struct spd *spd, const struct spd_id *id)
{
	struct domain *d = domain_find(spd, id);

	return d ? tuple_in(d, &id->sel) : NULL;
}

/* A domain without policies goes, and what is left of tuples in it. */
static void
domain_tidy(struct spd *spd, struct domain *d)
{
	if (d->policies > 0)
		return;
	domain_withdraw(spd, d);
	domain_free(spd, d);
}

struct tuple *
tuple_get(struct spd *spd, const struct spd_id *id)
{
	struct domain *d = domain_get(spd, id);
	struct tuple *t = d ? tuple_in(d, &id->sel) : NULL;

	if (t || !d)
		return t;
	t = calloc(1, sizeof(*t));
	if (!t) {
		domain_tidy(spd, d);
		return NULL;
	}
	t->domain = d;
	t->family = id->sel.family;
	t->src_len = id->sel.src_len;
	t->dst_len = id->sel.dst_len;
	t->seed = chash_mix(chash_mix(spd->seed + d->dir, d->tenant),
			    t->family << 16 | t->src_len << 8 | t->dst_len);
	LIST_INSERT_HEAD(&d->tuples, t, link);
	spd->tuples++;
	return t;
}

/* ---- the priorities of a tuple's policies ---- */

/* Where the priority stands, or would stand. */
static uint32_t
priority_place(const struct tuple *t, uint32_t priority)
{
	uint32_t low = 0, high = t->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (t->priorities[middle].priority < priority)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool
priority_at(const struct tuple *t, uint32_t place, uint32_t priority)
{
	return place < t->count && t->priorities[place].priority == priority;
}

static int
priority_room(struct tuple *t)
{
	uint32_t room = t->room ? t->room * 2 : 2;
	struct tuple_priority *p;

	if (t->count < t->room)
		return 0;
	p = realloc(t->priorities, room * sizeof(*p));
	if (!p)
		return -ENOMEM;
	t->priorities = p;
	t->room = room;
	return 0;
}

/* Counts in; 1 where it became the tuple's best, 0 where not, -ENOMEM. */
static int
priority_add(struct tuple *t, uint32_t priority)
{
	uint32_t place = priority_place(t, priority);

	if (!priority_at(t, place, priority)) {
		if (priority_room(t) != 0)
			return -ENOMEM;
		memmove(&t->priorities[place + 1], &t->priorities[place],
			(t->count - place) * sizeof(*t->priorities));
		t->priorities[place] = (struct tuple_priority){.priority = priority};
		t->count++;
	}
	return t->priorities[place].policies++ == 0 && place == 0;
}

/* Counts out; true where another, or none, is the tuple's best now. */
static bool
priority_remove(struct tuple *t, uint32_t priority)
{
	uint32_t place = priority_place(t, priority);

	if (--t->priorities[place].policies > 0)
		return false;
	t->count--;
	memmove(&t->priorities[place], &t->priorities[place + 1],
		(t->count - place) * sizeof(*t->priorities));
	return place == 0;
}

/* ---- which addresses it may have ---- */

/* Acquire and release as for the chain: who sees a policy counted out may miss it, as if it had
 * looked later; who has not seen it counted in looked earlier. */
static void
set_bucket(struct tuple *t, uint64_t hash, uint8_t count)
{
	atomic_store_explicit(&t->has[tuple_bucket(hash)], count, memory_order_release);
}

static uint8_t
get_bucket(const struct tuple *t, uint64_t hash)
{
	/* Relaxed: only this thread stores. */
	return atomic_load_explicit(&t->has[tuple_bucket(hash)], memory_order_relaxed);
}

void
tuple_count_in(struct tuple *t, uint64_t hash)
{
	uint8_t count = get_bucket(t, hash);

	if (count < UINT8_MAX)
		set_bucket(t, hash, (uint8_t)(count + 1));
}

void
tuple_count_out(struct tuple *t, uint64_t hash)
{
	uint8_t count = get_bucket(t, hash);

	if (count < UINT8_MAX)
		set_bucket(t, hash, (uint8_t)(count - 1));
}

/* ---- what workers see ---- */

static void
group_release(void *ctx, struct reclaim_item *item)
{
	free(container_of(item, struct group, retired));
}

static void
tuple_release(void *ctx, struct reclaim_item *item)
{
	struct tuple *t = container_of(item, struct tuple, retired);

	free(t->priorities);
	free(t);
}

/* Unlinks a tuple. A worker may still compare its address: it is not to be another's so soon. */
static void
tuple_free(struct spd *spd, struct tuple *t)
{
	LIST_REMOVE(t, link);
	spd->tuples--;
	reclaim_defer(spd->reclaim, tuple_release, NULL, &t->retired);
}

static struct view
view_of(const struct tuple *t)
{
	const union ip_addr ones = {.u64 = {UINT64_MAX, UINT64_MAX}};
	union ip_addr src = ip_addr_mask(&ones, t->src_len), dst = ip_addr_mask(&ones, t->dst_len);

	return (struct view){
		.src_mask = {src.u64[0], src.u64[1]},
		.dst_mask = {dst.u64[0], dst.u64[1]},
		.seed = t->seed,
		.tuple = t,
		.best = t->priorities[0].priority,
	};
}

static bool
tuple_has(const struct tuple *t, uint8_t family)
{
	return t->count > 0 && (t->family == family || t->family == 0);
}

static int
view_order(const void *a, const void *b)
{
	const struct view *x = a, *y = b;

	return (x->best > y->best) - (x->best < y->best);
}

/* Appends the domain's tuples of a family to the views. */
static uint32_t
views_fill(const struct domain *d, uint8_t family, struct view *views)
{
	const struct tuple *t;
	uint32_t n = 0;

	for (t = LIST_FIRST(&d->tuples); t; t = LIST_NEXT(t, link))
		if (tuple_has(t, family))
			views[n++] = view_of(t);
	qsort(views, n, sizeof(*views), view_order);
	return n;
}

static struct group *
group_new(struct domain *d)
{
	const struct tuple *t;
	struct group *g;
	uint32_t n = 0;

	for (t = LIST_FIRST(&d->tuples); t; t = LIST_NEXT(t, link))
		n += tuple_has(t, FAMILY_V4) + tuple_has(t, FAMILY_V6);
	g = aligned_alloc(alignof(struct group), sizeof(*g) + n * sizeof(struct view));
	if (!g)
		return NULL;
	g->domain = d;
	g->tenant = d->tenant;
	g->dir = d->dir;
	g->count[0] = views_fill(d, FAMILY_V4, g->views);
	g->count[1] = views_fill(d, FAMILY_V6, g->views + g->count[0]);
	return g;
}

static uint32_t
hash_of(const struct spd *spd, const struct domain *d)
{
	return spd_group_hash(spd, d->tenant, d->dir);
}

void
domain_withdraw(struct spd *spd, struct domain *d)
{
	if (!d->group)
		return;
	chash_remove(&spd->groups, hash_of(spd, d), &d->group->node);
	reclaim_defer(spd->reclaim, group_release, NULL, &d->group->retired);
	d->group = NULL;
}

/*
 * Exchanges what workers see. A tuple that is gone stays until no set has it, or its address could
 * soon be another tuple's.
 */
static int
domain_publish(struct spd *spd, struct domain *d)
{
	struct group *g = group_new(d), *old = d->group;
	struct tuple *t, *next;

	if (!g)
		return -ENOMEM;
	d->group = g;
	if (old) {
		chash_replace(&spd->groups, hash_of(spd, d), &old->node, &g->node);
		reclaim_defer(spd->reclaim, group_release, NULL, &old->retired);
	} else {
		chash_insert(&spd->groups, hash_of(spd, d), &g->node);
	}
	for (t = LIST_FIRST(&d->tuples); t; t = next) {
		next = LIST_NEXT(t, link);
		if (t->count == 0)
			tuple_free(spd, t);
	}
	return 0;
}

void
domain_free(struct spd *spd, struct domain *d)
{
	while (!LIST_EMPTY(&d->tuples))
		tuple_free(spd, LIST_FIRST(&d->tuples));
	LIST_REMOVE(d, link);
	free(d);
}

/* ---- policies come and go ---- */

int
tuple_join(struct spd *spd, struct tuple *t, uint32_t priority)
{
	struct domain *d = t->domain;
	int best = priority_add(t, priority);

	if (best > 0 && domain_publish(spd, d) != 0) {
		priority_remove(t, priority);
		best = -ENOMEM;
	}
	if (best < 0) {
		domain_tidy(spd, d);
		return best;
	}
	d->policies++;
	return 0;
}

/* Without memory for a new set workers keep the old one: bounds too small cost time alone. */
void
tuple_leave(struct spd *spd, struct tuple *t, uint32_t priority)
{
	struct domain *d = t->domain;

	if (priority_remove(t, priority) && d->policies > 1)
		domain_publish(spd, d);
	d->policies--;
	domain_tidy(spd, d);
}
