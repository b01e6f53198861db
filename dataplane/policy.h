/* SPDX-License-Identifier: BSD-3-Clause */
/* Which SA a policy has for what it protects, and asking the IKE daemon for one. */
#pragma once

#include "dataplane.h"

/* The SA that an outbound policy leads to, or NULL. */
static inline struct sa *
policy_sa(const struct policy *policy)
{
	/* Acquire: pairs with the control thread's release once the SA is complete. */
	struct sa *sa = atomic_load_explicit(&policy->sa, memory_order_acquire);

	return sa != NULL && atomic_load_explicit(&sa->state, memory_order_relaxed) == SA_VALID
		       ? sa
		       : NULL;
}

/*
 * The same for a flow. Transport mode protects packets between the SA's own addresses: for others
 * of its policy there is no SA yet.
 */
static inline struct sa *
policy_sa_for(const struct policy *policy, const struct flow *flow)
{
	struct sa *sa = policy_sa(policy);

	if (sa != NULL && unlikely(sa->mode == SA_MODE_TRANSPORT) &&
	    (flow->family != sa->family || !ip_addr_equal(&flow->src, &sa->src) ||
	     !ip_addr_equal(&flow->dst, &sa->dst)))
		return NULL;
	return sa;
}

/*
 * Any thread: asks for an SA for the flow, unless somebody has asked for one of that policy in this
 * second of the wall clock. Whether it was this one who asked.
 */
bool policy_acquire(struct dataplane *dp, struct policy *policy, const struct flow *flow,
		    uint64_t now);
