/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What was said of an SA, kept in few bytes: the words of its struct sa_params that differ from
 * what the SA itself says, or, of one that has no keys yet, from nothing special. So nothing is
 * there twice, keys are as long as they are, and what few SAs have costs the others nothing.
 *
 * The words stand in memory like that of SAs (memory.h), because keys are among them, and are
 * overwritten when they go. Control thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "slab.h"

struct sa;
struct sa_params;

#define KEPT_WORDS   128 /* words of a struct sa_params, at most */
#define KEPT_CLASSES 32  /* memory for words is taken by pieces of 32 bytes */

struct kept {
	uint64_t present[KEPT_WORDS / 64]; /* a bit for a word that differs */
	uint64_t *words;                   /* those, in order; NULL where there are none */
};

struct kept_memory {
	struct slab slabs[KEPT_CLASSES]; /* of one piece, of two, ... */
};

void kept_memory_init(struct kept_memory *m);
void kept_memory_end(struct kept_memory *m);
uint64_t kept_bytes(const struct kept_memory *m); /* that are out */

/* Keeps `params` of `sa`, which is complete, or NULL, and stays so. 0, or -ENOMEM. */
int kept_pack(struct kept_memory *m, const struct sa_params *params, const struct sa *sa,
	      struct kept *kept);

/* The same parameters again. Without `secrets` keys and salt are zero. */
void kept_unpack(const struct kept *kept, const struct sa *sa, bool secrets,
		 struct sa_params *params);

/* Overwrites and gives back; nothing is kept then. */
void kept_drop(struct kept_memory *m, struct kept *kept);
