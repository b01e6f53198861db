/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The pool of packet buffers. The host and control threads take and give buffers, too, and may be
 * preempted in the middle of it: relaxed tail synchronisation keeps workers from waiting for them.
 *
 * Under AddressSanitizer a wrapper around the pool's ring poisons each buffer that is given back,
 * by whomever, and opens it again when it is taken.
 */
#include "room.h"

#include <string.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mempool.h>

#define RING_OPS "ring_mt_rts"

#ifdef ROOM_GUARDED
#define POOL_OPS "guarded"

static struct rte_mempool_ops ring;

static size_t
buffer_size(struct rte_mempool *pool)
{
	return sizeof(struct rte_mbuf) + rte_pktmbuf_priv_size(pool) +
	       rte_pktmbuf_data_room_size(pool);
}

static void
open_buffer(struct rte_mempool *pool, void *arg, void *buffer, unsigned int index)
{
	ASAN_UNPOISON_MEMORY_REGION(buffer, buffer_size(pool));
}

static int
give(struct rte_mempool *pool, void *const *buffers, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		/* While the pool is filled they are no mbufs yet. */
		if (((struct rte_mbuf *)buffers[i])->pool == pool)
			ASAN_POISON_MEMORY_REGION(buffers[i], buffer_size(pool));
	}
	return ring.enqueue(pool, buffers, n);
}

static int
take(struct rte_mempool *pool, void **buffers, unsigned int n)
{
	int error = ring.dequeue(pool, buffers, n);

	for (unsigned int i = 0; i < n && error == 0; i++)
		open_buffer(pool, NULL, buffers[i], 0);
	return error;
}

/* Once for the program; pools are made by one thread. */
static void
register_ops(void)
{
	struct rte_mempool_ops guarded;

	if (ring.enqueue != NULL)
		return;
	for (unsigned int i = 0; i < rte_mempool_ops_table.num_ops; i++)
		if (strcmp(rte_mempool_ops_table.ops[i].name, RING_OPS) == 0)
			ring = rte_mempool_ops_table.ops[i];
	guarded = ring;
	strcpy(guarded.name, POOL_OPS);
	guarded.enqueue = give;
	guarded.dequeue = take;
	rte_mempool_register_ops(&guarded);
}
#else
#define POOL_OPS RING_OPS
#endif

static void
free_zone(struct rte_mempool_memhdr *chunk, void *zone)
{
	rte_memzone_free(zone);
}

/*
 * One buffer behind the other, whatever the pages: devices see virtual addresses, so pages in a row
 * are in a row for them, too. rte_mempool by itself lets no buffer cross a page, and without
 * hugepages that makes it one for each page. net_af_xdp (22.11) then tells the kernel of the first
 * part of the pool only, which drops what is sent from the rest and never gives it back.
 */
static int
populate_densely(struct rte_mempool *pool)
{
	size_t stride = pool->header_size + pool->elt_size + pool->trailer_size;
	const struct rte_memzone *zone = rte_memzone_reserve_aligned(
		pool->name, stride * pool->size, pool->socket_id, 0, RTE_CACHE_LINE_SIZE);
	int rc;

	if (zone == NULL)
		return -ENOMEM;
	pool->flags &= ~(unsigned int)RTE_MEMPOOL_F_NON_IO; /* or drivers would not map it */
	rc = rte_mempool_populate_iova(pool, zone->addr, zone->iova, zone->len, free_zone,
				       (void *)(uintptr_t)zone);
	if (rc < 0)
		rte_memzone_free(zone);
	return rc;
}

static int
populate(struct rte_mempool *pool)
{
	int rc = (pool->flags & RTE_MEMPOOL_F_NO_IOVA_CONTIG) != 0
			 ? populate_densely(pool)
			 : rte_mempool_populate_default(pool);

	if (rc < 0)
		rte_errno = -rc;
	else
		rte_mempool_obj_iter(pool, rte_pktmbuf_init, NULL);
	return rc;
}

struct rte_mempool *
room_pool_new(const char *name, unsigned int count, unsigned int cache, uint16_t size, int socket)
{
	unsigned int flags = rte_eal_iova_mode() == RTE_IOVA_VA ? RTE_MEMPOOL_F_NO_IOVA_CONTIG : 0;
	struct rte_pktmbuf_pool_private about = {.mbuf_data_room_size = size,
						 .mbuf_priv_size = sizeof(struct packet)};
	struct rte_mempool *pool;

#ifdef ROOM_GUARDED
	register_ops();
	cache = 0;
#endif
	pool = rte_mempool_create_empty(name, count,
					sizeof(struct rte_mbuf) + sizeof(struct packet) + size,
					cache, sizeof(about), socket, flags);
	if (pool == NULL)
		return NULL;
	rte_mempool_set_ops_byname(pool, POOL_OPS, NULL);
	rte_pktmbuf_pool_init(pool, &about);
	if (populate(pool) >= 0)
		return pool;
	rte_mempool_free(pool);
	return NULL;
}

void
room_pool_free(struct rte_mempool *pool)
{
#ifdef ROOM_GUARDED
	/* EAL clears the memory, and gives it to others. */
	if (pool != NULL)
		rte_mempool_obj_iter(pool, open_buffer, NULL);
#endif
	rte_mempool_free(pool);
}
