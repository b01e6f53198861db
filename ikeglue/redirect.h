/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The preload library's sockets: which descriptors of the program are connections to the engine
 * instead of netlink sockets, and what netlink would know of each (port id, groups, options).
 * Every function may be called from any thread. A number of a descriptor that is not redirected
 * costs one load.
 *
 * While the engine is away a redirected descriptor is parked: it is one end of a socket pair whose
 * other end stays with the library, so that poll() on it sleeps instead of reporting an end of
 * file for ever. Sending connects anew, and with it every other parked socket of the process; so
 * does, within REVIVE_MS, a thread that lives as long as any is parked: a daemon that only waits
 * for events would not send. An engine that is stopped, so that connecting would not end, is away
 * as well. What a descriptor refers to changes under epoll sets that it is in: it is put in again.
 * Who waits for an answer when the engine goes gets an error message.
 *
 * An engine that comes back has what an IKE daemon installed before the first of the daemon's
 * requests: its policies, on a connection of their own, and the news of SAs that are gone, where it
 * subscribed.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <linux/netlink.h>

/* Whether the descriptor is redirected. */
bool redirected(int fd);

/* A new redirected descriptor for socket(AF_NETLINK, type, NETLINK_XFRM), or -1 with errno. */
int redirect_open(int type);

/* The descriptor is about to be closed, or was replaced; redirected or not. */
void redirect_forget(int fd);

/* `to` is now a duplicate of `from`; redirected or not. */
void redirect_dup(int from, int to);

/* epoll_ctl() did this to a redirected descriptor. */
void redirect_watch(int epfd, int op, int fd, const struct epoll_event *event);

/* Before a send: connected, and greeted with port id and groups. 0, or -1 with ENETDOWN. */
int redirect_ready(int fd);

/* Sending or receiving failed because the engine is gone: parks, sets ENETDOWN, returns -1. */
int redirect_lost(int fd);

/*
 * The program has sent this, or could not: what a daemon installs is kept for an engine that has
 * lost it (recall.h). Leaves errno alone.
 */
void redirect_sent(int fd, const void *data, size_t len, bool sent);

/* The program has received a message that begins so. */
void redirect_answered(int fd, const struct nlmsghdr *head);

/* Gives the request that the program has sent and got no answer to, once. False: there is none. */
bool redirect_unanswered(int fd, struct nlmsghdr *request);

/* bind(): a port of 0 is chosen here. */
int redirect_bind(int fd, uint32_t port, uint32_t groups);

/* What NETLINK_ADD_MEMBERSHIP and NETLINK_DROP_MEMBERSHIP, NETLINK_EXT_ACK say. */
int redirect_join(int fd, uint32_t group, bool join);
int redirect_ext_ack(int fd, bool on);

/* What getsockname() tells. */
void redirect_name(int fd, uint32_t *port, uint32_t *groups);
