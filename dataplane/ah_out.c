/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * AH outbound (RFC 4302 section 3.3), behind seq_reserve, which numbers packets of AH and of ESP
 * alike and puts the former on this list.
 */
#include <netinet/in.h>

#include <rte_ip.h>

#include "ah.h"
#include "esp.h"
#include "esp_mode.h"
#include "esp_outer.h"
#include "room.h"
#include "walk.h"
#include "worker.h"

/* Next header and number; length and SPI are the template's. The padding is zero. */
static void
write_ah(const struct sa *sa, struct ah_header *ah, uint8_t next_header, uint64_t seq)
{
	uint8_t *iv = (uint8_t *)(ah + 1);
	rte_be64_t count = rte_cpu_to_be_64(sa->iv_base + seq);

	ah->next_header = next_header;
	ah->seq = rte_cpu_to_be_32((uint32_t)seq);
	memset(iv, 0, sa_ah_len(sa) - sizeof(*ah));
	memcpy(iv, &count, sa->iv_len);
}

/* Tunnel mode. False where the mbuf has no room; it is unchanged then. */
static bool
tunnel_encap(struct worker *w, struct rte_mbuf *m)
{
	struct packet *p = packet(m);
	const struct sa *sa = p->sa;
	uint32_t front = sa->outer_len + sa_ah_len(sa) - (uint32_t)sizeof(struct ah_header);
	uint8_t next_header = p->family == FAMILY_V4 ? IPPROTO_IPIP : IPPROTO_IPV6;
	const uint8_t *inner = rte_pktmbuf_mtod(m, const uint8_t *);
	uint8_t *outer;

	if (rte_pktmbuf_headroom(m) < front)
		return false;
	outer = packet_prepend(m, (uint16_t)front);
	outer_write(w, sa, outer, (uint16_t)rte_pktmbuf_pkt_len(m), inner, p->family);
	p->family = sa->family;
	p->l4_off =
		sa->family == FAMILY_V4 ? sizeof(struct rte_ipv4_hdr) : sizeof(struct rte_ipv6_hdr);
	write_ah(sa, (struct ah_header *)(outer + p->l4_off), next_header, packet_seq(m));
	return true;
}

/* Transport mode, likewise: the packet's header moves forward, AH comes behind it. */
static bool
transport_encap(struct rte_mbuf *m)
{
	struct packet *p = packet(m);
	const struct sa *sa = p->sa;
	struct esp_front front = esp_transport_front(m, p);
	uint32_t len = sa_ah_len(sa);
	uint8_t *header = rte_pktmbuf_mtod(m, uint8_t *), *ah = header + front.len - len;
	uint8_t next_header = header[front.next_at];

	if (rte_pktmbuf_headroom(m) < len)
		return false;
	packet_prepend(m, (uint16_t)len);
	memmove(header - len, header, front.len);
	memcpy(ah, sa_outer(sa), sa->outer_len);
	write_ah(sa, (struct ah_header *)ah, next_header, packet_seq(m));
	esp_transport_mend(m, p->family, front.next_at, IPPROTO_AH);
	p->proto = IPPROTO_AH;
	p->l4_off = front.len;
	return true;
}

static bool
encap(struct worker *w, struct rte_mbuf *m)
{
	struct packet *p = packet(m);

	p->flow_hash = esp_flow_hash(p->sa);
	p->vrf = w->dp->ifaces[p->out].vrf;
	return p->sa->mode == SA_MODE_TUNNEL ? tunnel_encap(w, m) : transport_encap(m);
}

void
ah_encap(struct worker *w, struct burst *b)
{
	unsigned int kept = 0;

	burst_part(b, 0, b->n); /* each by itself from here on */
	for (unsigned int i = 0; i < b->n; i++) {
		if (encap(w, b->m[i]))
			b->m[kept++] = b->m[i];
		else
			packet_drop(w, b->m[i], DROP_NO_BUF);
	}
	b->n = (uint16_t)kept;
}

/* The ICV goes to its place. */
static void
prepare(const struct rte_mbuf *m, struct crypto_op *op)
{
	const struct packet *p = packet(m);

	op->icv = rte_pktmbuf_mtod_offset(m, uint8_t *, p->l4_off) + sizeof(struct ah_header) +
		  p->sa->iv_len;
}

/* Lifetimes count what the ICV covers. */
static void
finish(struct worker *w, struct rte_mbuf *m)
{
	struct packet *p = packet(m);

	sad_charge(w->dp->sad, w->id, p->sa, 1, rte_pktmbuf_pkt_len(m), w->now);
	w->count.sealed++;
	p->flags |= PACKET_SEALED;
	p->sa = NULL;
	burst_add(&w->leaving, m);
}

void
ah_seal(struct worker *w, struct burst *b)
{
	struct ah_front fronts[BURST_MAX];

	ah_hide(w, b, fronts, prepare);
	crypto_seal(w->crypto, w->ops, b->n);
	for (unsigned int i = 0; i < b->n; i++) {
		if (!w->ops[i].ok) {
			packet_drop(w, b->m[i], DROP_CRYPTO);
			continue;
		}
		ah_reveal(b->m[i], &fronts[i], &w->ops[i]);
		finish(w, b->m[i]);
	}
	b->n = 0;
}
