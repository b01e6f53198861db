/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is remembered of keys whose SAs are gone, so that a key that comes back (MOBIKE, a restarted
 * IKE daemon, a static configuration loaded again) goes on where it ended: above its last sequence
 * number, above its last IV, and with the packets that it has already accepted. Keys themselves are
 * not kept, only a keyed hash of each; the number of tombstones is bounded, the oldest is
 * forgotten. Of windows, which are larger, only the newest are kept: without its window, all up to
 * the highest number that an SA received counts as received. Control thread only.
 */
#pragma once

#include <stdint.h>
#include <sys/queue.h>

#include <rte_byteorder.h>

#include "index.h"
#include "replay.h"

/* A key, its salt and its integrity key, hashed with a secret of this process. */
struct key_print {
	uint64_t word[2];
};

struct tombstone {
	TAILQ_ENTRY(tombstone) age, window_age;
	struct key_print print;
	rte_be32_t spi;
	uint8_t half;          /* of the IV space, see sad_key.c */
	uint64_t out_seq;      /* last sequence number used */
	uint64_t iv_last;      /* last IV used, without the bit of its half */
	uint64_t in_top;       /* highest number received, 0 none */
	struct replay *window; /* the closed window; NULL: all up to in_top counts as received */
};

#define TOMBSTONE_WINDOWS 65536 /* about 20 MB of them */

struct tombstones {
	struct tombstone *all; /* of `size`, of which `used` were ever touched */
	uint32_t size, used;
	TAILQ_HEAD(, tombstone) oldest;        /* in order of age */
	TAILQ_HEAD(, tombstone) oldest_window; /* those that have one, likewise */
	uint32_t windows;
	uint64_t window_bytes;
	struct index index; /* by print */
	struct memory memory;
};

int tombstones_init(struct tombstones *t, uint32_t size); /* 0 or -ENOMEM */
void tombstones_free(struct tombstones *t);

/*
 * Remembers a retired SA: takes over `new->window`. An earlier one of the same print, SPI and half
 * is replaced: what it knew, the SA went on from. Never fails.
 */
void tombstone_put(struct tombstones *t, struct tombstone *new);

/* Those of a key, newest first: start with NULL. NULL at the end. */
struct tombstone *tombstone_next(struct tombstones *t, const struct key_print *print,
				 struct tombstone *after);
