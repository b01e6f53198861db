/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads hexadecimal: what standards print and tests compare. */
#pragma once

#include <stdint.h>
#include <stdio.h>

/* Bytes written; blanks between bytes are skipped. */
static inline uint32_t
unhex(const char *hex, uint8_t *bytes)
{
	uint32_t n = 0;
	unsigned int byte;
	int used;

	while (sscanf(hex, " %2x%n", &byte, &used) == 1) {
		bytes[n++] = (uint8_t)byte;
		hex += used;
	}
	return n;
}
