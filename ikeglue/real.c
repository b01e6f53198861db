/* SPDX-License-Identifier: BSD-3-Clause */
#undef _FILE_OFFSET_BITS /* fcntl is to be fcntl */
#undef _FORTIFY_SOURCE

#include "real.h"

#include <dlfcn.h>

static struct real real;

static void
resolve(void)
{
	real.bind = dlsym(RTLD_NEXT, "bind");
	real.connect = dlsym(RTLD_NEXT, "connect");
	real.getsockname = dlsym(RTLD_NEXT, "getsockname");
	real.getpeername = dlsym(RTLD_NEXT, "getpeername");
	real.setsockopt = dlsym(RTLD_NEXT, "setsockopt");
	real.send = dlsym(RTLD_NEXT, "send");
	real.sendto = dlsym(RTLD_NEXT, "sendto");
	real.sendmsg = dlsym(RTLD_NEXT, "sendmsg");
	real.write = dlsym(RTLD_NEXT, "write");
	real.recv = dlsym(RTLD_NEXT, "recv");
	real.recvfrom = dlsym(RTLD_NEXT, "recvfrom");
	real.recvmsg = dlsym(RTLD_NEXT, "recvmsg");
	real.read = dlsym(RTLD_NEXT, "read");
	real.close = dlsym(RTLD_NEXT, "close");
	real.close_range = dlsym(RTLD_NEXT, "close_range");
	real.closefrom = dlsym(RTLD_NEXT, "closefrom");
	real.dup = dlsym(RTLD_NEXT, "dup");
	real.dup2 = dlsym(RTLD_NEXT, "dup2");
	real.dup3 = dlsym(RTLD_NEXT, "dup3");
	real.fcntl = dlsym(RTLD_NEXT, "fcntl");
	real.epoll_ctl = dlsym(RTLD_NEXT, "epoll_ctl");
	real.socket = dlsym(RTLD_NEXT, "socket");
}

const struct real *
real_functions(void)
{
	if (!real.socket)
		resolve();
	return &real;
}
