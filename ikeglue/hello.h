/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the preload library tells the engine and netlink has no message for: the port id that
 * getsockname() gave to the program, the multicast groups that it joined, its socket options, and
 * which connections are one process's. It
 * is sent before the first request and again whenever something changes, has no answer, and is
 * framed as a netlink message of a type that netlink reserves for control. So is what it says when
 * the engine comes back.
 */
#pragma once

#include <stdint.h>

#define HELLO_TYPE    0x0f /* nlmsg_type */
#define HELLO_VERSION 2

#define HELLO_EXT_ACK (1u << 0) /* NETLINK_EXT_ACK is on */

/*
 * "I had this SA", of a daemon whose connection was lost: a struct xfrm_usersa_info and, where it
 * had them, XFRMA_MARK and XFRMA_IF_ID. An engine without it answers with a soft EXPIRE.
 */
#define HAD_TYPE 0x0e

struct hello {
	uint32_t version;
	uint32_t port;   /* for nlmsg_pid of everything sent to this client */
	uint32_t groups; /* bit n - 1: XFRMNLGRP_ number n */
	uint32_t flags;  /* HELLO_* */
	/* A random number of the process's own: ids are of a PID namespace, and 0 from outside of
	 * it. */
	uint64_t process;
};
