/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The path of a socket that is about to be bound: what a dead daemon left there goes, anything else
 * stays. It lives beside reason.h, in the lowest module, for the two modules that listen.
 */
#pragma once

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "reason.h"

/*
 * Whether a socket of that type (SOCK_*) takes connections at the path: 0, or the errno. Without
 * waiting: a listener that is stopped and has its backlog full says EAGAIN.
 */
static inline int
socket_path_try(const struct sockaddr_un *addr, int type)
{
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error = 0;

	if (fd < 0 || connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) != 0)
		error = errno;
	if (fd >= 0)
		close(fd);
	return error;
}

/* Removes a socket that nobody listens on. 0, or a negative errno where the path is not free. */
static inline int
socket_path_clear(const struct sockaddr_un *addr, int type, struct reason *why)
{
	struct stat found;
	int error;

	if (lstat(addr->sun_path, &found) != 0) {
		if (errno == ENOENT)
			return 0;
		return reason_set(why, errno, "%s: %s", addr->sun_path, strerror(errno));
	}
	if (!S_ISSOCK(found.st_mode))
		return reason_set(why, EEXIST, "%s: exists and is no socket", addr->sun_path);
	error = socket_path_try(addr, type);
	if (error == 0 || error == EAGAIN || error == EPROTOTYPE)
		return reason_set(why, EADDRINUSE, "%s: another engine listens there",
				  addr->sun_path);
	if (error != ECONNREFUSED)
		return reason_set(why, error, "%s: %s", addr->sun_path, strerror(error));
	if (unlink(addr->sun_path) != 0)
		return reason_set(why, errno, "%s: %s", addr->sun_path, strerror(errno));
	return 0;
}
