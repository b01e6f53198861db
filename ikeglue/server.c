/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control socket's loop: one epoll descriptor for the listener and its clients, nothing that
 * blocks. A datagram is read only when everything before it was answered and sent.
 */
#include "server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "crypto/socket_path.h"
#include "ctl.h"
#include "xfrm_uapi.h"

#define EVENTS     32
#define GROUPS_MAX 1024 /* supplementary groups of a peer that are looked at */

RTE_LOG_REGISTER(ctl_logtype, sealane.ctl, NOTICE)

static bool
in_group(int fd, gid_t primary, gid_t group)
{
	gid_t groups[GROUPS_MAX];
	socklen_t len = sizeof(groups);

	if (group == (gid_t)-1)
		return false;
	if (primary == group)
		return true;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) < 0)
		return false;
	for (unsigned int i = 0; i < len / sizeof(groups[0]); i++)
		if (groups[i] == group)
			return true;
	return false;
}

/* Whoever runs the engine, root, and the group. */
static bool
peer_allowed(const struct ctl *ctl, int fd, const struct ucred *cred)
{
	return cred->uid == 0 || cred->uid == geteuid() || in_group(fd, cred->gid, ctl->group);
}

static void
accept_client(struct ctl *ctl)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);
	int fd = accept4(ctl->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0) {
		close(fd);
		return;
	}
	if (!peer_allowed(ctl, fd, &cred)) {
		CTL_LOG(WARNING, "refused process %d of user %u: neither root nor of the group\n",
			(int)cred.pid, (unsigned int)cred.uid);
		close(fd);
		return;
	}
	client_add(ctl, fd, cred.pid);
}

static void
read_datagram(struct ctl *ctl, struct client *client)
{
	struct iovec iov = {.iov_base = ctl->in, .iov_len = sizeof(ctl->in)};
	struct msghdr in = {.msg_iov = &iov, .msg_iovlen = 1};
	const struct nlmsghdr *msg;
	const uint8_t *data = ctl->in;
	ssize_t n = recvmsg(client->fd, &in, MSG_DONTWAIT);
	size_t left;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		client_kill(client, NULL);
		return;
	}
	if (in.msg_flags & MSG_TRUNC) {
		client_kill(client, "its datagram is too long");
		n = 0;
	}
	left = (size_t)n;
	while (!client->dead && (msg = xfrm_next(&data, &left)))
		request_handle(ctl, client, msg);
	if (left > 0 && !client->dead)
		client_kill(client, "its datagram ends in what is no message");
	crypto_zeroize(ctl->in, (size_t)n);
}

static void
serve(struct ctl *ctl, struct client *client, uint32_t events)
{
	if (client->dead)
		return;
	if (events & EPOLLIN)
		read_datagram(ctl, client);
	else if (events & (EPOLLHUP | EPOLLERR))
		client_kill(client, NULL);
	if (client_flush(ctl, client))
		dump_continue(ctl, client);
	client_watch(ctl, client);
}

void
ctl_poll(struct ctl *ctl)
{
	struct epoll_event events[EVENTS];
	int n = epoll_wait(ctl->epoll_fd, events, EVENTS, 0);

	for (int i = 0; i < n; i++) {
		if (events[i].data.ptr == ctl)
			accept_client(ctl);
		else
			serve(ctl, events[i].data.ptr, events[i].events);
	}
	client_bury(ctl);
}

int
ctl_fd(const struct ctl *ctl)
{
	return ctl->epoll_fd;
}

/* Nobody but its owner can connect before the group and mode are right. */
static int
bind_restricted(const struct ctl *ctl, const struct sockaddr_un *addr, struct reason *why)
{
	mode_t mask = umask(0177);
	int rc = bind(ctl->listen_fd, (const struct sockaddr *)addr, sizeof(*addr));
	int error = errno;

	umask(mask);
	if (rc < 0)
		return reason_set(why, error, "%s: %s", ctl->path, strerror(error));
	if (ctl->group == (gid_t)-1 ||
	    (chown(ctl->path, (uid_t)-1, ctl->group) == 0 && chmod(ctl->path, 0660) == 0))
		return 0;
	error = errno;
	unlink(ctl->path);
	return reason_set(why, error, "%s: group %u: %s", ctl->path, (unsigned int)ctl->group,
			  strerror(error));
}

static int
listen_open(struct ctl *ctl, const char *path, struct reason *why)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = ctl};
	int rc;

	if (strlen(path) >= sizeof(addr.sun_path))
		return reason_set(why, ENAMETOOLONG, "%s: longer than %zu bytes", path,
				  sizeof(addr.sun_path) - 1);
	strcpy(addr.sun_path, path);
	rc = socket_path_clear(&addr, SOCK_SEQPACKET, why);
	if (rc < 0)
		return rc;
	ctl->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (ctl->listen_fd < 0)
		return reason_set(why, errno, "socket: %s", strerror(errno));
	strcpy(ctl->path, path);
	rc = bind_restricted(ctl, &addr, why);
	if (rc < 0)
		return rc;
	if (listen(ctl->listen_fd, SOMAXCONN) < 0 ||
	    epoll_ctl(ctl->epoll_fd, EPOLL_CTL_ADD, ctl->listen_fd, &event) < 0)
		return reason_set(why, errno, "%s: %s", path, strerror(errno));
	return 0;
}

struct ctl *
ctl_open(const struct ctl_config *config, struct reason *why)
{
	struct ctl *ctl = calloc(1, sizeof(*ctl));

	if (!ctl) {
		reason_set(why, ENOMEM, "no memory for the control socket");
		return NULL;
	}
	ctl->listen_fd = -1;
	ctl->group = config->group;
	ctl->sad = config->sad;
	ctl->orphan_grace = config->orphan_grace;
	ctl->bypass = config->bypass;
	ctl->spd = config->spd;
	if (getrandom(&ctl->seed, sizeof(ctl->seed), 0) != sizeof(ctl->seed)) {
		reason_set(why, EIO, "the system gives no random numbers");
		goto err_free;
	}
	ctl->thresholds = (struct xfrm_thresholds){32, 32, 128, 128};
	ctl->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (ctl->epoll_fd < 0) {
		reason_set(why, errno, "epoll: %s", strerror(errno));
		goto err_free;
	}
	if (listen_open(ctl, config->path, why) < 0)
		goto err_close;
	ctl->observer =
		(struct sad_observer){.ctx = ctl, .mapped = event_mapped, .expire = event_expire};
	sad_observe(ctl->sad, &ctl->observer);
	ctl->expiry = (struct spd_observer){.ctx = ctl, .expire = event_policy_expire};
	spd_observe(ctl->spd, &ctl->expiry);
	return ctl;

err_close:
	if (ctl->listen_fd >= 0)
		close(ctl->listen_fd);
	close(ctl->epoll_fd);
err_free:
	free(ctl);
	return NULL;
}

void
ctl_close(struct ctl *ctl)
{
	for (struct client *client = ctl->clients; client; client = client->next) {
		client->daemon = 0; /* it is not the one that leaves */
		client_kill(client, NULL);
	}
	client_bury(ctl);
	close(ctl->listen_fd);
	unlink(ctl->path);
	close(ctl->epoll_fd);
	free(ctl);
}
