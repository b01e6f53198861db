/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packets that walk together, in runs. The packets of a run are alike: what struct packet says is
 * so of each of them, and the first one's alone says it. So what is decided for the first of a run,
 * and written there, holds for all of it, and nobody goes through the rest, or brings their lines
 * to the cache. With AddressSanitizer whoever reads another one's is caught.
 *
 * A packet is a run of its own unless who adds it says otherwise. Who has to do with one of a run
 * alone, parts it from the run or takes it out of the burst: it has its own struct packet then.
 */
#pragma once

#include "packet.h"

struct burst {
	uint16_t n;
	uint64_t follows; /* bit i: m[i] is of the run of m[i - 1]; zero from bit n on */
	struct rte_mbuf *m[BURST_MAX];
};

static_assert(BURST_MAX == 64, "a bit for each");

static inline void
burst_clear(struct burst *b)
{
	b->n = 0;
	b->follows = 0;
}

static inline bool
burst_full(const struct burst *b)
{
	return b->n == BURST_MAX;
}

/* Bits of n packets, 1 to 64. */
static inline uint64_t
burst_bits(unsigned int n)
{
	return UINT64_MAX >> (BURST_MAX - n);
}

/* n pointers: mostly a run's, or one. */
static inline void
burst_copy(struct rte_mbuf **to, struct rte_mbuf *const *from, unsigned int n)
{
	if (n == 1)
		*to = *from;
	else
		memcpy(to, from, n * sizeof(*to));
}

/* A run of its own. */
static inline void
burst_add(struct burst *b, struct rte_mbuf *m)
{
	b->m[b->n++] = m;
}

/* Of the last one's run. */
static inline void
burst_add_like(struct burst *b, struct rte_mbuf *m)
{
	packet_hide(m);
	b->follows |= UINT64_C(1) << b->n;
	b->m[b->n++] = m;
}

static inline void
burst_add_all_like(struct burst *b, struct rte_mbuf *const *m, unsigned int n)
{
	if (n == 0)
		return;
	b->follows |= burst_bits(n) << b->n;
	for (unsigned int i = 0; i < n; i++)
		packet_hide(m[i]);
	burst_copy(b->m + b->n, m, n);
	b->n += (uint16_t)n;
}

/* How many packets of its run there are from b->m[i] on. */
static inline unsigned int
burst_run(const struct burst *b, unsigned int i)
{
	return 1 + (unsigned int)__builtin_ctzll(~(b->follows >> 1 >> i));
}

/* The first of its run. */
static inline unsigned int
burst_first(const struct burst *b, unsigned int i)
{
	return BURST_MAX - 1 - (unsigned int)__builtin_clzll(~b->follows & burst_bits(i + 1));
}

/* Adds n packets of another burst, whole runs, which stay there, too. */
static inline void
burst_append(struct burst *b, const struct burst *from, unsigned int i, unsigned int n)
{
	if (unlikely(n == 0))
		return;
	b->follows |= (from->follows >> i & burst_bits(n)) << b->n;
	burst_copy(b->m + b->n, from->m + i, n);
	b->n += (uint16_t)n;
}

/* Makes n packets one run: all that is known of the first holds for the others. */
static inline void
burst_join(struct burst *b, unsigned int i, unsigned int n)
{
	for (unsigned int k = i + 1; k < i + n; k++)
		packet_hide(b->m[k]);
	b->follows |= (burst_bits(n) & ~UINT64_C(1)) << i;
}

/* Makes n packets runs of their own; the rest of their last one's run is another. */
void burst_part(struct burst *b, unsigned int i, unsigned int n);

/* Removes n packets, whole runs. */
void burst_cut(struct burst *b, unsigned int i, unsigned int n);

/* Takes b->m[i] out; what is behind it moves up. */
struct rte_mbuf *burst_take(struct burst *b, unsigned int i);
