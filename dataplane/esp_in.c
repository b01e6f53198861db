/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ESP inbound (RFC 4303 section 3.4): find the SA, check the sequence number, then, once the
 * integrity was verified (crypto_stage.c), claim the number and take the inner packet out. Until
 * `replay_commit` nothing that the packet says has changed anything.
 */
#include <netinet/in.h>

#include "checksum.h"
#include "esp_ah.h"
#include "esp_mode.h"
#include "ip_parse.h"
#include "natt.h"
#include "reassembly.h"
#include "room.h"
#include "tos.h"
#include "walk.h"
#include "worker.h"

/* Bytes from the IP header to the ESP header. */
static uint32_t
esp_offset(const struct packet *p)
{
	return p->l4_off + p->spi_lead;
}

static const struct esp_header *
esp_header(const struct rte_mbuf *m)
{
	return rte_pktmbuf_mtod_offset(m, const struct esp_header *, esp_offset(packet(m)));
}

/* The answers about one destination and SPI: the next packet mostly has the same. */
struct ours {
	union ip_addr dst;
	uint16_t vrf;
	uint8_t family;
	bool local;
	uint8_t carrier; /* here and below: where there is an SA */
	rte_be32_t spi;
	struct sa *sa;
};

/* Whether an address is one of the host's. */
static bool
is_ours(const struct worker *w, const struct packet *p, const union ip_addr *dst,
	struct ours *known)
{
	if (known->family != p->family || known->vrf != p->vrf ||
	    !ip_addr_equal(&known->dst, dst)) {
		const struct nexthop *nh = fib_lookup(w->dp->fib, p->vrf, p->family, dst, 0);

		*known = (struct ours){.dst = *dst,
				       .vrf = p->vrf,
				       .family = p->family,
				       .local = nh->type == NEXTHOP_LOCAL};
	}
	return known->local;
}

static enum drop_reason
miss_reason(enum sad_miss miss)
{
	switch (miss) {
	case SAD_MISMATCH:
		return DROP_SA_MISMATCH;
	case SAD_OUT_ONLY:
		return DROP_SA_DIR;
	default:
		return DROP_NO_SA;
	}
}

/* `known` is of the packet's destination. */
static struct sa *
lookup(const struct worker *w, const struct rte_mbuf *m, struct ours *known, enum sad_miss *miss)
{
	uint8_t carrier = packet(m)->proto;
	rte_be32_t spi = esp_header(m)->spi;

	if (known->sa == NULL || known->spi != spi || known->carrier != carrier) {
		known->sa = sad_lookup(w->dp->sad, spi, &known->dst, known->family, carrier, miss);
		known->spi = spi;
		known->carrier = carrier;
	}
	return known->sa;
}

/* Whether there is a whole ESP header; nothing was said of it yet. */
static bool
has_header(const struct rte_mbuf *m)
{
	return rte_pktmbuf_pkt_len(m) >= esp_offset(packet(m)) + sizeof(struct esp_header);
}

/* The SA of an ESP packet; NULL with the reason for which a local one is dropped. */
static struct sa *
find_sa(const struct worker *w, const struct rte_mbuf *m, struct ours *known,
	enum drop_reason *reason)
{
	const struct packet *p = packet(m);
	enum sad_miss miss;
	struct sa *sa;

	if (p->fragment != 0) {
		*reason = DROP_FRAGMENT;
		return NULL;
	}
	if (!has_header(m)) {
		*reason = DROP_RUNT;
		return NULL;
	}
	if (rte_be_to_cpu_32(esp_header(m)->spi) < 256) { /* RFC 4303 section 2.1 */
		*reason = DROP_SPI_RESERVED;
		return NULL;
	}
	sa = lookup(w, m, known, &miss);
	if (sa == NULL) {
		*reason = miss_reason(miss);
	} else if (atomic_load_explicit(&sa->state, memory_order_relaxed) != SA_VALID) {
		*reason = DROP_SA_EXPIRED;
		sa = NULL;
	}
	return sa;
}

/*
 * How many packets, from b->m[i] on, are alike and have its SPI. Right behind the IP header the SPI
 * is part of what alike packets have in common.
 */
static unsigned int
alike_by_spi(const struct burst *b, unsigned int i)
{
	unsigned int n = packets_alike(b->m + i, b->n - i), same = 1;
	rte_be32_t spi;

	if (likely(packet(b->m[i])->spi_lead == 0))
		return n;
	if (unlikely(!has_header(b->m[i])))
		return 1;
	spi = esp_header(b->m[i])->spi;
	while (same < n && has_header(b->m[i + same]) && esp_header(b->m[i + same])->spi == spi)
		same++;
	return same;
}

/* In front of the lookup. */
static void
prefetch_sas(const struct worker *w, const struct burst *b)
{
	uint32_t run = 0;

	for (unsigned int i = 0; i < b->n; i++) {
		const struct esp_header *esp = esp_header(b->m[i]);
		const struct packet *p = packet(b->m[i]);

		if ((packet_is_like(p, run) && p->spi_lead == 0) || unlikely(!has_header(b->m[i])))
			continue;
		run = p->run;
		sad_prefetch_inbound(w->dp->sad, esp->spi, rte_be_to_cpu_32(esp->seq));
	}
}

/*
 * sad_lookup, once for a run of packets that have an SA. ESP for another host joins `clear` and is
 * forwarded like anything else. Without asking whose it is, our own packets could be sent back to
 * us and move their SA's window.
 */
void
sad_stage(struct worker *w, struct burst *b)
{
	enum drop_reason reason = DROP_NO_SA;
	struct ours known = {0};
	unsigned int kept = 0, run, first = alike_by_spi(b, 0);

	if (first < b->n)
		prefetch_sas(w, b);
	for (unsigned int i = 0; i < b->n; i += run) {
		union ip_addr dst = ip_dst(b->m[i]);
		bool ours = is_ours(w, packet(b->m[i]), &dst, &known);
		struct sa *sa = ours ? find_sa(w, b->m[i], &known, &reason) : NULL;

		run = 1;
		if (likely(sa != NULL)) {
			run = i == 0 ? first : alike_by_spi(b, i);
			for (unsigned int k = i; k < i + run; k++) {
				packet(b->m[k])->sa = sa;
				b->m[kept++] = b->m[k];
			}
		} else if (ours) {
			packet_drop(w, b->m[i], reason);
		} else {
			burst_add(&w->clear, b->m[i]);
		}
	}
	b->n = (uint16_t)kept;
}

/* RFC 4303 section 3.4.3: the 64-bit value stays with the packet until the commit. */
static inline bool
number_passes(struct worker *w, struct packet *p, uint32_t seq)
{
	const struct sa *sa = p->sa;

	p->seq = seq;
	if ((sa->flags & SA_REPLAY) == 0)
		return true;
	/* Relaxed: a stale top infers the same number within the window, and the claim rechecks. */
	if ((sa->flags & SA_ESN) != 0)
		p->seq = replay_infer(atomic_load_explicit(&sa->replay->top, memory_order_relaxed),
				      sa->replay->window, seq);
	if (replay_may_pass(sa->replay, p->seq))
		return true;
	sad_blame(w->dp->sad, w->id, sa, SAD_FAULT_REPLAY);
	return false;
}

bool
inbound_number(struct worker *w, struct packet *p, uint32_t seq)
{
	return number_passes(w, p, seq);
}

/* Lengths before any subtraction, then the sequence number. `fixed`: bytes that every packet has.
 */
static inline bool
replay_passes(struct worker *w, struct rte_mbuf *m, uint32_t fixed, uint32_t align,
	      enum drop_reason *reason)
{
	struct packet *p = packet(m);
	uint32_t esp_len = rte_pktmbuf_pkt_len(m) - esp_offset(p);

	if (unlikely(esp_len < fixed + align)) {
		*reason = DROP_RUNT;
		return false;
	}
	if (unlikely(((esp_len - fixed) & (align - 1)) != 0)) {
		*reason = DROP_ALIGN;
		return false;
	}
	*reason = DROP_REPLAY;
	return number_passes(w, p, rte_be_to_cpu_32(esp_header(m)->seq));
}

void
replay_stage(struct worker *w, struct burst *b)
{
	enum drop_reason reason = DROP_REPLAY;
	unsigned int kept = 0, run;

	for (unsigned int i = 0; i < b->n; i += run) {
		const struct sa *sa = packet(b->m[i])->sa;
		uint32_t fixed = (uint32_t)sizeof(struct esp_header) + esp_crypto_overhead(sa);

		run = burst_run(b, i);
		for (unsigned int k = i; k < i + run; k++) {
			if (likely(replay_passes(w, b->m[k], fixed, sa->align, &reason)))
				b->m[kept++] = b->m[k];
			else
				packet_drop(w, b->m[k], reason);
		}
	}
	b->n = (uint16_t)kept;
}

/* Claims the numbers of packets of one SA. */
static inline void
claim(const struct sa *sa, struct rte_mbuf *const *m, bool *claimed, unsigned int n)
{
	uint64_t seq[BURST_MAX];

	if ((sa->flags & SA_REPLAY) == 0) {
		memset(claimed, true, n);
		return;
	}
	if (n == 1) {
		claimed[0] = replay_claim(sa->replay, packet(m[0])->seq);
		return;
	}
	for (unsigned int i = 0; i < n; i++)
		seq[i] = packet(m[i])->seq;
	replay_claim_run(sa->replay, seq, claimed, n);
}

/* The newest packet of an SA says where its peer is. */
static void
watch_peer(struct worker *w, struct rte_mbuf *const *m, const bool *claimed, unsigned int n)
{
	const struct rte_mbuf *newest = NULL;

	for (unsigned int i = 0; i < n; i++)
		if (claimed[i] && (newest == NULL || packet(m[i])->seq > packet(newest)->seq))
			newest = m[i];
	if (newest != NULL)
		natt_seen(w, packet(newest)->sa, newest);
}

/*
 * The packets are authentic from here on: each claims its number, and is charged to its SA. Runs of
 * packets of one SA do it together.
 */
void
replay_commit(struct worker *w, struct burst *b)
{
	unsigned int kept = 0, run;

	for (unsigned int i = 0; i < b->n; i += run) {
		const struct sa *sa = packet(b->m[i])->sa;
		uint32_t fixed = (uint32_t)sizeof(struct esp_header) + esp_crypto_overhead(sa);
		bool claimed[BURST_MAX];
		uint32_t packets = 0, bytes = 0;

		run = burst_run(b, i);
		claim(sa, b->m + i, claimed, run);
		if ((sa->flags & SA_WATCH_PEER) != 0)
			watch_peer(w, b->m + i, claimed, run);
		for (unsigned int k = i; k < i + run; k++) {
			struct rte_mbuf *m = b->m[k];

			if (unlikely(!claimed[k - i])) {
				sad_blame(w->dp->sad, w->id, sa, SAD_FAULT_REPLAY);
				packet_drop(w, m, DROP_REPLAY);
				continue;
			}
			packets++;
			bytes += rte_pktmbuf_pkt_len(m) - esp_offset(packet(m)) - fixed;
			b->m[kept++] = m;
		}
		if (packets > 0)
			sad_charge(w->dp->sad, w->id, sa, packets, bytes, w->now);
		w->count.opened += packets;
	}
	b->n = (uint16_t)kept;
}

/* Whether the padding is 1, 2, 3... to its last byte (RFC 4303 section 2.4). */
static bool
padding_right(const uint8_t *pad, uint32_t len)
{
	const uint64_t first = 0x0807060504030201, step = 0x0808080808080808;
	uint64_t wrong = 0;

	if (likely(len < sizeof(wrong))) {
		rte_le64_t word;

		memcpy(&word, pad, sizeof(word));
		return ((rte_le_to_cpu_64(word) ^ first) & ((UINT64_C(1) << len * 8) - 1)) == 0;
	}
	/* By words, which end within the trailer and the ICV. */
	for (uint32_t i = 0; i < len; i += sizeof(uint64_t)) {
		rte_le64_t word;

		memcpy(&word, pad + i, sizeof(word));
		word = rte_le_to_cpu_64(word) ^ (first + i / sizeof(word) * step);
		wrong |= len - i >= sizeof(word) ? word
						 : word & ((UINT64_C(1) << (len - i) * 8) - 1);
	}
	return wrong == 0;
}

/* For the log (ecn_log.c), which another thread writes. */
static void
note_odd_ecn(struct worker *w, const struct sa *sa, uint8_t outer, uint8_t inner)
{
	uint64_t what = (uint64_t)sa->spi << 32 | (inner & ECN_MASK) << 2 | (outer & ECN_MASK);

	w->count.ecn_odd++;
	__atomic_store_n(&w->ecn_last, what, __ATOMIC_RELAXED);
}

/* ECN, and DSCP if the SA says so, from the outer to the inner header. */
static bool
tos_decap(struct worker *w, const struct sa *sa, uint8_t outer, void *inner, uint8_t family)
{
	uint8_t old = tos_get(inner, family);
	uint8_t ecn = old & ECN_MASK;
	uint8_t dscp = ((sa->flags & SA_DECAP_DSCP) != 0 ? outer : old) & DSCP_MASK;

	/* Equal ones stay as they are. */
	if (unlikely(((outer ^ old) & ECN_MASK) != 0) && (sa->flags & SA_NOECN) == 0) {
		if (ecn_is_odd(outer, old))
			note_odd_ecn(w, sa, outer, old);
		if (!ecn_decap(outer, old, &ecn))
			return false;
	}
	if ((dscp | ecn) != old)
		tos_set(inner, family, dscp | ecn);
	return true;
}

/*
 * The tenant's routing table, and as whose the packet leaves should it leave again: the outer
 * packet's table, and nobody's, for an SA of nobody in particular. False: no such tenant.
 */
static bool
enter_tenant(const struct dataplane *dp, const struct sa *sa, struct packet *p)
{
	/* Relaxed: a mark that changes under the feet of a packet is either. */
	uint64_t tenant = atomic_load_explicit(&sa->tenant, memory_order_relaxed);

	p->tenant = 0;
	if (tenant == 0)
		return true;
	for (unsigned int i = 0; i < dp->ifaces_count; i++) {
		if (dp->ifaces[i].tenant_in == tenant) {
			p->vrf = dp->ifaces[i].vrf;
			p->tenant = dp->ifaces[i].tenant;
			return true;
		}
	}
	return false;
}

/* The inner header, behind `front` bytes, of a packet that has `len`. */
static inline bool
parse_inner(struct worker *w, struct rte_mbuf *m, uint8_t family, uint32_t front, uint32_t len)
{
	enum drop_reason reason;

	if (likely(family == FAMILY_V4 && ip_parse_plain(m, front, len, true, &w->runs)))
		return true;
	packet_adj(m, (uint16_t)front);
	packet_cut(m, len);
	/* Bytes behind the inner length are flow confidentiality's padding: ip_parse cuts them. */
	if (!ip_parse(m, true, &reason) || packet(m)->family != family)
		return false;
	ip_parse_run(m, &w->runs);
	return true;
}

enum drop_reason
inbound_inner(struct worker *w, struct rte_mbuf *m, uint8_t next_header, uint32_t front,
	      uint32_t len)
{
	struct packet *p = packet(m);
	const struct sa *sa = p->sa;
	uint8_t family = next_header == IPPROTO_IPIP ? FAMILY_V4 : FAMILY_V6;
	uint8_t outer_tos = tos_get(rte_pktmbuf_mtod(m, void *), p->family);

	if (unlikely(next_header != IPPROTO_IPIP && next_header != IPPROTO_IPV6))
		return DROP_NEXT_HEADER;
	p->l2_len = 0;
	p->flags = (uint16_t)((p->flags & ~PACKET_UDP_ENCAP) | PACKET_DECRYPTED);
	p->spi_lead = 0;
	if (!parse_inner(w, m, family, front, len))
		return DROP_INNER;
	if (!tos_decap(w, sa, outer_tos, rte_pktmbuf_mtod(m, void *), family))
		return DROP_ECN;
	return enter_tenant(w->dp, sa, p) ? DROP_COUNT : DROP_TENANT;
}

/*
 * Beside tunnel mode: a packet whose headers are those of one before, which came by the same SA and
 * is on the list. What was found out about that one is so of this one, too. False, and nothing is
 * changed, where it is not so.
 */
static bool
mode_like(struct rte_mbuf *m, const struct ip_like *like)
{
	const struct packet *p = packet(m), *q = like->known;

	return q != NULL && p->sa == q->sa && p->in == q->in && p->flags == q->flags &&
	       ip_like_parse(like, m, 0, rte_pktmbuf_pkt_len(m), UINT32_MAX, false);
}

enum drop_reason
inbound_mode(struct worker *w, struct rte_mbuf *m, uint8_t next_header, uint32_t front,
	     uint32_t len, struct ip_like *like)
{
	struct packet *p = packet(m);
	enum drop_reason reason = esp_mode_decap(m, next_header, front, len);

	if (reason != DROP_COUNT)
		return reason;
	p->flags = (uint16_t)((p->flags & ~PACKET_UDP_ENCAP) | PACKET_DECRYPTED);
	p->spi_lead = 0;
	if (!mode_like(m, like)) {
		if (!ip_parse(m, false, &reason) || p->fragment != 0)
			return DROP_INNER;
		if (!enter_tenant(w->dp, p->sa, p))
			return DROP_TENANT;
		ip_parse_run(m, &w->runs);
		if (p->run != 0)
			ip_like_begin(like, m);
	}
	if (p->sa->mode == SA_MODE_TRANSPORT && p->sa->carrier == IPPROTO_UDP)
		/* The NAT could not: RFC 3948 section 3.1.2. */
		checksum_mend(m, &p->sa->control->detail->original);
	return DROP_COUNT;
}

/* What was in a reassembled packet longer than a buffer. */
static void
add_large(struct worker *w, struct rte_mbuf *m)
{
	struct rte_mbuf *small = reassembly_shrink(w, m);

	if (small == NULL)
		packet_drop(w, m, DROP_NO_BUF);
	else
		burst_add(&w->clear, small);
}

void
inbound_join(struct worker *w, struct rte_mbuf *m)
{
	if (unlikely((packet(m)->flags & PACKET_LARGE) != 0))
		add_large(w, m);
	else
		burst_add(&w->clear, m);
}

/*
 * An inner packet like one before, which came by the same SA and is on the list: what was found out
 * about that one is so of this one, too. False, and nothing is changed, where it is not so.
 */
static inline bool
inner_like(struct rte_mbuf *m, const struct ip_like *like, uint8_t next_header, uint32_t front,
	   uint32_t len)
{
	const uint8_t *outer = rte_pktmbuf_mtod(m, const uint8_t *);
	const struct packet *p = packet(m), *q = like->known;
	uint16_t flags = (uint16_t)((p->flags & ~PACKET_UDP_ENCAP) | PACKET_DECRYPTED);

	if (q == NULL || p->sa != q->sa || p->in != q->in || flags != q->flags ||
	    next_header != (q->family == FAMILY_V4 ? IPPROTO_IPIP : IPPROTO_IPV6))
		return false;
	/* Where the outer header changes the inner one, it does it one by one. */
	if ((q->sa->flags & SA_DECAP_DSCP) != 0 ||
	    ((tos_get(outer, p->family) ^ tos_get(outer + front, q->family)) & ECN_MASK) != 0)
		return false;
	return ip_like_parse(like, m, front, len, UINT32_MAX, true);
}

/* What was protected becomes the packet, which is like one before, or others may be like it. */
static inline enum drop_reason
unwrap(struct worker *w, struct rte_mbuf *m, uint8_t next_header, uint32_t front, uint32_t len,
       struct ip_like *like)
{
	enum drop_reason reason;

	if (unlikely(packet(m)->sa->mode != SA_MODE_TUNNEL))
		return inbound_mode(w, m, next_header, front, len, like);
	if (likely(inner_like(m, like, next_header, front, len)))
		return DROP_COUNT;
	reason = inbound_inner(w, m, next_header, front, len);
	if (reason == DROP_COUNT && packet(m)->run != 0)
		ip_like_begin(like, m);
	return reason;
}

/* RFC 4303 section 3.4.4.1, once the integrity is known. */
void
esp_decap(struct worker *w, struct burst *b)
{
	struct ip_like like = {.known = NULL};

	for (unsigned int i = 0; i < b->n; i++) {
		struct rte_mbuf *m = b->m[i];
		const struct packet *p = packet(m);
		const struct sa *sa = p->sa;
		uint32_t front = esp_offset(p) + sizeof(struct esp_header) + sa->iv_len;
		const uint8_t *payload = rte_pktmbuf_mtod_offset(m, const uint8_t *, front);
		uint32_t len = rte_pktmbuf_pkt_len(m) - front - sa->icv_len;
		uint32_t pad_len = payload[len - 2];
		uint8_t next_header = payload[len - 1];
		enum drop_reason reason;

		/* 1. The padding. */
		if (pad_len + ESP_TRAILER > len ||
		    !padding_right(payload + len - ESP_TRAILER - pad_len, pad_len)) {
			packet_drop(w, m, DROP_PAD);
			continue;
		}
		/* 2. What is inside; a dummy packet ends here (RFC 4303 section 2.6). */
		if (next_header == ESP_NEXT_NONE) {
			packet_consume(w, m);
			continue;
		}
		len -= ESP_TRAILER + pad_len;
		/* 3. What was protected, at `route`. */
		reason = unwrap(w, m, next_header, front, len, &like);
		if (likely(reason == DROP_COUNT))
			inbound_join(w, m);
		else
			packet_drop(w, m, reason);
	}
	b->n = 0;
}
