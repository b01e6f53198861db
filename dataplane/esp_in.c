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
esp_at(const struct rte_mbuf *m, uint32_t offset)
{
	return rte_pktmbuf_mtod_offset(m, const struct esp_header *, offset);
}

static const struct esp_header *
esp_header(const struct rte_mbuf *m)
{
	return esp_at(m, esp_offset(packet(m)));
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

/* In front of the lookup. */
static void
prefetch_sas(const struct worker *w, const struct burst *b)
{
	for (unsigned int i = 0; i < b->n; i += burst_run(b, i)) {
		const struct esp_header *esp = esp_header(b->m[i]);

		if (likely(has_header(b->m[i])))
			sad_prefetch_inbound(w->dp->sad, esp->spi, rte_be_to_cpu_32(esp->seq));
	}
}

/*
 * sad_lookup, once for a run: its packets have one SPI. ESP for another host joins `clear` and is
 * forwarded like anything else. Without asking whose it is, our own packets could be sent back to
 * us and move their SA's window.
 */
void
sad_stage(struct worker *w, struct burst *b)
{
	enum drop_reason reason = DROP_NO_SA;
	struct ours known = {0};

	if (burst_run(b, 0) < b->n)
		prefetch_sas(w, b);
	for (unsigned int i = 0; i < b->n;) {
		struct packet *p = packet(b->m[i]);
		union ip_addr dst = ip_dst(b->m[i]);
		bool ours = is_ours(w, p, &dst, &known);
		struct sa *sa = ours ? find_sa(w, b->m[i], &known, &reason) : NULL;
		unsigned int run = burst_run(b, i);

		if (likely(sa != NULL)) {
			p->sa = sa;
			i += run;
		} else if (ours) {
			packet_drop(w, burst_take(b, i), reason);
		} else {
			burst_append(&w->clear, b, i, run);
			burst_cut(b, i, run);
		}
	}
}

/* RFC 4303 section 3.4.3: the 64-bit value stays with the packet until the commit. */
static inline bool
number_passes(struct worker *w, const struct sa *sa, struct rte_mbuf *m, uint32_t low)
{
	uint64_t seq = low;

	packet_set_seq(m, seq);
	if ((sa->flags & SA_REPLAY) == 0)
		return true;
	/* Relaxed: a stale top infers the same number within the window, and the claim rechecks. */
	if ((sa->flags & SA_ESN) != 0) {
		seq = replay_infer(atomic_load_explicit(&sa->replay->top, memory_order_relaxed),
				   sa->replay->window, low);
		packet_set_seq(m, seq);
	}
	if (replay_may_pass(sa->replay, seq))
		return true;
	sad_blame(w->dp->sad, w->id, sa, SAD_FAULT_REPLAY);
	return false;
}

bool
inbound_number(struct worker *w, struct rte_mbuf *m, uint32_t seq)
{
	return number_passes(w, packet(m)->sa, m, seq);
}

/* What is so of all ESP packets of a run. */
struct esp_run {
	const struct sa *sa;
	uint32_t offset; /* bytes to the ESP header */
	uint32_t fixed;  /* bytes from there on, but for the ciphertext */
};

static inline struct esp_run
esp_run_of(const struct rte_mbuf *m)
{
	const struct packet *p = packet(m);

	return (struct esp_run){
		.sa = p->sa,
		.offset = esp_offset(p),
		.fixed = (uint32_t)sizeof(struct esp_header) + esp_crypto_overhead(p->sa),
	};
}

/* Lengths before any subtraction, then the sequence number. */
static inline bool
replay_passes(struct worker *w, struct rte_mbuf *m, const struct esp_run *esp, uint32_t align,
	      enum drop_reason *reason)
{
	uint32_t len = rte_pktmbuf_pkt_len(m) - esp->offset;

	if (unlikely(len < esp->fixed + align)) {
		*reason = DROP_RUNT;
		return false;
	}
	if (unlikely(((len - esp->fixed) & (align - 1)) != 0)) {
		*reason = DROP_ALIGN;
		return false;
	}
	*reason = DROP_REPLAY;
	return number_passes(w, esp->sa, m, rte_be_to_cpu_32(esp_at(m, esp->offset)->seq));
}

static inline bool
may_spread(const struct worker *w, const struct sa *sa)
{
	/* Relaxed: from the next burst on, at worst. */
	return ((atomic_load_explicit(&sa->owner, memory_order_relaxed) & SA_SPREAD) |
		w->unusual) != 0;
}

void
replay_stage(struct worker *w, struct burst *b)
{
	enum drop_reason reason = DROP_REPLAY;

	for (unsigned int i = 0; i < b->n;) {
		const struct esp_run esp = esp_run_of(b->m[i]);
		unsigned int begin = i, end = i + burst_run(b, i);
		uint32_t align = esp.sa->align;

		while (i < end) {
			if (likely(replay_passes(w, b->m[i], &esp, align, &reason))) {
				i++;
				continue;
			}
			packet_drop(w, burst_take(b, i), reason);
			end--;
		}
		if (unlikely(may_spread(w, esp.sa)) && spread_takes(w, esp.sa, end - begin)) {
			burst_append(&w->inbound_spread, b, begin, end - begin);
			burst_cut(b, begin, end - begin);
			i = begin;
		}
	}
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
		claimed[0] = replay_claim(sa->replay, packet_seq(m[0]));
		return;
	}
	for (unsigned int i = 0; i < n; i++)
		seq[i] = packet_seq(m[i]);
	replay_claim_run(sa->replay, seq, claimed, n);
}

/* The newest packet of an SA says where its peer is. */
static void
watch_peer(struct worker *w, const struct burst *b, unsigned int first, const bool *claimed,
	   unsigned int n)
{
	struct rte_mbuf *const *m = b->m + first, *newest = NULL;

	for (unsigned int i = 0; i < n; i++)
		if (claimed[i] && (newest == NULL || packet_seq(m[i]) > packet_seq(newest)))
			newest = m[i];
	/* A run has one source. */
	if (newest != NULL)
		natt_seen(w, packet(m[0])->sa, m[0], packet_seq(newest));
}

/* Packets whose numbers others had claimed leave the run; how many stay. */
static unsigned int
drop_unclaimed(struct worker *w, struct burst *b, unsigned int first, const bool *claimed,
	       unsigned int n)
{
	const struct sa *sa = packet(b->m[first])->sa;
	unsigned int kept = 0;

	for (unsigned int i = 0; i < n; i++) {
		if (likely(claimed[i])) {
			kept++;
			continue;
		}
		sad_blame(w->dp->sad, w->id, sa, SAD_FAULT_REPLAY);
		packet_drop(w, burst_take(b, first + kept), DROP_REPLAY);
	}
	return kept;
}

/*
 * The packets are authentic from here on: each claims its number, and is charged to its SA. Runs do
 * it together.
 */
void
replay_commit(struct worker *w, struct burst *b)
{
	unsigned int run;

	for (unsigned int i = 0; i < b->n; i += run) {
		const struct esp_run esp = esp_run_of(b->m[i]);
		bool claimed[BURST_MAX];
		uint32_t bytes = 0;

		run = burst_run(b, i);
		claim(esp.sa, b->m + i, claimed, run);
		if ((esp.sa->flags & SA_WATCH_PEER) != 0)
			watch_peer(w, b, i, claimed, run);
		run = drop_unclaimed(w, b, i, claimed, run);
		for (unsigned int k = i; k < i + run; k++)
			bytes += rte_pktmbuf_pkt_len(b->m[k]);
		bytes -= run * (esp.offset + esp.fixed);
		if (run > 0)
			sad_charge(w->dp->sad, w->id, esp.sa, run, bytes, w->now);
		w->count.opened += run;
	}
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
parse_inner(struct rte_mbuf *m, uint8_t family, uint32_t front, uint32_t len)
{
	enum drop_reason reason;

	if (likely(family == FAMILY_V4 && ip_parse_plain(m, front, len, true)))
		return true;
	packet_adj(m, (uint16_t)front);
	packet_cut(m, len);
	/* Bytes behind the inner length are flow confidentiality's padding: ip_parse cuts them. */
	return ip_parse(m, true, &reason) && packet(m)->family == family;
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
	if (!parse_inner(m, family, front, len))
		return DROP_INNER;
	if (!tos_decap(w, sa, outer_tos, rte_pktmbuf_mtod(m, void *), family))
		return DROP_ECN;
	return enter_tenant(w->dp, sa, p) ? DROP_COUNT : DROP_TENANT;
}

/* What a mode made of the packet, at `route`. */
static enum drop_reason
parse_mode(struct worker *w, struct rte_mbuf *m)
{
	struct packet *p = packet(m);
	const struct sa *sa = p->sa;
	enum drop_reason reason;

	p->l2_len = 0;
	p->flags = (uint16_t)((p->flags & ~PACKET_UDP_ENCAP) | PACKET_DECRYPTED);
	p->spi_lead = 0;
	if (!ip_parse(m, false, &reason) || p->fragment != 0)
		return DROP_INNER;
	if (!enter_tenant(w->dp, sa, p))
		return DROP_TENANT;
	if (sa->mode == SA_MODE_TRANSPORT && sa->carrier == IPPROTO_UDP)
		/* The NAT could not: RFC 3948 section 3.1.2. */
		checksum_mend(m, &sa->control->detail->original);
	return DROP_COUNT;
}

enum drop_reason
inbound_mode(struct worker *w, struct rte_mbuf *m, uint8_t next_header, uint32_t front,
	     uint32_t len)
{
	enum drop_reason reason = esp_mode_decap(m, packet(m), next_header, front, len);

	return reason == DROP_COUNT ? parse_mode(w, m) : reason;
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

/* What opened packets of a run have in common, and the last of them that others may be like. */
struct opened {
	struct packet outer; /* what is known of each until it is unwrapped */
	uint8_t tos;         /* of the outer header */
	bool leads;          /* there is one, the last on `clear` but for those like it, */
	uint8_t next_header; /* with this around it */
	union {
		struct ip_like like; /* tunnel mode: the inner header */
		uint32_t ports;      /* beside it: what is behind the header */
	};
};

/*
 * Where the outer header changes the inner one, it does it one by one: packets whose inner headers
 * are alike, and have the ECN field of the outer one, stay as they are. So do those without a
 * checksum to mend, whose ports stand where the payload begins.
 */
static inline void
lead(struct opened *o, const struct rte_mbuf *m, uint8_t next_header)
{
	const struct sa *sa = o->outer.sa;
	bool tunnel = sa->mode == SA_MODE_TUNNEL;
	uint8_t tos = tos_get(rte_pktmbuf_mtod(m, const void *), packet(m)->family);

	o->leads = ip_may_lead(m) && (sa->flags & SA_DECAP_DSCP) == 0 &&
		   (!tunnel || ((tos ^ o->tos) & ECN_MASK) == 0) &&
		   (tunnel || (sa->carrier != IPPROTO_UDP && next_header != IPPROTO_BEETPH));
	if (!o->leads)
		return;
	o->next_header = next_header;
	if (likely(tunnel))
		ip_like_begin(&o->like, m, sizeof(uint32_t), UINT32_MAX);
	else
		memcpy(&o->ports, rte_pktmbuf_mtod_offset(m, const void *, packet(m)->l4_off),
		       sizeof(o->ports));
}

/* Where the payload of opened packets is, and, once stripped, what it is. */
struct payload {
	uint32_t front, icv_len; /* bytes in front, and behind the trailer */
	uint32_t len;            /* without the trailer */
	uint8_t next_header;
};

static inline struct payload
payload_of(const struct packet *p)
{
	return (struct payload){
		.front = esp_offset(p) + (uint32_t)sizeof(struct esp_header) + p->sa->iv_len,
		.icv_len = p->sa->icv_len,
	};
}

/*
 * Whether a packet is like the last one that leads, and, in tunnel mode, what was protected becomes
 * it then. In other modes its header is made of the outer one and of the SA alone, so that only the
 * ports are still to be compared.
 */
static inline bool
is_like(const struct opened *o, struct rte_mbuf *m, const struct payload *in, bool tunnel)
{
	uint32_t ports;

	if (unlikely(!o->leads || in->next_header != o->next_header))
		return false;
	if (likely(tunnel))
		return ip_like_parse(&o->like, m, in->front, in->len, true);
	memcpy(&ports, rte_pktmbuf_mtod_offset(m, const void *, in->front), sizeof(ports));
	return in->len >= sizeof(ports) && ports == o->ports;
}

/* What was protected becomes the packet, and joins `clear`; or why not. */
static inline enum drop_reason
unwrap(struct worker *w, struct opened *o, struct rte_mbuf *m, const struct payload *in)
{
	bool tunnel = o->outer.sa->mode == SA_MODE_TUNNEL, like = is_like(o, m, in, tunnel);
	enum drop_reason reason = DROP_COUNT;

	if (unlikely(!tunnel))
		reason = esp_mode_decap(m, &o->outer, in->next_header, in->front, in->len);
	if (likely(like && reason == DROP_COUNT)) {
		burst_add_like(&w->clear, m);
		return DROP_COUNT;
	}
	if (likely(reason == DROP_COUNT)) {
		packet_tell(m, &o->outer);
		reason = tunnel ? inbound_inner(w, m, in->next_header, in->front, in->len)
				: parse_mode(w, m);
	}
	if (unlikely(reason != DROP_COUNT))
		return reason;
	lead(o, m, in->next_header);
	inbound_join(w, m);
	return DROP_COUNT;
}

/* RFC 4303 section 3.4.4.1, once the integrity is known. False where the packet ends here. */
static inline bool
strip(struct worker *w, struct rte_mbuf *m, struct payload *in)
{
	const uint8_t *at = rte_pktmbuf_mtod_offset(m, const uint8_t *, in->front);
	uint32_t len = rte_pktmbuf_pkt_len(m) - in->front - in->icv_len, pad_len = at[len - 2];

	/* 1. The padding. */
	if (unlikely(pad_len + ESP_TRAILER > len ||
		     !padding_right(at + len - ESP_TRAILER - pad_len, pad_len))) {
		packet_drop(w, m, DROP_PAD);
		return false;
	}
	/* 2. What is inside; a dummy packet ends here (RFC 4303 section 2.6). */
	in->next_header = at[len - 1];
	if (unlikely(in->next_header == ESP_NEXT_NONE)) {
		packet_consume(w, m);
		return false;
	}
	in->len = len - ESP_TRAILER - pad_len;
	return true;
}

/* A packet that none is like. */
static void
decap_one(struct worker *w, struct rte_mbuf *m)
{
	bool tunnel = packet(m)->sa->mode == SA_MODE_TUNNEL;
	struct payload in = payload_of(packet(m));
	enum drop_reason reason;

	if (!strip(w, m, &in))
		return;
	reason = tunnel ? inbound_inner(w, m, in.next_header, in.front, in.len)
			: inbound_mode(w, m, in.next_header, in.front, in.len);
	if (likely(reason == DROP_COUNT))
		inbound_join(w, m);
	else
		packet_drop(w, m, reason);
}

static void
decap_run(struct worker *w, struct rte_mbuf *const *m, unsigned int n)
{
	const struct payload all = payload_of(packet(m[0]));
	struct opened o = {.outer = *packet(m[0])};

	o.tos = tos_get(rte_pktmbuf_mtod(m[0], const void *), o.outer.family);
	for (unsigned int i = 0; i < n; i++) {
		struct payload in = all;
		enum drop_reason reason;

		if (!strip(w, m[i], &in))
			continue;
		reason = unwrap(w, &o, m[i], &in);
		if (unlikely(reason != DROP_COUNT))
			packet_drop(w, m[i], reason);
	}
}

/* What was protected joins `clear`, at `route`. */
void
esp_decap(struct worker *w, struct burst *b)
{
	unsigned int run;

	for (unsigned int i = 0; i < b->n; i += run) {
		run = burst_run(b, i);
		if (run == 1)
			decap_one(w, b->m[i]);
		else
			decap_run(w, b->m + i, run);
	}
	burst_clear(b);
}
