/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What operators may see: a UNIX stream socket that answers one line of request ("sa", "drops")
 * with one JSON document and closes. Never a key. sealanectl is its client. Control thread.
 */
#pragma once

#include <sys/types.h>

#include "crypto/reason.h"

struct dataplane;
struct rtnl;
struct show;

struct show *show_open(struct dataplane *dp, struct rtnl *rtnl, const char *path, gid_t group,
		       struct reason *why);
void show_close(struct show *show);
int show_fd(const struct show *show); /* an epoll descriptor: readable when there is work */
void show_poll(struct show *show);
