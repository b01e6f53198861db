/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the decoder's files share: the structures inside messages, and the bodies of messages. All
 * return 0, or a negative errno with the reason.
 */
#pragma once

#include "xfrm_attr.h"
#include "xfrm_decode.h"

/* Refuses the modes that the packet path does not have, of SAs and templates (`of`). */
int xfrm_decode_mode(uint8_t mode, const char *of, struct reason *why);

/* AF_INET or AF_INET6 to FAMILY_*. */
int xfrm_decode_family(uint16_t family, const char *of, uint8_t *to, struct reason *why);

/* Only the family's bytes count: the rest of an IPv4 address is whatever the sender had there. */
union ip_addr xfrm_decode_address(const xfrm_address_t *address, uint8_t family);

/* `family` (FAMILY_* or 0) is for a selector that names none. */
int xfrm_decode_selector(const struct xfrm_selector *x, uint8_t family, struct selector *sel,
			 struct reason *why);

void xfrm_decode_limits(const struct xfrm_lifetime_cfg *x, struct sa_limits *limits);

/*
 * UDP encapsulation as it was sent; type 0 where there is none. From port 0 means a peer that sends
 * from any, as per-CPU SAs do.
 */
int xfrm_decode_encap(const struct xfrm_attrs *attrs, bool from_any, struct xfrm_encap_tmpl *x,
		      struct reason *why);

/* NEWSA, UPDSA; ALLOCSPI takes the same structure but needs less of it. */
int xfrm_decode_sa(const struct xfrm_usersa_info *info, const struct xfrm_attrs *attrs,
		   struct sa_params *params, struct reason *why);
int xfrm_decode_larval(const struct xfrm_usersa_info *info, const struct xfrm_attrs *attrs,
		       struct sa_params *params, struct reason *why);

/* NEWAE: identity, numbers, window, counters and thresholds alone. */
int xfrm_decode_ae(const struct xfrm_aevent_id *x, const struct xfrm_attrs *attrs,
		   struct sa_params *params, struct reason *why);

int xfrm_decode_sa_id(const struct xfrm_usersa_id *x, const struct xfrm_attrs *attrs,
		      struct sa_id *id, struct reason *why);

int xfrm_decode_policy(const struct xfrm_userpolicy_info *x, const struct xfrm_attrs *attrs,
		       struct spd_params *params, struct reason *why);
int xfrm_decode_policy_id(const struct xfrm_userpolicy_id *x, const struct xfrm_attrs *attrs,
			  struct spd_id *id, uint32_t *index, struct reason *why);

int xfrm_decode_migration(const struct xfrm_userpolicy_id *x, const struct xfrm_attrs *attrs,
			  struct xfrm_migration *to, struct reason *why);

/* FLUSHPOLICY too names the type of policy: only the main one exists. */
int xfrm_decode_policy_type(const struct xfrm_attrs *attrs, struct reason *why);
