/* SPDX-License-Identifier: BSD-3-Clause */
/* Netlink attributes of one message, found by number. Part of the decoder. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "crypto/reason.h"
#include "xfrm_uapi.h"

struct xfrm_attrs {
	const uint8_t *data[XFRM_ATTRS]; /* NULL where absent; 4-byte aligned, read with memcpy */
	uint16_t len[XFRM_ATTRS];
};

#define ATTR(name) (UINT64_C(1) << (name))

/*
 * Splits `len` bytes into attributes. Those whose bit is not in `accepted` are refused by name,
 * and every length is compared with what the attribute holds. The last of equal ones wins, as in
 * the kernel. `data` is 4-byte aligned.
 */
int xfrm_attrs_parse(const uint8_t *data, size_t len, uint64_t accepted, struct xfrm_attrs *attrs,
		     struct reason *why);

/* The same for the attributes of NEWSPDINFO, which have numbers (XFRMA_SPD_*) of their own. */
int xfrm_spd_attrs_parse(const uint8_t *data, size_t len, struct xfrm_attrs *attrs,
			 struct reason *why);

/*
 * XFRMA_MARK, 0 where there is none: a mark counts whole here, or not at all. -EOPNOTSUPP with the
 * reason for any other mask.
 */
int xfrm_attr_mark(const struct xfrm_attrs *attrs, uint32_t *mark, struct reason *why);

/* Copies a fixed-size attribute to *to. False where it is absent. */
#define xfrm_attr_get(attrs, name, to)                                                             \
	((attrs)->data[name] ? (memcpy(to, (attrs)->data[name], sizeof(*(to))), true) : false)
