/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ESP outbound (RFC 4303 section 3.3), after the policy chose the SA and pmtu.c made the packet
 * fit: number it, and write trailer and headers around it. The crypto follows in crypto_stage.c.
 */
#include <netinet/in.h>

#include <rte_ip.h>
#include <rte_udp.h>

#include "checksum.h"
#include "esp_ah.h"
#include "esp_mode.h"
#include "esp_write.h"
#include "room.h"
#include "tfc.h"
#include "tos.h"
#include "walk.h"
#include "worker.h"

/* Moves the last n of the first `kept` packets to another list; how many are kept then. */
static unsigned int
move_last(const struct burst *b, unsigned int kept, unsigned int n, struct burst *to)
{
	for (unsigned int i = kept - n; i < kept; i++)
		burst_add(to, b->m[i]);
	return kept - n;
}

/*
 * A packet that got no number. An SA that was retired since the policy led to it has a successor by
 * now, or none: the policy is asked again. Else its numbers are used up.
 */
static void
refused(struct worker *w, struct rte_mbuf *m, const struct sa *sa)
{
	/* Relaxed: closed is for good, and came after the policies had let go of the SA. */
	if (atomic_load_explicit(&sa->seq, memory_order_relaxed) == SA_SEQ_CLOSED)
		packet_handover(w, m, w->id, RESUME_SPD_LOOKUP);
	else
		packet_drop(w, m, DROP_SEQ_EXHAUSTED);
}

/*
 * Numbers are taken once for a run of packets of one SA. Peers' windows may be small, so an SA's
 * packets are numbered by one worker, its owner: to others they are handed over and come back at
 * spd_lookup. Those of AH go on in a list of their own.
 */
void
seq_reserve(struct worker *w, struct burst *b)
{
	unsigned int kept = 0;
	unsigned int run;

	for (unsigned int i = 0; i < b->n; i += run) {
		struct sa *sa = packet(b->m[i])->sa;
		/* Relaxed: an owner seen late costs a hand-over, the numbers are atomic anyway. */
		uint32_t owner = atomic_load_explicit(&sa->owner, memory_order_relaxed);
		uint16_t out = packet(b->m[i])->out;
		uint32_t granted, way = ++w->runs;
		uint64_t first = 0;

		run = burst_run(b, i);
		if (owner != w->id) {
			for (unsigned int k = i; k < i + run; k++)
				packet_handover(w, b->m[k], owner, RESUME_SPD_LOOKUP);
			continue;
		}
		granted = sa_seq_reserve(sa, run, &first);
		for (unsigned int k = 0; k < run; k++) {
			struct rte_mbuf *m = b->m[i + k];

			if (unlikely(k >= granted)) {
				refused(w, m, sa);
				continue;
			}
			if (unlikely(packet(m)->out != out)) {
				out = packet(m)->out;
				way = ++w->runs;
			}
			packet(m)->seq = first + k;
			packet(m)->run = way;
			b->m[kept++] = m;
		}
		if (unlikely(sa->proto == IPPROTO_AH))
			kept = move_last(b, kept, granted, &w->outbound_ah);
		if (unlikely(sa->tfcpad != 0 && granted > 0))
			kept = kept - granted + tfc_pad(w, b->m + kept - granted, granted);
	}
	b->n = kept;
}

/* RFC 4301 section 5.1.2: DSCP and ECN (RFC 6040 section 4.1, normal mode) as the SA says. */
static uint8_t
outer_tos(const struct sa *sa, uint8_t inner)
{
	uint8_t mask = 0xff;

	if ((sa->flags & SA_DONT_ENCAP_DSCP) != 0)
		mask &= ECN_MASK;
	if ((sa->flags & SA_NOECN) != 0)
		mask &= DSCP_MASK;
	return inner & mask;
}

/*
 * The checksum of a header made from the SA's template. Summed up from the template, as reading
 * back what was just written in smaller pieces would stall.
 */
static rte_be16_t
outer_checksum(const uint8_t *outer, const struct rte_ipv4_hdr *ip)
{
	uint32_t rest = (uint32_t)ip->total_length + ip->packet_id + ip->fragment_offset +
			rte_cpu_to_be_16(ip->type_of_service);

	return (rte_be16_t)~checksum_sum_ipv4(outer, rest);
}

static void
write_outer_v4(struct worker *w, const struct sa *sa, const uint8_t *made, struct rte_ipv4_hdr *ip,
	       uint16_t len, uint8_t tos, bool df)
{
	ip->type_of_service = tos;
	ip->total_length = rte_cpu_to_be_16(len);
	/*
	 * What nobody may cut needs none (RFC 6864 section 4.1): the others last longer so. AH
	 * covers it, so that none can be given later, should the packet be cut here
	 * (fragment_sealed()).
	 */
	ip->packet_id =
		df && sa->proto != IPPROTO_AH ? 0 : rte_cpu_to_be_16((uint16_t)worker_ip_id(w));
	ip->fragment_offset = df ? RTE_BE16(RTE_IPV4_HDR_DF_FLAG) : 0;
	ip->hdr_checksum = outer_checksum(made, ip);
	if ((sa->flags & SA_ENCAP_UDP) != 0)
		((struct rte_udp_hdr *)(ip + 1))->dgram_len = rte_cpu_to_be_16(len - sizeof(*ip));
}

static void
write_outer_v6(const struct sa *sa, struct rte_ipv6_hdr *ip, uint16_t len, uint8_t tos)
{
	ip->payload_len = rte_cpu_to_be_16(len - sizeof(*ip));
	tos_set(ip, FAMILY_V6, tos);
	if ((sa->flags & SA_ENCAP_UDP) != 0)
		((struct rte_udp_hdr *)(ip + 1))->dgram_len = ip->payload_len;
}

void
outbound_outer(struct worker *w, const struct sa *sa, const uint8_t *made, void *outer,
	       uint16_t len, const void *inner, uint8_t inner_family)
{
	uint8_t tos = outer_tos(sa, tos_get(inner, inner_family));

	if (sa->family == FAMILY_V4)
		write_outer_v4(w, sa, made, outer, len, tos, esp_outer_df(sa, inner, inner_family));
	else
		write_outer_v6(sa, outer, len, tos);
}

/* Tunnel mode. False where the mbuf has no room; it is unchanged then. */
static bool
tunnel_encap(struct worker *w, struct rte_mbuf *m, struct crypto_op *op)
{
	struct packet *p = packet(m);
	const struct sa *sa = p->sa;
	const uint8_t *made = sa_outer(sa);
	uint32_t len = rte_pktmbuf_pkt_len(m);
	uint32_t pad_len = esp_padding(len, sa->align);
	uint32_t front = sa->outer_len + sa->iv_len;
	uint32_t back = pad_len + ESP_TRAILER + sa->icv_len;
	uint8_t *inner = rte_pktmbuf_mtod(m, uint8_t *);
	struct esp_header *esp;
	uint8_t *outer;

	if (rte_pktmbuf_headroom(m) < front || rte_pktmbuf_tailroom(m) < back)
		return false;

	/* 1. Trailer behind the inner packet. */
	packet_append(m, (uint16_t)back);
	esp_write_trailer(inner + len, pad_len,
			  p->family == FAMILY_V4 ? IPPROTO_IPIP : IPPROTO_IPV6);

	/* 2. Outer and ESP header in front, from the SA's template. */
	outer = packet_prepend(m, (uint16_t)front);
	memcpy(outer, made, sa->outer_len);
	esp = (struct esp_header *)(outer + sa->outer_len - sizeof(*esp));
	esp->seq = rte_cpu_to_be_32((uint32_t)p->seq);

	/* 3. The IV: a counter; CBC encrypts it, and what is behind it must not vary. */
	esp_write_iv((uint8_t *)(esp + 1), sa->iv_len, sa->iv_base + p->seq);

	/* 4. Lengths, TOS and checksum of the outer header. */
	outbound_outer(w, sa, made, outer, (uint16_t)rte_pktmbuf_pkt_len(m), inner, p->family);

	/* 5. What the crypto stage is to do. */
	esp_op_seal(op, sa, (uint8_t *)esp, len + pad_len + ESP_TRAILER, p->seq);
	p->family = sa->family;
	p->l4_off =
		sa->family == FAMILY_V4 ? sizeof(struct rte_ipv4_hdr) : sizeof(struct rte_ipv6_hdr);
	return true;
}

/* One packet. False where the mbuf has no room. */
static inline bool
encap(struct worker *w, struct rte_mbuf *m, struct crypto_op *op)
{
	struct packet *p = packet(m);

	p->flow_hash = esp_flow_hash(p->sa);
	p->vrf = w->dp->ifaces[p->out].vrf;
	if (likely(p->sa->mode == SA_MODE_TUNNEL))
		return tunnel_encap(w, m, op);
	return esp_mode_encap(m, op);
}

void
esp_encap(struct worker *w, struct burst *b)
{
	unsigned int kept = 0;

	for (unsigned int i = 0; i < b->n; i++) {
		struct rte_mbuf *m = b->m[i];

		if (encap(w, m, &w->ops[kept]))
			b->m[kept++] = m;
		else
			packet_drop(w, m, DROP_NO_BUF);
	}
	b->n = kept;
}
