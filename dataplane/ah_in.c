/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * AH inbound (RFC 4302 section 3.4), behind sad_stage, which it has in common with ESP: lengths and
 * sequence number, integrity, and only then the claim of the number, the charge to the SA and what
 * is inside. It has a list of its own, so that ESP pays nothing for it.
 */
#include <netinet/in.h>

#include "ah.h"
#include "esp_ah.h"
#include "ip_parse.h"
#include "walk.h"
#include "worker.h"

static const struct ah_header *
ah_of(const struct rte_mbuf *m)
{
	return rte_pktmbuf_mtod_offset(m, const struct ah_header *, packet(m)->l4_off);
}

static uint32_t
ah_len(const struct ah_header *ah)
{
	return (ah->len + 2u) * 4;
}

/*
 * The ICV's length is the algorithm's; padding makes AH a multiple of 64 bits, with IPv4 of 32 (RFC
 * 4302 section 2.6), where Linux pads to 64 all the same unless it is told not to.
 */
static bool
length_right(const struct sa *sa, uint32_t len)
{
	uint32_t least = (uint32_t)sizeof(struct ah_header) + sa->iv_len + sa->icv_len;

	return len == RTE_ALIGN(least, 8) || (sa->family == FAMILY_V4 && len == least);
}

/*
 * ah_check: before any crypto. That AH's fixed part is there, sad_stage has seen. From here on each
 * packet walks by itself.
 */
void
ah_check(struct worker *w, struct burst *b)
{
	unsigned int kept = 0;

	burst_part(b, 0, b->n);
	for (unsigned int i = 0; i < b->n; i++) {
		struct rte_mbuf *m = b->m[i];
		struct packet *p = packet(m);
		uint32_t len = ah_len(ah_of(m));

		if (!length_right(p->sa, len) || rte_pktmbuf_pkt_len(m) < p->l4_off + len)
			packet_drop(w, m, DROP_RUNT);
		else if (!inbound_number(w, m, rte_be_to_cpu_32(ah_of(m)->seq)))
			packet_drop(w, m, DROP_REPLAY);
		else
			b->m[kept++] = m;
	}
	b->n = (uint16_t)kept;
}

/* An operation that compares with the ICV received, which is kept where the packet is not. */
static void
prepare(const struct rte_mbuf *m, struct crypto_op *op)
{
	const struct sa *sa = packet(m)->sa;

	memcpy(op->scratch, (const uint8_t *)(ah_of(m) + 1) + sa->iv_len, sa->icv_len);
	op->icv = op->scratch;
}

void
ah_open(struct worker *w, struct burst *b)
{
	struct ah_front fronts[BURST_MAX];
	unsigned int kept = 0;

	ah_hide(w, b, fronts, prepare);
	crypto_open(w->crypto, w->ops, b->n);
	for (unsigned int i = 0; i < b->n; i++) {
		struct rte_mbuf *m = b->m[i];

		if (w->ops[i].ok) {
			ah_reveal(m, &fronts[i], &w->ops[i]);
			b->m[kept++] = m;
			continue;
		}
		sad_blame(w->dp->sad, w->id, packet(m)->sa, SAD_FAULT_AUTH);
		packet_drop(w, m, DROP_ICV);
	}
	b->n = (uint16_t)kept;
}

/* The packet is authentic: its number is claimed, and all that the ICV covers charged to the SA. */
static bool
commit(struct worker *w, const struct rte_mbuf *m)
{
	const struct packet *p = packet(m);
	const struct sa *sa = p->sa;

	if ((sa->flags & SA_REPLAY) != 0 && !replay_claim(sa->replay, packet_seq(m))) {
		sad_blame(w->dp->sad, w->id, sa, SAD_FAULT_REPLAY);
		return false;
	}
	sad_charge(w->dp->sad, w->id, sa, 1, rte_pktmbuf_pkt_len(m), w->now);
	w->count.opened++;
	return true;
}

static enum drop_reason
decap(struct worker *w, struct rte_mbuf *m)
{
	const struct ah_header *ah = ah_of(m);
	uint32_t front = packet(m)->l4_off + ah_len(ah);
	uint32_t len = rte_pktmbuf_pkt_len(m) - front;

	if (packet(m)->sa->mode == SA_MODE_TUNNEL)
		return inbound_inner(w, m, ah->next_header, front, len);
	return inbound_mode(w, m, ah->next_header, front, len);
}

/* ah_decap: joins `clear`. */
void
ah_decap(struct worker *w, struct burst *b)
{
	for (unsigned int i = 0; i < b->n; i++) {
		struct rte_mbuf *m = b->m[i];
		enum drop_reason reason = commit(w, m) ? decap(w, m) : DROP_REPLAY;

		if (reason != DROP_COUNT)
			packet_drop(w, m, reason);
		else
			inbound_join(w, m);
	}
	b->n = 0;
}
