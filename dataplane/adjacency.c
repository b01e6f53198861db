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

/* Where the packet before went: the next one mostly goes the same way. */
struct way {
	const struct nexthop *nh; /* NULL: nowhere yet */
	union ip_addr dst;        /* without a gateway, this is the neighbour */
	uint8_t family;
	struct l2 l2;
};

static bool
is_same_way(const struct way *way, const struct packet *p, const union ip_addr *dst)
{
	return way->nh == p->nh && way->family == p->family &&
	       (p->nh->type == NEXTHOP_GATEWAY || ip_addr_equal(&way->dst, dst));
}

/* The route's next hop, or looked up (again) where the packet waited or was sealed. */
static const struct nexthop *
find_next_hop(const struct worker *w, const struct packet *p, const union ip_addr *dst)
{
	if ((p->flags & PACKET_SEALED) == 0 && p->nh != NULL)
		return p->nh;
	return fib_lookup(w->dp->fib, p->vrf, p->family, dst, p->flow_hash);
}

static enum drop_reason
check_next_hop(const struct worker *w, const struct packet *p)
{
	switch (p->nh->type) {
	case NEXTHOP_GATEWAY:
	case NEXTHOP_CONNECTED:
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
	if ((p->flags & PACKET_SEALED) == 0 && p->out != p->nh->iface &&
	    w->dp->ifaces[p->nh->iface].side == SIDE_UNPROTECTED)
		return DROP_NO_ROUTE;
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

/* The way of a packet by its neighbour. False where there is none yet: it waits. */
static bool
find_way(struct worker *w, struct burst *b, unsigned int i, const union ip_addr *dst,
	 struct way *way)
{
	struct packet *p = packet(b->m[i]);
	bool gateway = p->nh->type == NEXTHOP_GATEWAY;
	const union ip_addr *hop = gateway ? &p->nh->gateway : dst;
	uint8_t hop_family = gateway ? p->nh->gateway_family : p->family;
	struct neigh *neigh = neigh_lookup(w->dp->neighs, p->out, hop_family, hop);
	const struct iface *out = &w->dp->ifaces[p->out];

	way->nh = NULL;
	if (unlikely(neigh == NULL)) {
		burst_part(b, i, 1);
		wait_for(w, b->m[i], p, hop, hop_family);
		return false;
	}
	/* Relaxed: a hint for the control thread; read first, so that the line stays shared. */
	if (!atomic_load_explicit(&neigh->used, memory_order_relaxed))
		atomic_store_explicit(&neigh->used, true, memory_order_relaxed);
	way->nh = p->nh;
	way->dst = *dst;
	way->family = p->family;
	l2_begin(&way->l2, &neigh->mac, &out->mac);
	l2_end(&way->l2, out,
	       p->family == FAMILY_V4 ? RTE_BE16(RTE_ETHER_TYPE_IPV4)
				      : RTE_BE16(RTE_ETHER_TYPE_IPV6));
	return true;
}

/* The header for a run, in way->l2. False where its first went another way: dropped, or waiting. */
static bool
find_l2(struct worker *w, struct burst *b, unsigned int i, struct way *way)
{
	struct packet *p = packet(b->m[i]);
	union ip_addr dst;
	enum drop_reason reason;

	if ((p->flags & (PACKET_FROM_HOST | PACKET_SEALED)) == PACKET_FROM_HOST) {
		way->nh = NULL;
		l2_from_host(&way->l2, b->m[i], p, &w->dp->ifaces[p->out]);
		return true;
	}
	dst = ip_dst(b->m[i]);
	p->nh = find_next_hop(w, p, &dst);
	reason = check_next_hop(w, p);
	if (unlikely(reason != DROP_COUNT)) {
		burst_part(b, i, 1);
		packet_drop(w, b->m[i], reason);
		return false;
	}
	p->out = p->nh->iface;
	return is_same_way(way, p, &dst) || find_way(w, b, i, &dst, way);
}

/* False, and nothing is changed, where there is no room in front. */
static inline bool
put_l2(struct rte_mbuf *m, const struct l2 *l2)
{
	uint8_t *at = packet_widen(m, l2->len, 0);

	if (unlikely(at == NULL))
		return false;
	/* In two words that overlap, and for a tag a third. */
	memcpy(at, l2->bytes, sizeof(uint64_t));
	if (unlikely(l2->len != RTE_ETHER_HDR_LEN))
		memcpy(at + 4, l2->bytes + 4, sizeof(uint64_t));
	memcpy(at + l2->len - sizeof(uint64_t), l2->bytes + l2->len - sizeof(uint64_t),
	       sizeof(uint64_t));
	return true;
}

/* Longer than the interface takes: cut and sent, or answered and dropped. */
static void
send_cut(struct worker *w, struct rte_mbuf *m, const struct iface *out, const struct l2 *l2)
{
	struct rte_mbuf *parts[FRAGMENTS_MAX];
	unsigned int n = 0, count = 0;

	if (fragment_allowed(m))
		n = fragment_packet(w, m, out->mtu, parts);
	else
		icmp_error(w, m, ICMP_ERR_TOO_BIG, out->mtu);
	if (n == 0)
		packet_drop(w, m, DROP_MTU);
	for (unsigned int i = 0; i < n; i++) {
		if (put_l2(parts[i], l2))
			parts[count++] = parts[i];
		else
			packet_drop(w, parts[i], DROP_NO_BUF);
	}
	tx_frames(w, out->number, parts, count);
}

/* What the interface does not take as it is. */
static void
leave_otherwise(struct worker *w, struct rte_mbuf *m, const struct iface *out, bool up,
		const struct l2 *l2)
{
	if (!up)
		packet_drop(w, m, DROP_PORT_DOWN);
	else if (rte_pktmbuf_pkt_len(m) <= out->mtu)
		packet_drop(w, m, DROP_NO_BUF);
	else
		send_cut(w, m, out, l2);
}

/* What is ready of a burst, and leaves together: its frames from `first` on. */
struct ready {
	unsigned int first;
	uint16_t out;
};

/* All in front of `end`. */
static inline void
send_ready(struct worker *w, struct burst *b, struct ready *ready, unsigned int end)
{
	if (end > ready->first)
		tx_frames(w, ready->out, b->m + ready->first, end - ready->first);
	ready->first = end;
}

/* A run goes one way, in its order. */
static void
leave(struct worker *w, struct burst *b, unsigned int i, unsigned int n, const struct l2 *l2,
      struct ready *ready)
{
	const struct iface *out = &w->dp->ifaces[packet(b->m[i])->out];
	/* Relaxed: seen a poll later at worst. */
	bool up = atomic_load_explicit(&out->up, memory_order_relaxed);
	uint32_t longest = up ? out->mtu : 0;

	if (unlikely(out->number != ready->out)) {
		send_ready(w, b, ready, i);
		ready->out = out->number;
	}
	for (unsigned int end = i + n; i < end; i++) {
		if (likely(rte_pktmbuf_pkt_len(b->m[i]) <= longest && put_l2(b->m[i], l2)))
			continue;
		burst_part(b, i, 1);
		send_ready(w, b, ready, i);
		leave_otherwise(w, b->m[i], out, up, l2);
		ready->first = i + 1;
	}
}

/* The last of the walk. */
void
adjacency(struct worker *w, struct burst *b)
{
	struct ready ready = {.out = IFACE_NONE};
	unsigned int run;
	struct way way;

	way.nh = NULL;
	for (unsigned int i = 0; i < b->n; i += run) {
		run = burst_run(b, i);
		if (likely(find_l2(w, b, i, &way))) {
			leave(w, b, i, run, &way.l2, &ready);
		} else {
			send_ready(w, b, &ready, i);
			ready.first = i + 1;
			run = 1;
		}
	}
	send_ready(w, b, &ready, b->n);
	burst_clear(b);
}
