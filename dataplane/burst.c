/* SPDX-License-Identifier: BSD-3-Clause */
#include "burst.h"

#include <string.h>

#include <rte_common.h>

void
burst_part(struct burst *b, unsigned int i, unsigned int n)
{
	unsigned int first = burst_first(b, i), end = RTE_MIN(i + n + 1, b->n);

	for (unsigned int k = i; k < end; k++) {
		if ((b->follows >> k & 1) != 0)
			packet_tell(b->m[k], packet(b->m[first]));
		else
			first = k;
	}
	b->follows &= ~(burst_bits(end - i) << i);
}

void
burst_cut(struct burst *b, unsigned int i, unsigned int n)
{
	uint64_t front = b->follows & ((UINT64_C(1) << i) - 1), back = b->follows >> i;

	b->n -= (uint16_t)n;
	b->follows = front | back >> (n - 1) >> 1 << i;
	memmove(b->m + i, b->m + i + n, (b->n - i) * sizeof(b->m[0]));
}

struct rte_mbuf *
burst_take(struct burst *b, unsigned int i)
{
	struct rte_mbuf *m = b->m[i];

	burst_part(b, i, 1);
	burst_cut(b, i, 1);
	return m;
}
