/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of the SPD share: spd.c (policies come and go), spd_tuple.c (tuples, and the sets
 * of them that workers see), spd_resolve.c (policies point at SAs), spd_lookup.c (the workers'
 * part).
 */
#pragma once

#include <stdalign.h>
#include <sys/queue.h>

#include "chash.h"
#include "slab.h"
#include "slots.h"
#include "spd.h"

/* A policy in the hash. Its first line holds all that a lookup compares. */
struct entry {
	alignas(64) struct chash_node node; /* chains are in (priority, order) order */
	const struct tuple *tuple;          /* only compared by workers */
	union ip_addr src, dst;             /* masked */
	uint32_t priority;
	rte_be16_t sport, sport_mask, dport, dport_mask;
	uint8_t proto; /* 0 any */
	bool ports;    /* they are compared */

	alignas(64) struct policy policy; /* what a lookup gives */

	union {          /* The control thread's: */
		struct { /* while it is in force, */
			LIST_ENTRY(entry)
			by_sa; /* of the same SPI, reqid or peer (spd_resolve.c) */
			struct lifetime *lifetime; /* NULL where nothing limits it */
			uint64_t added;            /* wall-clock seconds */
		};
		struct reclaim_item retired; /* and once it stands in no list. */
	};
};

/* Limits of one of the policies that have some, or that say so in another way than most. */
struct lifetime {
	struct sa_limits limits;
	struct entry *entry;
	LIST_ENTRY(lifetime) timed; /* if in seconds */
	bool soft_told;             /* the soft lifetime's end was */
};

static inline uint64_t
spd_tenant(const struct spd_id *id)
{
	return tenant_make(id->if_id, id->mark);
}

static_assert(offsetof(struct entry, policy) == 64, "a lookup compares one line");
static_assert(sizeof(struct entry) == 192, "an odd number of lines");

LIST_HEAD(entry_list, entry);
LIST_HEAD(lifetime_list, lifetime);

#define TUPLE_BITS    10
#define TUPLE_BUCKETS (1u << TUPLE_BITS)

/* A pair of prefix lengths that policies of one domain have. Workers read `has` alone. */
struct tuple {
	/*
	 * Policies whose hash falls into a bucket: most lookups ask several tuples, and most of
	 * these, if they are small, answer here, in cache, that they have nothing. A count that got
	 * to 255 stays.
	 */
	_Atomic uint8_t has[TUPLE_BUCKETS];
	LIST_ENTRY(tuple) link; /* in its domain */
	struct domain *domain;
	uint64_t seed; /* of the hash */
	uint8_t family, src_len, dst_len;
	struct tuple_priority {
		uint32_t priority, policies;
	} * priorities; /* ascending: the first is the best that a lookup can find here */
	uint32_t count, room;
	struct reclaim_item retired;
};

/* The policies of one tenant and direction. The control thread's. */
struct domain {
	LIST_ENTRY(domain) link; /* in the SPD */
	LIST_HEAD(, tuple) tuples;
	struct group *group; /* as published */
	uint64_t tenant;
	uint32_t policies;
	uint8_t dir;
};

/* A tuple as workers see it: one line. */
struct view {
	alignas(64) uint64_t src_mask[2];
	uint64_t dst_mask[2];
	uint64_t seed;
	const struct tuple *tuple;
	uint32_t best; /* no policy of the tuple has a smaller priority */
};

/* What workers see of a domain. Immutable: a change publishes another. */
struct group {
	struct chash_node node; /* in spd.groups */
	struct domain *domain;  /* the control thread's, and so is the next */
	struct reclaim_item retired;
	uint64_t tenant;
	uint32_t dir;
	uint32_t count[2];   /* tuples of IPv4, of IPv6; those of both families are in both */
	struct view views[]; /* first IPv4's, then IPv6's, each with the best first */
};

struct spd {
	/* Workers read these lines. */
	alignas(64) struct chash policies;
	struct chash groups;
	uint64_t seed, secret[4]; /* random */
	_Atomic uint32_t moves;   /* changes that a lookup under way must not straddle */

	/* The control thread's. */
	alignas(64) struct sad *sad;
	struct reclaim *reclaim;
	struct slab entries;
	struct slots slots;
	LIST_HEAD(, domain) domains;
	struct entry_list *by_sa;
	uint32_t by_sa_mask;
	uint32_t max_policies, tuples;
	uint32_t count[SPD_DIRS];
	uint64_t order;   /* of the last policy added */
	uint64_t version; /* see spd_version() */
	struct lifetime_list timed;
	uint32_t lifetimes; /* allocated */
	const struct spd_observer *expiry;
	struct sad_observer observer;
	struct reclaim_item retired;
};

/* Masked addresses in a tuple. Whichever bits of the two differ, all of the hash do. */
static inline uint64_t
spd_hash(const struct spd *spd, uint64_t tuple_seed, const union ip_addr *src,
	 const union ip_addr *dst)
{
	const uint64_t *secret = spd->secret;

	return chash_fold(chash_fold(src->u64[0] ^ secret[0], dst->u64[0] ^ secret[1]) ^ tuple_seed,
			  chash_fold(src->u64[1] ^ secret[2], dst->u64[1] ^ secret[3]));
}

/* The chain of that hash. */
static inline _Atomic(struct chash_node *) *
spd_chain(const struct spd *spd, uint64_t hash)
{
	return &spd->policies.heads[hash & spd->policies.mask];
}

/* The bucket of that hash: other bits. */
static inline uint32_t
tuple_bucket(uint64_t hash)
{
	return (uint32_t)(hash >> (64 - TUPLE_BITS));
}

static inline uint32_t
spd_group_hash(const struct spd *spd, uint64_t tenant, uint32_t dir)
{
	return (uint32_t)chash_mix(spd->seed + dir, tenant);
}

static inline struct entry *
entry_of(struct chash_node *node)
{
	return (struct entry *)((char *)node - offsetof(struct entry, node));
}

/* Whether a lookup prefers a to b. */
static inline bool
entry_before(const struct entry *a, const struct entry *b)
{
	if (a->priority != b->priority)
		return a->priority < b->priority;
	return a->policy.order < b->policy.order;
}

/* Worker, too: what is published of a tenant and direction, or NULL. */
static inline struct group *
spd_group(const struct spd *spd, uint64_t tenant, uint32_t dir)
{
	struct chash_node *node = chash_first(&spd->groups, spd_group_hash(spd, tenant, dir));

	for (; node; node = chash_next(node)) {
		struct group *g = (struct group *)((char *)node - offsetof(struct group, node));

		if (g->tenant == tenant && g->dir == dir)
			return g;
	}
	return NULL;
}

/* spd_tuple.c */

/* The tuple of a policy's identity, or NULL. */
struct tuple *tuple_find(struct spd *spd, const struct spd_id *id);
/* The same, made where there is none. NULL without memory. */
struct tuple *tuple_get(struct spd *spd, const struct spd_id *id);

/*
 * Counts a policy of that priority in, and makes workers look for it; to be called before the
 * policy is linked. -ENOMEM with nothing changed: a new tuple is gone then.
 */
int tuple_join(struct spd *spd, struct tuple *t, uint32_t priority);
/* Counts one out, after it was unlinked. The tuple may vanish. */
void tuple_leave(struct spd *spd, struct tuple *t, uint32_t priority);

/* A policy of that hash comes, before it is linked, or goes, after it was unlinked. */
void tuple_count_in(struct tuple *t, uint64_t hash);
void tuple_count_out(struct tuple *t, uint64_t hash);

/* Takes a domain from the workers at once, whatever it holds; frees it with its tuples. */
void domain_withdraw(struct spd *spd, struct domain *d);
void domain_free(struct spd *spd, struct domain *d);

/* spd_resolve.c */

int resolve_init(struct spd *spd);
/* From now on the policy's SA pointer is right; and so is the mark that SAs have from policies. */
void resolve_add(struct spd *spd, struct entry *e);
void resolve_remove(struct spd *spd, struct entry *e);
