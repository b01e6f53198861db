/* SPDX-License-Identifier: BSD-3-Clause */
/* SAs, policies and messages that more than one test needs. */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "ikeglue/xfrm_encode.h"
#include "ikeglue/xfrm_uapi.h"

/* An SA with something in every field, its numbers drawn from `seed`. */
static inline struct sa_params
sample_sa(unsigned int seed)
{
	struct sa_params p = {
		.id = {.spi = rte_cpu_to_be_32(0x1000 + seed),
		       .proto = IPPROTO_ESP,
		       .family = seed & 1 ? FAMILY_V6 : FAMILY_V4,
		       .mark = seed / 2 * 11},
		.mode = SA_MODE_TUNNEL,
		.xfrm_flags = XFRM_STATE_AF_UNSPEC | XFRM_STATE_DECAP_DSCP,
		.flags = SA_AF_UNSPEC | SA_DECAP_DSCP,
		.reqid = seed * 3,
		.if_id = seed * 5,
		.set_mark = seed / 4 * 9,
		.seq = seed * 7,
		.tfcpad = seed & 64 ? seed * 2 : 0,
		.ae_tenths = 10, /* what is not said */
		.limits = {1, 2, 3, UINT64_MAX, 5, 6, 7, seed},
		.counted = {.last_used = 6}, /* as sample_snapshot() has it */
		.per_cpu = (seed & 2) != 0,
		.cpu = seed & 2,
		.suite = (uint8_t)(seed % crypto_suites_count),
	};
	const struct crypto_suite *suite = &crypto_suites[p.suite];

	if ((suite->kind == CRYPTO_NULL || suite->kind == CRYPTO_GMAC) && !(seed & 4))
		p.id.proto = IPPROTO_AH, p.tfcpad = 0;
	memset(&p.id.dst, 0x20 + seed % 64, p.id.family == FAMILY_V6 ? 16 : 4);
	memset(&p.src, 0x60 + seed % 64, p.id.family == FAMILY_V6 ? 16 : 4);
	memset(p.key, 0x41 + seed % 26, suite->key_len);
	memset(p.auth_key, 0x61 + seed % 26, suite->auth_key_len);
	memset(p.salt, 0x30 + seed % 10, suite->salt_len);
	if (seed & 4) {
		p.encap_type = XFRM_UDP_ENCAP_ESPINUDP;
		p.encap_sport = rte_cpu_to_be_16(4500);
		p.encap_dport = rte_cpu_to_be_16(4501);
		p.flags |= SA_ENCAP_UDP;
		p.mapping_seconds = seed;
		p.nat_keepalive = seed & 16 ? 0 : 20;
		memset(&p.encap_oa, 0x11 + seed % 7, p.id.family == FAMILY_V6 ? 16 : 4);
		memset(&p.coaddr, seed % 9, p.id.family == FAMILY_V6 ? 16 : 4);
	}
	if (seed & 8) {
		p.xfrm_flags |= XFRM_STATE_ESN;
		p.flags |= SA_ESN | (seed & 16 ? SA_IN_ONLY : SA_OUT_ONLY);
		p.xfrm_extra_flags = XFRM_SA_XFLAG_DONT_ENCAP_DSCP;
		p.flags |= SA_DONT_ENCAP_DSCP;
	}
	if (seed & 16) {
		p.sel = (struct selector){.src_len = 8, .dst_len = 24, .family = FAMILY_V4};
		p.sel.src.bytes[0] = 10;
		p.sel.dst.bytes[0] = 11;
		p.sel.dst.bytes[2] = 12;
		p.sel.proto = IPPROTO_UDP;
		p.sel.dport = rte_cpu_to_be_16(53);
		p.sel.dport_mask = 0xffff;
	}
	return p;
}

/* Replay state for it: a window, and which of its numbers came. */
static inline void
sample_replay(struct sa_params *p, uint32_t window, uint64_t in_seq)
{
	uint32_t state = window * 2654435761u + (uint32_t)in_seq;

	p->replay_window = window;
	if (window > 0)
		p->flags |= SA_REPLAY;
	p->replay_bitmap_words = window > 32 || p->flags & SA_ESN ? (window + 31) / 32 : 1;
	p->in_seq = in_seq;
	p->out_seq = in_seq / 2;
	for (uint32_t i = 0; i < window; i++) {
		state = state * 1664525u + 1013904223u;
		if (state >> 31)
			p->replay_bitmap[i / 32] |= 1u << (i % 32);
	}
}

static inline struct xfrm_sa
sample_snapshot(const struct sa_params *p)
{
	struct xfrm_sa sa = {
		.params = p,
		.usage = {.packets = 10, .bytes = 1000, .first_used = 5, .last_used = 6},
		.added = 4,
		.out_seq = p->out_seq,
		.in_seq = p->in_seq,
	};

	memcpy(sa.bitmap, p->replay_bitmap, sizeof(sa.bitmap));
	return sa;
}

static inline struct spd_params
sample_policy(unsigned int seed)
{
	struct spd_params p = {
		.id = {.dir = (uint8_t)(seed % SPD_DIRS), .if_id = seed / 3, .mark = seed / 5},
		.priority = seed * 11,
		.action = (uint8_t)(seed / 2 % 3),
		.flags = seed & 8 ? XFRM_POLICY_ICMP : 0,
		.limits = {UINT64_MAX, UINT64_MAX, 3, UINT64_MAX, 5, 0, seed, 0},
	};

	p.id.sel = (struct selector){.src_len = 16, .dst_len = 24, .family = FAMILY_V4};
	p.id.sel.src.bytes[0] = 10;
	p.id.sel.dst.bytes[0] = 11;
	p.id.sel.dst.bytes[1] = (uint8_t)seed;
	if (p.action == SPD_PROTECT) {
		p.tmpl = (struct spd_template){
			.family = seed & 16 ? FAMILY_V6 : FAMILY_V4,
			.proto = seed & 64 ? IPPROTO_AH : IPPROTO_ESP,
			.mode = SA_MODE_TUNNEL,
			.optional = (seed & 32) != 0,
			.spi = rte_cpu_to_be_32(seed),
			.reqid = seed * 13,
		};
		memset(&p.tmpl.src, 1 + seed % 100, p.tmpl.family == FAMILY_V6 ? 16 : 4);
		memset(&p.tmpl.dst, 2 + seed % 100, p.tmpl.family == FAMILY_V6 ? 16 : 4);
	}
	return p;
}

static inline struct xfrm_migration
sample_migration(unsigned int seed)
{
	struct xfrm_migration m = {.id = sample_policy(seed).id,
				   .steps = 1 + seed % XFRM_MAX_DEPTH,
				   .has_ends = (seed & 1) != 0};

	for (uint32_t i = 0; i < m.steps; i++) {
		struct xfrm_step *step = &m.step[i];

		*step = (struct xfrm_step){.old_family = FAMILY_V4,
					   .new_family = i & 1 ? FAMILY_V6 : FAMILY_V4,
					   .proto = IPPROTO_ESP,
					   .mode = SA_MODE_TUNNEL,
					   .reqid = seed};
		memset(&step->old_src, 1 + (int)i, 4);
		memset(&step->old_dst, 2 + (int)i, 4);
		memset(&step->new_src, 3 + (int)i, i & 1 ? 16 : 4);
		memset(&step->new_dst, 4 + (int)i, i & 1 ? 16 : 4);
	}
	if (m.has_ends)
		memset(&m.ends, 0x11, sizeof(m.ends));
	return m;
}

static inline const struct nlmsghdr *
first_message(const struct xfrm_buf *buf)
{
	return (const struct nlmsghdr *)buf->data;
}
