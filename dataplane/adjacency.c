/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * adjacency: the last of IP. Finds the next hop's Ethernet address, makes the packet fit the
 * interface it leaves by, and puts the Ethernet header in front.
 */
#include <rte_ethdev.h>
#include <rte_ip.h>

#include "fragment.h"
#include "icmp.h"
#include "ip_parse.h"
#include "room.h"
#include "walk.h"
#include "worker.h"

struct l2 { /* what stands in front of each part of a packet */
	uint8_t bytes[RTE_ETHER_HDR_LEN + sizeof(struct rte_vlan_hdr)];
	uint16_t len;
};

static void
l2_begin(struct l2 *l2, const struct rte_ether_addr *dst, const struct rte_ether_addr *src)
{
	memcpy(l2->bytes, dst, RTE_ETHER_ADDR_LEN);
	memcpy(l2->bytes + RTE_ETHER_ADDR_LEN, src, RTE_ETHER_ADDR_LEN);
	l2->len = 2 * RTE_ETHER_ADDR_LEN;
}

static void
l2_word(struct l2 *l2, rte_be16_t word)
{
	memcpy(l2->bytes + l2->len, &word, sizeof(word));
	l2->len += (uint16_t)sizeof(word);
}

static void
l2_end(struct l2 *l2, const struct iface *out, rte_be16_t type)
{
	if (out->vlan != 0) {
		l2_word(l2, RTE_BE16(RTE_ETHER_TYPE_VLAN));
		l2_word(l2, rte_cpu_to_be_16(out->vlan));
	}
	l2_word(l2, type);
}

/* The kernel's own header, which stands in front of what it sent, with the sub-port's tag. */
static void
l2_from_host(struct l2 *l2, const struct rte_mbuf *m, const struct packet *p,
	     const struct iface *out)
{
	const struct rte_ether_hdr *eth =
		(const struct rte_ether_hdr *)(rte_pktmbuf_mtod(m, const uint8_t *) - p->l2_len);

	l2_begin(l2, &eth->dst_addr, &eth->src_addr);
	l2_end(l2, out, eth->ether_type);
}

/* The next hop: route's, or looked up (again) where the packet waited or was sealed. */
static enum drop_reason
find_next_hop(const struct worker *w, const struct rte_mbuf *m, struct packet *p,
	      union ip_addr *hop, uint8_t *hop_family)
{
	bool sealed = (p->flags & PACKET_SEALED) != 0;
	union ip_addr dst = ip_dst(m);

	if (sealed || p->nh == NULL)
		p->nh = fib_lookup(w->dp->fib, p->vrf, p->family, &dst, p->flow_hash);
	switch (p->nh->type) {
	case NEXTHOP_GATEWAY:
		*hop = p->nh->gateway;
		*hop_family = p->nh->gateway_family;
		break;
	case NEXTHOP_CONNECTED:
		*hop = dst;
		*hop_family = p->family;
		break;
	case NEXTHOP_BLACKHOLE:
		return DROP_BLACKHOLE;
	case NEXTHOP_UNREACHABLE:
	case NEXTHOP_PROHIBIT:
		return DROP_UNREACHABLE;
	default: /* a tunnel to ourselves ends here, too */
		return DROP_NO_ROUTE;
	}
	/* A clear packet passed policy for the interface it had: it may not move to another side.
	 */
	if (!sealed && p->out != p->nh->iface &&
	    w->dp->ifaces[p->nh->iface].side == SIDE_UNPROTECTED)
		return DROP_NO_ROUTE;
	p->out = p->nh->iface;
	return DROP_COUNT;
}

static void
wait_for(struct worker *w, struct rte_mbuf *m, struct packet *p, const union ip_addr *hop,
	 uint8_t hop_family)
{
	p->next_hop = *hop;
	p->next_hop_family = hop_family;
	packet_wait(w, m);
}

/* The header for a packet. False where it went another way: dropped, or waiting. */
static bool
find_l2(struct worker *w, struct rte_mbuf *m, struct packet *p, struct l2 *l2)
{
	union ip_addr hop;
	uint8_t hop_family;
	struct neigh *neigh;
	const struct iface *out;
	enum drop_reason reason;

	if ((p->flags & (PACKET_FROM_HOST | PACKET_SEALED)) == PACKET_FROM_HOST) {
		l2_from_host(l2, m, p, &w->dp->ifaces[p->out]);
		return true;
	}
	reason = find_next_hop(w, m, p, &hop, &hop_family);
	if (unlikely(reason != DROP_COUNT)) {
		packet_drop(w, m, reason);
		return false;
	}
	neigh = neigh_lookup(w->dp->neighs, p->out, hop_family, &hop);
	if (unlikely(neigh == NULL)) {
		wait_for(w, m, p, &hop, hop_family);
		return false;
	}
	/* Relaxed: a hint for the control thread; read first, so that the line stays shared. */
	if (!atomic_load_explicit(&neigh->used, memory_order_relaxed))
		atomic_store_explicit(&neigh->used, true, memory_order_relaxed);
	out = &w->dp->ifaces[p->out];
	l2_begin(l2, &neigh->mac, &out->mac);
	l2_end(l2, out,
	       p->family == FAMILY_V4 ? RTE_BE16(RTE_ETHER_TYPE_IPV4)
				      : RTE_BE16(RTE_ETHER_TYPE_IPV6));
	return true;
}

/* False, and dropped, where a foreign buffer left no room in front. */
static bool
put_l2(struct worker *w, struct rte_mbuf *m, const struct l2 *l2)
{
	void *at = packet_prepend(m, l2->len);

	if (unlikely(at == NULL)) {
		packet_drop(w, m, DROP_NO_BUF);
		return false;
	}
	memcpy(at, l2->bytes, l2->len);
	return true;
}

/* Longer than the interface takes: cut and sent at once, or answered and dropped. */
static void
send_cut(struct worker *w, struct rte_mbuf *m, uint16_t mtu, const struct l2 *l2)
{
	struct rte_mbuf *parts[FRAGMENTS_MAX];
	struct burst b = {0};
	unsigned int n = 0;

	if (fragment_allowed(m))
		n = fragment_packet(w, m, mtu, parts);
	else
		icmp_error(w, m, ICMP_ERR_TOO_BIG, mtu);
	if (n == 0)
		packet_drop(w, m, DROP_MTU);
	for (unsigned int i = 0; i < n; i++)
		if (put_l2(w, parts[i], l2))
			burst_add(&b, parts[i]);
	tx(w, &b);
}

void
adjacency(struct worker *w, struct burst *b)
{
	struct burst ready = {0};

	for (unsigned int i = 0; i < b->n; i++) {
		struct rte_mbuf *m = b->m[i];
		struct packet *p = packet(m);
		struct l2 l2;

		if (!find_l2(w, m, p, &l2))
			continue;
		/* Relaxed: seen a poll later at worst. */
		if (unlikely(!atomic_load_explicit(&w->dp->ifaces[p->out].up,
						   memory_order_relaxed))) {
			packet_drop(w, m, DROP_PORT_DOWN);
			continue;
		}
		if (unlikely(rte_pktmbuf_pkt_len(m) > w->dp->ifaces[p->out].mtu)) {
			/* What is ready goes first: order is kept. */
			tx(w, &ready);
			send_cut(w, m, w->dp->ifaces[p->out].mtu, &l2);
		} else if (put_l2(w, m, &l2)) {
			burst_add(&ready, m);
		}
	}
	b->n = ready.n;
	memcpy(b->m, ready.m, ready.n * sizeof(ready.m[0]));
}
