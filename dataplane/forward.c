/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * route and forward: where a clear packet goes, received so or decrypted. Between the two stands
 * the inbound policy (spd_check), so that an ICMP error tells nothing to who may not pass.
 */
#include <netinet/in.h>

#include <rte_ip.h>
#include <rte_udp.h>

#include "checksum.h"
#include "icmp.h"
#include "ip_parse.h"
#include "natt.h"
#include "path_mtu.h"
#include "walk.h"
#include "worker.h"

#define NAT_T_KEEPALIVE 0xff /* RFC 3948 section 2.3 */

/* Multicast that only the link's hosts listen to needs no route: ours listens too. */
static const struct nexthop link_group = {.type = NEXTHOP_BROADCAST, .iface = IFACE_NONE};
static const struct nexthop no_route = {.type = NEXTHOP_NONE, .iface = IFACE_NONE};

static const struct nexthop *
find_route(const struct worker *w, const struct packet *p, const union ip_addr *dst)
{
	bool decrypted = (p->flags & PACKET_DECRYPTED) != 0;

	if (unlikely(ip_addr_is_group(p->family, dst) || ip_addr_is_link_local(p->family, dst))) {
		/* Link-local addresses mean the link that the packet came by (RFC 4291 2.5.6). */
		if (!decrypted && (ip_addr_is_link_group(p->family, dst) ||
				   ip_addr_is_link_local(p->family, dst)))
			return &link_group;
		return &no_route;
	}
	return fib_lookup(w->dp->fib, p->vrf, p->family, dst, p->flow_hash);
}

void
route(struct worker *w, struct burst *b)
{
	for (unsigned int i = 0; i < b->n; i += burst_run(b, i)) {
		struct packet *p = packet(b->m[i]);
		union ip_addr dst = ip_dst(b->m[i]);

		p->nh = find_route(w, p, &dst);
		p->out = p->nh->iface;
		if (p->nh->type == NEXTHOP_LOCAL || p->nh->type == NEXTHOP_BROADCAST)
			p->flags |= PACKET_LOCAL;
	}
}

/*
 * UDP to a port of encapsulation that is not ESP: IKE behind its marker, keepalives, and what is
 * neither. ESP in UDP without an SA never gets here.
 */
static enum drop_reason
check_nat_t(const struct worker *w, const struct rte_mbuf *m, const struct packet *p,
	    bool *keepalive)
{
	uint32_t len = rte_pktmbuf_data_len(m) - p->l4_off, udp_len;
	const struct rte_udp_hdr *udp =
		rte_pktmbuf_mtod_offset(m, const struct rte_udp_hdr *, p->l4_off);

	if (p->proto != IPPROTO_UDP || p->fragment != 0 || len < 4 ||
	    !natt_is_port(w->dp, udp->dst_port))
		return DROP_COUNT;
	if (len < sizeof(*udp))
		return DROP_UDP_LEN;
	udp_len = rte_be_to_cpu_16(udp->dgram_len);
	if (udp_len < sizeof(*udp) || udp_len > len)
		return DROP_UDP_LEN;
	udp_len -= (uint32_t)sizeof(*udp);
	if (udp_len >= 4 || udp_len == 0)
		return DROP_COUNT;
	*keepalive = udp_len == 1 && *(const uint8_t *)(udp + 1) == NAT_T_KEEPALIVE;
	return *keepalive ? DROP_COUNT : DROP_NATT_SHORT;
}

static void
to_host(struct worker *w, struct rte_mbuf *m, const struct packet *p)
{
	bool keepalive = false;
	enum drop_reason reason = check_nat_t(w, m, p, &keepalive);

	/* A peer is not on the link, whatever hop limit it writes (RFC 4861 section 7.1). */
	if ((p->flags & PACKET_DECRYPTED) != 0 && ip_is_nd(m))
		reason = DROP_MARTIAN;
	if (reason != DROP_COUNT)
		packet_drop(w, m, reason);
	else if (keepalive || path_mtu_learn(w, m))
		packet_consume(w, m);
	else
		packet_punt(w, m);
}

/*
 * Whether the route, and the addresses, let the packet be forwarded; if not, why, and *error where
 * its sender is told.
 */
static enum drop_reason
check_route(const struct rte_mbuf *m, const struct packet *p, enum icmp_error *error)
{
	union ip_addr addr;

	if (likely(p->nh->type == NEXTHOP_GATEWAY || p->nh->type == NEXTHOP_CONNECTED)) {
		if (unlikely((p->flags & PACKET_L2_GROUP) != 0))
			return DROP_MULTICAST;
		if (likely(p->family == FAMILY_V4))
			return DROP_COUNT;
		addr = ip_src(m);
		return ip_addr_is_link_local(p->family, &addr) ? DROP_MARTIAN : DROP_COUNT;
	}
	/* Groups have no route. */
	addr = ip_dst(m);
	if ((p->flags & PACKET_L2_GROUP) != 0 || ip_addr_is_group(p->family, &addr))
		return DROP_MULTICAST;
	switch (p->nh->type) {
	case NEXTHOP_BLACKHOLE:
		return DROP_BLACKHOLE;
	case NEXTHOP_UNREACHABLE:
		*error = ICMP_ERR_HOST;
		return DROP_UNREACHABLE;
	case NEXTHOP_PROHIBIT:
		*error = ICMP_ERR_POLICY;
		return DROP_UNREACHABLE;
	default:
		*error = ICMP_ERR_NO_ROUTE;
		return DROP_NO_ROUTE;
	}
}

static void
refuse(struct worker *w, struct rte_mbuf *m, enum drop_reason reason, enum icmp_error error)
{
	if (reason == DROP_UNREACHABLE || reason == DROP_NO_ROUTE)
		icmp_error(w, m, error, 0);
	packet_drop(w, m, reason);
}

/* One less in TTL or hop limit (RFC 1812 section 5.3.1); false where none is left. */
static inline bool
count_hop(struct rte_mbuf *m, uint8_t family)
{
	if (likely(family == FAMILY_V4)) {
		struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, struct rte_ipv4_hdr *);

		if (ip->time_to_live <= 1)
			return false;
		checksum_ttl_decrement(ip);
	} else {
		struct rte_ipv6_hdr *ip = rte_pktmbuf_mtod(m, struct rte_ipv6_hdr *);

		if (ip->hop_limits <= 1)
			return false;
		ip->hop_limits--;
	}
	return true;
}

/* Packets of a burst that go on together: those from `first` on. */
struct going {
	struct burst *to;
	unsigned int first;
};

/* All in front of `end`; what comes next goes on from `next` on. */
static inline void
go(struct going *going, const struct burst *b, unsigned int end, unsigned int next)
{
	if (end > going->first)
		burst_append(going->to, b, going->first, end - going->first);
	going->first = next;
}

/* A run that goes on, but for those that have come too far. */
static inline void
forward_run(struct worker *w, struct burst *b, unsigned int i, unsigned int n, struct going *going)
{
	uint8_t family = packet(b->m[i])->family;

	if (unlikely((packet(b->m[i])->flags & PACKET_ICMP_ERROR) != 0))
		return;
	for (unsigned int end = i + n; i < end; i++) {
		if (likely(count_hop(b->m[i], family)))
			continue;
		burst_part(b, i, 1);
		go(going, b, i, i + 1);
		icmp_error(w, b->m[i], ICMP_ERR_TTL, 0);
		packet_drop(w, b->m[i], DROP_TTL);
	}
}

/* A run that is for the host, or goes nowhere. Each gets its own answer. */
static void
end_run(struct worker *w, struct burst *b, unsigned int i, unsigned int n, enum drop_reason reason,
	enum icmp_error error)
{
	burst_part(b, i, n);
	for (unsigned int k = i; k < i + n; k++) {
		const struct packet *p = packet(b->m[k]);

		if ((p->flags & PACKET_LOCAL) != 0)
			to_host(w, b->m[k], p);
		else
			refuse(w, b->m[k], reason, error);
	}
}

/* Direction is decided here. */
void
forward(struct worker *w, struct burst *b)
{
	struct going going = {.to = &w->outbound};
	unsigned int run;

	for (unsigned int i = 0; i < b->n; i += run) {
		const struct packet *p = packet(b->m[i]);
		bool local = (p->flags & PACKET_LOCAL) != 0;
		enum icmp_error error = ICMP_ERR_NO_ROUTE;
		enum drop_reason reason = local ? DROP_COUNT : check_route(b->m[i], p, &error);
		struct burst *to;

		run = burst_run(b, i);
		if (unlikely(local || reason != DROP_COUNT)) {
			go(&going, b, i, i + run);
			end_run(w, b, i, run, reason, error);
			continue;
		}
		to = w->dp->ifaces[p->out].side == SIDE_UNPROTECTED ? &w->outbound : &w->leaving;
		if (unlikely(to != going.to)) {
			go(&going, b, i, i);
			going.to = to;
		}
		forward_run(w, b, i, run, &going);
	}
	go(&going, b, b->n, b->n);
	burst_clear(b);
}
