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

/* The next hop of the packet before, and all that chose it. */
struct before {
	const struct nexthop *nh; /* NULL: there was none */
	union ip_addr dst;
	uint32_t flow_hash;
	uint16_t vrf;
	uint16_t flags;
	uint8_t family;
};

static const struct nexthop *
find_same_route(const struct worker *w, const struct packet *p, const union ip_addr *dst,
		struct before *before)
{
	uint16_t flags = p->flags & PACKET_DECRYPTED;

	if (before->nh == NULL || before->flow_hash != p->flow_hash || before->vrf != p->vrf ||
	    before->flags != flags || before->family != p->family ||
	    !ip_addr_equal(&before->dst, dst))
		*before = (struct before){.nh = find_route(w, p, dst),
					  .dst = *dst,
					  .flow_hash = p->flow_hash,
					  .vrf = p->vrf,
					  .flags = flags,
					  .family = p->family};
	return before->nh;
}

void
route(struct worker *w, struct burst *b)
{
	struct before before = {0};

	for (unsigned int i = 0; i < b->n; i++) {
		struct packet *p = packet(b->m[i]);
		union ip_addr dst = ip_dst(b->m[i]);

		p->nh = find_same_route(w, p, &dst, &before);
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

/* Whether the route, and the addresses, let the packet be forwarded; if not, why. */
static enum drop_reason
check_route(struct worker *w, struct rte_mbuf *m, const struct packet *p)
{
	union ip_addr addr = ip_dst(m);

	if (unlikely((p->flags & PACKET_L2_GROUP) != 0 || ip_addr_is_group(p->family, &addr)))
		return DROP_MULTICAST;
	switch (p->nh->type) {
	case NEXTHOP_GATEWAY:
	case NEXTHOP_CONNECTED:
		break;
	case NEXTHOP_BLACKHOLE:
		return DROP_BLACKHOLE;
	case NEXTHOP_UNREACHABLE:
		icmp_error(w, m, ICMP_ERR_HOST, 0);
		return DROP_UNREACHABLE;
	case NEXTHOP_PROHIBIT:
		icmp_error(w, m, ICMP_ERR_POLICY, 0);
		return DROP_UNREACHABLE;
	default:
		icmp_error(w, m, ICMP_ERR_NO_ROUTE, 0);
		return DROP_NO_ROUTE;
	}
	addr = ip_src(m);
	if (unlikely(ip_addr_is_link_local(p->family, &addr)))
		return DROP_MARTIAN;
	return DROP_COUNT;
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

void
forward(struct worker *w, struct burst *b)
{
	for (unsigned int i = 0; i < b->n; i++) {
		struct rte_mbuf *m = b->m[i];
		struct packet *p = packet(m);
		enum drop_reason reason;

		if (unlikely((p->flags & PACKET_LOCAL) != 0)) {
			to_host(w, m, p);
			continue;
		}
		reason = check_route(w, m, p);
		if (unlikely(reason != DROP_COUNT)) {
			packet_drop(w, m, reason);
			continue;
		}
		if ((p->flags & PACKET_ICMP_ERROR) == 0 && unlikely(!count_hop(m, p))) {
			icmp_error(w, m, ICMP_ERR_TTL, 0);
			packet_drop(w, m, DROP_TTL);
			continue;
		}
		/* Direction is decided here. */
		if (w->dp->ifaces[p->out].side == SIDE_UNPROTECTED)
			burst_add(&w->outbound, m);
		else
			burst_add(&w->leaving, m);
	}
	b->n = 0;
}
