/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of heads of a chained hash; everything else is inline in chash.h. */
#include "chash.h"

#include <errno.h>
#include <stdlib.h>

int
chash_init(struct chash *h, uint32_t entries)
{
	uint32_t heads = 1;

	while (heads < entries && heads < UINT32_C(1) << 31)
		heads *= 2;
	/* All bits zero is a null pointer, also an atomic one, on every platform that DPDK knows.
	 */
	h->heads = calloc(heads, sizeof(*h->heads));
	h->mask = heads - 1;
	return h->heads ? 0 : -ENOMEM;
}

void
chash_free(struct chash *h)
{
	free(h->heads);
	h->heads = NULL;
}
