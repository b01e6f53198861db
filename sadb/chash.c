/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of heads of a chained hash; everything else is inline in chash.h. */
#include "chash.h"

#include <errno.h>

int
chash_init(struct chash *h, uint32_t entries)
{
	uint32_t heads = 1;

	while (heads < entries && heads < UINT32_C(1) << 31)
		heads *= 2;
	if (memory_map(&h->memory, heads * sizeof(*h->heads)) != 0)
		return -ENOMEM;
	/* All bits zero is a null pointer, also an atomic one, wherever DPDK runs. */
	h->heads = h->memory.base;
	h->mask = heads - 1;
	return 0;
}

void
chash_free(struct chash *h)
{
	memory_unmap(&h->memory);
	h->heads = NULL;
}
