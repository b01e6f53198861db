/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What operators may see: a UNIX stream socket that answers one line of request ("sa", "drops")
 * with one JSON document and closes. Never a key. sealanectl is its client. Control thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "crypto/reason.h"

struct dataplane;
struct rtnl;
struct show;

/* Who is connected to the control socket, which this module does not know. */
struct show_peer {
	pid_t pid;
	uint32_t groups; /* bit n - 1: XFRMNLGRP_ number n */
	size_t queued;   /* bytes that it has yet to read */
};

struct show_peers {
	void *ctx;
	bool (*get)(void *ctx, uint32_t n, struct show_peer *peer); /* the n-th, false: no more */
	/* SAs that a daemon has left behind: those there are, and those removed so far. */
	void (*orphans)(void *ctx, uint32_t *now, uint64_t *removed);
};

struct show *show_open(struct dataplane *dp, struct rtnl *rtnl, const struct show_peers *peers,
		       const char *path, gid_t group, struct reason *why);
void show_close(struct show *show);
int show_fd(const struct show *show); /* an epoll descriptor: readable when there is work */
void show_poll(struct show *show);
