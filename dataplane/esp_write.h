/* SPDX-License-Identifier: BSD-3-Clause */
/* What ESP outbound writes around a payload in every mode: trailer and IV (RFC 4303 section 2). */
#pragma once

#include <string.h>

#include <rte_common.h>

#include "esp.h"

/* Padding 1, 2, 3..., its length and the next header, behind the payload (RFC 4303 section 2.4). */
static inline void
esp_write_trailer(uint8_t *end, uint32_t pad_len, uint8_t next_header)
{
	static const uint8_t padding[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

	/* As a number of eight bytes, the first one least; with the length. */
	static const uint64_t few[] = {
		0, 0x0101, 0x020201, 0x03030201, 0x0404030201, 0x050504030201, 0x06060504030201};
	rte_le64_t word;

	/* By words: what is too much lies where the ICV will, which is 8 bytes long or more. */
	if (likely(pad_len < RTE_DIM(few))) {
		word = rte_cpu_to_le_64(few[pad_len]);
		memcpy(end, &word, sizeof(word));
		end[pad_len + 1] = next_header;
		return;
	}
	for (uint32_t i = 0; i < pad_len; i += sizeof(word))
		memcpy(end + i, padding + i, sizeof(word));
	end[pad_len] = (uint8_t)pad_len;
	end[pad_len + 1] = next_header;
}

/* The wire IV from a count that is unique for the key. `len` is 16, 8 or, for NULL, 0. */
static inline void
esp_write_iv(uint8_t *at, uint32_t len, uint64_t count)
{
	rte_be64_t iv = rte_cpu_to_be_64(count);

	if (len == 0)
		return;
	memcpy(at, &iv, sizeof(iv));
	if (len > sizeof(iv))
		memset(at + sizeof(iv), 0, sizeof(iv));
}
