/* SPDX-License-Identifier: BSD-3-Clause */
#include "watches.h"

#include <stdatomic.h>
#include <stddef.h>

#include "real.h"

#define WATCHES_MAX 64

static struct watch {
	bool used;
	int epfd, fd;
	struct epoll_event event;
} watches[WATCHES_MAX];
static _Atomic unsigned int count; /* of those used; relaxed, as watches_any() says */

static void
unwatch(struct watch *watch)
{
	watch->used = false;
	atomic_fetch_sub_explicit(&count, 1, memory_order_relaxed);
}

/* That one, else a free place, else NULL. */
static struct watch *
find(int epfd, int fd)
{
	struct watch *unused = NULL;

	for (unsigned int i = 0; i < WATCHES_MAX; i++) {
		if (watches[i].used && watches[i].epfd == epfd && watches[i].fd == fd)
			return &watches[i];
		if (!watches[i].used)
			unused = &watches[i];
	}
	return unused;
}

void
watches_note(int epfd, int op, int fd, const struct epoll_event *event)
{
	struct watch *watch = find(epfd, fd);

	if (watch && op == EPOLL_CTL_DEL && watch->used) {
		unwatch(watch);
	} else if (watch && op != EPOLL_CTL_DEL) {
		if (!watch->used)
			atomic_fetch_add_explicit(&count, 1, memory_order_relaxed);
		*watch = (struct watch){true, epfd, fd, *event};
	}
}

void
watches_forget(int fd)
{
	for (unsigned int i = 0; i < WATCHES_MAX; i++)
		if (watches[i].used && (watches[i].fd == fd || watches[i].epfd == fd))
			unwatch(&watches[i]);
}

void
watches_repeat(int fd, int op)
{
	for (unsigned int i = 0; i < WATCHES_MAX; i++)
		if (watches[i].used && watches[i].fd == fd)
			real_functions()->epoll_ctl(watches[i].epfd, op, fd, &watches[i].event);
}

bool
watches_any(void)
{
	return atomic_load_explicit(&count, memory_order_relaxed) != 0;
}
