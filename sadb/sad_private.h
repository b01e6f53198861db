/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of the SAD share: sad.c (adding, deleting, finding), sad_change.c (changing),
 * sad_spi.c (the SPI index), sa_check.c (what a request must fulfil), sad_key.c (what must hold of
 * keys, numbers and IVs), sa_fill.c (the SA as workers see it) and sad_usage.c (counters and
 * lifetimes). Nobody else includes this.
 */
#pragma once

#include <sys/queue.h>

#include "index.h"
#include "memory.h"
#include "sad.h"
#include "tombstone.h"
#include "wheel.h"

/* The indices that an SA stands in; all share one table, the kind being part of the hash. */
enum sad_index {
	INDEX_ID,                 /* every SA, by destination, SPI, protocol and family */
	INDEX_LARVAL,             /* larval ones, by what the request said */
	INDEX_KEY = INDEX_LARVAL, /* valid ones, by key print */
	INDEX_PEER_REQID,         /* those that may be outbound: by destination and reqid, */
	INDEX_PEER,               /* by destination alone, */
	INDEX_REQID,              /* by reqid alone: inbound ones, too */
	INDEX_KINDS,
};

/* One place in the arena, used or not: the control thread's side of it. */
struct slot {
	struct sa_control control; /* first: outside, a slot is known by it */
	union {
		struct {                          /* of an SA, larval or valid: */
			struct wheel_timer timer; /* to the next limit in seconds, or a time-out */
			struct key_print print;
		};
		struct reclaim_item retired;
		STAILQ_ENTRY(slot) free;
	};
	uint32_t generation; /* how often the place was given out */
	bool used;
};

static_assert(sizeof(struct slot) == 128, "whole lines");

/* What one worker counted of one SA: written by that worker, read by the control thread. */
struct sa_counters {
	alignas(64) _Atomic uint64_t packets;
	_Atomic uint64_t bytes, first_used, last_used, replay_drops, auth_drops;
	/* Counts at which the control thread is to be told: its word to the worker. */
	_Atomic uint64_t share_packets, share_bytes;
};

static_assert(sizeof(struct sa_counters) == 64, "a line for an SA");

struct sad {
	/* Read by workers. */
	uint8_t *arena; /* places of `stride` bytes */
	uint32_t stride;
	uint32_t places;     /* max_sas, and some for those that wait for a grace period */
	uint32_t index_mask; /* bits of an SPI that carry a place */
	uint32_t slot_mask;  /* of windows in the arena */
	uint64_t seed;
	struct chash by_spi;
	struct sa_counters **counters; /* by worker, then by place */
	_Atomic uint64_t **alarms;     /* by worker: a bit for a place (sad_usage.c) */

	/* The control thread's. */
	struct sad_config config;
	uint32_t key_room; /* bytes for the expanded key in a place */
	struct memory arena_memory, slots_memory;
	struct memory *counters_memory;
	struct slot *slots;
	struct kept_memory kept;    /* what was said of SAs */
	STAILQ_HEAD(, slot) free;   /* first freed, first used */
	uint32_t count, high_water; /* SAs now; places ever used */
	uint64_t own_bytes;         /* windows and outer headers outside the arena */
	uint32_t spi_turn;          /* where the next search for an SPI begins */
	struct index index;
	struct wheel wheel; /* in ticks of SAD_TICK_MS */
	uint64_t now;       /* wall-clock milliseconds of the last tick */
	struct tombstones tombstones;
	struct evp_mac_ctx_st *prints; /* of keys: OpenSSL's, with a secret of this process */
	struct sad_observer *observers;
};

/* The tick by which a point in time, in milliseconds, has come. */
static inline uint64_t
ticks_until(uint64_t ms)
{
	return ms / SAD_TICK_MS + (ms % SAD_TICK_MS != 0);
}

static inline struct slot *
slot_of(struct sa_control *c)
{
	return (struct slot *)c;
}

/* Of the slot in an index, and the slot of one. */
static inline uint32_t
link_of(const struct slot *slot, enum sad_index kind)
{
	return slot->control.index * INDEX_KINDS + kind;
}

static inline struct slot *
linked_slot(const struct sad *sad, uint32_t link)
{
	return &sad->slots[link / INDEX_KINDS];
}

static inline struct sa *
arena_sa(const struct sad *sad, uint32_t place)
{
	return (struct sa *)(sad->arena + (size_t)place * sad->stride);
}

static inline uint64_t
hash_addr(uint64_t hash, const union ip_addr *addr)
{
	return chash_mix(chash_mix(hash, addr->u64[0]), addr->u64[1]);
}

/* ---- sad.c ---- */
struct slot *slot_take(struct sad *sad, struct reason *why); /* or NULL: -ENOSPC */
void slot_give(struct sad *sad, struct slot *slot); /* the reverse: nobody may know it any more */
void slot_retire(struct sad *sad, struct slot *slot);
struct slot *slot_find(struct sad *sad, const struct sa_id *id); /* or NULL */
void slot_tell(struct sad *sad, struct slot *slot, bool added);  /* to all observers */
uint64_t index_hash(const struct sad *sad, enum sad_index kind);
uint64_t id_hash(const struct sad *sad, const struct sa_id *id);

uint64_t outbound_hash(const struct sad *sad, enum sad_index kind, const union ip_addr *dst,
		       uint32_t reqid, uint32_t if_id);

/* ---- sad_spi.c: the index that workers look in ---- */
void spi_publish(struct sad *sad, struct sa *sa);
void spi_unpublish(struct sad *sad, struct sa *sa);
/* Valid SAs of an SPI, newest first: start with NULL. Control thread. */
struct sa *spi_next(const struct sad *sad, rte_be32_t spi, struct sa *after);

/* ---- sad_key.c ---- */
struct key_state { /* where a new SA starts */
	struct key_print print;
	uint64_t out_seq;
	uint64_t iv_base;
	uint64_t seq_limit;
};

int key_prints_init(struct sad *sad); /* 0, -ENOMEM, or -EIO without random numbers */
void key_prints_free(struct sad *sad);

/* 0; -EINVAL for a key in use; -ENOMEM. */
int key_admit(struct sad *sad, const struct sa_params *p, struct key_state *state,
	      struct reason *why);
void key_live(struct sad *sad, struct slot *slot, const struct key_print *print);
void key_retire(struct sad *sad, struct slot *slot); /* closes counter and window */

/* ---- sa_check.c: 0, or -EINVAL with the reason ---- */
int sa_check(const struct sad *sad, const struct sa_params *p, struct reason *why);
/* What of a live SA must stay as it is: workers read it without a lock. */
int sa_check_update(const struct sa_params *old, const struct sa_params *new, struct reason *why);

/* ---- sa_fill.c ---- */
int sa_fill(struct sad *sad, struct slot *slot, const struct sa_params *p,
	    const struct key_state *state, struct reason *why);
void sa_clear(struct sad *sad, struct slot *slot); /* the reverse: overwrites what is secret */
/* Another outer header for the SA of UDP encapsulation: -ENOMEM. */
int sa_outer_replace(struct sad *sad, struct sa *sa, const union ip_addr *dst, rte_be16_t sport,
		     rte_be16_t dport);

/* ---- sad_usage.c ---- */
/* What workers write of places from this one on is there before they do. */
void usage_bring(const struct sad *sad, uint32_t place);
void usage_reset(struct sad *sad, uint32_t place);
/* Whether counters that go on from there need memory, which is there or not then. 0 or -ENOMEM. */
int usage_prepare(struct sa_control *c, const struct sa_counted *from);
/* The SA's counters go on from there. */
void usage_start(const struct sad *sad, struct sa_control *c, const struct sa_counted *from);
/* Of an SA that began, or has new limits. */
void usage_watch(struct sad *sad, struct slot *slot, const struct sa_limits *limits);
uint64_t wall_milliseconds(void);
uint64_t wall_nanoseconds(void);
