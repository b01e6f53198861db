/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * XFRM netlink from structs to bytes: pure functions that append whole messages to a buffer. What
 * xfrm_decode() reads from a message written here is what was written.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "crypto/reason.h"
#include "sadb/sad.h"
#include "sadb/spd.h"
#include "xfrm_decode.h"

struct nlmsghdr;

/* No datagram is longer: charon reads into a buffer of this size. */
#define XFRM_DATAGRAM_MAX 4096

struct xfrm_buf {
	uint8_t data[XFRM_DATAGRAM_MAX];
	uint32_t len;   /* bytes in use, a multiple of 4 */
	uint32_t start; /* of the message being written */
	bool full;      /* it did not fit */
};

/* What stands in a message's header beside its length. */
struct xfrm_head {
	uint16_t type, flags;
	uint32_t seq, port;
};

/* An SA as GETSA tells it: a snapshot. */
struct xfrm_sa {
	const struct sa_params *params;
	struct sa_usage usage;
	uint64_t added;       /* wall-clock seconds */
	uint64_t out_seq;     /* last number sent */
	uint64_t in_seq;      /* highest number received */
	uint32_t bitmap[128]; /* bit i: in_seq - i was received */
	bool larval;          /* has no algorithms yet */
	bool hide_keys;       /* zeros in their place */
};

/* A policy likewise. */
struct xfrm_policy {
	const struct spd_params *params;
	uint32_t index;
	uint64_t added, used; /* wall-clock seconds, used 0: never */
};

struct xfrm_sadinfo {
	uint32_t flags, count, max;
};

struct xfrm_spdinfo {
	uint32_t flags, count[SPD_DIRS], max;
	struct xfrm_thresholds thresholds;
};

/*
 * Each appends one message; false where it does not fit, and then the buffer is as before. SAs and
 * policies: NEWSA, UPDSA, EXPIRE, DELSA (with XFRMA_SA), GETAE's answer, NEWPOLICY, UPDPOLICY,
 * DELPOLICY (with XFRMA_POLICY).
 */
bool xfrm_encode_sa(struct xfrm_buf *buf, const struct xfrm_head *head, const struct xfrm_sa *sa);
bool xfrm_encode_expire(struct xfrm_buf *buf, const struct xfrm_head *head,
			const struct xfrm_sa *sa, bool hard);
bool xfrm_encode_sa_deleted(struct xfrm_buf *buf, const struct xfrm_head *head,
			    const struct xfrm_sa *sa);
bool xfrm_encode_ae(struct xfrm_buf *buf, const struct xfrm_head *head, const struct xfrm_sa *sa,
		    uint32_t ae_flags);
bool xfrm_encode_mapping(struct xfrm_buf *buf, const struct xfrm_head *head,
			 const struct sa_params *p, const union ip_addr *src, rte_be16_t sport);
bool xfrm_encode_flush_sa(struct xfrm_buf *buf, const struct xfrm_head *head, uint8_t proto);

bool xfrm_encode_policy(struct xfrm_buf *buf, const struct xfrm_head *head,
			const struct xfrm_policy *policy);
bool xfrm_encode_policy_deleted(struct xfrm_buf *buf, const struct xfrm_head *head,
				const struct xfrm_policy *policy, bool by_index);
bool xfrm_encode_policy_expire(struct xfrm_buf *buf, const struct xfrm_head *head,
			       const struct xfrm_policy *policy, bool hard);
bool xfrm_encode_migration(struct xfrm_buf *buf, const struct xfrm_head *head,
			   const struct xfrm_migration *migration);
bool xfrm_encode_flush_policy(struct xfrm_buf *buf, const struct xfrm_head *head);
bool xfrm_encode_acquire(struct xfrm_buf *buf, const struct xfrm_head *head,
			 const struct xfrm_policy *policy, const struct flow *flow,
			 uint32_t acquire_seq);

bool xfrm_encode_sadinfo(struct xfrm_buf *buf, const struct xfrm_head *head,
			 const struct xfrm_sadinfo *info);
bool xfrm_encode_spdinfo(struct xfrm_buf *buf, const struct xfrm_head *head,
			 const struct xfrm_spdinfo *info);
bool xfrm_encode_default(struct xfrm_buf *buf, const struct xfrm_head *head,
			 const struct xfrm_userpolicy_default *defaults);

/*
 * NLMSG_ERROR: the acknowledgement (error 0) of, or refusal (negative errno) of, `request`, whose
 * header alone is quoted. `text` goes along as an extended ack unless NULL or empty.
 */
bool xfrm_encode_ack(struct xfrm_buf *buf, uint32_t port, const struct nlmsghdr *request, int error,
		     const char *text);
bool xfrm_encode_done(struct xfrm_buf *buf, uint32_t seq, uint32_t port);
bool xfrm_encode_overrun(struct xfrm_buf *buf, uint32_t port);
