/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Building one message in a buffer: a header with its fixed part, attributes, the end. Structures
 * are zeroed before they are filled: what lies between their fields goes along.
 */
#pragma once

#include "xfrm_encode.h"
#include "xfrm_uapi.h"

void xfrm_begin(struct xfrm_buf *buf, const struct xfrm_head *head, const void *fixed,
		uint32_t len);
void xfrm_attr_put(struct xfrm_buf *buf, uint16_t type, const void *data, uint32_t len);

/* An attribute with room for len bytes, zeroed; NULL where the buffer is full. */
void *xfrm_attr_room(struct xfrm_buf *buf, uint16_t type, uint32_t len);

/* Sets the length; or takes the message back where it did not fit. */
bool xfrm_end(struct xfrm_buf *buf);

/* Structures that occur in both kinds of messages. */
void xfrm_write_address(xfrm_address_t *to, const union ip_addr *from);
void xfrm_write_selector(struct xfrm_selector *to, const struct selector *from);
void xfrm_write_limits(struct xfrm_lifetime_cfg *to, const struct sa_limits *from);
uint16_t xfrm_write_family(uint8_t family);

/* XFRMA_POLICY_TYPE: the main one, there is no other. */
void xfrm_put_policy_type(struct xfrm_buf *buf);

/* XFRMA_IF_ID and XFRMA_MARK where they are not zero. */
void xfrm_put_tenant(struct xfrm_buf *buf, uint32_t if_id, uint32_t mark);
