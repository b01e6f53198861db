/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The stages that ask the SPD: spd_check for what comes in (RFC 4301 section 5.2) and spd_stage
 * for what is about to leave by an unprotected interface (section 5.1).
 */
#include <netinet/in.h>

#include <rte_ring_elem.h>

#include "frag_ports.h"
#include "icmp.h"
#include "icmp_quote.h"
#include "ip_parse.h"
#include "natt.h"
#include "path_mtu.h"
#include "policy.h"
#include "rate_limit.h"
#include "sa_wait.h"
#include "walk.h"
#include "worker.h"

#define PORT_IKE RTE_BE16(500)

/* IKE of the host needs no policy of ours (RFC 4301 section 5.2): it always passes. */
static bool
is_ike(const struct worker *w, const struct flow *flow, rte_be16_t port)
{
	return flow->proto == IPPROTO_UDP && (!flow->ports_opaque || flow->ports_of_first) &&
	       (port == PORT_IKE || natt_is_port(w->dp, port));
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
decrypted_allowed(struct worker *w, const struct packet *p, const struct spd_query *q)
{
	const struct flow *flow = &q->flow;
	struct policy *policy = q->policy;

	if ((p->sa->traits & SA_NARROW) != 0 && !selector_match(&p->sa->control->detail->sel, flow))
		return false;
	/* A later fragment on an SA with ports: RFC 4301 section 7.3. */
	if (policy == NULL || !spd_allows(policy, p->sa) || spd_blind(policy, flow))
		return false;
	policy_touch(w, policy);
	return true;
}

/* Whether the configuration refuses fragments, but for those that were made here. */
static bool
fragment_refused(const struct worker *w, const struct packet *p)
{
	return unlikely(p->fragment != 0) && (p->flags & PACKET_CUT) == 0 &&
	       w->dp->config->spd.fragments == FRAGMENTS_DISCARD;
}

/*
 * Why a packet may not pass that no policy matches: of a later fragment without its first one only
 * that is known, that no policy which asks for no ports lets it go.
 */
static enum drop_reason
no_match_reason(const struct packet *p, const struct spd_query *q, enum drop_reason reason)
{
	bool early = p->fragment == 2 && q->policy == NULL && !q->flow.ports_of_first;

	return early ? DROP_FRAG_EARLY : reason;
}

/* A clear packet from the unprotected side passes where policy lets it come unprotected. */
static bool
clear_allowed(struct worker *w, const struct packet *p, const struct spd_query *q)
{
	struct policy *policy = q->policy;

	if ((p->flags & PACKET_LOCAL) != 0 && is_ike(w, &q->flow, q->flow.dport))
		return true;
	if (policy == NULL)
		return w->dp->config->spd.no_match == NO_MATCH_BYPASS;
	policy_touch(w, policy);
	if (policy->action == SPD_PROTECT)
		return policy->tmpl.optional;
	return policy->action == SPD_BYPASS;
}

/* Clear packets of the protected side, and what we made, come in without being asked. */
static bool
needs_check(const struct worker *w, const struct packet *p)
{
	return (p->flags & PACKET_DECRYPTED) != 0 ||
	       ((p->flags & PACKET_ICMP_ERROR) == 0 &&
		w->dp->ifaces[p->in].side == SIDE_UNPROTECTED);
}

#define NOT_ASKED 0xff

/* What a burst asks the SPD: runs ask once. */
struct asked {
	struct spd_query queries[BURST_MAX];
	uint8_t of[BURST_MAX]; /* which of them is each run's, or NOT_ASKED */
	unsigned int n;
};

static_assert(BURST_MAX <= SPD_BURST, "a burst is answered at once");

/* The number of the query. */
static inline uint8_t
ask(struct worker *w, struct asked *asked, const struct rte_mbuf *m, uint64_t tenant,
    enum spd_dir dir)
{
	struct spd_query *q = &asked->queries[asked->n];

	packet_flow(m, &q->flow);
	if (unlikely(packet(m)->fragment != 0))
		frag_ports_apply(w, m, &q->flow);
	q->tenant = tenant;
	q->dir = dir;
	return (uint8_t)asked->n++;
}

/* Whether a packet may come in. */
static bool
check_packet(struct worker *w, const struct packet *p, const struct spd_query *q,
	     enum drop_reason *reason)
{
	if (fragment_refused(w, p)) {
		*reason = DROP_FRAG_POLICY;
		return false;
	}
	if ((p->flags & PACKET_DECRYPTED) != 0) {
		*reason = DROP_SELECTOR;
		return decrypted_allowed(w, p, q);
	}
	*reason = no_match_reason(p, q, DROP_POLICY_IN);
	return clear_allowed(w, p, q);
}

/* Whose policies a packet that comes in is checked against. */
static uint64_t
tenant_in(const struct packet *p)
{
	if ((p->flags & PACKET_DECRYPTED) == 0)
		return p->tenant;
	/* Relaxed: a mark that changes under the feet of a packet is either. */
	return atomic_load_explicit(&p->sa->tenant, memory_order_relaxed);
}

/*
 * What a packet's own header does not let in may be an ICMP error that what it is about lets in:
 * about traffic of the SA that it came by (RFC 4301 section 6.2), or about ESP of ours.
 */
static bool
error_allowed(struct worker *w, const struct rte_mbuf *m)
{
	const struct packet *p = packet(m);
	struct spd_query q = {.tenant = tenant_in(p),
			      .dir = (p->flags & PACKET_LOCAL) != 0 ? SPD_IN : SPD_FWD};

	if ((p->flags & PACKET_DECRYPTED) == 0)
		return (p->flags & PACKET_LOCAL) != 0 && path_mtu_concerns_us(w, m);
	if (!icmp_return_flow(m, &q.flow))
		return false;
	q.policy = spd_lookup(w->dp->spd, q.tenant, q.dir, &q.flow);
	return decrypted_allowed(w, p, &q);
}

static void
ask_inbound(struct worker *w, struct asked *asked, const struct burst *b)
{
	unsigned int r = 0;

	asked->n = 0;
	for (unsigned int i = 0; i < b->n; i += burst_run(b, i), r++) {
		const struct packet *p = packet(b->m[i]);

		asked->of[r] = NOT_ASKED;
		if (needs_check(w, p))
			asked->of[r] = ask(w, asked, b->m[i], tenant_in(p),
					   (p->flags & PACKET_LOCAL) != 0 ? SPD_IN : SPD_FWD);
	}
}

/* A run that may not come in, but for errors that may. Returns where the next run begins. */
static unsigned int
refuse(struct worker *w, struct burst *b, unsigned int i, unsigned int n, enum drop_reason reason)
{
	burst_part(b, i, n);
	for (; n > 0; n--) {
		if (error_allowed(w, b->m[i]))
			i++;
		else
			packet_drop(w, burst_take(b, i), reason);
	}
	return i;
}

void
spd_check(struct worker *w, struct burst *b)
{
	enum drop_reason reason = DROP_POLICY_IN;
	struct asked asked;

	ask_inbound(w, &asked, b);
	if (asked.n == 0)
		return;
	spd_lookup_burst(w->dp->spd, asked.queries, asked.n);
	for (unsigned int i = 0, r = 0; i < b->n; r++) {
		uint8_t of = asked.of[r];
		unsigned int run = burst_run(b, i);

		if (likely(of == NOT_ASKED ||
			   check_packet(w, packet(b->m[i]), &asked.queries[of], &reason)))
			i += run;
		else
			i = refuse(w, b, i, run, reason);
	}
}

bool
policy_acquire(struct dataplane *dp, struct policy *policy, const struct flow *flow, uint64_t now)
{
	struct acquire request = {.policy_index = policy->index, .flow = *flow};
	/* Relaxed: it only thins out requests. */
	uint64_t last = atomic_load_explicit(&policy->acquired, memory_order_relaxed);

	return last != now &&
	       atomic_compare_exchange_strong_explicit(
		       &policy->acquired, &last, now, memory_order_relaxed, memory_order_relaxed) &&
	       rte_ring_mp_enqueue_elem(dp->acquires, &request, sizeof(request)) == 0;
}

/* Limited for a worker, too. */
static void
acquire(struct worker *w, struct policy *policy, const struct flow *flow)
{
	/* Relaxed: as above. */
	if (atomic_load_explicit(&policy->acquired, memory_order_relaxed) != w->now &&
	    rate_limit_take(&w->acquire_rate, w->tsc))
		policy_acquire(w->dp, policy, flow, w->now);
}

enum verdict { VERDICT_PROTECT, VERDICT_BYPASS, VERDICT_DROP, VERDICT_WAIT };

/* Whether the flow lies in what policy and SA are for, as far as that can be seen. */
static inline bool
carries(const struct policy *policy, const struct sa *sa, const struct flow *flow)
{
	return !spd_blind(policy, flow) &&
	       ((sa->traits & SA_NARROW) == 0 || selector_match(&sa->control->detail->sel, flow));
}

/* Finds the SA that the policy wants, in *found; without one nothing leaves. */
static inline enum verdict
protect(struct worker *w, const struct packet *p, struct policy *policy, const struct flow *flow,
	struct sa **found, enum drop_reason *reason)
{
	struct sa *sa = policy_sa_for(policy, flow);

	if (unlikely(sa == NULL)) {
		*reason = DROP_NO_SA_OUT;
		acquire(w, policy, flow);
		return VERDICT_WAIT;
	}
	/* Other modes protect whole packets only. */
	if (unlikely(sa->mode != SA_MODE_TUNNEL) && p->fragment != 0) {
		*reason = DROP_FRAGMENT_OUT;
		return VERDICT_DROP;
	}
	if (!carries(policy, sa, flow)) {
		*reason = DROP_SELECTOR;
		return VERDICT_DROP;
	}
	*found = sa;
	return VERDICT_PROTECT;
}

/*
 * An ICMP error that no policy names takes the SA of the traffic that answers what it is about; no
 * SA is asked for (RFC 4301 section 6.2).
 */
static bool
protect_error(const struct worker *w, struct rte_mbuf *m)
{
	struct packet *p = packet(m);
	struct policy *policy;
	struct flow flow;
	struct sa *sa;

	if (!icmp_return_flow(m, &flow))
		return false;
	policy = spd_lookup(w->dp->spd, p->tenant, SPD_OUT, &flow);
	if (policy == NULL || policy->action != SPD_PROTECT)
		return false;
	sa = policy_sa(policy);
	if (sa == NULL || sa->mode != SA_MODE_TUNNEL || !carries(policy, sa, &flow))
		return false;
	p->sa = sa;
	return true;
}

/* What the kernel sends for others on a host interface is not the host's, whatever its ports. */
static bool
is_own_ike(const struct worker *w, const struct packet *p, const struct flow *flow)
{
	return (p->flags & PACKET_FROM_HOST) != 0 && is_ike(w, flow, flow->sport) &&
	       fib_lookup(w->dp->fib, p->vrf, p->family, &flow->src, 0)->type == NEXTHOP_LOCAL;
}

/* An error that quotes what came from the protected side, or decrypted, leaves only protected. */
static inline enum verdict
outbound_verdict(struct worker *w, const struct packet *p, const struct spd_query *q,
		 struct sa **sa, enum drop_reason *reason)
{
	struct policy *policy = q->policy;
	bool bypass;

	if (unlikely(is_own_ike(w, p, &q->flow)))
		return VERDICT_BYPASS;
	if (fragment_refused(w, p)) {
		*reason = DROP_FRAG_POLICY;
		return VERDICT_DROP;
	}
	if (likely(policy != NULL)) {
		policy_touch(w, policy);
		if (likely(policy->action == SPD_PROTECT))
			return protect(w, p, policy, &q->flow, sa, reason);
		bypass = policy->action == SPD_BYPASS;
	} else {
		bypass = w->dp->config->spd.no_match == NO_MATCH_BYPASS;
	}
	*reason = no_match_reason(p, q, DROP_POLICY_OUT);
	return bypass && (p->flags & PACKET_QUOTES) == 0 ? VERDICT_BYPASS : VERDICT_DROP;
}

/* What the stages to come read of the SAs that the answers name. */
static void
prefetch_sas(const struct asked *asked)
{
	for (unsigned int i = 0; i < asked->n; i++) {
		struct policy *policy = asked->queries[i].policy;
		/* Relaxed: only a hint. */
		const struct sa *sa =
			policy ? atomic_load_explicit(&policy->sa, memory_order_relaxed) : NULL;

		if (sa)
			sad_prefetch_outbound(sa);
	}
}

/* Not to be protected, or not yet. */
static void
leave(struct worker *w, struct rte_mbuf *m, const struct spd_query *q, enum verdict verdict,
      enum drop_reason reason)
{
	if (verdict == VERDICT_WAIT && sa_wait_put(w, m, q->policy, &q->flow))
		return;
	if (verdict == VERDICT_BYPASS) {
		burst_add(&w->leaving, m);
		return;
	}
	if (reason == DROP_POLICY_OUT && w->dp->config->spd.errors == ERRORS_ANSWER)
		icmp_error(w, m, ICMP_ERR_POLICY, 0);
	packet_drop(w, m, reason);
}

static void
ask_outbound(struct worker *w, struct asked *asked, const struct burst *b)
{
	asked->n = 0;
	for (unsigned int i = 0; i < b->n; i += burst_run(b, i))
		ask(w, asked, b->m[i], packet(b->m[i])->tenant, SPD_OUT);
}

/* A run that is not protected, but for errors that are. Returns where the next run begins. */
static unsigned int
leave_run(struct worker *w, struct burst *b, unsigned int i, unsigned int n,
	  const struct spd_query *q, enum verdict verdict, enum drop_reason reason)
{
	burst_part(b, i, n);
	for (; n > 0; n--) {
		if (q->policy == NULL && protect_error(w, b->m[i]))
			i++;
		else
			leave(w, burst_take(b, i), q, verdict, reason);
	}
	return i;
}

static inline bool
may_be_error(const struct packet *p)
{
	return p->proto == IPPROTO_ICMP || p->proto == IPPROTO_ICMPV6;
}

/* Leaves in the burst what is to be protected; what policy lets go in clear joins `leaving`. */
void
spd_stage(struct worker *w, struct burst *b)
{
	enum drop_reason reason = DROP_POLICY_OUT;
	struct sa *sa = NULL;
	struct asked asked;

	ask_outbound(w, &asked, b);
	spd_lookup_burst(w->dp->spd, asked.queries, asked.n);
	prefetch_sas(&asked);
	for (unsigned int i = 0, r = 0; i < b->n; r++) {
		const struct spd_query *q = &asked.queries[r];
		struct packet *p = packet(b->m[i]);
		enum verdict verdict = outbound_verdict(w, p, q, &sa, &reason);
		unsigned int run = burst_run(b, i);

		if (likely(verdict == VERDICT_PROTECT)) {
			p->sa = sa;
			i += run;
		} else if (verdict == VERDICT_BYPASS && (q->policy != NULL || !may_be_error(p))) {
			burst_append(&w->leaving, b, i, run);
			burst_cut(b, i, run);
		} else {
			i = leave_run(w, b, i, run, q, verdict, reason);
		}
	}
}
