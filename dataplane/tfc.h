/* SPDX-License-Identifier: BSD-3-Clause */
/* Traffic flow confidentiality: padding that hides lengths. */
#pragma once

#include "burst.h"

struct worker;

/*
 * Makes `n` packets of one SA, from b->m[i] on, as long as it asks for (sa.tfcpad), and no longer
 * than fits its way. Returns how many are left: a packet in whose buffer there is no room is
 * dropped.
 */
unsigned int tfc_pad(struct worker *w, struct burst *b, unsigned int i, unsigned int n);
