/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Connections and what waits to be sent on them. Memory is bounded: a client whose output waits is
 * not read from, events beyond a bound are lost and the loss is told (as a netlink socket's
 * ENOBUFS), and one datagram's replies beyond another bound cost the connection.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ctl.h"

struct chunk {
	struct chunk *next;
	uint32_t len;
	uint8_t data[];
};

struct client *
client_add(struct ctl *ctl, int fd, pid_t pid)
{
	struct epoll_event event = {.events = EPOLLIN};
	struct client *client;

	if (ctl->clients_count >= CTL_CLIENTS_MAX) {
		if (!ctl->full) /* once, and not for each of a flood */
			CTL_LOG(WARNING, "refused process %d: %u connections\n", (int)pid,
				ctl->clients_count);
		ctl->full = true;
		close(fd);
		return NULL;
	}
	client = calloc(1, sizeof(*client));
	if (!client)
		goto err_close;
	client->fd = fd;
	client->pid = pid;
	client->last = &client->first;
	client->watched = event.events;
	event.data.ptr = client;
	if (epoll_ctl(ctl->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
		goto err_free;
	client->next = ctl->clients;
	ctl->clients = client;
	ctl->clients_count++;
	return client;

err_free:
	free(client);
err_close:
	CTL_LOG(ERR, "cannot serve process %d: %s\n", (int)pid, strerror(errno));
	close(fd);
	return NULL;
}

void
client_kill(struct client *client, const char *why)
{
	if (client->dead)
		return;
	if (why)
		CTL_LOG(WARNING, "disconnected process %d: %s\n", (int)client->pid, why);
	client->dead = true;
	shutdown(client->fd, SHUT_RDWR); /* wakes ctl_poll(), which buries it */
}

/* Chunks may hold keys. */
static void
chunk_drop(struct client *client)
{
	struct chunk *chunk = client->first;

	client->first = chunk->next;
	if (!client->first)
		client->last = &client->first;
	client->queued -= chunk->len;
	crypto_zeroize(chunk->data, chunk->len);
	free(chunk);
}

static void
client_free(struct ctl *ctl, struct client *client)
{
	while (client->first)
		chunk_drop(client);
	/* By hand: a copy of the descriptor in a forked child would keep it in the set. */
	epoll_ctl(ctl->epoll_fd, EPOLL_CTL_DEL, client->fd, NULL);
	close(client->fd);
	free(client);
}

void
client_bury(struct ctl *ctl)
{
	struct client **link = &ctl->clients;

	while (*link) {
		struct client *client = *link;

		if (!client->dead) {
			link = &client->next;
			continue;
		}
		owner_leaves(ctl, client);
		*link = client->next;
		ctl->clients_count--;
		ctl->full = false;
		client_free(ctl, client);
	}
}

void
client_watch(struct ctl *ctl, struct client *client)
{
	struct epoll_event event = {.data.ptr = client};

	event.events = client->first || client->dump.type ? EPOLLOUT : EPOLLIN;
	if (client->dead || event.events == client->watched)
		return;
	client->watched = event.events;
	if (epoll_ctl(ctl->epoll_fd, EPOLL_CTL_MOD, client->fd, &event) < 0)
		client_kill(client, strerror(errno));
}

/* False where the socket takes nothing now, or never will. */
static bool
send_now(struct client *client, const void *data, uint32_t len)
{
	if (send(client->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return true;
	if (errno != EAGAIN && errno != EINTR && errno != ENOBUFS && errno != ENOMEM)
		client_kill(client, NULL); /* it hung up */
	return false;
}

static void
enqueue(struct ctl *ctl, struct client *client, const struct xfrm_buf *buf)
{
	struct chunk *chunk = malloc(sizeof(*chunk) + buf->len);

	if (!chunk) {
		client_kill(client, "no memory for its output");
		return;
	}
	chunk->next = NULL;
	chunk->len = buf->len;
	memcpy(chunk->data, buf->data, buf->len);
	*client->last = chunk;
	client->last = &chunk->next;
	client->queued += buf->len;
	client_watch(ctl, client);
}

static void
client_send(struct ctl *ctl, struct client *client, const struct xfrm_buf *buf)
{
	if (!client->first && send_now(client, buf->data, buf->len))
		return;
	if (!client->dead)
		enqueue(ctl, client, buf);
}

void
client_reply(struct ctl *ctl, struct client *client, const struct xfrm_buf *buf)
{
	if (client->dead)
		return;
	if (client->queued + buf->len > CTL_QUEUE_MAX)
		client_kill(client, "it does not read its replies");
	else
		client_send(ctl, client, buf);
}

void
client_event(struct ctl *ctl, struct client *client, const struct xfrm_buf *buf)
{
	if (client->dead)
		return;
	if (client->overrun || client->queued + buf->len > CTL_EVENTS_MAX)
		client->overrun = true;
	else
		client_send(ctl, client, buf);
}

bool
client_flush(struct ctl *ctl, struct client *client)
{
	struct xfrm_buf buf = {.len = 0};

	while (client->first) {
		if (!send_now(client, client->first->data, client->first->len))
			return false;
		chunk_drop(client);
	}
	if (client->overrun) {
		client->overrun = false;
		xfrm_encode_overrun(&buf, client->port);
		client_send(ctl, client, &buf);
	}
	return !client->first;
}

bool
ctl_peer(const struct ctl *ctl, uint32_t n, struct ctl_peer *peer)
{
	const struct client *client = ctl->clients;

	while (client && n-- > 0)
		client = client->next;
	if (client)
		*peer = (struct ctl_peer){client->pid, client->groups, client->queued};
	return client != NULL;
}
