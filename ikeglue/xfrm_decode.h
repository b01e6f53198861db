/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * XFRM netlink from bytes to structs: pure functions on a buffer and its length. Nothing is
 * believed before it was compared with the length; what is unknown or unsupported is refused by
 * its name, never ignored.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/reason.h"
#include "hello.h"
#include "sadb/sad.h"
#include "sadb/spd.h"
#include "xfrm_uapi.h"

struct nlmsghdr;

/* Which SAs a dump shows. */
struct xfrm_filter {
	uint8_t proto;  /* 0 all */
	uint8_t family; /* FAMILY_*, 0: addresses are not compared */
	uint8_t src_len, dst_len;
	union ip_addr src, dst;
};

/* Prefix lengths from which the kernel hashes policies; kept and given back, nothing more. */
struct xfrm_thresholds {
	uint8_t v4_local, v4_remote, v6_local, v6_remote;
};

/* One change of tunnel endpoints that a MIGRATE asks for. */
struct xfrm_step {
	union ip_addr old_src, old_dst, new_src, new_dst;
	uint8_t old_family, new_family; /* FAMILY_* */
	uint8_t proto, mode;            /* of the SAs and the template concerned */
	uint32_t reqid;                 /* likewise, 0 any */
};

struct xfrm_migration {
	struct spd_id id; /* of the policy */
	uint32_t steps;
	struct xfrm_step step[XFRM_MAX_DEPTH];
	struct xfrm_encap_tmpl encap; /* of the SAs from now on; type 0: none */
	bool has_ends;
	struct xfrm_user_kmaddress ends; /* of the IKE SA: for the IKE daemons that are told */
};

struct xfrm_request {
	uint16_t type;  /* HELLO_TYPE, HAD_TYPE, or XFRM_MSG_* */
	uint16_t flags; /* NLM_F_* */
	uint32_t seq;
	bool dump;
	union {
		struct hello hello;
		/* NEWSA, UPDSA, NEWAE, HAD_TYPE, ALLOCSPI: the last with a range in host byte
		 * order. */
		struct {
			struct sa_params params;
			uint32_t min, max;
		} sa;
		struct { /* DELSA, GETSA, GETAE */
			struct sa_id id;
			uint32_t ae_flags;
		} sa_id;
		struct xfrm_filter filter; /* GETSA as a dump */
		uint8_t proto;             /* FLUSHSA; 0 all */
		struct spd_params policy;  /* NEWPOLICY, UPDPOLICY */
		struct {                   /* DELPOLICY, GETPOLICY */
			struct spd_id id;
			uint32_t index;
		} policy_id;
		struct xfrm_migration migration;
		struct xfrm_userpolicy_default defaults; /* SETDEFAULT */
		uint32_t info; /* GETSADINFO, GETSPDINFO: flags, to be given back */
		struct {       /* NEWSPDINFO */
			bool v4, v6;
			struct xfrm_thresholds value;
		} thresholds;
	};
};

/*
 * The next message of a datagram: its header is whole and its length lies inside. Advances *data
 * and *len. NULL at the end, and where what is left is not a message: then *len is not 0.
 */
const struct nlmsghdr *xfrm_next(const uint8_t **data, size_t *len);

/*
 * Decodes the message at `msg`, of `len` bytes in all (at least a header), 4-byte aligned. 0, or a
 * negative errno with the reason; type, flags and seq are set in either case. The request holds
 * keys: the caller zeroizes it.
 */
int xfrm_decode(const struct nlmsghdr *msg, size_t len, struct xfrm_request *req,
		struct reason *why);

/* "XFRM_MSG_NEWSA" and so on, or NULL. */
const char *xfrm_message_name(uint16_t type);
