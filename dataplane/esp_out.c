/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ESP outbound (RFC 4303 section 3.3), after the policy chose the SA and pmtu.c made the packet
 * fit: number it, and write trailer and headers around it. The crypto follows in crypto_stage.c.
 */
#include <netinet/in.h>

#include <rte_ip.h>

#include "esp_mode.h"
#include "esp_outer.h"
#include "esp_write.h"
#include "room.h"
#include "tfc.h"
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
		__builtin_prefetch(sa_outer(sa));
		sad_prefetch_counters(w->dp->sad, w->id, sa);
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

/* Tunnel mode. False where the mbuf has no room; it is unchanged then. */
static inline bool
tunnel_encap(struct worker *w, struct rte_mbuf *m, struct crypto_op *op)
{
	struct packet *p = packet(m);
	const struct sa *sa = p->sa;
	uint32_t len = rte_pktmbuf_pkt_len(m);
	uint32_t pad_len = esp_padding(len, sa->align);
	uint32_t text_len = len + pad_len + ESP_TRAILER, iv_len = sa->iv_len;
	uint8_t *inner = rte_pktmbuf_mtod(m, uint8_t *), *outer, *esp;
	uint64_t seq = p->seq;
	rte_be32_t number = rte_cpu_to_be_32((uint32_t)seq);

	outer = packet_widen(m, sa->outer_len + iv_len, text_len - len + sa->icv_len);
	if (unlikely(outer == NULL))
		return false;

	/* 1. Trailer behind the inner packet. */
	esp_write_trailer(inner + len, pad_len,
			  p->family == FAMILY_V4 ? IPPROTO_IPIP : IPPROTO_IPV6);

	/* 2. Outer and ESP header in front. */
	outer_write(w, sa, outer, rte_pktmbuf_data_len(m), inner, p->family);
	esp = inner - iv_len - sizeof(struct esp_header);
	memcpy(esp + offsetof(struct esp_header, seq), &number, sizeof(number));

	/* 3. The IV: a counter; CBC encrypts it, and what is behind it must not vary. */
	esp_write_iv(esp + sizeof(struct esp_header), iv_len, sa->iv_base + seq);

	/* 4. What the crypto stage is to do. */
	if (likely(esp_op_is_plain(sa)))
		esp_op_plain(op, sa, esp, text_len);
	else
		esp_op_seal(op, sa, esp, text_len, seq);
	p->family = sa->family;
	p->l4_off =
		sa->family == FAMILY_V4 ? sizeof(struct rte_ipv4_hdr) : sizeof(struct rte_ipv6_hdr);
	return true;
}

/* Ahead of the crypto stage, while there are headers to write. */
static inline void
fetch_key(const struct worker *w, const struct rte_mbuf *m)
{
	const struct sa *sa = packet(m)->sa;

	crypto_key_fetch(w->crypto, sa->suite, sa->key, rte_pktmbuf_pkt_len(m) + ESP_TRAILER);
}

/* What is the same of packets that are alike, here and behind the crypto. */
static inline uint16_t
begin_run(const struct worker *w, const struct rte_mbuf *m)
{
	fetch_key(w, m);
	return w->dp->ifaces[packet(m)->out].vrf;
}

void
esp_encap(struct worker *w, struct burst *b)
{
	unsigned int n = b->n, kept = 0;
	uint32_t run = 0;
	uint16_t vrf = 0;

	for (unsigned int i = 0; i < n; i++) {
		struct rte_mbuf *m = b->m[i];
		struct packet *p = packet(m);
		struct crypto_op *op = &w->ops[kept];

		if (!packet_is_like(p, run)) {
			run = p->run;
			vrf = begin_run(w, m);
		}
		p->vrf = vrf;
		p->flow_hash = esp_flow_hash(p->sa);
		if (likely(p->sa->mode == SA_MODE_TUNNEL ? tunnel_encap(w, m, op)
							 : esp_mode_encap(m, op)))
			b->m[kept++] = m;
		else
			packet_drop(w, m, DROP_NO_BUF);
	}
	b->n = (uint16_t)kept;
}
