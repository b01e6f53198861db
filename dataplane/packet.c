/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ways in which a packet leaves the line (worker.h). Each is counted exactly once, here, which
 * is what makes the equation of the counters hold.
 */
#include <rte_ip.h>

#include "ip_parse.h"
#include "room.h"
#include "waiting.h"
#include "worker.h"

void
packet_drop(struct worker *w, struct rte_mbuf *m, enum drop_reason reason)
{
	w->count.drops[reason]++;
	rte_pktmbuf_free(m);
}

void
packet_consume(struct worker *w, struct rte_mbuf *m)
{
	w->count.consumed++;
	rte_pktmbuf_free(m);
}

/* Puts an untagged Ethernet header in front: the received one's addresses, or made-up ones. */
static bool
put_host_l2(struct rte_mbuf *m, const struct packet *p, const struct iface *iface)
{
	static const struct rte_ether_addr from_us = {{0x02, 0, 0, 0, 0, 0x01}};
	uint8_t *ip = rte_pktmbuf_mtod(m, uint8_t *);
	struct rte_ether_hdr *eth;

	/* The type stands where it did, in front of the packet. */
	if (p->l2_len != 0)
		memmove(ip - RTE_ETHER_HDR_LEN, ip - p->l2_len, 2 * RTE_ETHER_ADDR_LEN);
	eth = packet_prepend(m, RTE_ETHER_HDR_LEN);
	if (eth == NULL || p->l2_len != 0)
		return eth != NULL;
	eth->dst_addr = iface->mac;
	eth->src_addr = from_us;
	eth->ether_type = p->family == FAMILY_V4 ? RTE_BE16(RTE_ETHER_TYPE_IPV4)
						 : RTE_BE16(RTE_ETHER_TYPE_IPV6);
	return true;
}

/* Who sent it: an address, or, where it is not IP, a MAC address. */
static uint64_t
sender(const struct rte_mbuf *m, const struct packet *p)
{
	const struct rte_ether_hdr *eth;
	union ip_addr src = {0};

	if (p->family != 0) {
		src = ip_src(m);
	} else if (p->l2_len != 0) {
		eth = (const struct rte_ether_hdr *)(rte_pktmbuf_mtod(m, const uint8_t *) -
						     p->l2_len);
		memcpy(src.bytes, &eth->src_addr, sizeof(eth->src_addr));
	}
	return chash_mix(src.u64[0], src.u64[1] ^ p->vrf);
}

void
packet_punt(struct worker *w, struct rte_mbuf *m)
{
	const struct packet *p = packet(m);
	bool by_address = (p->flags & PACKET_DECRYPTED) != 0 && p->out != IFACE_NONE;
	const struct iface *iface = &w->dp->ifaces[by_address ? p->out : p->in];

	if (unlikely(!source_rate_take(&w->punt_rate, sender(m, p), w->tsc))) {
		packet_drop(w, m, DROP_PUNT_RATE);
		return;
	}
	if (!put_host_l2(m, p, iface)) {
		packet_drop(w, m, DROP_NO_BUF);
		return;
	}
	if (iface->to_host == NULL || rte_ring_enqueue(iface->to_host, m) != 0) {
		packet_drop(w, m, DROP_HOST_QUEUE);
		return;
	}
	w->count.punted++;
	w->count.iface[iface->number].punted++;
}

void
packet_handover(struct worker *w, struct rte_mbuf *m, unsigned int to, enum resume resume)
{
	struct packet *p = packet(m);

	p->resume = (uint8_t)resume;
	p->sa = NULL;
	p->nh = NULL;
	if (rte_ring_enqueue(w->dp->workers[to]->inbox, m) != 0)
		packet_drop(w, m, DROP_HANDOVER);
	else
		w->count.held++;
}

void
packet_wait(struct worker *w, struct rte_mbuf *m)
{
	if (waiting_put(w->dp, m))
		w->count.held++;
	else
		packet_drop(w, m, DROP_NO_NEIGHBOUR);
}
