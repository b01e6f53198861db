/* SPDX-License-Identifier: BSD-3-Clause */
#undef _FILE_OFFSET_BITS /* fcntl is to be fcntl */
#undef _FORTIFY_SOURCE

#include "dial.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/un.h>

#include "real.h"

#define DEFAULT_PATH "/run/sealane/xfrm.sock"

/* The socket's limit of time holds for connecting alone: later it is as the program wants it. */
static int
connect_soon(int fd, const struct sockaddr_un *addr)
{
	const struct real *real = real_functions();
	struct timeval limit = {.tv_sec = DIAL_SECONDS};
	int rc;

	real->setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	rc = real->connect(fd, (const struct sockaddr *)addr, sizeof(*addr));
	limit.tv_sec = 0;
	if (rc == 0)
		real->setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	return rc;
}

static struct sockaddr_un
engine_address(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	const char *path = getenv("SEALANE_XFRM_SOCKET");

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s",
		 path && path[0] != '\0' ? path : DEFAULT_PATH);
	return addr;
}

int
dial(int type)
{
	static bool told;
	const struct real *real = real_functions();
	struct sockaddr_un addr = engine_address();
	int fd, error;

	fd = real->socket(AF_UNIX, SOCK_SEQPACKET | (type & SOCK_CLOEXEC), 0);
	if (fd < 0)
		return -1;
	if (connect_soon(fd, &addr) == 0) {
		if (type & SOCK_NONBLOCK)
			real->fcntl(fd, F_SETFL, O_NONBLOCK);
		return fd;
	}
	error = errno;
	real->close(fd);
	if (!told)
		fprintf(stderr, "sealane-xfrm: no engine at %s: %s\n", addr.sun_path,
			error == EAGAIN ? "it does not answer" : strerror(error));
	told = true;
	return -1;
}

bool
dial_would_do(void)
{
	const struct real *real = real_functions();
	const struct sockaddr_un addr = engine_address();
	int fd = real->socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool there;

	if (fd < 0)
		return false;
	there = real->connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0;
	real->close(fd);
	return there;
}
