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

/* Of two packets of one SA. */
static inline bool
same_outside(const struct packet *p, const struct packet *q)
{
	return p->sa->mode == SA_MODE_TUNNEL && p->out == q->out && p->family == q->family &&
	       p->flags == q->flags && p->fragment == q->fragment;
}

/*
 * How many packets from b->m[i] on are of its SA. Those that are to become the same outer packets,
 * whatever their flows, are one run from here on.
 */
static unsigned int
join_sa(struct burst *b, unsigned int i)
{
	const struct packet *p = packet(b->m[i]), *q;
	unsigned int begin = i, end = i + burst_run(b, i);

	while (end < b->n && (q = packet(b->m[end]))->sa == p->sa) {
		unsigned int run = burst_run(b, end);

		if (same_outside(p, q))
			burst_join(b, begin, end - begin + 1);
		else
			begin = end, p = q;
		end += run;
	}
	return end - i;
}

/* To the SA's owner. */
static void
hand_over(struct worker *w, struct burst *b, unsigned int i, unsigned int n, uint32_t owner)
{
	uint16_t relayed = move_relays(w, owner) ? PACKET_RELAYED : 0;

	burst_part(b, i, n);
	for (unsigned int k = i; k < i + n; k++) {
		struct packet *p = packet(b->m[k]);

		p->flags = (uint16_t)((p->flags & ~PACKET_RELAYED) | relayed);
		packet_handover(w, b->m[k], owner & SA_OWNER, RESUME_SPD_LOOKUP);
	}
	burst_cut(b, i, n);
}

/* The last `n` of the packets in front of b->m[end] go. */
static void
refuse_last(struct worker *w, struct burst *b, unsigned int end, unsigned int n)
{
	for (; n > 0; n--) {
		struct rte_mbuf *m = burst_take(b, end - n);

		end--;
		refused(w, m, packet(m)->sa);
	}
}

/*
 * Numbers are taken once for packets of one SA in a row. Peers' windows may be small, so an SA's
 * packets are numbered by one worker, its owner: to others they are handed over and come back at
 * spd_lookup. Those of AH go on in a list of their own.
 */
void
seq_reserve(struct worker *w, struct burst *b)
{
	for (unsigned int i = 0; i < b->n;) {
		struct sa *sa = packet(b->m[i])->sa;
		/* Relaxed: see sa_owner(). */
		uint32_t owner = atomic_load_explicit(&sa->owner, memory_order_relaxed);
		unsigned int n = join_sa(b, i), granted;
		uint64_t first = 0;
		bool spread = false;

		if (unlikely(((owner ^ w->id) | w->unusual) != 0)) {
			if ((owner & SA_OWNER) != w->id) {
				hand_over(w, b, i, n, owner);
				continue;
			}
			n = move_numbers(w, b, i, n);
			if (n == 0)
				continue;
			spread = spread_takes(w, sa, n);
		}
		granted = sa_seq_reserve(sa, n, &first);
		__builtin_prefetch(sa_outer(sa));
		sad_prefetch_counters(w->dp->sad, w->id, sa);
		for (unsigned int k = 0; k < granted; k++)
			packet_set_seq(b->m[i + k], first + k);
		if (unlikely(granted < n))
			refuse_last(w, b, i + n, n - granted);
		if (unlikely(sa->tfcpad != 0 && granted > 0))
			granted = tfc_pad(w, b, i, granted);
		if (unlikely((sa->proto == IPPROTO_AH || spread) && granted > 0)) {
			burst_append(spread ? &w->outbound_spread : &w->outbound_ah, b, i, granted);
			burst_cut(b, i, granted);
			granted = 0;
		}
		i += granted;
	}
}

/* Tunnel mode, for a packet of that family. False where the mbuf has no room; it is unchanged then.
 */
static inline bool
tunnel_encap(struct worker *w, const struct sa *sa, uint8_t family, struct rte_mbuf *m,
	     struct crypto_op *op)
{
	uint32_t len = rte_pktmbuf_pkt_len(m);
	uint32_t pad_len = esp_padding(len, sa->align);
	uint32_t text_len = len + pad_len + ESP_TRAILER, iv_len = sa->iv_len;
	uint8_t *inner = rte_pktmbuf_mtod(m, uint8_t *), *outer, *esp;
	uint64_t seq = packet_seq(m);
	rte_be32_t number = rte_cpu_to_be_32((uint32_t)seq);

	outer = packet_widen(m, sa->outer_len + iv_len, text_len - len + sa->icv_len);
	if (unlikely(outer == NULL))
		return false;

	/* 1. Trailer behind the inner packet. */
	esp_write_trailer(inner + len, pad_len, family == FAMILY_V4 ? IPPROTO_IPIP : IPPROTO_IPV6);

	/* 2. Outer and ESP header in front. */
	outer_write(w, sa, outer, rte_pktmbuf_data_len(m), inner, family);
	esp = inner - iv_len - sizeof(struct esp_header);
	memcpy(esp + offsetof(struct esp_header, seq), &number, sizeof(number));

	/* 3. The IV: a counter; CBC encrypts it, and what is behind it must not vary. */
	esp_write_iv(esp + sizeof(struct esp_header), iv_len, sa->iv_base + seq);

	/* 4. What the crypto stage is to do. */
	if (likely(esp_op_is_plain(sa)))
		esp_op_plain(op, sa, esp, text_len);
	else
		esp_op_seal(op, sa, esp, text_len, seq);
	return true;
}

/* Ahead of the crypto stage, while there are headers to write. */
static inline void
fetch_key(const struct worker *w, const struct rte_mbuf *m)
{
	const struct sa *sa = packet(m)->sa;

	crypto_key_fetch(w->crypto, sa->suite, sa->key, rte_pktmbuf_pkt_len(m) + ESP_TRAILER);
}

/* What is known of a run now that it is sealed in an SA, behind so many bytes of IP header. */
static inline void
become_outer(const struct worker *w, struct packet *p, const struct sa *sa, uint16_t l4_off)
{
	p->family = sa->family;
	p->proto = sa->carrier;
	p->l4_off = l4_off;
	p->flow_hash = esp_flow_hash(sa);
	p->vrf = w->dp->ifaces[p->out].vrf;
}

/* A run in tunnel mode. Returns how many are left of it: those without room are dropped. */
static inline unsigned int
tunnel_run(struct worker *w, struct burst *b, unsigned int i, unsigned int n, const struct sa *sa)
{
	uint8_t family = packet(b->m[i])->family;
	unsigned int end = i + n;

	for (unsigned int k = i; k < end;) {
		if (likely(tunnel_encap(w, sa, family, b->m[k], &w->ops[k]))) {
			k++;
			continue;
		}
		packet_drop(w, burst_take(b, k), DROP_NO_BUF);
		end--;
	}
	if (likely(end > i))
		become_outer(w, packet(b->m[i]), sa,
			     sa->family == FAMILY_V4 ? sizeof(struct rte_ipv4_hdr)
						     : sizeof(struct rte_ipv6_hdr));
	return end - i;
}

/* Likewise, in other modes. */
static unsigned int
mode_run(struct worker *w, struct burst *b, unsigned int i, unsigned int n, const struct sa *sa)
{
	unsigned int end = i + n;
	uint16_t l4_off = 0;

	for (unsigned int k = i; k < end;) {
		uint16_t front = esp_mode_encap(b->m[k], packet(b->m[i]), &w->ops[k]);

		if (likely(front != 0)) {
			l4_off = front;
			k++;
			continue;
		}
		packet_drop(w, burst_take(b, k), DROP_NO_BUF);
		end--;
	}
	if (likely(end > i))
		become_outer(w, packet(b->m[i]), sa, l4_off);
	return end - i;
}

void
esp_encap(struct worker *w, struct burst *b)
{
	for (unsigned int i = 0; i < b->n;) {
		const struct sa *sa = packet(b->m[i])->sa;
		unsigned int run = burst_run(b, i);

		fetch_key(w, b->m[i]);
		i += likely(sa->mode == SA_MODE_TUNNEL) ? tunnel_run(w, b, i, run, sa)
							: mode_run(w, b, i, run, sa);
	}
}
