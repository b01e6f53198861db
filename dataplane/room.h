/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A packet's room: the bytes of its buffer that stages may touch, which are its data and, where it
 * still stands there, the L2 header in front. AddressSanitizer knows nothing of packet buffers by
 * itself. In its builds all bytes beyond a packet's room are poisoned, and free buffers wholly; in
 * others nothing of that is left.
 *
 * Whatever moves the beginning or the end of a packet's data does it by the functions here. Drivers
 * and libraries are not instrumented: where they take, fill and give back buffers, the pool sees
 * it.
 */
#pragma once

#include "packet.h"

/*
 * A pool of packet buffers, each with `size` bytes of headroom, data and tailroom; NULL with
 * rte_errno. Guarded ones have no `cache` per thread: nobody would see what passes it.
 */
struct rte_mempool *room_pool_new(const char *name, unsigned int count, unsigned int cache,
				  uint16_t size, int socket);
void room_pool_free(struct rte_mempool *pool);

/* The packet has its data as room, and `front` bytes in front of it. */
static inline void
room_fit(const struct rte_mbuf *m, uint32_t front)
{
#ifdef ROOM_GUARDED
	ASAN_POISON_MEMORY_REGION(m->buf_addr, m->buf_len);
	ASAN_UNPOISON_MEMORY_REGION(rte_pktmbuf_mtod(m, const uint8_t *) - front,
				    front + m->data_len);
#endif
}

/* The whole buffer is open, for who plays a driver and fills it anew without the pool. */
static inline void
room_open(const struct rte_mbuf *m)
{
#ifdef ROOM_GUARDED
	ASAN_UNPOISON_MEMORY_REGION(m->buf_addr, m->buf_len);
#endif
}

/* Takes bytes off the front. The L2 header of packet.l2_len bytes may still be read. */
static inline void
packet_adj(struct rte_mbuf *m, uint16_t len)
{
	rte_pktmbuf_adj(m, len);
	room_fit(m, packet(m)->l2_len);
}

/* Cuts what is behind the first `len` bytes. */
static inline void
packet_cut(struct rte_mbuf *m, uint32_t len)
{
	m->data_len = (uint16_t)len;
	m->pkt_len = len;
	room_fit(m, packet(m)->l2_len);
}

/* Puts bytes in front, where the L2 header is then gone. NULL without room for them. */
static inline void *
packet_prepend(struct rte_mbuf *m, uint16_t len)
{
	void *at = rte_pktmbuf_prepend(m, len);

	room_fit(m, 0);
	return at;
}

/* Puts bytes behind; the L2 header is gone. NULL without room for them. Packets have one segment.
 */
static inline void *
packet_append(struct rte_mbuf *m, uint16_t len)
{
	void *at = rte_pktmbuf_mtod_offset(m, void *, m->data_len);

	if (unlikely(len > rte_pktmbuf_tailroom(m)))
		return NULL;
	m->data_len += len;
	m->pkt_len += len;
	room_fit(m, 0);
	return at;
}

/* Takes bytes off the front, where the L2 header is then gone, and leaves `len`. */
static inline void
packet_narrow(struct rte_mbuf *m, uint32_t front, uint32_t len)
{
	m->data_off += (uint16_t)front;
	m->data_len = (uint16_t)len;
	m->pkt_len = len;
	room_fit(m, 0);
}

/* Both: bytes in front, and behind. The new beginning, or NULL without room for them. */
static inline void *
packet_widen(struct rte_mbuf *m, uint32_t front, uint32_t back)
{
	uint32_t begin = m->data_off - front, len = m->data_len + front + back;

	/* Too much in front makes `begin` larger than any buffer. */
	if (unlikely((uint64_t)begin + len > m->buf_len))
		return NULL;
	m->data_off = (uint16_t)begin;
	m->data_len = (uint16_t)len;
	m->pkt_len = len;
	room_fit(m, 0);
	return rte_pktmbuf_mtod(m, void *);
}
