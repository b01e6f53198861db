/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SPIs: choosing them, and finding the SA of an inbound packet by one (RFC 4301 section 4.1).
 *
 * The low bits of an SPI that we choose are the SA's place in the arena, the rest a generation that
 * changes whenever the place is given out again. So a lookup first looks into the place that the
 * SPI would name: its SA says whether it is the one. All other SPIs (chosen by hand, or several SAs
 * with equal ones) are found in the chained hash.
 */
#include "sad_private.h"

/* ESP's SPIs 1 to 255 are reserved (RFC 4303 section 2.1). */
#define SPI_MIN 256

static uint32_t
spi_hash(const struct sad *sad, rte_be32_t spi)
{
	return (uint32_t)chash_mix(sad->seed, spi);
}

static struct sa *
sa_of(struct chash_node *node)
{
	return (struct sa *)((char *)node - offsetof(struct sa, by_spi));
}

/* ---- workers ---- */

/* Whether an inbound packet to that address, of that kind, is this SA's. */
static bool
serves(const struct sa *sa, const union ip_addr *dst, uint8_t family, uint8_t carrier)
{
	return (sa->flags & SA_OUT_ONLY) == 0 && sa->family == family &&
	       ip_addr_equal(&sa->dst, dst) && sa->carrier == carrier;
}

static struct sa *
lookup_chain(const struct sad *sad, rte_be32_t spi, const union ip_addr *dst, uint8_t family,
	     uint8_t carrier, enum sad_miss *miss)
{
	struct chash_node *n;

	*miss = SAD_NO_SA;
	for (n = chash_first(&sad->by_spi, spi_hash(sad, spi)); n; n = chash_next(n)) {
		struct sa *sa = sa_of(n);

		if (sa->spi != spi)
			continue;
		if (serves(sa, dst, family, carrier)) {
			*miss = SAD_HIT;
			return sa;
		}
		if ((sa->flags & SA_OUT_ONLY) == 0)
			*miss = SAD_MISMATCH;
		else if (*miss == SAD_NO_SA)
			*miss = SAD_OUT_ONLY;
	}
	return NULL;
}

/* The place that an SPI of our own choice names, or NULL. */
static struct sa *
place_named(const struct sad *sad, rte_be32_t spi)
{
	uint32_t place = rte_be_to_cpu_32(spi) & sad->index_mask;

	return place < sad->places ? arena_sa(sad, place) : NULL;
}

struct sa *
sad_lookup(const struct sad *sad, rte_be32_t spi, const union ip_addr *dst, uint8_t family,
	   uint8_t carrier, enum sad_miss *miss)
{
	struct sa *sa = place_named(sad, spi);

	/* Acquire: what spi_publish() released, the whole SA, is seen behind it. */
	if (sa && spi != 0 && atomic_load_explicit(&sa->published, memory_order_acquire) == spi &&
	    serves(sa, dst, family, carrier)) {
		*miss = SAD_HIT;
		return sa;
	}
	return lookup_chain(sad, spi, dst, family, carrier, miss);
}

struct sa *
sad_lookup_outbound(const struct sad *sad, rte_be32_t spi, const union ip_addr *src,
		    const union ip_addr *dst, uint8_t family, uint8_t carrier)
{
	struct chash_node *n;

	for (n = chash_first(&sad->by_spi, spi_hash(sad, spi)); n; n = chash_next(n)) {
		struct sa *sa = sa_of(n);

		if (sa->spi == spi && (sa->flags & SA_IN_ONLY) == 0 && sa->family == family &&
		    sa->carrier == carrier && ip_addr_equal(&sa->src, src) &&
		    ip_addr_equal(&sa->dst, dst) &&
		    atomic_load_explicit(&sa->state, memory_order_relaxed) == SA_VALID)
			return sa;
	}
	return NULL;
}

void
sad_prefetch_inbound(const struct sad *sad, rte_be32_t spi, uint32_t seq)
{
	const struct sa *sa = place_named(sad, spi);

	if (!sa)
		return;
	__builtin_prefetch(&sa->src);
	__builtin_prefetch(&sa->spi);
	replay_prefetch(sa_window(sa), sad->slot_mask, seq); /* and the state */
}

/* ---- the control thread ---- */

struct sa *
spi_next(const struct sad *sad, rte_be32_t spi, struct sa *after)
{
	struct chash_node *n =
		after ? chash_next(&after->by_spi) : chash_first(&sad->by_spi, spi_hash(sad, spi));

	while (n && sa_of(n)->spi != spi)
		n = chash_next(n);
	return n ? sa_of(n) : NULL;
}

void
spi_publish(struct sad *sad, struct sa *sa)
{
	chash_insert(&sad->by_spi, spi_hash(sad, sa->spi), &sa->by_spi);
	/* Release: the SA is complete before a lookup may find it in its place. */
	atomic_store_explicit(&sa->published, sa->spi, memory_order_release);
}

void
spi_unpublish(struct sad *sad, struct sa *sa)
{
	/* Relaxed: who still sees the SPI is waited for by the grace period. */
	atomic_store_explicit(&sa->published, 0, memory_order_relaxed);
	chash_remove(&sad->by_spi, spi_hash(sad, sa->spi), &sa->by_spi);
}

/* Whether an SA, larval ones included, could be confused with one of that SPI and destination. */
static bool
taken(struct sad *sad, const struct sa_id *id)
{
	return spi_next(sad, id->spi, NULL) ||
	       index_first(&sad->index, id_hash(sad, id)) != INDEX_NONE;
}

/*
 * An SPI that names the slot's place. False where the range has no free one. One that is passed
 * over counts as a generation: else the next one in this place would be this one again.
 */
static bool
choose_named(struct sad *sad, struct slot *slot, struct sa_id *id, uint32_t min, uint32_t max)
{
	uint64_t step = (uint64_t)sad->index_mask + 1;
	uint64_t first = (min & ~sad->index_mask) | slot->control.index;
	uint64_t turn = slot->generation + chash_mix(sad->seed, slot->control.index);
	uint64_t n;

	if (first < min)
		first += step;
	if (first > max)
		return false;
	n = (max - first) / step + 1;
	for (uint64_t i = 0; i < n; i++) {
		id->spi = rte_cpu_to_be_32((uint32_t)(first + (turn + i) % n * step));
		if (!taken(sad, id)) {
			slot->generation += (uint32_t)i;
			return true;
		}
	}
	return false;
}

/* Any SPI of the range, those used longest ago first. */
static bool
choose_any(struct sad *sad, struct sa_id *id, uint32_t min, uint32_t max)
{
	uint64_t n = (uint64_t)max - min + 1;

	for (uint64_t i = 0; i < n; i++) {
		id->spi = rte_cpu_to_be_32((uint32_t)(min + sad->spi_turn++ % n));
		if (!taken(sad, id))
			return true;
	}
	return false;
}

static uint64_t
larval_hash(const struct sad *sad, const struct sa_params *p)
{
	uint64_t hash = hash_addr(hash_addr(index_hash(sad, INDEX_LARVAL), &p->src), &p->id.dst);

	return chash_mix(hash, (uint64_t)p->seq << 32 | p->reqid);
}

/* The larval SA that the same request made before, or NULL. */
static struct slot *
find_larval(struct sad *sad, const struct sa_params *p)
{
	uint32_t link;

	if (p->seq == 0)
		return NULL;
	INDEX_FOREACH(link, &sad->index, larval_hash(sad, p))
	{
		struct slot *slot = linked_slot(sad, link);
		struct sa_params q;

		if (slot->control.state != SA_LARVAL) /* the kind of link is shared */
			continue;
		q = sad_params(&slot->control);
		if (q.seq == p->seq && q.reqid == p->reqid && q.id.family == p->id.family &&
		    q.id.proto == p->id.proto && ip_addr_equal(&q.src, &p->src) &&
		    ip_addr_equal(&q.id.dst, &p->id.dst))
			return slot;
	}
	return NULL;
}

/* Makes a fresh slot a larval SA. */
static int
begin_larval(struct sad *sad, struct slot *slot, const struct sa_params *p, uint32_t seconds,
	     struct reason *why)
{
	if (kept_pack(&sad->kept, p, NULL, &slot->control.kept) != 0)
		return reason_set(why, ENOMEM, "no memory for an SA's parameters");
	slot->control.state = SA_LARVAL;
	slot->control.mark = p->id.mark;
	wheel_start(&sad->wheel, &slot->timer,
		    ticks_until(wall_milliseconds() + UINT64_C(1000) * seconds));
	index_insert(&sad->index, id_hash(sad, &p->id), link_of(slot, INDEX_ID));
	index_insert(&sad->index, larval_hash(sad, p), link_of(slot, INDEX_LARVAL));
	return 0;
}

int
sad_alloc_spi(struct sad *sad, const struct sa_params *params, uint32_t min, uint32_t max,
	      uint32_t larval_seconds, rte_be32_t *spi, struct reason *why)
{
	struct slot *slot = find_larval(sad, params);
	struct sa_params p = *params;
	int err;

	if (slot) {
		*spi = sad_id(&slot->control).spi;
		return 0;
	}
	if (min < SPI_MIN)
		min = SPI_MIN;
	if (min > max)
		return reason_set(why, EINVAL, "no SPI from 0x%x to 0x%x: expected 0x100 or more",
				  min, max);
	slot = slot_take(sad, why);
	if (!slot)
		return -ENOSPC;
	if (choose_named(sad, slot, &p.id, min, max) || choose_any(sad, &p.id, min, max))
		err = begin_larval(sad, slot, &p, larval_seconds, why);
	else
		err = reason_set(why, ENOENT, "every SPI from 0x%x to 0x%x is taken", min, max);
	if (err != 0) {
		slot_give(sad, slot);
		return err;
	}
	*spi = p.id.spi;
	return 0;
}
