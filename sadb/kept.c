/* SPDX-License-Identifier: BSD-3-Clause */
/* Parameters as words that differ from a reference, which the SA at hand is made to (kept.h). */
#include "kept.h"

#include <errno.h>
#include <string.h>

#include "sad.h"

#define PIECE_WORDS 4

/* A struct sa_params is looked at in words. */
typedef uint64_t word __attribute__((may_alias));

#define WORDS     (sizeof(struct sa_params) / sizeof(word))
#define KEYS_FROM (offsetof(struct sa_params, key) / sizeof(word))
#define KEYS_END                                                                                   \
	((offsetof(struct sa_params, auth_key) + sizeof(((struct sa_params *)0)->auth_key)) /      \
	 sizeof(word))

static_assert(sizeof(struct sa_params) % sizeof(word) == 0, "whole words");
static_assert(WORDS <= KEPT_WORDS, "a bit for each word");
static_assert(WORDS <= KEPT_CLASSES * PIECE_WORDS, "memory for as many");
static_assert(offsetof(struct sa_params, key) % sizeof(word) == 0, "words of keys alone");
static_assert(KEYS_END - KEYS_FROM == 2 * SAD_KEY_MAX / sizeof(word), "both keys in a row");

void
kept_memory_init(struct kept_memory *m)
{
	for (unsigned int i = 0; i < KEPT_CLASSES; i++)
		m->slabs[i].size = (i + 1) * PIECE_WORDS * sizeof(word);
}

void
kept_memory_end(struct kept_memory *m)
{
	for (unsigned int i = 0; i < KEPT_CLASSES; i++)
		slab_end(&m->slabs[i]);
}

uint64_t
kept_bytes(const struct kept_memory *m)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < KEPT_CLASSES; i++)
		sum += m->slabs[i].taken * m->slabs[i].size;
	return sum;
}

/* What the SA says itself; lifetimes as IKE daemons leave them that limit none. */
static void
refer(struct sa_params *p, const struct sa *sa)
{
	memset(p, 0, sizeof(*p));
	p->limits.soft_bytes = p->limits.hard_bytes = UINT64_MAX;
	p->limits.soft_packets = p->limits.hard_packets = UINT64_MAX;
	if (!sa)
		return;
	p->id = (struct sa_id){
		.dst = sa->dst, .spi = sa->spi, .family = sa->family, .proto = sa->proto};
	p->src = sa->src;
	p->sel.family = sa->family;
	p->mode = sa->mode;
	p->flags = sa->flags;
	p->reqid = sa->reqid;
	p->if_id = sa->if_id;
	p->suite = sa->suite;
	p->replay_window = sa->replay->window;
	p->replay_bitmap_words = (sa->replay->window + 31) / 32;
	memcpy(p->salt, &sa->salt, sizeof(p->salt));
}

/* The memory for the words that are present. */
static struct slab *
slab_of(struct kept_memory *m, const struct kept *kept)
{
	int words = __builtin_popcountll(kept->present[0]) + __builtin_popcountll(kept->present[1]);

	return words > 0 ? &m->slabs[(words - 1) / PIECE_WORDS] : NULL;
}

int
kept_pack(struct kept_memory *m, const struct sa_params *params, const struct sa *sa,
	  struct kept *kept)
{
	const word *said = (const word *)params, *known;
	struct sa_params reference;
	struct slab *slab;
	uint64_t *to;

	refer(&reference, sa);
	known = (const word *)&reference;
	*kept = (struct kept){.words = NULL};
	for (uint32_t i = 0; i < WORDS; i++)
		if (said[i] != known[i])
			kept->present[i / 64] |= UINT64_C(1) << i % 64;
	slab = slab_of(m, kept);
	if (!slab)
		return 0;
	kept->words = to = slab_take(slab);
	if (!to)
		return -ENOMEM;
	for (uint32_t i = 0; i < WORDS; i++)
		if ((kept->present[i / 64] >> i % 64 & 1) != 0)
			*to++ = said[i];
	return 0;
}

void
kept_unpack(const struct kept *kept, const struct sa *sa, bool secrets, struct sa_params *params)
{
	const uint64_t *from = kept->words;
	word *said = (word *)params;

	refer(params, sa);
	for (uint32_t part = 0; part < KEPT_WORDS / 64; part++)
		for (uint64_t bits = kept->present[part]; bits != 0; bits &= bits - 1, from++) {
			uint32_t i = part * 64 + (uint32_t)__builtin_ctzll(bits);

			if (secrets || i < KEYS_FROM || i >= KEYS_END)
				said[i] = *from;
		}
	if (!secrets)
		memset(params->salt, 0, sizeof(params->salt));
}

void
kept_drop(struct kept_memory *m, struct kept *kept)
{
	struct slab *slab = slab_of(m, kept);

	if (slab) {
		crypto_zeroize(kept->words, slab->size);
		slab_give(slab, kept->words);
	}
	*kept = (struct kept){.words = NULL};
}
