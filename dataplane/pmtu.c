/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pmtu: makes a packet fit the way of its SA (RFC 4301 section 8): what is too long once it has
 * been sealed is cut before, or answered with the MTU of the tunnel.
 */
#include "esp.h"
#include "fragment.h"
#include "icmp.h"
#include "walk.h"
#include "worker.h"

/* The MTU of the interface by which the SA's outer packets leave. */
static uint32_t
outer_mtu(const struct worker *w, const struct packet *p)
{
	const struct iface *out = &w->dp->ifaces[p->out];
	const struct nexthop *nh =
		fib_lookup(w->dp->fib, out->vrf, p->sa->family, &p->sa->dst, esp_flow_hash(p->sa));

	return nh->iface == IFACE_NONE ? out->mtu : w->dp->ifaces[nh->iface].mtu;
}

/* Adds to the burst; a full one first goes the rest of the way. */
static void
add_or_flush(struct worker *w, struct burst *fit, struct rte_mbuf *m)
{
	if (burst_full(fit))
		walk_sealing(w, fit);
	burst_add(fit, m);
}

/* Too long for the tunnel: cut (RFC 4301 section 8.2.1), or answered with the tunnel's MTU. */
static void
fit_packet(struct worker *w, struct burst *fit, struct rte_mbuf *m, uint32_t inner_mtu)
{
	struct rte_mbuf *parts[FRAGMENTS_MAX];
	unsigned int n = 0;

	if (fragment_allowed(m))
		n = fragment_packet(w, m, inner_mtu, parts);
	else
		icmp_error(w, m, ICMP_ERR_TOO_BIG, inner_mtu);
	if (n == 0)
		packet_drop(w, m, DROP_MTU);
	for (unsigned int i = 0; i < n; i++)
		add_or_flush(w, fit, parts[i]);
}

/* The largest inner packet of the SA of the packet before. */
struct fit {
	const struct sa *sa;
	uint32_t inner_mtu;
};

static bool
fits(const struct worker *w, const struct rte_mbuf *m, struct fit *fit)
{
	const struct packet *p = packet(m);

	if (p->sa != fit->sa) {
		fit->sa = p->sa;
		fit->inner_mtu = esp_inner_mtu(p->sa, outer_mtu(w, p));
	}
	return rte_pktmbuf_pkt_len(m) <= fit->inner_mtu;
}

/* The packets from b->m[first] on, the first of which is too long. */
static void
fit_rest(struct worker *w, struct burst *b, unsigned int first, struct fit *fit)
{
	struct burst ready = {.n = (uint16_t)first};

	memcpy(ready.m, b->m, first * sizeof(b->m[0]));
	for (unsigned int i = first; i < b->n; i++) {
		struct rte_mbuf *m = b->m[i];

		if (fits(w, m, fit))
			add_or_flush(w, &ready, m);
		else
			fit_packet(w, &ready, m, fit->inner_mtu);
	}
	*b = ready;
}

/*
 * Fragmentation comes before encryption. Fragments may be more than a burst holds: what is ready
 * then goes through the rest of the walk, in order, and the burst is filled again.
 */
void
pmtu(struct worker *w, struct burst *b)
{
	struct fit fit = {NULL, 0};
	unsigned int i = 0;

	while (i < b->n && fits(w, b->m[i], &fit))
		i++;
	if (unlikely(i < b->n))
		fit_rest(w, b, i, &fit);
}
