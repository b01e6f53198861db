/* SPDX-License-Identifier: BSD-3-Clause */
/* The orders in which packets come to hosts, and what the programs that look them up measure by. */
#pragma once

#include <stdint.h>

enum order { SEQUENTIAL, RANDOM, ZIPF, ORDERS };

extern const char *const order_names[];

/* A prime, so a multiple of it modulo n is a permutation. */
#define SCATTER 2654435761u

/* Of a fixed sequence. */
uint64_t orders_random(void);

/* `count` numbers below n: in turn, at random, or by Zipf's law (exponent 1). */
void orders_fill(uint32_t *numbers, uint32_t count, uint32_t n, enum order order);

/* A clock, and how fast the TSC goes beside it (it takes a tenth of a second to know). */
double orders_nanoseconds(void);
double orders_ticks_per_ns(void);
