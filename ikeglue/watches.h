/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which epoll sets the program's redirected descriptors are in: a descriptor that comes to refer to
 * another socket has to be put into them again. Under the lock of redirect.c, but for
 * watches_any().
 */
#pragma once

#include <stdbool.h>
#include <sys/epoll.h>

/* epoll_ctl() did this to the descriptor. */
void watches_note(int epfd, int op, int fd, const struct epoll_event *event);

/* The descriptor, of a socket or of a set, is closed. */
void watches_forget(int fd);

/* Puts the descriptor into, or takes it out of, the sets that it is in. */
void watches_repeat(int fd, int op);

/* Without the lock: whether there are any. Closing a set comes after filling it. */
bool watches_any(void);
