/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pmtu: makes a packet fit the way of its SA (RFC 4301 section 8): what would be too long once it
 * has been sealed is cut, before or after that, or answered with the MTU of the tunnel.
 */
#include "pmtu.h"
#include "esp_mode.h"
#include "fragment.h"
#include "icmp.h"
#include "walk.h"
#include "worker.h"

#define IPV6_MTU_MIN 1280u /* RFC 8200 section 5 */

uint32_t
pmtu_outer(const struct worker *w, struct sa *sa, uint16_t iface)
{
	uint32_t learnt = sa_path_mtu(sa, w->tsc), mtu;
	const struct iface *out = &w->dp->ifaces[iface];
	const struct nexthop *nh =
		fib_lookup(w->dp->fib, out->vrf, sa->family, &sa->dst, esp_flow_hash(sa));

	mtu = nh->iface == IFACE_NONE ? out->mtu : w->dp->ifaces[nh->iface].mtu;
	return learnt != 0 ? RTE_MIN(learnt, mtu) : mtu;
}

uint32_t
pmtu_inner(const struct worker *w, struct sa *sa, uint16_t iface)
{
	return esp_inner_mtu(sa, pmtu_outer(w, sa, iface));
}

uint32_t
pmtu_room(const struct worker *w, const struct rte_mbuf *m)
{
	const struct packet *p = packet(m);

	if (p->sa->mode == SA_MODE_TUNNEL)
		return pmtu_inner(w, p->sa, p->out);
	return esp_mode_mtu(m, pmtu_outer(w, p->sa, p->out));
}

/* Adds to the burst; a full one first goes the rest of the way. */
static void
add_or_flush(struct worker *w, struct burst *fit, struct rte_mbuf *m)
{
	if (burst_full(fit))
		walk_sealing(w, fit);
	burst_add(fit, m);
}

/*
 * The room that the SA of the packet before has, of outer packets and of inner ones; beside tunnel
 * mode the latter depends on each packet's headers. Which interface and path it is that sets it is
 * asked only for packets that do not fit every one of them.
 */
struct fit {
	const struct sa *sa;
	uint32_t everywhere;           /* bytes of an inner packet; 0 while a path MTU is known */
	uint32_t outer_mtu, inner_mtu; /* 0: not asked yet */
};

static inline bool
fits_this_way(const struct worker *w, const struct rte_mbuf *m, uint32_t len, struct fit *fit)
{
	const struct packet *p = packet(m);
	struct sa *sa = p->sa;

	if (fit->outer_mtu == 0) {
		fit->outer_mtu = pmtu_outer(w, sa, p->out);
		fit->inner_mtu = esp_inner_mtu(sa, fit->outer_mtu);
	}
	if (unlikely(sa->mode != SA_MODE_TUNNEL))
		fit->inner_mtu = esp_mode_mtu(m, fit->outer_mtu);
	return len <= fit->inner_mtu;
}

/* Whether a packet of `len` bytes, and otherwise like this one, fits. */
static inline bool
fits(const struct worker *w, const struct rte_mbuf *m, uint32_t len, struct fit *fit)
{
	struct sa *sa = packet(m)->sa;

	if (sa != fit->sa) {
		bool unknown = sa->mode == SA_MODE_TUNNEL && sa_path_mtu(sa, w->tsc) == 0;

		fit->sa = sa;
		fit->everywhere = unknown ? esp_inner_mtu(sa, w->dp->least_mtu) : 0;
		fit->outer_mtu = 0;
	}
	return likely(len <= fit->everywhere) || fits_this_way(w, m, len, fit);
}

/*
 * Whether the packet is sealed as it is and the outer one cut. IPv6 must get through up to 1280
 * bytes, however small the tunnel's own MTU (RFC 2473 section 7.1). The other modes are for whole
 * packets (RFC 4303 section 3.3.4), as long as IP has a length for what comes of them. Apart from
 * that it is a choice, where the outer DF bit allows it.
 */
static bool
cut_after(const struct worker *w, const struct rte_mbuf *m)
{
	const struct packet *p = packet(m);

	if ((p->flags & PACKET_MERGED) != 0)
		return false;
	if (p->family == FAMILY_V6 && rte_pktmbuf_pkt_len(m) <= IPV6_MTU_MIN)
		return true;
	if (p->sa->mode != SA_MODE_TUNNEL)
		return p->family == FAMILY_V4 && fragment_allowed(m) &&
		       rte_pktmbuf_pkt_len(m) <= esp_mode_mtu(m, UINT16_MAX);
	return w->dp->config->tunnels.fragment == FRAGMENT_AFTER &&
	       !esp_outer_df(p->sa->flags, rte_pktmbuf_mtod(m, const void *), p->family);
}

void
pmtu_cut_sealed(struct worker *w, uint32_t mtu)
{
	struct rte_mbuf *m = w->leaving.m[0], *parts[FRAGMENTS_MAX];
	unsigned int n;

	if (w->leaving.n == 0)
		return;
	burst_clear(&w->leaving);
	n = fragment_sealed(w, m, mtu, parts);
	if (n == 0)
		packet_drop(w, m, DROP_MTU);
	for (unsigned int i = 0; i < n; i++)
		burst_add(&w->leaving, parts[i]);
	walk_leave(w);
}

/*
 * Before it all that is ready goes: order is kept. It may not come back: dropped, or with the SA's
 * owner now, who comes here, too; or sealed later (spread.h), which cuts it then.
 */
static void
seal_and_cut(struct worker *w, struct burst *ready, struct rte_mbuf *m, uint32_t mtu)
{
	struct burst one = {.n = 1, .m = {m}};

	walk_sealing(w, ready);
	packet(m)->flags |= PACKET_TOO_LONG;
	walk_seal(w, &one);
	pmtu_cut_sealed(w, mtu);
}

/* Cut before it is sealed, or answered with the tunnel's MTU (RFC 4301 section 8.2.1). */
static void
cut_or_answer(struct worker *w, struct burst *ready, struct rte_mbuf *m, uint32_t mtu)
{
	struct rte_mbuf *parts[FRAGMENTS_MAX];
	unsigned int n = 0;

	if (fragment_allowed(m))
		n = fragment_packet(w, m, mtu, parts);
	else if (packet(m)->family == FAMILY_V6)
		icmp_error(w, m, ICMP_ERR_TOO_BIG, RTE_MAX(mtu, IPV6_MTU_MIN));
	else
		icmp_error(w, m, ICMP_ERR_TOO_BIG, mtu);
	if (n == 0)
		packet_drop(w, m, DROP_MTU);
	for (unsigned int i = 0; i < n; i++)
		add_or_flush(w, ready, parts[i]);
}

/* The packets from b->m[first] on, one by one. */
static void
fit_rest(struct worker *w, struct burst *b, unsigned int first, struct fit *fit)
{
	struct burst ready = {0};

	burst_part(b, first, b->n - first);
	burst_append(&ready, b, 0, first);
	for (unsigned int i = first; i < b->n; i++) {
		struct rte_mbuf *m = b->m[i];

		if (fits(w, m, rte_pktmbuf_pkt_len(m), fit))
			add_or_flush(w, &ready, m);
		else if (cut_after(w, m))
			seal_and_cut(w, &ready, m, fit->outer_mtu);
		else
			cut_or_answer(w, &ready, m, fit->inner_mtu);
	}
	*b = ready;
}

static inline uint32_t
longest(struct rte_mbuf *const *m, unsigned int n)
{
	uint32_t len = rte_pktmbuf_pkt_len(m[0]);

	for (unsigned int i = 1; i < n; i++)
		len = RTE_MAX(len, rte_pktmbuf_pkt_len(m[i]));
	return len;
}

/*
 * Fragments may be more than a burst holds: what is ready then goes through the rest of the walk,
 * in order, and the burst is filled again.
 */
void
pmtu(struct worker *w, struct burst *b)
{
	struct fit fit = {0};
	unsigned int run;

	for (unsigned int i = 0; i < b->n; i += run) {
		run = burst_run(b, i);
		if (unlikely(!fits(w, b->m[i], longest(b->m + i, run), &fit))) {
			fit_rest(w, b, i, &fit);
			return;
		}
	}
}
