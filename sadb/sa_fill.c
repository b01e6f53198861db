/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Makes the SA as workers see it from what the control side says (and undoes it): the ready-made
 * outer header, the anti-replay window, the expanded key. Both stand behind the SA in its place of
 * the arena; only a window larger than the places were made for has memory of its own.
 */
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>

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
 */
static void
write_outer(struct sa *sa, const struct sa_params *p)
{
	bool udp = (sa->flags & SA_ENCAP_UDP) != 0;
	uint8_t *at = sa->own_outer;

	if (sa->mode != SA_MODE_TRANSPORT)
		at = write_ip(at, sa, sa->carrier);
	if (udp) {
		struct udphdr header = {.source = p->encap_sport, .dest = p->encap_dport};

		memcpy(at, &header, sizeof(header));
		at += sizeof(header);
	}
	at = sa->proto == IPPROTO_AH ? write_ah(at, sa) : write_esp(at, sa);
	sa->outer_len = (uint8_t)(at - sa->own_outer);
	atomic_init(&sa->outer, sa->own_outer);
}

/* An outer header that took the place of the SA's own. */
struct moved_outer {
	alignas(64) uint8_t header[SA_OUTER_MAX];
	struct reclaim_item retired;
};

static struct moved_outer *
moved_of(const uint8_t *header)
{
	return (struct moved_outer *)(uintptr_t)header;
}

static void
free_outer(void *ctx, struct reclaim_item *item)
{
	free(container_of(item, struct moved_outer, retired));
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
	struct moved_outer *moved = aligned_alloc(alignof(struct moved_outer), sizeof(*moved));
	uint8_t *outer;

	if (!moved)
		return -ENOMEM;
	outer = moved->header;
	memcpy(outer, old, SA_OUTER_MAX);
	memcpy(outer + sa->outer_len - sizeof(struct esp_front) - sizeof(udp), &udp, sizeof(udp));
	if (sa->mode != SA_MODE_TRANSPORT && sa->family == FAMILY_V4)
		memcpy(outer + offsetof(struct iphdr, daddr), dst, 4);
	else if (sa->mode != SA_MODE_TRANSPORT)
		memcpy(outer + offsetof(struct ip6_hdr, ip6_dst), dst, 16);
	/* Release: who loads the pointer sees the whole header. */
	atomic_store_explicit(&sa->outer, outer, memory_order_release);
	if (old != sa->own_outer)
		reclaim_defer(sad->config.reclaim, free_outer, NULL, &moved_of(old)->retired);
	return 0;
}

/* Whether the SA's own selector excludes anything of its family. */
static bool
narrows(const struct selector *sel)
{
	return sel->src_len != 0 || sel->dst_len != 0 || sel->proto != 0 || sel->sport_mask != 0 ||
	       sel->dport_mask != 0;
}

static int
attach_window(struct sad *sad, struct slot *slot, struct sa *sa, const struct sa_params *p)
{
	uint32_t window = p->replay_window;

	sa->replay = (struct replay *)(sa + 1);
	if (window <= sad->config.replay_window) {
		window = sad->config.replay_window;
	} else {
		slot->own_window = aligned_alloc(64, (replay_size(window) + 63) & ~(size_t)63);
		if (!slot->own_window)
			return -ENOMEM;
		sad->own_bytes += replay_size(window);
		sa->replay = slot->own_window;
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
	sa->narrow = narrows(&p->sel);
	sa->iv_len = suite->iv_len;
	sa->icv_len = suite->icv_len;
	sa->align = suite->align;
	sa->proto = p->id.proto;
	sa->carrier = (p->flags & SA_ENCAP_UDP) != 0 ? IPPROTO_UDP : p->id.proto;
	sa->tfcpad = (uint16_t)(p->tfcpad < UINT16_MAX ? p->tfcpad : UINT16_MAX);
	write_outer(sa, p);
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
	if (attach_window(sad, slot, sa, p) != 0 || attach_detail(slot, p) != 0)
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
	if (attach_memory(sad, slot, sa, p) != 0 || kept_pack(&sad->kept, p, sa, &kept) != 0) {
		sa_clear(sad, slot);
		return reason_set(why, ENOMEM, "no memory for an SA");
	}
	attach_key(sad, sa, p);
	fill_window(sad, sa, p, &state->print);
	atomic_init(&sa->owner, c->index % sad->config.workers);
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

	if (slot->own_window) {
		sad->own_bytes -= replay_size(slot->own_window->window);
		free(slot->own_window);
		slot->own_window = NULL;
	}
	if (sa->outer != sa->own_outer)
		free(moved_of(sa->outer));
	crypto_zeroize((uint8_t *)sa + sad->stride - sad->key_room, sad->key_room);
	crypto_zeroize(&sa->salt, sizeof(sa->salt));
	free((void *)(uintptr_t)c->detail);
	free(c->start);
	c->detail = NULL;
	c->start = NULL;
	c->sa = NULL;
}
