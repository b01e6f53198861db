/* SPDX-License-Identifier: BSD-3-Clause */
#include "stages.h"

#include <string.h>

#include <rte_branch_prediction.h>
#include <rte_common.h>
#include <rte_cycles.h>
#include <x86intrin.h>

#include "crypto/crypto.h"
#include "dataplane/walk.h"

#define STAGES(X)                                                                                  \
	X(classify)                                                                                \
	X(sad_stage)                                                                               \
	X(replay_stage)                                                                            \
	X(crypto_open_stage)                                                                       \
	X(replay_commit)                                                                           \
	X(esp_decap)                                                                               \
	X(route)                                                                                   \
	X(spd_check)                                                                               \
	X(forward)                                                                                 \
	X(spd_stage)                                                                               \
	X(pmtu)                                                                                    \
	X(seq_reserve)                                                                             \
	X(esp_encap)                                                                               \
	X(crypto_seal_stage)                                                                       \
	X(adjacency)                                                                               \
	X(tx)

enum stage {
#define X(name) STAGE_##name,
	STAGES(X)
#undef X
		STAGE_rx,
	STAGE_tx_flush,
	STAGE_crypto_seal,
	STAGE_crypto_open,
	STAGE_walk,
	STAGE_COUNT,
};

const char *const stage_names[] = {
#define X(name) #name,
	STAGES(X)
#undef X
		"rx",
	"tx_flush",
	"crypto_seal",
	"crypto_open",
	"walk", /* what is between them */
};
const unsigned int stage_count = STAGE_COUNT;

static_assert(RTE_DIM(stage_names) == STAGE_COUNT, "a name for each");

static bool timing;
static enum stage current;
static uint64_t last, spent[STAGE_COUNT];
static uint64_t clock_cost; /* of one change of stage */

/* Ends the stage that runs and begins another; which one it was. */
static enum stage
change(enum stage to)
{
	enum stage from = current;
	unsigned int aux;
	uint64_t now = __rdtscp(&aux);

	spent[from] += now - last - RTE_MIN(clock_cost, now - last);
	last = now;
	current = to;
	return from;
}

static void
measure_clock(void)
{
	uint64_t least = UINT64_MAX;

	for (unsigned int i = 0; i < 1000; i++) {
		uint64_t before = last;

		change(STAGE_walk);
		least = RTE_MIN(least, last - before);
	}
	clock_cost = least;
}

void
stages_begin(void)
{
	if (clock_cost == 0)
		measure_clock();
	memset(spent, 0, sizeof(spent));
	timing = true;
	current = STAGE_walk;
	last = rte_rdtsc();
}

void
stages_end(uint64_t *ticks)
{
	change(STAGE_walk);
	timing = false;
	memcpy(ticks, spent, sizeof(spent));
}

/* name(): the real one, timed. */
#define TIMED(type, name, parameters, arguments)                                                   \
	type __real_##name parameters;                                                             \
	type __wrap_##name parameters;                                                             \
	type __wrap_##name parameters                                                              \
	{                                                                                          \
		enum stage before;                                                                 \
                                                                                                   \
		if (likely(!timing)) {                                                             \
			__real_##name arguments;                                                   \
			return;                                                                    \
		}                                                                                  \
		before = change(STAGE_##name);                                                     \
		__real_##name arguments;                                                           \
		change(before);                                                                    \
	}

#define X(name) TIMED(void, name, (struct worker * w, struct burst * b), (w, b))
STAGES(X)
#undef X
TIMED(void, tx_flush, (struct worker * w), (w))
TIMED(void, crypto_seal, (struct crypto_ctx * ctx, struct crypto_op *ops, unsigned int n),
      (ctx, ops, n))
TIMED(void, crypto_open, (struct crypto_ctx * ctx, struct crypto_op *ops, unsigned int n),
      (ctx, ops, n))

unsigned int __real_rx(struct worker *w, const struct port *port, uint16_t queue, struct burst *b);
unsigned int __wrap_rx(struct worker *w, const struct port *port, uint16_t queue, struct burst *b);

unsigned int
__wrap_rx(struct worker *w, const struct port *port, uint16_t queue, struct burst *b)
{
	enum stage before;
	unsigned int n;

	if (likely(!timing))
		return __real_rx(w, port, queue, b);
	before = change(STAGE_rx);
	n = __real_rx(w, port, queue, b);
	change(before);
	return n;
}
