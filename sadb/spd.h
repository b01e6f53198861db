/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The security policy database (RFC 4301 section 4.4.1): tuple-space search. A tuple is a tenant,
 * a direction, a family and a pair of prefix lengths; all tuples share one hash table whose key is
 * the tuple and the masked addresses, so that a policy is inserted and removed in O(1) and a
 * lookup probes once per tuple in use. What differs in protocol or ports only shares a bucket,
 * in priority order.
 *
 * Outbound policies point at the SA to use. The SPD observes the SAD and moves the pointers of the
 * policies concerned whenever an SA comes or goes, before a deleted SA's grace period begins: no
 * policy leads to a freed SA.
 *
 * The control thread is the sole writer and calls everything except what is marked "worker".
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "addr.h"
#include "crypto/reason.h"
#include "reclaim.h"
#include "sad.h"

struct spd;

enum spd_dir { SPD_IN, SPD_OUT, SPD_FWD, SPD_DIRS }; /* the numbers of the kernel's XFRM_POLICY_* */

enum spd_action { SPD_PROTECT, SPD_BYPASS, SPD_DISCARD };

/* One step of transformation that a protect policy asks for (struct xfrm_user_tmpl). */
struct spd_template {
	union ip_addr src, dst; /* tunnel endpoints, any in transport mode */
	uint8_t family;         /* of the endpoints */
	uint8_t proto;          /* IPPROTO_ESP, IPPROTO_AH */
	uint8_t mode;           /* SA_MODE_* */
	bool optional;          /* "level use": inbound may come without */
	rte_be32_t spi;         /* 0 any */
	uint32_t reqid;         /* 0 any */
};

/* A policy's identity, as DELPOLICY names it. */
struct spd_id {
	struct selector sel;
	uint8_t dir; /* enum spd_dir */
	uint32_t if_id;
	uint32_t mark; /* of the packets that it is for; 0 any */
};

struct spd_params {
	uint32_t priority;        /* the smaller, the sooner */
	uint8_t action;           /* enum spd_action */
	uint8_t flags;            /* XFRM_POLICY_*, given back */
	uint8_t share;            /* given back */
	struct spd_template tmpl; /* of SPD_PROTECT */
	struct spd_id id;
	struct sa_limits limits; /* in seconds; the others are given back */
};

/*
 * A published policy. Workers read it, and write `used`; everything else is constant until it has
 * been unlinked and a grace period has passed. A changed policy is a new one. All that was said of
 * it the control thread gets by spd_params().
 */
struct policy {
	_Atomic(struct sa *) sa;   /* of SPD_OUT: the SA to use, or NULL (spd_resolve.c) */
	_Atomic uint64_t used;     /* wall-clock seconds of the last match, 0 never */
	_Atomic uint64_t acquired; /* when a worker last asked for an SA, 0 never */
	uint64_t order;            /* age: of equal priorities the older one wins */
	uint32_t index;            /* the kernel's policy index: its low 3 bits are the direction */
	uint32_t if_id;
	uint8_t action; /* enum spd_action */
	uint8_t flags, share;
	uint8_t proto; /* of its selector, 0 any */
	bool ports;    /* its selector names some */
	struct spd_template tmpl;
};

/* Whom the SPD tells, on the control thread, of lifetimes that end; after a hard one it goes. */
struct spd_observer {
	void *ctx;
	void (*expire)(void *ctx, const struct policy *policy, bool hard);
};

/* max_policies bounds the hash table; workers are lock-free readers under `reclaim`. */
struct spd *spd_new(uint32_t max_policies, struct sad *sad, struct reclaim *reclaim,
		    struct reason *why);
/* Before reclaim_free(), which ends it: what was deferred earlier still needs it. */
void spd_free(struct spd *spd);

/*
 * Adds a policy: -EEXIST where the identity is taken (and !replace), -ENOSPC, -ENOMEM, -EINVAL for
 * what cannot be. With `replace` (UPDPOLICY) an existing one is exchanged without a gap.
 */
int spd_add(struct spd *spd, const struct spd_params *params, bool replace, struct reason *why);

/* By identity, or by the kernel's index where it is not 0. -ENOENT where there is none. */
int spd_delete(struct spd *spd, const struct spd_id *id, uint32_t index, struct reason *why);
struct policy *spd_find(struct spd *spd, const struct spd_id *id, uint32_t index);

/* Of a policy that is in force: all that was said of it, and the wall-clock second when. */
struct spd_params spd_params(const struct policy *policy);
uint64_t spd_added(const struct policy *policy);

unsigned int spd_flush(struct spd *spd);

void spd_observe(struct spd *spd,
		 const struct spd_observer *observer); /* one, which must live on */

/*
 * Lifetimes in seconds: since a policy was added, and, as in the kernel, since it was last used or
 * else added. Call about ten times a second with wall-clock seconds.
 */
void spd_tick(struct spd *spd, uint64_t now);

/* Like sad_next(): survives changes between calls. */
struct policy *spd_next(struct spd *spd, uint32_t *cursor);
void spd_count(const struct spd *spd, uint32_t count[SPD_DIRS]);
uint32_t spd_tuples(const struct spd *spd); /* combinations of prefix lengths in use */
uint32_t spd_max_policies(const struct spd *spd);

/* Another number whenever a lookup may have another answer than before, or its policy another SA.
 */
uint64_t spd_version(const struct spd *spd);

/* Bytes held, by what for. */
struct spd_memory {
	uint64_t entries; /* policies, those that wait for a grace period included */
	uint64_t tables;  /* by tuple and addresses, number, and SA */
};
struct spd_memory spd_memory(const struct spd *spd);

/* ---- workers ---- */

/*
 * Worker: the first policy in priority order that the flow matches, or NULL. A flow whose ports or
 * protocol cannot be seen matches each policy that protects or discards some of its kind, and no
 * bypass that asks for them; spd_blind() says so of the policy found. A tenant with a mark has
 * the policies of its if_id that name no mark as well.
 */
struct policy *spd_lookup(const struct spd *spd, uint64_t tenant, enum spd_dir dir,
			  const struct flow *flow);

/* Worker: whether the policy asks for something of the flow that cannot be seen. */
static inline bool
spd_blind(const struct policy *policy, const struct flow *flow)
{
	return (flow->proto_opaque && policy->proto != 0) || (flow->ports_opaque && policy->ports);
}

/* Worker: a number below spd_max_policies() that no other policy has; one that replaces another has
 * the same. */
uint32_t spd_slot(const struct spd *spd, const struct policy *policy);

#define SPD_BURST 64 /* queries that are answered at once */

/* A question of a burst, and its answer. */
struct spd_query {
	struct flow flow;
	uint64_t tenant;
	enum spd_dir dir;
	struct policy *policy; /* what spd_lookup() gives */
};

/* Worker: answers up to SPD_BURST at once, so that what is not in cache is fetched for all of them
 * together. */
void spd_lookup_burst(const struct spd *spd, struct spd_query *queries, unsigned int n);

/*
 * Worker: whether a packet that the SA decrypted may pass (RFC 4301 section 5.2): the policy of its
 * flow protects, and its template fits the SA in protocol, mode, addresses, reqid and if_id.
 */
bool spd_allows(const struct policy *policy, const struct sa *sa);
