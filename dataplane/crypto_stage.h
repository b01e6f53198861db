/* SPDX-License-Identifier: BSD-3-Clause */
/* What the crypto stages do, in parts, for packets whose crypto another worker may do (spread.h).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "burst.h"

struct worker;

/* Where the compiler is to bring lines as their next writer, and the processor can. */
#if defined(__x86_64__)
#define CRYPTO_PREFETCHW __attribute__((target("prfchw")))
#else
#define CRYPTO_PREFETCHW
#endif

/* What is to be sealed or opened of a packet: whoever does it looks at nothing else of the packet.
 */
struct crypto_text {
	uint8_t *esp;
	uint64_t seq;
	uint32_t len; /* bytes of payload and trailer */
};

/* Of a run that esp_encap or replay_stage has readied. */
void crypto_texts(struct rte_mbuf *const *m, unsigned int n, bool open, struct crypto_text *texts);

/*
 * Seals or opens texts of one SA, at most BURST_MAX, which come from another core's cache (`far`)
 * or not. Returns a bit for each that failed.
 */
uint64_t crypto_lot(struct worker *w, const struct sa *sa, const struct crypto_text *texts,
		    unsigned int n, bool open, bool far);

/* What is behind it, of a run: the good ones join `leaving`, or `to`, which have room. */
void crypto_sealed(struct worker *w, struct rte_mbuf *const *m, unsigned int n, uint64_t failed);
void crypto_opened(struct worker *w, struct rte_mbuf *const *m, unsigned int n, uint64_t failed,
		   struct burst *to);
