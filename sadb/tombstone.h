/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is remembered of keys whose SAs are gone, so that a key that comes back (MOBIKE, a restarted
 * IKE daemon, a static configuration loaded again) goes on where it ended: above its last sequence
 * number, above its last IV, and with the packets that it has already accepted. Keys themselves are
 * not kept, only a keyed hash of each; the number of tombstones is bounded, the oldest is
 * forgotten. Control thread only.
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
	struct link link; /* by print */
	TAILQ_ENTRY(tombstone) age;
	struct key_print print;
	rte_be32_t spi;
	uint8_t half;          /* of the IV space, see sad_key.c */
	uint64_t out_seq;      /* last sequence number used */
	uint64_t iv_last;      /* last IV used, without the bit of its half */
	uint64_t in_top;       /* highest number received, 0 none */
	struct replay *window; /* the closed window; NULL: all up to in_top counts as received */
};

struct tombstones {
	struct tombstone *all; /* of `size` */
	uint32_t size;
	TAILQ_HEAD(, tombstone) oldest; /* all of them, used and not, in order of age */
	struct index index;
	uint64_t window_bytes;
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
