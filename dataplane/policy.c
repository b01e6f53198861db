/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The stages that ask the SPD: spd_check for what comes in (RFC 4301 section 5.2) and spd_stage
 * for what is about to leave by an unprotected interface (section 5.1).
 */
#include <netinet/in.h>

#include <rte_ring_elem.h>

#include "icmp.h"
#include "ip_parse.h"
#include "rate_limit.h"
#include "walk.h"
#include "worker.h"

#define PORT_IKE     RTE_BE16(500)
#define PORT_IKE_NAT RTE_BE16(4500)

/* IKE of the host needs no policy of ours (RFC 4301 section 5.2): it always passes. */
static bool
is_ike(const struct flow *flow, rte_be16_t port)
{
	return flow->proto == IPPROTO_UDP && !flow->ports_opaque &&
	       (port == PORT_IKE || port == PORT_IKE_NAT);
}

/* One store a second keeps the line shared between workers. */
static void
policy_touch(const struct worker *w, struct policy *policy)
{
	/* Relaxed: a time for statistics. */
	if (atomic_load_explicit(&policy->used, memory_order_relaxed) != w->now)
		atomic_store_explicit(&policy->used, w->now, memory_order_relaxed);
}

/* What a decrypted packet is checked against: its SA's selector, and a policy that fits the SA. */
static bool
decrypted_allowed(struct worker *w, const struct packet *p, enum spd_dir dir,
		  const struct flow *flow)
{
	struct policy *policy;

	if (p->sa->narrow && !selector_match(&p->sa->control->params.sel, flow))
		return false;
	/* Relaxed: a mark that changes under the feet of a packet is either. */
	policy = spd_lookup(w->dp->spd, atomic_load_explicit(&p->sa->tenant, memory_order_relaxed),
			    dir, flow);
	/* A later fragment on an SA with ports: RFC 4301 section 7.3. */
	if (policy == NULL || !spd_allows(policy, p->sa) ||
	    selector_blind(&policy->params.id.sel, flow))
		return false;
	policy_touch(w, policy);
	return true;
}

/* A clear packet from the unprotected side passes where policy lets it come unprotected. */
static bool
clear_allowed(struct worker *w, const struct packet *p, enum spd_dir dir, const struct flow *flow)
{
	struct policy *policy;

	if ((p->flags & PACKET_LOCAL) != 0 && is_ike(flow, flow->dport))
		return true;
	policy = spd_lookup(w->dp->spd, p->tenant, dir, flow);
	if (policy == NULL)
		return w->dp->config->spd.no_match == NO_MATCH_BYPASS;
	policy_touch(w, policy);
	if (policy->params.action == SPD_PROTECT)
		return policy->params.tmpl.optional;
	return policy->params.action == SPD_BYPASS;
}

/* Clear packets of the protected side, and what we made, come in without being asked. */
static bool
needs_check(const struct worker *w, const struct packet *p)
{
	return (p->flags & PACKET_DECRYPTED) != 0 ||
	       ((p->flags & PACKET_ICMP_ERROR) == 0 &&
		w->dp->ifaces[p->in].side == SIDE_UNPROTECTED);
}

/* Whether a packet may come in. */
static bool
check_packet(struct worker *w, const struct rte_mbuf *m, enum drop_reason *reason)
{
	const struct packet *p = packet(m);
	enum spd_dir dir = (p->flags & PACKET_LOCAL) != 0 ? SPD_IN : SPD_FWD;
	struct flow flow;

	packet_flow(m, &flow);
	if ((p->flags & PACKET_DECRYPTED) != 0) {
		*reason = DROP_SELECTOR;
		return decrypted_allowed(w, p, dir, &flow);
	}
	*reason = DROP_POLICY_IN;
	return clear_allowed(w, p, dir, &flow);
}

/* What is of the flow, and came by the SA, of the packet before it passes as that one did. */
void
spd_check(struct worker *w, struct burst *b)
{
	enum drop_reason reason = DROP_POLICY_IN;
	const struct rte_mbuf *passed = NULL;
	unsigned int kept = 0;

	for (unsigned int i = 0; i < b->n; i++) {
		struct rte_mbuf *m = b->m[i];

		if (needs_check(w, packet(m))) {
			bool same = passed != NULL && packet(passed)->sa == packet(m)->sa &&
				    packet_same_flow(passed, m);

			if (!same && !check_packet(w, m, &reason)) {
				packet_drop(w, m, reason);
				continue;
			}
			passed = m;
		}
		b->m[kept++] = m;
	}
	b->n = (uint16_t)kept;
}

/* Asks the IKE daemon for an SA: at most once a second for a policy, and limited for a worker. */
static void
acquire(struct worker *w, struct policy *policy, const struct flow *flow)
{
	struct acquire request = {.policy_index = policy->index, .flow = *flow};
	/* Relaxed: it only thins out requests. */
	uint64_t last = atomic_load_explicit(&policy->acquired, memory_order_relaxed);

	if (last == w->now || !rate_limit_take(&w->acquire_rate, w->tsc))
		return;
	if (atomic_compare_exchange_strong_explicit(&policy->acquired, &last, w->now,
						    memory_order_relaxed, memory_order_relaxed))
		rte_ring_mp_enqueue_elem(w->dp->acquires, &request, sizeof(request));
}

enum verdict { VERDICT_PROTECT, VERDICT_BYPASS, VERDICT_DROP };

/* Finds the SA that the policy wants; without one nothing leaves. */
static enum verdict
protect(struct worker *w, struct packet *p, struct policy *policy, const struct flow *flow,
	enum drop_reason *reason)
{
	/* Acquire: pairs with the control thread's release once the SA is complete. */
	struct sa *sa = atomic_load_explicit(&policy->sa, memory_order_acquire);

	if (sa == NULL || atomic_load_explicit(&sa->state, memory_order_relaxed) != SA_VALID) {
		acquire(w, policy, flow);
		*reason = DROP_NO_SA_OUT;
		return VERDICT_DROP;
	}
	if (selector_blind(&policy->params.id.sel, flow) ||
	    (sa->narrow && !selector_match(&sa->control->params.sel, flow))) {
		*reason = DROP_SELECTOR;
		return VERDICT_DROP;
	}
	p->sa = sa;
	return VERDICT_PROTECT;
}

/* What the kernel sends for others on a host interface is not the host's, whatever its ports. */
static bool
is_own_ike(const struct worker *w, const struct packet *p, const struct flow *flow)
{
	return (p->flags & PACKET_FROM_HOST) != 0 && is_ike(flow, flow->sport) &&
	       fib_lookup(w->dp->fib, p->vrf, p->family, &flow->src, 0)->type == NEXTHOP_LOCAL;
}

/* An error that quotes what came from the protected side, or decrypted, leaves only protected. */
static enum verdict
outbound_verdict(struct worker *w, struct rte_mbuf *m, enum drop_reason *reason)
{
	bool bypass = w->dp->config->spd.no_match == NO_MATCH_BYPASS;
	struct packet *p = packet(m);
	struct policy *policy;
	struct flow flow;

	packet_flow(m, &flow);
	if (is_own_ike(w, p, &flow))
		return VERDICT_BYPASS;
	policy = spd_lookup(w->dp->spd, p->tenant, SPD_OUT, &flow);
	if (policy != NULL) {
		policy_touch(w, policy);
		if (policy->params.action == SPD_PROTECT)
			return protect(w, p, policy, &flow, reason);
		bypass = policy->params.action == SPD_BYPASS;
	}
	*reason = DROP_POLICY_OUT;
	return bypass && (p->flags & PACKET_QUOTES) == 0 ? VERDICT_BYPASS : VERDICT_DROP;
}

/*
 * Leaves in the burst what is to be protected; what policy lets go in clear joins `leaving`. What
 * is of the flow of the packet before takes its SA.
 */
void
spd_stage(struct worker *w, struct burst *b)
{
	enum drop_reason reason = DROP_POLICY_OUT;
	const struct rte_mbuf *before = NULL; /* to be protected */
	unsigned int kept = 0;

	for (unsigned int i = 0; i < b->n; i++) {
		struct rte_mbuf *m = b->m[i];

		if (before != NULL && packet_same_flow(before, m)) {
			packet(m)->sa = packet(before)->sa;
			b->m[kept++] = m;
			continue;
		}
		switch (outbound_verdict(w, m, &reason)) {
		case VERDICT_PROTECT:
			before = m;
			b->m[kept++] = m;
			break;
		case VERDICT_BYPASS:
			burst_add(&w->leaving, m);
			break;
		case VERDICT_DROP:
			if (reason == DROP_POLICY_OUT)
				icmp_error(w, m, ICMP_ERR_POLICY, 0);
			packet_drop(w, m, reason);
			break;
		}
	}
	b->n = (uint16_t)kept;
}
