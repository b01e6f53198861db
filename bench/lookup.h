/* SPDX-License-Identifier: BSD-3-Clause */
/* What the parts of `lookup` share. */
#pragma once

#include <stdint.h>

#define FLOWS (1u << 18)

extern double ticks_per_ns;

/* Ends the program where something went wrong. */
void must(int error);

/* SAs of 1, 10, ... `max`: lines of JSON, see lookup.c. */
void bench_sad(uint32_t max);
