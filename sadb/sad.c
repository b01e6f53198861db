/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The SAD's life and the life of SAs in it, on the control thread: a place in the arena is taken,
 * filled (sad_key.c, sa_fill.c), published to workers (sad_spi.c) and indexed for the control side;
 * retired, it is unlinked first, and overwritten and given back after a grace period.
 */
#include "sad_private.h"

#include <sys/random.h>

#define LINE 64

static size_t
lines(size_t bytes)
{
	return (bytes + LINE - 1) & ~(size_t)(LINE - 1);
}

/* ---- the database itself ---- */

/* The largest expanded key of this backend. */
static uint32_t
key_room(struct crypto_ctx *crypto)
{
	size_t room = 0, size;

	for (unsigned int i = 0; i < crypto_suites_count; i++) {
		size = lines(crypto_key_size(crypto, i));
		if (size > room)
			room = size;
	}
	return (uint32_t)room;
}

/* An odd number of lines, so that places do not pile up in a few sets of the cache. */
static void
lay_out(struct sad *sad, const struct sad_config *config)
{
	size_t size = lines(offsetof(struct sa, window) + replay_size(config->replay_window));

	sad->config = *config;
	sad->key_room = key_room(config->crypto);
	size += sad->key_room;
	if (size / LINE % 2 == 0)
		size += LINE;
	sad->stride = (uint32_t)size;
	/* The rest waits for grace periods while its successors are installed. */
	sad->places = config->max_sas + config->max_sas / 8 + 64;
	sad->slot_mask = replay_slots(config->replay_window) - 1;
	sad->index_mask = UINT32_MAX >> __builtin_clz(sad->places);
	STAILQ_INIT(&sad->free);
	kept_memory_init(&sad->kept);
}

static int
map_counters(struct sad *sad)
{
	uint32_t workers = sad->config.workers;

	sad->counters = calloc(workers, sizeof(*sad->counters));
	sad->counters_memory = calloc(workers, sizeof(*sad->counters_memory));
	sad->alarms = calloc(workers, sizeof(*sad->alarms));
	if (!sad->counters || !sad->counters_memory || !sad->alarms)
		return -ENOMEM;
	for (uint32_t w = 0; w < workers; w++) {
		size_t size = (size_t)sad->places * sizeof(struct sa_counters);

		if (memory_map(&sad->counters_memory[w], size) != 0)
			return -ENOMEM;
		sad->counters[w] = sad->counters_memory[w].base;
		sad->alarms[w] = calloc(sad->places / 64 + 1, sizeof(**sad->alarms));
		if (!sad->alarms[w])
			return -ENOMEM;
	}
	return 0;
}

static int
allocate(struct sad *sad)
{
	size_t arena = (size_t)sad->places * sad->stride;

	if (memory_map(&sad->arena_memory, arena) != 0 ||
	    memory_map(&sad->slots_memory, sad->places * sizeof(struct slot)) != 0)
		return -ENOMEM;
	sad->arena = sad->arena_memory.base;
	sad->slots = sad->slots_memory.base;
	if (map_counters(sad) != 0 || chash_init(&sad->by_spi, sad->places) != 0 ||
	    index_init(&sad->index, (uint64_t)sad->config.max_sas * 2,
		       (uint64_t)sad->places * INDEX_KINDS) != 0)
		return -ENOMEM;
	return tombstones_init(&sad->tombstones, sad->config.max_sas * 2);
}

static int
check_config(const struct sad_config *c, struct reason *why)
{
	if (c->max_sas == 0 || c->max_sas > UINT32_C(1) << 24)
		return reason_set(why, EINVAL, "max_sas is %u: expected 1 to 16777216", c->max_sas);
	if (c->replay_window < REPLAY_WINDOW_MIN || c->replay_window > REPLAY_WINDOW_MAX)
		return reason_set(why, EINVAL, "replay_window is %u: expected %u to %u",
				  c->replay_window, REPLAY_WINDOW_MIN, REPLAY_WINDOW_MAX);
	if (c->workers == 0)
		return reason_set(why, EINVAL, "no workers");
	return 0;
}

struct sad *
sad_new(const struct sad_config *config, struct reason *why)
{
	struct sad *sad;
	int err;

	if (check_config(config, why) != 0)
		return NULL;
	sad = calloc(1, sizeof(*sad));
	if (!sad) {
		reason_set(why, ENOMEM, "no memory for the SAD");
		return NULL;
	}
	lay_out(sad, config);
	wheel_init(&sad->wheel, wall_milliseconds() / SAD_TICK_MS);
	if (allocate(sad) != 0) {
		reason_set(why, ENOMEM, "no memory for a SAD of %u SAs", config->max_sas);
		goto err_free;
	}
	err = key_prints_init(sad);
	if (err == -ENOMEM) {
		reason_set(why, ENOMEM, "no memory to hash keys");
		goto err_free;
	}
	if (err != 0 || getrandom(&sad->seed, sizeof(sad->seed), 0) != sizeof(sad->seed)) {
		reason_set(why, EIO, "the system gives no random numbers");
		goto err_free;
	}
	return sad;

err_free:
	sad_free(sad);
	return NULL;
}

void
sad_free(struct sad *sad)
{
	if (!sad)
		return;
	/* What waits for a grace period has one: the workers have ended. */
	reclaim_poll(sad->config.reclaim);
	for (uint32_t i = 0; i < sad->high_water; i++)
		if (sad->slots[i].used)
			slot_give(sad, &sad->slots[i]);
	if (sad->counters_memory)
		for (uint32_t w = 0; w < sad->config.workers; w++)
			memory_unmap(&sad->counters_memory[w]);
	tombstones_free(&sad->tombstones);
	index_free(&sad->index);
	chash_free(&sad->by_spi);
	if (sad->alarms)
		for (uint32_t w = 0; w < sad->config.workers; w++)
			free(sad->alarms[w]);
	free(sad->alarms);
	free(sad->counters_memory);
	free(sad->counters);
	kept_memory_end(&sad->kept);
	memory_unmap(&sad->slots_memory);
	memory_unmap(&sad->arena_memory);
	key_prints_free(sad);
	free(sad);
}

void
sad_observe(struct sad *sad, struct sad_observer *observer)
{
	observer->next = sad->observers;
	sad->observers = observer;
}

void
slot_tell(struct sad *sad, struct slot *slot, bool added)
{
	for (struct sad_observer *o = sad->observers; o; o = o->next)
		if (o->changed)
			o->changed(o->ctx, &slot->control, added);
}

/* ---- places ---- */

struct slot *
slot_take(struct sad *sad, struct reason *why)
{
	struct slot *slot;

	if (sad->count >= sad->config.max_sas) {
		reason_set(why, ENOSPC, "the SAD is full: %u SAs", sad->count);
		return NULL;
	}
	if (STAILQ_EMPTY(&sad->free) && sad->high_water == sad->places)
		reclaim_wait(sad->config.reclaim);
	if (!STAILQ_EMPTY(&sad->free)) {
		slot = STAILQ_FIRST(&sad->free);
		STAILQ_REMOVE_HEAD(&sad->free, free);
	} else if (sad->high_water < sad->places) {
		usage_bring(sad, sad->high_water);
		slot = &sad->slots[sad->high_water];
		slot->control.index = sad->high_water++;
	} else {
		reason_set(why, ENOSPC, "the SAD is full: deleted SAs still wait for the workers");
		return NULL;
	}
	slot->timer = (struct wheel_timer){.due = 0};
	slot->generation++;
	slot->used = true;
	sad->count++;
	return slot;
}

/* Overwrites a place and returns it. Nobody knows it any more. */
static void
slot_free(struct sad *sad, struct slot *slot)
{
	if (slot->control.sa)
		sa_clear(sad, slot);
	usage_reset(sad, slot->control.index);
	kept_drop(&sad->kept, &slot->control.kept);
	slot->control = (struct sa_control){.index = slot->control.index};
	STAILQ_INSERT_TAIL(&sad->free, slot, free);
}

void
slot_give(struct sad *sad, struct slot *slot)
{
	slot->used = false;
	sad->count--;
	slot_free(sad, slot);
}

static void
slot_free_later(void *ctx, struct reclaim_item *item)
{
	slot_free(ctx, container_of(item, struct slot, retired));
}

static void
unlink_all(struct sad *sad, struct slot *slot)
{
	for (enum sad_index kind = 0; kind < INDEX_KINDS; kind++)
		index_remove(&sad->index, link_of(slot, kind));
	wheel_stop(&slot->timer);
}

void
slot_retire(struct sad *sad, struct slot *slot)
{
	struct sa *sa = slot->control.sa;

	if (!sa) { /* larval: no worker has ever seen it */
		unlink_all(sad, slot);
		slot_give(sad, slot);
		return;
	}
	/* 1. No lookup finds it any more; policies let go of it in `changed`. */
	spi_unpublish(sad, sa);
	unlink_all(sad, slot);
	slot->used = false;
	sad->count--;
	slot_tell(sad, slot, false);
	/* 2. A worker that still holds it gets no number and accepts none. */
	key_retire(sad, slot);
	/* 3. Once no worker holds it, its keys are overwritten. */
	reclaim_defer(sad->config.reclaim, slot_free_later, sad, &slot->retired);
}

/* ---- what was said of them ---- */

struct sa_params
sad_params(const struct sa_control *c)
{
	struct sa_params p;

	kept_unpack(&c->kept, c->sa, false, &p);
	return p;
}

void
sad_params_and_keys(const struct sa_control *c, struct sa_params *params)
{
	kept_unpack(&c->kept, c->sa, true, params);
}

struct sa_id
sad_id(const struct sa_control *c)
{
	const struct sa *sa = c->sa;

	if (!sa)
		return sad_params(c).id;
	return (struct sa_id){sa->dst, sa->spi, sa->family, sa->proto, c->mark};
}

/* ---- identities ---- */

uint64_t
index_hash(const struct sad *sad, enum sad_index kind)
{
	return chash_mix(sad->seed, kind + 1);
}

uint64_t
id_hash(const struct sad *sad, const struct sa_id *id)
{
	uint64_t rest = (uint64_t)id->spi << 16 | (uint64_t)id->family << 8 | id->proto;

	return chash_mix(hash_addr(index_hash(sad, INDEX_ID), &id->dst), rest);
}

static bool
id_equal(const struct sa_id *a, const struct sa_id *b)
{
	return ip_addr_equal(&a->dst, &b->dst) && a->spi == b->spi && a->family == b->family &&
	       a->proto == b->proto;
}

/* The SA of the mark, else one that has none. */
struct slot *
slot_find(struct sad *sad, const struct sa_id *id)
{
	struct slot *unmarked = NULL;
	uint32_t link;

	INDEX_FOREACH(link, &sad->index, id_hash(sad, id))
	{
		struct slot *slot = linked_slot(sad, link);
		const struct sa_id own = sad_id(&slot->control);

		if (!id_equal(&own, id))
			continue;
		if (own.mark == id->mark)
			return slot;
		if (own.mark == 0)
			unmarked = slot;
	}
	return unmarked;
}

struct sa_control *
sad_find(struct sad *sad, const struct sa_id *id)
{
	struct slot *slot = slot_find(sad, id);

	return slot ? &slot->control : NULL;
}

/* ---- the SA of an outbound policy's template ---- */

uint64_t
outbound_hash(const struct sad *sad, enum sad_index kind, const union ip_addr *dst, uint32_t reqid,
	      uint32_t if_id)
{
	uint64_t hash = index_hash(sad, kind);

	if (kind != INDEX_REQID)
		hash = hash_addr(hash, dst);
	if (kind == INDEX_PEER)
		reqid = 0;
	return chash_mix(hash, (uint64_t)reqid << 32 | if_id);
}

static void
index_templates(struct sad *sad, struct slot *slot)
{
	const struct sa *sa = slot->control.sa;
	bool inbound = (sa->flags & SA_IN_ONLY) != 0;

	for (enum sad_index kind = inbound ? INDEX_REQID : INDEX_PEER_REQID; kind <= INDEX_REQID;
	     kind++)
		index_insert(&sad->index, outbound_hash(sad, kind, &sa->dst, sa->reqid, sa->if_id),
			     link_of(slot, kind));
}

/* What a template asks for; any addresses, and reqid 0, are not compared. */
struct wanted {
	const union ip_addr *src, *dst;
	uint32_t reqid, if_id, mark;
	uint8_t family, proto, mode;
};

static bool
addr_fits(const union ip_addr *wanted, const union ip_addr *have)
{
	return ip_addr_is_any(wanted) || ip_addr_equal(wanted, have);
}

static bool
fits(const struct sa_control *c, const struct wanted *w)
{
	const struct sa *sa = c->sa;

	return c->state == SA_VALID && (sa->flags & SA_IN_ONLY) == 0 && sa->mode == w->mode &&
	       sa->proto == w->proto && sa->if_id == w->if_id &&
	       (c->mark == 0 || c->mark == w->mark) && (w->reqid == 0 || sa->reqid == w->reqid) &&
	       (ip_addr_is_any(w->dst) || sa->family == w->family) && addr_fits(w->dst, &sa->dst) &&
	       addr_fits(w->src, &sa->src);
}

static struct sa *
find_by_spi(struct sad *sad, rte_be32_t spi, const struct wanted *w)
{
	struct sa *sa = NULL;

	while ((sa = spi_next(sad, spi, sa)) != NULL)
		if (fits(sa->control, w))
			return sa;
	return NULL;
}

struct sa *
sad_find_outbound(struct sad *sad, const union ip_addr *src, const union ip_addr *dst,
		  uint8_t family, uint8_t proto, rte_be32_t spi, uint32_t reqid, uint64_t tenant,
		  uint8_t mode)
{
	const uint32_t if_id = tenant_if_id(tenant);
	const struct wanted wanted = {src,    dst,   reqid, if_id, tenant_mark(tenant),
				      family, proto, mode};
	enum sad_index kind = ip_addr_is_any(dst) ? INDEX_REQID
			      : reqid != 0        ? INDEX_PEER_REQID
						  : INDEX_PEER;
	uint32_t link;

	if (spi != 0)
		return find_by_spi(sad, spi, &wanted);
	if (kind == INDEX_REQID && reqid == 0)
		return NULL;
	/* The newest comes first. */
	INDEX_FOREACH(link, &sad->index, outbound_hash(sad, kind, dst, reqid, if_id))
	{
		const struct slot *slot = linked_slot(sad, link);

		if (fits(&slot->control, &wanted))
			return slot->control.sa;
	}
	return NULL;
}

void
sad_give_mark(struct sa_control *c, uint32_t mark)
{
	/* Relaxed: a packet that still has the mark of before is one of before. */
	if (c->takes_marks)
		atomic_store_explicit(&c->sa->tenant, tenant_make(c->sa->if_id, mark),
				      memory_order_relaxed);
}

void
sad_give_marks(struct sad *sad, uint32_t reqid, uint32_t if_id, uint32_t mark)
{
	uint32_t link;

	INDEX_FOREACH(link, &sad->index, outbound_hash(sad, INDEX_REQID, NULL, reqid, if_id))
	{
		struct slot *slot = linked_slot(sad, link);
		const struct sa *sa = slot->control.sa;

		if (sa->reqid == reqid && sa->if_id == if_id)
			sad_give_mark(&slot->control, mark);
	}
}

/* ---- adding, changing, deleting ---- */

/* Makes a valid SA in a slot that is fresh or larval; if it cannot, the slot is as it was. */
static int
install(struct sad *sad, struct slot *slot, const struct sa_params *p,
	const struct key_state *state, struct reason *why)
{
	int err = sa_fill(sad, slot, p, state, why);

	if (err != 0)
		return err;
	slot->control.state = SA_VALID;
	slot->control.added_ms = wall_milliseconds();
	usage_start(sad, &slot->control, &p->counted);
	index_remove(&sad->index, link_of(slot, INDEX_LARVAL));
	if (!index_has(&sad->index, link_of(slot, INDEX_ID)))
		index_insert(&sad->index, id_hash(sad, &p->id), link_of(slot, INDEX_ID));
	key_live(sad, slot, &state->print);
	index_templates(sad, slot);
	usage_watch(sad, slot, &p->limits);
	spi_publish(sad, slot->control.sa);
	slot_tell(sad, slot, true);
	return 0;
}

int
sad_add(struct sad *sad, const struct sa_params *p, struct reason *why)
{
	struct slot *slot = slot_find(sad, &p->id), *fresh = NULL;
	struct key_state state;
	int err;

	if (slot && slot->control.state != SA_LARVAL)
		return reason_set(why, EEXIST, "an SA with SPI 0x%08x and that destination exists",
				  rte_be_to_cpu_32(p->id.spi));
	err = sa_check(sad, p, why);
	if (err == 0)
		err = key_admit(sad, p, &state, why);
	if (err != 0)
		return err;
	if (!slot)
		slot = fresh = slot_take(sad, why);
	if (!slot)
		return -ENOSPC;
	err = install(sad, slot, p, &state, why);
	if (err != 0 && fresh)
		slot_give(sad, fresh);
	return err;
}

int
sad_delete(struct sad *sad, const struct sa_id *id, struct reason *why)
{
	struct slot *slot = slot_find(sad, id);

	if (!slot)
		return reason_set(why, ESRCH, "no SA with SPI 0x%08x and that destination",
				  rte_be_to_cpu_32(id->spi));
	slot_retire(sad, slot);
	return 0;
}

unsigned int
sad_flush(struct sad *sad, uint8_t proto)
{
	unsigned int flushed = 0;

	for (uint32_t i = 0; i < sad->high_water; i++) {
		struct slot *slot = &sad->slots[i];

		if (!slot->used || (proto != 0 && sad_id(&slot->control).proto != proto))
			continue;
		slot_retire(sad, slot);
		flushed++;
	}
	return flushed;
}

/* ---- looking at it ---- */

struct sa_control *
sad_next(struct sad *sad, uint32_t *cursor)
{
	while (*cursor < sad->high_water) {
		struct slot *slot = &sad->slots[(*cursor)++];

		if (slot->used)
			return &slot->control;
	}
	return NULL;
}

uint32_t
sad_count(const struct sad *sad)
{
	return sad->count;
}

uint32_t
sad_max(const struct sad *sad)
{
	return sad->config.max_sas;
}

void
sad_sequences(const struct sad *sad, const struct sa_control *c, uint64_t *out_seq,
	      uint64_t *in_seq, uint32_t *bitmap, uint32_t words)
{
	*out_seq = *in_seq = 0;
	memset(bitmap, 0, words * sizeof(*bitmap));
	if (!c->sa)
		return;
	/* Relaxed: a number that is a packet old by the time it is reported anyway. */
	*out_seq = atomic_load_explicit(&c->sa->seq, memory_order_relaxed);
	replay_export(c->sa->replay, in_seq, bitmap, words);
}

/* Of tables, what is mapped: addresses are spread over the whole of them. */
struct sad_memory
sad_memory(const struct sad *sad)
{
	uint64_t used = sad->high_water, heads = sad->index.mask + UINT64_C(1);
	const struct tombstones *t = &sad->tombstones;

	return (struct sad_memory){
		.places = used * sad->stride + sad->own_bytes,
		.control = used * sizeof(struct slot) + kept_bytes(&sad->kept),
		.counters = used * sad->config.workers * sizeof(struct sa_counters),
		.tables = heads * sizeof(uint32_t) + used * INDEX_KINDS * sizeof(struct link) +
			  (sad->by_spi.mask + UINT64_C(1)) * sizeof(void *),
		.tombstones = t->used * (sizeof(struct tombstone) + sizeof(struct link)) +
			      (t->index.mask + UINT64_C(1)) * sizeof(uint32_t) + t->window_bytes,
	};
}

uint64_t
sad_bytes(const struct sad *sad)
{
	struct sad_memory m = sad_memory(sad);

	return m.places + m.control + m.counters + m.tables + m.tombstones;
}
