/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libsealane-xfrm.so: the C library's socket functions, for a program that is to talk to the
 * engine where it believes to talk to the kernel. socket(AF_NETLINK, ..., NETLINK_XFRM) becomes a
 * connection to the control socket; what follows on that descriptor looks like netlink. Every
 * other descriptor goes to the C library untouched, but for UDP_ENCAP: the kernel must not take
 * ESP in UDP for its own.
 */
#undef _FILE_OFFSET_BITS /* fcntl and fcntl64 are two symbols here */
#undef _FORTIFY_SOURCE   /* and so are recv and __recv_chk */

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <linux/close_range.h>
#include <linux/netlink.h>

#include "hello.h"
#include "real.h"
#include "redirect.h"

/* What programs, and their libraries, find instead of the C library's; nothing else of ours. */
#pragma GCC visibility push(default)

/* Called by programs built with _FORTIFY_SOURCE; no header declares them. */
ssize_t __recv_chk(int fd, void *buf, size_t n, size_t size, int flags);
ssize_t __recvfrom_chk(int fd, void *buf, size_t n, size_t size, int flags, __SOCKADDR_ARG addr,
		       socklen_t *len);
ssize_t __read_chk(int fd, void *buf, size_t n, size_t size);
void __chk_fail(void) __attribute__((noreturn));

/* ---- opening, naming, options ---- */

int
socket(int domain, int type, int protocol)
{
	const struct real *c = real_functions();
	int fd;

	if (domain == AF_NETLINK && protocol == NETLINK_XFRM)
		return redirect_open(type);
	fd = c->socket(domain, type, protocol);
	redirect_forget(fd); /* its number may have been closed behind our back */
	return fd;
}

int
bind(int fd, __CONST_SOCKADDR_ARG addr, socklen_t len)
{
	const struct real *c = real_functions();
	struct sockaddr_nl nl;

	if (!redirected(fd))
		return c->bind(fd, addr.__sockaddr__, len);
	if (len < sizeof(nl)) {
		errno = EINVAL;
		return -1;
	}
	memcpy(&nl, addr.__sockaddr__, sizeof(nl));
	return redirect_bind(fd, nl.nl_pid, nl.nl_groups);
}

int
connect(int fd, __CONST_SOCKADDR_ARG addr, socklen_t len)
{
	const struct real *c = real_functions();

	return redirected(fd) ? 0 : c->connect(fd, addr.__sockaddr__, len);
}

static void
fake_name(struct sockaddr *addr, socklen_t *len, uint32_t port, uint32_t groups)
{
	const struct sockaddr_nl nl = {
		.nl_family = AF_NETLINK,
		.nl_pid = port,
		.nl_groups = groups,
	};

	if (!addr || !len)
		return;
	memcpy(addr, &nl, *len < sizeof(nl) ? *len : sizeof(nl));
	*len = sizeof(nl);
}

int
getsockname(int fd, __SOCKADDR_ARG addr, socklen_t *len)
{
	const struct real *c = real_functions();
	uint32_t port, groups;

	if (!redirected(fd))
		return c->getsockname(fd, addr.__sockaddr__, len);
	redirect_name(fd, &port, &groups);
	fake_name(addr.__sockaddr__, len, port, groups);
	return 0;
}

int
getpeername(int fd, __SOCKADDR_ARG addr, socklen_t *len)
{
	const struct real *c = real_functions();

	if (!redirected(fd))
		return c->getpeername(fd, addr.__sockaddr__, len);
	fake_name(addr.__sockaddr__, len, 0, 0);
	return 0;
}

static int
netlink_option(int fd, int name, const void *value, socklen_t len)
{
	int number = 0;

	if (value)
		memcpy(&number, value, len < sizeof(number) ? len : sizeof(number));
	switch (name) {
	case NETLINK_ADD_MEMBERSHIP:
		return redirect_join(fd, (uint32_t)number, true);
	case NETLINK_DROP_MEMBERSHIP:
		return redirect_join(fd, (uint32_t)number, false);
	case NETLINK_EXT_ACK:
		return redirect_ext_ack(fd, number != 0);
	default:
		return 0;
	}
}

int
setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	const struct real *c = real_functions();

	if (level == SOL_UDP && name == UDP_ENCAP)
		return 0;
	if (level == SOL_NETLINK && redirected(fd))
		return netlink_option(fd, name, value, len);
	return c->setsockopt(fd, level, name, value, len);
}

/* ---- sending: to the engine, whatever address is named ---- */

static bool
engine_gone(int error)
{
	return error == EPIPE || error == ECONNRESET || error == ENOTCONN;
}

/* Whether to send once more: the engine has gone, and is back, and nothing has reached it. */
static bool
send_again(int fd, ssize_t n, unsigned int *tries)
{
	return n < 0 && engine_gone(errno) && redirect_lost(fd) < 0 && (*tries)++ == 0 &&
	       redirect_ready(fd) == 0;
}

static ssize_t
send_to_engine(int fd, const void *buf, size_t n, int flags)
{
	const struct real *c = real_functions();
	unsigned int tries = 0;
	ssize_t rc;

	if (redirect_ready(fd) < 0)
		return -1;
	do
		rc = c->send(fd, buf, n, flags | MSG_NOSIGNAL);
	while (send_again(fd, rc, &tries));
	return rc;
}

ssize_t
send(int fd, const void *buf, size_t n, int flags)
{
	const struct real *c = real_functions();
	ssize_t rc;

	if (!redirected(fd))
		return c->send(fd, buf, n, flags);
	rc = send_to_engine(fd, buf, n, flags);
	redirect_sent(fd, buf, n, rc >= 0);
	return rc;
}

ssize_t
sendto(int fd, const void *buf, size_t n, int flags, __CONST_SOCKADDR_ARG addr, socklen_t len)
{
	const struct real *c = real_functions();

	if (redirected(fd))
		return send(fd, buf, n, flags);
	return c->sendto(fd, buf, n, flags, addr.__sockaddr__, len);
}

ssize_t
write(int fd, const void *buf, size_t n)
{
	const struct real *c = real_functions();

	return redirected(fd) ? send(fd, buf, n, 0) : c->write(fd, buf, n);
}

ssize_t
sendmsg(int fd, const struct msghdr *msg, int flags)
{
	const struct real *c = real_functions();
	unsigned int tries = 0;
	struct msghdr copy;
	ssize_t rc;

	if (!redirected(fd))
		return c->sendmsg(fd, msg, flags);
	if (redirect_ready(fd) < 0)
		return -1;
	copy = *msg;
	copy.msg_name = NULL;
	copy.msg_namelen = 0;
	copy.msg_control = NULL;
	copy.msg_controllen = 0;
	do
		rc = c->sendmsg(fd, &copy, flags | MSG_NOSIGNAL);
	while (send_again(fd, rc, &tries));
	return rc;
}

/* ---- receiving: from the kernel, as far as the program sees ---- */

struct error_message {
	struct nlmsghdr head;
	struct nlmsgerr error;
};

/*
 * The engine has gone. Whoever waits for an answer gets one: charon takes an errno for nothing, and
 * would wait for ever.
 */
static ssize_t
lost(int fd, void *first, size_t len, int flags)
{
	struct error_message m = {.head = {.nlmsg_len = sizeof(m), .nlmsg_type = NLMSG_ERROR},
				  .error = {.error = -ENETDOWN}};

	redirect_lost(fd);
	if (len < sizeof(m) || (flags & MSG_PEEK) || !redirect_unanswered(fd, &m.error.msg))
		return -1;
	m.head.nlmsg_seq = m.error.msg.nlmsg_seq;
	m.head.nlmsg_pid = m.error.msg.nlmsg_pid;
	memcpy(first, &m, sizeof(m));
	return sizeof(m);
}

/*
 * What a receive of up to `room` bytes brought: n bytes, which begin in `first`. The engine's
 * NLMSG_OVERRUN is a netlink socket's ENOBUFS.
 */
static ssize_t
received(int fd, ssize_t n, size_t room, void *first, size_t first_len, int flags)
{
	const struct real *c = real_functions();
	struct nlmsghdr head;

	if (n < 0)
		return engine_gone(errno) ? lost(fd, first, first_len, flags) : n;
	if (n == 0)
		return room > 0 || flags & MSG_TRUNC ? lost(fd, first, first_len, flags) : 0;
	if ((size_t)n < sizeof(head) || first_len < sizeof(head))
		return n;
	memcpy(&head, first, sizeof(head));
	if (head.nlmsg_type != NLMSG_OVERRUN) {
		if (!(flags & MSG_PEEK))
			redirect_answered(fd, &head);
		return n;
	}
	if (flags & MSG_PEEK)
		c->recv(fd, &head, sizeof(head), MSG_DONTWAIT);
	errno = ENOBUFS;
	return -1;
}

/* Whether it is the engine's answer to a greeting, and no concern of the program's: it is dropped.
 */
static bool
answers_greeting(int fd, ssize_t n, const void *first, size_t first_len, int flags)
{
	const struct real *c = real_functions();
	struct error_message m;

	if (n < (ssize_t)sizeof(m) || first_len < sizeof(m))
		return false;
	memcpy(&m, first, sizeof(m));
	if (m.head.nlmsg_type != NLMSG_ERROR || m.error.msg.nlmsg_type != HELLO_TYPE)
		return false;
	if (flags & MSG_PEEK)
		c->recv(fd, &m, sizeof(m), MSG_DONTWAIT);
	return true;
}

ssize_t
recv(int fd, void *buf, size_t n, int flags)
{
	const struct real *c = real_functions();
	ssize_t rc;

	if (!redirected(fd))
		return c->recv(fd, buf, n, flags);
	do
		rc = c->recv(fd, buf, n, flags);
	while (answers_greeting(fd, rc, buf, n, flags));
	return received(fd, rc, n, buf, n, flags);
}

ssize_t
__recv_chk(int fd, void *buf, size_t n, size_t size, int flags)
{
	if (n > size)
		__chk_fail();
	return recv(fd, buf, n, flags);
}

ssize_t
recvfrom(int fd, void *buf, size_t n, int flags, __SOCKADDR_ARG addr, socklen_t *len)
{
	const struct real *c = real_functions();
	ssize_t rc;

	if (!redirected(fd))
		return c->recvfrom(fd, buf, n, flags, addr.__sockaddr__, len);
	rc = recv(fd, buf, n, flags);
	if (rc >= 0)
		fake_name(addr.__sockaddr__, len, 0, 0);
	return rc;
}

ssize_t
__recvfrom_chk(int fd, void *buf, size_t n, size_t size, int flags, __SOCKADDR_ARG addr,
	       socklen_t *len)
{
	if (n > size)
		__chk_fail();
	return recvfrom(fd, buf, n, flags, addr, len);
}

ssize_t
read(int fd, void *buf, size_t n)
{
	const struct real *c = real_functions();

	return redirected(fd) ? recv(fd, buf, n, 0) : c->read(fd, buf, n);
}

ssize_t
__read_chk(int fd, void *buf, size_t n, size_t size)
{
	if (n > size)
		__chk_fail();
	return read(fd, buf, n);
}

static size_t
room_of(const struct msghdr *msg)
{
	size_t room = 0;

	for (size_t i = 0; i < msg->msg_iovlen; i++)
		room += msg->msg_iov[i].iov_len;
	return room;
}

ssize_t
recvmsg(int fd, struct msghdr *msg, int flags)
{
	const struct real *c = real_functions();
	void *name = msg->msg_name;
	socklen_t name_len = msg->msg_namelen;
	void *first = msg->msg_iovlen ? msg->msg_iov->iov_base : NULL;
	size_t first_len = msg->msg_iovlen ? msg->msg_iov->iov_len : 0;
	ssize_t n;

	if (!redirected(fd))
		return c->recvmsg(fd, msg, flags);
	msg->msg_name = NULL;
	msg->msg_namelen = 0;
	do
		n = c->recvmsg(fd, msg, flags);
	while (answers_greeting(fd, n, first, first_len, flags));
	msg->msg_name = name;
	msg->msg_namelen = name_len;
	n = received(fd, n, room_of(msg), first, first_len, flags);
	if (n >= 0 && name)
		fake_name(name, &msg->msg_namelen, 0, 0);
	return n;
}

/* ---- following descriptors ---- */

int
close(int fd)
{
	const struct real *c = real_functions();

	redirect_forget(fd);
	return c->close(fd);
}

static void
forget_range(unsigned int first, unsigned int last)
{
	for (unsigned int fd = first; fd <= last && fd < 65536; fd++)
		redirect_forget((int)fd);
}

int
close_range(unsigned int first, unsigned int last, int flags)
{
	const struct real *c = real_functions();

	if (!(flags & CLOSE_RANGE_CLOEXEC))
		forget_range(first, last);
	return c->close_range(first, last, flags);
}

void
closefrom(int first)
{
	const struct real *c = real_functions();

	forget_range(first < 0 ? 0 : (unsigned int)first, UINT32_MAX);
	c->closefrom(first);
}

static int
followed(int from, int to)
{
	if (to >= 0)
		redirect_dup(from, to);
	return to;
}

int
dup(int fd)
{
	return followed(fd, real_functions()->dup(fd));
}

int
dup2(int from, int to)
{
	return followed(from, real_functions()->dup2(from, to));
}

int
dup3(int from, int to, int flags)
{
	return followed(from, real_functions()->dup3(from, to, flags));
}

/* Every command has at most one argument, an integer or a pointer, and both travel alike. */
static int
fcntl_any(int fd, int command, void *argument)
{
	int rc = real_functions()->fcntl(fd, command, argument);

	return command == F_DUPFD || command == F_DUPFD_CLOEXEC ? followed(fd, rc) : rc;
}

int
fcntl(int fd, int command, ...)
{
	va_list args;
	void *argument;

	va_start(args, command);
	argument = va_arg(args, void *);
	va_end(args);
	return fcntl_any(fd, command, argument);
}

int
fcntl64(int fd, int command, ...)
{
	va_list args;
	void *argument;

	va_start(args, command);
	argument = va_arg(args, void *);
	va_end(args);
	return fcntl_any(fd, command, argument);
}

int
epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
	int rc = real_functions()->epoll_ctl(epfd, op, fd, event);

	if (rc == 0 && redirected(fd))
		redirect_watch(epfd, op, fd, event);
	return rc;
}

#pragma GCC visibility pop
