/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control socket: XFRM netlink messages (linux/xfrm.h) over a UNIX SOCK_SEQPACKET socket, so
 * that an unmodified IKE daemon or iproute2, run under sealane-xfrm, drives the SAD and SPD.
 * Everything here runs on the control thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "crypto/reason.h"
#include "sadb/sad.h"
#include "sadb/spd.h"

struct ctl;

struct ctl_config {
	const char *path; /* of the socket */
	gid_t group;      /* whose members may use it beside root; (gid_t)-1 none */
	struct sad *sad;
	struct spd *spd;
	bool bypass;           /* what no policy matches passes: told, not changed, here */
	uint32_t orphan_grace; /* seconds until what a daemon left is removed */
};

struct ctl *ctl_open(const struct ctl_config *config, struct reason *why);
void ctl_close(struct ctl *ctl);

int ctl_fd(const struct ctl *ctl); /* an epoll descriptor: readable when ctl_poll() has work */
void ctl_poll(struct ctl *ctl);

/* Who is connected: the n-th of them, in no order. False where there are not so many. */
struct ctl_peer {
	pid_t pid;
	uint32_t groups; /* bit n - 1: XFRMNLGRP_ number n */
	size_t queued;   /* bytes that it has yet to read */
};

bool ctl_peer(const struct ctl *ctl, uint32_t n, struct ctl_peer *peer);

/*
 * SAs that a daemon has left behind: those there are, and those removed so far. Looks at all SAs,
 * if there may be some.
 */
void ctl_orphans(const struct ctl *ctl, uint32_t *now, uint64_t *removed);

/* What time brings about: call about ten times a second with monotonic milliseconds. */
void ctl_tick(struct ctl *ctl, uint64_t now);

/* A protect policy found no SA for the flow: XFRM_MSG_ACQUIRE to the subscribers. */
void ctl_acquire(struct ctl *ctl, const struct policy *policy, const struct flow *flow);
bool ctl_acquire_heard(const struct ctl *ctl); /* whether there are any */
