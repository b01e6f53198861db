/* SPDX-License-Identifier: BSD-3-Clause */
/* What ESP outbound writes around a payload in every mode: trailer and IV (RFC 4303 section 2). */
#pragma once

#include <string.h>

#include "esp.h"

/* Padding 1, 2, 3..., its length and the next header, behind the payload (RFC 4303 section 2.4). */
static inline void
esp_write_trailer(uint8_t *end, uint32_t pad_len, uint8_t next_header)
{
	static const uint8_t padding[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

	/* By words: what is too much lies where the ICV will, which is 8 bytes long or more. */
	for (uint32_t i = 0; i < pad_len; i += sizeof(uint64_t))
		memcpy(end + i, padding + i, sizeof(uint64_t));
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
