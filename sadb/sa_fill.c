/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Makes the SA as workers see it from what the control side says (and undoes it): the ready-made
 * outer header, the anti-replay window, the expanded key. All stand behind the SA in its place of
 * the arena, the header where the key leaves room; only a window larger than the places were made
 * for, and a header without room, have memory of their own.
 */
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>

#include <rte_ip.h>

#include "sad_private.h"

#define OUTER_TTL 64

/* SPI and sequence number, RFC 4303 section 2. */
struct esp_front {
	rte_be32_t spi, seq;
};

static_assert(SA_OUTER_MAX ==
		      sizeof(struct ip6_hdr) + sizeof(struct udphdr) + sizeof(struct esp_front),
	      "the largest outer header");

/* RFC 4302 section 2; the ICV field is behind it. */
struct ah_front {
	uint8_t next_header, len; /* of all AH, in words of 32 bits, less 2 */
	rte_be16_t reserved;
	rte_be32_t spi, seq;
};

static_assert(sizeof(struct ah_front) == SA_AH_FIXED, "RFC 4302 section 2");

static uint8_t *
write_ip(uint8_t *at, const struct sa *sa, uint8_t proto)
{
	if (sa->family == FAMILY_V4) {
		struct iphdr ip = {.version = 4, .ihl = 5, .ttl = OUTER_TTL, .protocol = proto};

		ip.saddr = sa->src.v4;
		ip.daddr = sa->dst.v4;
		ip.check = rte_raw_cksum(&ip, sizeof(ip)); /* what a packet's own is added to */
		memcpy(at, &ip, sizeof(ip));
		return at + sizeof(ip);
	}
	struct ip6_hdr ip6 = {.ip6_flow = RTE_BE32(UINT32_C(6) << 28)};

	ip6.ip6_nxt = proto;
	ip6.ip6_hlim = OUTER_TTL;
	memcpy(&ip6.ip6_src, sa->src.bytes, sizeof(ip6.ip6_src));
	memcpy(&ip6.ip6_dst, sa->dst.bytes, sizeof(ip6.ip6_dst));
	memcpy(at, &ip6, sizeof(ip6));
	return at + sizeof(ip6);
}

static uint8_t *
write_ah(uint8_t *at, const struct sa *sa)
{
	struct ah_front ah = {.len = (uint8_t)(sa_ah_len(sa) / 4 - 2), .spi = sa->spi};

	memcpy(at, &ah, sizeof(ah));
	return at + sizeof(ah);
}

static uint8_t *
write_esp(uint8_t *at, const struct sa *sa)
{
	struct esp_front esp = {.spi = sa->spi};

	memcpy(at, &esp, sizeof(esp));
	return at + sizeof(esp);
}

/* RFC 4301 section 5.1.2.1, RFC 3948 section 2.1. In transport mode the IP header is the packet's.
 * Returns the end.
 */
static uint8_t *
write_outer(uint8_t *at, const struct sa *sa, const struct sa_params *p)
{
	bool udp = (sa->flags & SA_ENCAP_UDP) != 0;

	if (sa->mode != SA_MODE_TRANSPORT)
		at = write_ip(at, sa, sa->carrier);
	if (udp) {
		struct udphdr header = {.source = p->encap_sport, .dest = p->encap_dport};

		memcpy(at, &header, sizeof(header));
		at += sizeof(header);
	}
	return sa->proto == IPPROTO_AH ? write_ah(at, sa) : write_esp(at, sa);
}

/* An outer header outside the SA's place: its key leaves no room, or the peer moved. */
struct own_outer {
	alignas(64) uint8_t header[SA_OUTER_MAX];
	struct reclaim_item retired;
};

static struct own_outer *
own_outer_new(struct sad *sad)
{
	struct own_outer *own = aligned_alloc(alignof(struct own_outer), sizeof(*own));

	if (own)
		sad->own_bytes += sizeof(*own);
	return own;
}

/* The one that a header is in, or NULL. */
static struct own_outer *
own_outer_of(const struct sad *sad, const struct sa *sa, const uint8_t *header)
{
	const uint8_t *place = (const uint8_t *)sa;

	return header >= place && header < place + sad->stride
		       ? NULL
		       : (struct own_outer *)(uintptr_t)header;
}

static void
own_outer_free(struct sad *sad, struct own_outer *own)
{
	if (own)
		sad->own_bytes -= sizeof(*own);
	free(own);
}

static void
retired_outer_free(void *ctx, struct reclaim_item *item)
{
	own_outer_free(ctx, container_of(item, struct own_outer, retired));
}

/* Bytes of the SA's place that its key leaves, and where. */
static uint32_t
room_for_outer(const struct sad *sad, struct sa *sa, uint8_t **at)
{
	size_t gap_at, gap = crypto_key_gap(sad->config.crypto, sa->suite, &gap_at);
	size_t key = crypto_key_size(sad->config.crypto, sa->suite);

	*at = (uint8_t *)sa->key + (gap >= sa->outer_len ? gap_at : key);
	return gap >= sa->outer_len ? (uint32_t)gap : sad->key_room - (uint32_t)key;
}

/* Once the key has been expanded. */
static int
attach_outer(struct sad *sad, struct sa *sa, const struct sa_params *p)
{
	uint8_t header[SA_OUTER_MAX], *at;
	struct own_outer *own;

	sa->outer_len = (uint8_t)(write_outer(header, sa, p) - header);
	if (room_for_outer(sad, sa, &at) < sa->outer_len) {
		own = own_outer_new(sad);
		if (!own)
			return -ENOMEM;
		at = own->header;
	}
	memcpy(at, header, sa->outer_len);
	atomic_init(&sa->outer, at);
	return 0;
}

static void
move_ip(struct iphdr *ip, const union ip_addr *dst)
{
	ip->daddr = dst->v4;
	ip->check = 0;
	ip->check = rte_raw_cksum(ip, sizeof(*ip));
}

/*
 * Workers have the old header until they load the pointer again, so another takes its place and it
 * is freed after a grace period. The addresses are left alone in transport mode.
 */
int
sa_outer_replace(struct sad *sad, struct sa *sa, const union ip_addr *dst, rte_be16_t sport,
		 rte_be16_t dport)
{
	const struct udphdr udp = {.source = sport, .dest = dport};
	const uint8_t *old = atomic_load_explicit(&sa->outer, memory_order_relaxed);
	struct own_outer *own = own_outer_new(sad), *before = own_outer_of(sad, sa, old);
	uint8_t *outer;

	if (!own)
		return -ENOMEM;
	outer = own->header;
	memcpy(outer, old, sa->outer_len);
	memcpy(outer + sa->outer_len - sizeof(struct esp_front) - sizeof(udp), &udp, sizeof(udp));
	if (sa->mode != SA_MODE_TRANSPORT && sa->family == FAMILY_V4)
		move_ip((struct iphdr *)outer, dst);
	else if (sa->mode != SA_MODE_TRANSPORT)
		memcpy(outer + offsetof(struct ip6_hdr, ip6_dst), dst, 16);
	/* Release: who loads the pointer sees the whole header. */
	atomic_store_explicit(&sa->outer, outer, memory_order_release);
	if (before)
		reclaim_defer(sad->config.reclaim, retired_outer_free, sad, &before->retired);
	return 0;
}

/* Whether the SA's own selector excludes anything of its family. */
static bool
narrows(const struct selector *sel)
{
	return sel->src_len != 0 || sel->dst_len != 0 || sel->proto != 0 || sel->sport_mask != 0 ||
	       sel->dport_mask != 0;
}

static bool
is_plain_aead(const struct crypto_suite *suite, uint16_t flags)
{
	return (suite->kind == CRYPTO_AEAD_GCM || suite->kind == CRYPTO_AEAD_CHACHA) &&
	       suite->salt_len == 4 && suite->iv_len == 8 && (flags & SA_ESN) == 0;
}

static int
attach_window(struct sad *sad, struct sa *sa, const struct sa_params *p)
{
	uint32_t window = p->replay_window;
	struct replay *own;

	sa->replay = sa_window(sa);
	if (window <= sad->config.replay_window) {
		window = sad->config.replay_window;
	} else {
		own = aligned_alloc(64, (replay_size(window) + 63) & ~(size_t)63);
		if (!own)
			return -ENOMEM;
		sad->own_bytes += replay_size(window);
		sa->replay = own;
	}
	replay_init(sa->replay, window);
	return 0;
}

static void
attach_key(struct sad *sad, struct sa *sa, const struct sa_params *p)
{
	sa->key = (uint8_t *)sa + sad->stride - sad->key_room;
	crypto_key_expand(sad->config.crypto, p->suite, p->key,
			  crypto_suites[p->suite].auth_key_len ? p->auth_key : NULL, sa->key);
}

static void
fill_lines(struct sa *sa, struct slot *slot, const struct sa_params *p,
	   const struct key_state *state, uint16_t more_flags)
{
	const struct crypto_suite *suite = &crypto_suites[p->suite];

	sa->spi = p->id.spi;
	sa->index = slot->control.index;
	memcpy(&sa->salt, p->salt, sizeof(sa->salt));
	sa->if_id = p->if_id;
	sa->iv_base = state->iv_base;
	sa->suite = p->suite;
	sa->mode = p->mode;
	sa->family = p->id.family;
	sa->flags = (p->flags & (uint16_t)~SA_REPLAY) | more_flags;
	if (p->replay_window != 0)
		sa->flags |= SA_REPLAY;
	if (p->encap_sport != 0)
		sa->flags |= SA_WATCH_PEER;
	sa->reqid = p->reqid;
	sa->src = p->src;
	sa->dst = p->id.dst;
	atomic_init(&sa->tenant, tenant_make(p->if_id, p->set_mark ? p->set_mark : p->id.mark));
	sa->control = &slot->control;
	sa->traits = (uint8_t)((narrows(&p->sel) ? SA_NARROW : 0) |
			       (is_plain_aead(suite, sa->flags) ? SA_PLAIN_AEAD : 0));
	sa->iv_len = suite->iv_len;
	sa->icv_len = suite->icv_len;
	sa->align = suite->align;
	sa->proto = p->id.proto;
	sa->carrier = (p->flags & SA_ENCAP_UDP) != 0 ? IPPROTO_UDP : p->id.proto;
	sa->tfcpad = (uint16_t)(p->tfcpad < UINT16_MAX ? p->tfcpad : UINT16_MAX);
	atomic_init(&sa->outer, (const uint8_t *)sa); /* none yet */
	sa->seq_limit = state->seq_limit;
	atomic_init(&sa->seq, state->out_seq);
	atomic_init(&sa->path_mtu, 0);
	atomic_init(&sa->state, SA_VALID);
	atomic_init(&sa->peer, sa_peer(&p->src, p->encap_sport));
}

/*
 * What the request knows of received packets, and what was received under this key before. The SPI
 * is under the ICV, so only a window of the same SPI can have seen a packet that passes here.
 */
static void
fill_window(struct sad *sad, struct sa *sa, const struct sa_params *p,
	    const struct key_print *print)
{
	struct tombstone *past = NULL;

	replay_restore(sa->replay, p->in_seq, p->replay_bitmap, p->replay_bitmap_words);
	while ((past = tombstone_next(&sad->tombstones, print, past)) != NULL) {
		if (past->spi != p->id.spi)
			continue;
		if (past->window)
			replay_inherit(sa->replay, past->window);
		else
			replay_restore(sa->replay, past->in_top, NULL, 0);
	}
}

/* What workers read of few SAs. */
static int
attach_detail(struct slot *slot, const struct sa_params *p)
{
	bool behind_nat = p->mode == SA_MODE_TRANSPORT && (p->flags & SA_ENCAP_UDP) != 0;
	struct sa_detail *detail;

	if (!narrows(&p->sel) && p->mode != SA_MODE_BEET && !behind_nat)
		return 0;
	detail = malloc(sizeof(*detail));
	if (!detail)
		return -ENOMEM;
	detail->sel = p->sel;
	detail->original = ip_addr_is_any(&p->encap_oa) ? p->coaddr : p->encap_oa;
	slot->control.detail = detail;
	return 0;
}

/* Memory beside the SA's place. */
static int
attach_memory(struct sad *sad, struct slot *slot, struct sa *sa, const struct sa_params *p)
{
	if (attach_window(sad, sa, p) != 0 || attach_outer(sad, sa, p) != 0 ||
	    attach_detail(slot, p) != 0)
		return -ENOMEM;
	return usage_prepare(&slot->control, &p->counted);
}

int
sa_fill(struct sad *sad, struct slot *slot, const struct sa_params *p,
	const struct key_state *state, struct reason *why)
{
	struct sa *sa = arena_sa(sad, slot->control.index);
	struct sa_control *c = &slot->control;
	struct kept kept;

	fill_lines(sa, slot, p, state, sad->config.flags);
	attach_key(sad, sa, p);
	if (attach_memory(sad, slot, sa, p) != 0 || kept_pack(&sad->kept, p, sa, &kept) != 0) {
		sa_clear(sad, slot);
		return reason_set(why, ENOMEM, "no memory for an SA");
	}
	fill_window(sad, sa, p, &state->print);
	atomic_init(&sa->owner,
		    c->index % sad->config.workers |
			    (sad->config.spread && sa->proto == IPPROTO_ESP ? SA_SPREAD : 0));
	kept_drop(&sad->kept, &c->kept); /* of the larval SA */
	c->kept = kept;
	c->mark = p->id.mark;
	c->takes_marks = p->id.mark == 0 && p->set_mark == 0;
	c->sa = sa;
	return 0;
}

void
sa_clear(struct sad *sad, struct slot *slot)
{
	struct sa *sa = arena_sa(sad, slot->control.index);
	struct sa_control *c = &slot->control;

	if (sa->replay != sa_window(sa)) {
		sad->own_bytes -= replay_size(sa->replay->window);
		free(sa->replay);
	}
	own_outer_free(sad, own_outer_of(sad, sa, sa->outer));
	crypto_zeroize((uint8_t *)sa + sad->stride - sad->key_room, sad->key_room);
	crypto_zeroize(&sa->salt, sizeof(sa->salt));
	free((void *)(uintptr_t)c->detail);
	free(c->extra);
	c->detail = NULL;
	c->extra = NULL;
	c->sa = NULL;
}
