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
	const struct nexthop *nh = NULL;
	uint16_t out = IFACE_NONE, flags = 0;
	uint32_t run = 0;

	for (unsigned int i = 0; i < b->n; i++) {
		struct packet *p = packet(b->m[i]);

		if (!packet_is_like(p, run)) {
			union ip_addr dst = ip_dst(b->m[i]);

			run = p->run;
			nh = find_route(w, p, &dst);
			out = nh->iface;
			flags = nh->type == NEXTHOP_LOCAL || nh->type == NEXTHOP_BROADCAST
					? PACKET_LOCAL
					: 0;
		}
		p->nh = nh;
		p->out = out;
		p->flags |= flags;
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
static bool
count_hop(struct rte_mbuf *m, struct packet *p)
{
	if (p->family == FAMILY_V4) {
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
	p->flags |= PACKET_FORWARDED;
	return true;
}

/* What is so of all packets that are alike. */
struct way {
	struct burst *to; /* where they go on; NULL where they are not forwarded */
	bool local;
	enum drop_reason reason; /* else */
	enum icmp_error error;
};

/* Direction is decided here. */
static void
find_way(struct worker *w, const struct rte_mbuf *m, const struct packet *p, struct way *way)
{
	way->to = NULL;
	way->local = (p->flags & PACKET_LOCAL) != 0;
	if (unlikely(way->local))
		return;
	way->reason = check_route(m, p, &way->error);
	if (likely(way->reason == DROP_COUNT))
		way->to =
			w->dp->ifaces[p->out].side == SIDE_UNPROTECTED ? &w->outbound : &w->leaving;
}

void
forward(struct worker *w, struct burst *b)
{
	struct way way = {.error = ICMP_ERR_NO_ROUTE};
	uint32_t run = 0;

	for (unsigned int i = 0; i < b->n; i++) {
		struct rte_mbuf *m = b->m[i];
		struct packet *p = packet(m);

		if (!packet_is_like(p, run)) {
			run = p->run;
			find_way(w, m, p, &way);
		}
		if (unlikely(way.to == NULL)) {
			if (way.local)
				to_host(w, m, p);
			else
				refuse(w, m, way.reason, way.error);
		} else if ((p->flags & PACKET_ICMP_ERROR) == 0 && unlikely(!count_hop(m, p))) {
			icmp_error(w, m, ICMP_ERR_TTL, 0);
			packet_drop(w, m, DROP_TTL);
		} else {
			burst_add(way.to, m);
		}
	}
	b->n = 0;
}
