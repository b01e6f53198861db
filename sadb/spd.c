/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The security policy database: policies come, are exchanged, and go. A policy is published by one
 * store into the chain of its tuple and masked addresses, and unlinked by another.
 */
#include "spd.h"

#include <netinet/in.h>
#include <sys/random.h>
#include <time.h>

#include "spd_private.h"

struct spd *
spd_new(uint32_t max_policies, struct sad *sad, struct reclaim *reclaim, struct reason *why)
{
	struct spd *spd = aligned_alloc(alignof(struct spd), sizeof(*spd));
	uint64_t random[5];

	if (!spd)
		goto err;
	memset(spd, 0, sizeof(*spd));
	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		goto err_spd;
	spd->seed = random[0];
	memcpy(spd->secret, &random[1], sizeof(spd->secret));
	spd->sad = sad;
	spd->reclaim = reclaim;
	spd->max_policies = max_policies;
	spd->slots.max = max_policies;
	spd->entries.size = sizeof(struct entry);
	/* Four heads a policy: a tuple that has nothing for a packet costs an empty chain. */
	if (chash_init(&spd->policies, 4 * max_policies) != 0)
		goto err_spd;
	if (chash_init(&spd->groups, max_policies) != 0)
		goto err_policies;
	if (resolve_init(spd) != 0)
		goto err_groups;
	return spd;

err_groups:
	chash_free(&spd->groups);
err_policies:
	chash_free(&spd->policies);
err_spd:
	free(spd);
err:
	reason_set(why, ENOMEM, "no memory for %u policies", max_policies);
	return NULL;
}

static void
spd_end(void *ctx, struct reclaim_item *item)
{
	struct spd *spd = container_of(item, struct spd, retired);

	slab_end(&spd->entries);
	slots_free(&spd->slots);
	free(spd->by_sa);
	chash_free(&spd->groups);
	chash_free(&spd->policies);
	free(spd);
}

void
spd_free(struct spd *spd)
{
	if (!spd)
		return;
	spd_flush(spd);
	reclaim_defer(spd->reclaim, spd_end, NULL,
		      &spd->retired); /* behind all that was deferred before */
}

/* ---- what may be a policy ---- */

static int
check_selector(const struct selector *s, struct reason *why)
{
	unsigned int max = s->family == FAMILY_V4 ? 32 : s->family == FAMILY_V6 ? 128 : 0;

	if (s->family != 0 && max == 0)
		return reason_set(why, EINVAL, "bad selector family: %u", s->family);
	if (s->src_len > max || s->dst_len > max)
		return reason_set(why, EINVAL,
				  "bad prefix length: %u to %u, at most %u for family %u",
				  s->src_len, s->dst_len, max, s->family);
	if (s->family == 0 && (s->proto | s->sport_mask | s->dport_mask) != 0)
		return reason_set(why, EINVAL,
				  "a selector with protocol or ports needs an address family");
	return 0;
}

static int
check_template(const struct spd_template *t, struct reason *why)
{
	if (t->proto != IPPROTO_ESP && t->proto != IPPROTO_AH)
		return reason_set(why, EINVAL,
				  "template protocol %u: only ESP (%u) and AH (%u) are served",
				  t->proto, IPPROTO_ESP, IPPROTO_AH);
	if (t->mode != SA_MODE_TRANSPORT && t->mode != SA_MODE_TUNNEL && t->mode != SA_MODE_BEET)
		return reason_set(why, EINVAL,
				  "template mode %u: only transport, tunnel and BEET are served",
				  t->mode);
	if (t->mode != SA_MODE_TRANSPORT && t->family != FAMILY_V4 && t->family != FAMILY_V6)
		return reason_set(why, EINVAL,
				  "a template of tunnel or BEET mode needs its endpoints' family");
	return 0;
}

static int
check(const struct spd_params *p, struct reason *why)
{
	int error = check_selector(&p->id.sel, why);

	if (error)
		return error;
	if (p->id.dir >= SPD_DIRS)
		return reason_set(why, EINVAL, "bad policy direction: %u", p->id.dir);
	if (p->action > SPD_DISCARD)
		return reason_set(why, EINVAL, "bad policy action: %u", p->action);
	return p->action == SPD_PROTECT ? check_template(&p->tmpl, why) : 0;
}

/* ---- chains ---- */

static struct selector
entry_selector(const struct entry *e)
{
	return (struct selector){
		.src = e->src,
		.dst = e->dst,
		.src_len = e->tuple->src_len,
		.dst_len = e->tuple->dst_len,
		.family = e->tuple->family,
		.proto = e->proto,
		.sport = e->sport,
		.sport_mask = e->sport_mask,
		.dport = e->dport,
		.dport_mask = e->dport_mask,
	};
}

/* The tuple stands for the rest of the identity. */
static bool
entry_has(const struct entry *e, const struct tuple *t, const struct selector *sel)
{
	const struct selector own = entry_selector(e);

	return e->tuple == t && selector_equal(&own, sel);
}

static uint64_t
entry_hash(const struct spd *spd, const struct entry *e)
{
	return spd_hash(spd, e->tuple->seed, &e->src, &e->dst);
}

static struct spd_id
id_masked(const struct spd_id *id)
{
	struct spd_id r = *id;

	r.sel.src = ip_addr_mask(&id->sel.src, id->sel.src_len);
	r.sel.dst = ip_addr_mask(&id->sel.dst, id->sel.dst_len);
	return r;
}

static struct entry *
find_by_id(struct spd *spd, const struct spd_id *unmasked)
{
	const struct spd_id id = id_masked(unmasked);
	struct tuple *t = tuple_find(spd, &id);
	struct chash_node *node;

	if (!t)
		return NULL;
	node = atomic_load_explicit(
		spd_chain(spd, spd_hash(spd, t->seed, &id.sel.src, &id.sel.dst)),
		memory_order_relaxed); /* only this thread stores */
	for (; node; node = chash_next(node))
		if (entry_has(entry_of(node), t, &id.sel))
			return entry_of(node);
	return NULL;
}

/* An index is {age : rest, slot + 1 : as many bits as it takes, direction : 3}. */
static uint32_t
index_bits(const struct spd *spd)
{
	return 32 - __builtin_clz(spd->max_policies);
}

static uint32_t
index_make(const struct spd *spd, uint64_t order, uint32_t slot, uint8_t dir)
{
	return (uint32_t)(order << index_bits(spd) | (slot + 1)) << 3 | dir;
}

static uint32_t
index_slot(const struct spd *spd, uint32_t index)
{
	return (index >> 3 & ((1u << index_bits(spd)) - 1)) - 1;
}

static struct entry *
find_by_index(struct spd *spd, uint32_t index)
{
	struct entry *e = slots_get(&spd->slots, index_slot(spd, index));

	return e && e->policy.index == index ? e : NULL;
}

static struct entry *
find(struct spd *spd, const struct spd_id *id, uint32_t index)
{
	return index ? find_by_index(spd, index) : find_by_id(spd, id);
}

/* The place of a policy in the order of its chain. */
static _Atomic(struct chash_node *) *
entry_link(struct spd *spd, const struct entry *e)
{
	_Atomic(struct chash_node *) *link = spd_chain(spd, entry_hash(spd, e));
	struct chash_node *node;

	/* Relaxed: only this thread stores. */
	while ((node = atomic_load_explicit(link, memory_order_relaxed)) &&
	       entry_before(entry_of(node), e))
		link = &node->next;
	return link;
}

static void
entry_insert(struct spd *spd, struct entry *e)
{
	_Atomic(struct chash_node *) *link = entry_link(spd, e);

	atomic_store_explicit(&e->node.next, atomic_load_explicit(link, memory_order_relaxed),
			      memory_order_relaxed);
	/* Release: a worker that finds the entry sees the whole of it. */
	atomic_store_explicit(link, &e->node, memory_order_release);
}

/*
 * The new one is there before the old one goes. A worker that passed the new place before and
 * reaches the old one after sees that `moves` changed (release, before the removal), and looks
 * again.
 */
static void
entry_move(struct spd *spd, struct entry *old, struct entry *e)
{
	entry_insert(spd, e);
	atomic_fetch_add_explicit(&spd->moves, 1, memory_order_release);
	chash_remove(&spd->policies, (uint32_t)entry_hash(spd, old), &old->node);
}

/* ---- lifetimes ---- */

/* What nearly all policies say. */
static const struct sa_limits no_limits = {
	.soft_bytes = UINT64_MAX,
	.hard_bytes = UINT64_MAX,
	.soft_packets = UINT64_MAX,
	.hard_packets = UINT64_MAX,
};

static bool
in_seconds(const struct sa_limits *l)
{
	return (l->soft_add_seconds | l->hard_add_seconds | l->soft_use_seconds |
		l->hard_use_seconds) != 0;
}

/* 0, or -ENOMEM. */
static int
lifetime_new(struct spd *spd, struct entry *e, const struct sa_limits *limits)
{
	if (memcmp(limits, &no_limits, sizeof(no_limits)) == 0)
		return 0;
	e->lifetime = calloc(1, sizeof(*e->lifetime));
	if (!e->lifetime)
		return -ENOMEM;
	e->lifetime->limits = *limits;
	e->lifetime->entry = e;
	spd->lifetimes++;
	return 0;
}

static void
lifetime_begin(struct spd *spd, struct entry *e)
{
	if (e->lifetime && in_seconds(&e->lifetime->limits))
		LIST_INSERT_HEAD(&spd->timed, e->lifetime, timed);
}

static void
lifetime_free(struct spd *spd, struct entry *e)
{
	if (e->lifetime)
		spd->lifetimes--;
	free(e->lifetime);
	e->lifetime = NULL;
}

static void
lifetime_end(struct spd *spd, struct entry *e)
{
	if (e->lifetime && in_seconds(&e->lifetime->limits))
		LIST_REMOVE(e->lifetime, timed);
	lifetime_free(spd, e);
}

/* ---- policies ---- */

static void
entry_free(struct spd *spd, struct entry *e)
{
	lifetime_free(spd, e);
	slab_give(&spd->entries, e);
}

static struct entry *
entry_new(struct spd *spd, const struct spd_params *params)
{
	const struct spd_id id = id_masked(&params->id);
	const struct selector *sel = &id.sel;
	struct entry *e = slab_take(&spd->entries);

	if (!e)
		return NULL;
	memset(e, 0, sizeof(*e));
	e->src = sel->src;
	e->dst = sel->dst;
	e->priority = params->priority;
	e->sport = sel->sport;
	e->sport_mask = sel->sport_mask;
	e->dport = sel->dport;
	e->dport_mask = sel->dport_mask;
	e->proto = e->policy.proto = sel->proto;
	e->ports = e->policy.ports = (sel->sport_mask | sel->dport_mask) != 0;
	e->policy.if_id = id.if_id;
	e->policy.action = params->action;
	e->policy.flags = params->flags;
	e->policy.share = params->share;
	e->policy.tmpl = params->tmpl;
	e->added = (uint64_t)time(NULL);
	if (lifetime_new(spd, e, &params->limits) == 0)
		return e;
	slab_give(&spd->entries, e);
	return NULL;
}

static void
entry_release(void *ctx, struct reclaim_item *item)
{
	struct spd *spd = ctx;

	slab_give(&spd->entries, container_of(item, struct entry, retired));
}

static struct tuple *
tuple_of(const struct entry *e)
{
	return (struct tuple *)e->tuple;
}

/* Takes a policy from the workers; its tuple still counts its priority. */
static void
entry_unlink(struct spd *spd, struct entry *e)
{
	const uint64_t hash = entry_hash(spd, e);

	chash_remove(&spd->policies, (uint32_t)hash, &e->node);
	tuple_count_out(tuple_of(e), hash);
	resolve_remove(spd, e);
	lifetime_end(spd, e);
	slots_leave(&spd->slots, spd_slot(spd, &e->policy));
	spd->count[e->tuple->domain->dir]--;
	spd->version++;
	reclaim_defer(spd->reclaim, entry_release, spd, &e->retired);
}

static int
add(struct spd *spd, struct entry *e, const struct spd_id *id)
{
	struct tuple *t;
	uint32_t slot;
	int error = slots_take(&spd->slots, e, &slot);

	if (error)
		return error;
	t = tuple_get(spd, id);
	if (!t || tuple_join(spd, t, e->priority) != 0) {
		slots_leave(&spd->slots, slot);
		return -ENOMEM;
	}
	e->tuple = t;
	e->policy.order = ++spd->order;
	e->policy.index = index_make(spd, e->policy.order, slot, id->dir);
	spd->count[id->dir]++;
	spd->version++;
	resolve_add(spd, e);
	lifetime_begin(spd, e);
	tuple_count_in(t, entry_hash(spd, e));
	entry_insert(spd, e);
	return 0;
}

/* The new policy has the age, the index and the slot of the old one. */
static int
replace(struct spd *spd, struct entry *old, struct entry *e)
{
	struct tuple *t = tuple_of(old);

	if (tuple_join(spd, t, e->priority) != 0)
		return -ENOMEM;
	e->tuple = t;
	e->policy.order = old->policy.order;
	e->policy.index = old->policy.index;
	slots_replace(&spd->slots, spd_slot(spd, &e->policy), e);
	spd->version++;
	resolve_add(spd, e);
	resolve_remove(spd, old);
	lifetime_begin(spd, e);
	lifetime_end(spd, old);
	if (e->priority == old->priority)
		chash_replace(&spd->policies, (uint32_t)entry_hash(spd, e), &old->node, &e->node);
	else
		entry_move(spd, old, e);
	tuple_leave(spd, t, old->priority);
	reclaim_defer(spd->reclaim, entry_release, spd, &old->retired);
	return 0;
}

int
spd_add(struct spd *spd, const struct spd_params *params, bool may_replace, struct reason *why)
{
	int error = check(params, why);
	struct entry *old, *e;

	if (error)
		return error;
	old = find_by_id(spd, &params->id);
	if (old && !may_replace)
		return reason_set(why, EEXIST, "the policy exists, with index %u",
				  old->policy.index);
	e = entry_new(spd, params);
	if (!e)
		return reason_set(why, ENOMEM, "no memory for a policy");
	error = old ? replace(spd, old, e) : add(spd, e, &params->id);
	if (error)
		entry_free(spd, e);
	if (error == -ENOSPC)
		return reason_set(why, ENOSPC, "the SPD is full: %u policies", spd->max_policies);
	return error ? reason_set(why, ENOMEM, "no memory for a policy") : 0;
}

int
spd_delete(struct spd *spd, const struct spd_id *id, uint32_t index, struct reason *why)
{
	struct entry *e = find(spd, id, index);

	if (!e)
		return reason_set(why, ENOENT, "no such policy");
	entry_unlink(spd, e);
	tuple_leave(spd, tuple_of(e), e->priority);
	return 0;
}

void
spd_observe(struct spd *spd, const struct spd_observer *observer)
{
	spd->expiry = observer;
}

/* UINT64_MAX and 0 are no limit. */
static bool
elapsed(uint64_t limit, uint64_t since, uint64_t now)
{
	return limit != 0 && now > since && now - since >= limit;
}

static void
entry_tick(struct spd *spd, struct entry *e, uint64_t now)
{
	const struct sa_limits *l = &e->lifetime->limits;
	/* Relaxed: a time that is a second old at most. */
	uint64_t used = atomic_load_explicit(&e->policy.used, memory_order_relaxed);
	uint64_t idle_since = used != 0 ? used : e->added;
	bool hard = elapsed(l->hard_add_seconds, e->added, now) ||
		    elapsed(l->hard_use_seconds, idle_since, now);
	bool soft = !e->lifetime->soft_told && (elapsed(l->soft_add_seconds, e->added, now) ||
						elapsed(l->soft_use_seconds, idle_since, now));

	if (!hard && !soft)
		return;
	e->lifetime->soft_told = true;
	if (spd->expiry)
		spd->expiry->expire(spd->expiry->ctx, &e->policy, hard);
	if (hard) {
		entry_unlink(spd, e);
		tuple_leave(spd, tuple_of(e), e->priority);
	}
}

void
spd_tick(struct spd *spd, uint64_t now)
{
	struct lifetime *l, *next;

	for (l = LIST_FIRST(&spd->timed); l; l = next) {
		next = LIST_NEXT(l, timed);
		entry_tick(spd, l->entry, now);
	}
}

struct policy *
spd_find(struct spd *spd, const struct spd_id *id, uint32_t index)
{
	struct entry *e = find(spd, id, index);

	return e ? &e->policy : NULL;
}

struct spd_params
spd_params(const struct policy *policy)
{
	const struct entry *e = container_of(policy, struct entry, policy);
	const struct domain *d = e->tuple->domain;

	return (struct spd_params){
		.priority = e->priority,
		.action = policy->action,
		.flags = policy->flags,
		.share = policy->share,
		.tmpl = policy->tmpl,
		.id = {.sel = entry_selector(e),
		       .dir = d->dir,
		       .if_id = policy->if_id,
		       .mark = tenant_mark(d->tenant)},
		.limits = e->lifetime ? e->lifetime->limits : no_limits,
	};
}

uint64_t
spd_added(const struct policy *policy)
{
	return container_of(policy, struct entry, policy)->added;
}

/*
 * Workers lose all policies of a domain at once: were they to go one by one, a packet that a
 * policy protects could meet a bypass behind it. Lookups under way begin again (`moves`).
 */
unsigned int
spd_flush(struct spd *spd)
{
	unsigned int flushed = spd->slots.count;
	uint32_t cursor = 0;
	struct domain *d;
	struct entry *e;

	for (d = LIST_FIRST(&spd->domains); d; d = LIST_NEXT(d, link))
		domain_withdraw(spd, d);
	atomic_fetch_add_explicit(&spd->moves, 1, memory_order_release);
	while ((e = slots_next(&spd->slots, &cursor)))
		entry_unlink(spd, e);
	while (!LIST_EMPTY(&spd->domains))
		domain_free(spd, LIST_FIRST(&spd->domains));
	return flushed;
}

struct policy *
spd_next(struct spd *spd, uint32_t *cursor)
{
	struct entry *e = slots_next(&spd->slots, cursor);

	return e ? &e->policy : NULL;
}

void
spd_count(const struct spd *spd, uint32_t count[SPD_DIRS])
{
	memcpy(count, spd->count, sizeof(spd->count));
}

uint32_t
spd_tuples(const struct spd *spd)
{
	return spd->tuples;
}

/* Of tables, what is mapped: addresses are spread over the whole of them. */
struct spd_memory
spd_memory(const struct spd *spd)
{
	uint64_t heads = spd->policies.mask + UINT64_C(1);

	return (struct spd_memory){
		.entries = spd->entries.taken * sizeof(struct entry) +
			   spd->lifetimes * sizeof(struct lifetime),
		.tables = heads * sizeof(void *) + spd->slots.size * sizeof(void *) +
			  (spd->by_sa_mask + UINT64_C(1)) * sizeof(*spd->by_sa),
	};
}

uint32_t
spd_max_policies(const struct spd *spd)
{
	return spd->max_policies;
}

uint64_t
spd_version(const struct spd *spd)
{
	return spd->version;
}

uint32_t
spd_slot(const struct spd *spd, const struct policy *policy)
{
	return index_slot(spd, policy->index);
}
