/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The show socket's server. A page is made row by row while its client takes it: each turn of the
 * control loop adds a bounded number of rows, so a table of any length delays nothing else.
 */
#include "show.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "crypto/socket_path.h"
#include "show_page.h"

#define CLIENTS_MAX    16
#define REQUEST_MAX    32
#define ROWS_A_TURN    64
#define TEXT_HIGH_MARK (256u << 10) /* bytes that wait for a slow client before rows pause */

struct client {
	int fd; /* -1: a free place */
	char request[REQUEST_MAX];
	size_t request_len;
	const struct show_page *page; /* NULL while the request is read */
	union show_cursor cursor;
	bool first_row, complete;
	uint64_t moved; /* the poll in which it last gave or took something */
	char *text;     /* what the client has yet to take: len bytes in room bytes */
	size_t len, room;
};

struct show {
	struct show_source source;
	int listener, epoll;
	gid_t group;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	uint64_t polls;
	struct client clients[CLIENTS_MAX];
};

static void
client_close(struct client *c)
{
	close(c->fd);
	free(c->text);
	memset(c, 0, sizeof(*c));
	c->fd = -1;
}

static bool
text_add(struct client *c, const char *text, size_t len)
{
	if (c->len + len > c->room) {
		size_t room = 2 * (c->len + len);
		char *grown = realloc(c->text, room);

		if (!grown)
			return false;
		c->text = grown;
		c->room = room;
	}
	memcpy(c->text + c->len, text, len);
	c->len += len;
	return true;
}

/* Appends a JSON value, without its first and last `trim` bytes, and gives it up. */
static bool
text_add_json(struct client *c, json_t *value, size_t trim)
{
	char *text = json_dumps(value, JSON_COMPACT);
	bool ok = text && text_add(c, text + trim, strlen(text) - 2 * trim);

	free(text);
	json_decref(value);
	return ok;
}

/* The document's beginning: members beside the rows, and the key of the rows. */
static bool
page_begin(struct show *show, struct client *c)
{
	const struct show_page *page = c->page;
	bool ok = text_add(c, "{", 1);

	if (page->head)
		ok = ok && text_add_json(c, page->head(&show->source), 1);
	if (page->next) {
		ok = ok && (!page->head || text_add(c, ",", 1)) && text_add(c, "\"", 1) &&
		     text_add(c, page->name, strlen(page->name)) && text_add(c, "\":[", 3);
		c->first_row = true;
	} else {
		ok = ok && text_add(c, "}\n", 2);
		c->complete = true;
	}
	return ok;
}

static bool
page_rows(struct show *show, struct client *c)
{
	unsigned int rows;
	bool ok = true;

	for (rows = 0; ok && !c->complete && rows < ROWS_A_TURN; rows++) {
		json_t *row = c->page->next(&show->source, &c->cursor);

		if (row) {
			ok = (c->first_row || text_add(c, ",\n", 2)) && text_add_json(c, row, 0);
			c->first_row = false;
		} else {
			ok = text_add(c, "]}\n", 3);
			c->complete = true;
		}
	}
	return ok;
}

/* Takes what came of the request line; with the whole line the answer begins. */
static bool
client_read(struct show *show, struct client *c)
{
	struct epoll_event event = {.events = EPOLLOUT, .data.ptr = c};
	ssize_t got = recv(c->fd, c->request + c->request_len, REQUEST_MAX - 1 - c->request_len, 0);
	char *end;

	if (got <= 0)
		return got < 0 && (errno == EAGAIN || errno == EINTR);
	c->moved = show->polls;
	c->request_len += (size_t)got;
	end = memchr(c->request, '\n', c->request_len);
	if (!end)
		return c->request_len < REQUEST_MAX - 1;
	*end = '\0';
	c->page = show_page_find(c->request);
	if (epoll_ctl(show->epoll, EPOLL_CTL_MOD, c->fd, &event))
		return false;
	if (c->page)
		return page_begin(show, c);
	c->complete = true;
	return text_add_json(c, json_pack("{s:s}", "error", "unknown page"), 0) &&
	       text_add(c, "\n", 1);
}

/* False when the client has it all, or is gone. */
static bool
client_write(struct show *show, struct client *c)
{
	ssize_t sent;

	if (!c->complete && c->len < TEXT_HIGH_MARK && !page_rows(show, c))
		return false;
	sent = send(c->fd, c->text, c->len, MSG_NOSIGNAL);
	if (sent < 0)
		return errno == EAGAIN || errno == EINTR;
	c->moved = show->polls;
	c->len -= (size_t)sent;
	memmove(c->text, c->text + sent, c->len);
	return c->len > 0 || !c->complete;
}

static bool
in_group(int fd, const struct ucred *peer, gid_t group)
{
	gid_t groups[256];
	socklen_t len = sizeof(groups);
	unsigned int i;

	if (group == (gid_t)-1)
		return false;
	if (peer->gid == group)
		return true;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len))
		return false;
	for (i = 0; i < len / sizeof(gid_t); i++)
		if (groups[i] == group)
			return true;
	return false;
}

/* Root, ourselves, or the group: whatever the socket's mode has become since. */
static bool
peer_allowed(const struct show *show, int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len))
		return false;
	return peer.uid == 0 || peer.uid == geteuid() || in_group(fd, &peer, show->group);
}

/* A free place; where there is none, that of the client which has stood still for longest. */
static struct client *
client_place(struct show *show)
{
	struct client *place = show->clients, *c;

	for (c = show->clients; c < show->clients + CLIENTS_MAX && place->fd >= 0; c++)
		if (c->fd < 0 || c->moved < place->moved)
			place = c;
	if (place->fd >= 0)
		client_close(place);
	return place;
}

static void
client_accept(struct show *show)
{
	int fd = accept4(show->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct epoll_event event = {.events = EPOLLIN};
	struct client *c;

	if (fd < 0)
		return;
	if (!peer_allowed(show, fd)) {
		close(fd);
		return;
	}
	c = client_place(show);
	event.data.ptr = c;
	c->moved = show->polls;
	if (epoll_ctl(show->epoll, EPOLL_CTL_ADD, fd, &event))
		close(fd);
	else
		c->fd = fd;
}

void
show_poll(struct show *show)
{
	struct epoll_event events[CLIENTS_MAX + 1];
	int n = epoll_wait(show->epoll, events, CLIENTS_MAX + 1, 0), i;
	bool newcomer = false;

	show->polls++;
	for (i = 0; i < n; i++) {
		struct client *c = events[i].data.ptr;

		if (!c)
			newcomer = true;
		else if (c->page || c->complete ? !client_write(show, c) : !client_read(show, c))
			client_close(c);
	}
	/* Last: it may take the place of a client that an event of this turn speaks of. */
	if (newcomer)
		client_accept(show);
}

int
show_fd(const struct show *show)
{
	return show->epoll;
}

static int
listen_at(struct show *show, const char *path, struct reason *why)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
	mode_t mask;
	int bound;

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	if (socket_path_clear(&addr, SOCK_STREAM, why))
		return -1;
	show->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	mask = umask(0117);
	bound = bind(show->listener, (struct sockaddr *)&addr, sizeof(addr));
	umask(mask);
	if (!bound)
		snprintf(show->path, sizeof(show->path), "%s", path);
	show->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (bound || (show->group != (gid_t)-1 && chown(path, (uid_t)-1, show->group)) ||
	    listen(show->listener, CLIENTS_MAX) ||
	    epoll_ctl(show->epoll, EPOLL_CTL_ADD, show->listener, &event))
		return reason_set(why, errno, "%s: %s", path, strerror(errno));
	return 0;
}

struct show *
show_open(struct dataplane *dp, struct rtnl *rtnl, const struct show_peers *peers, const char *path,
	  gid_t group, struct reason *why)
{
	struct show *show = calloc(1, sizeof(*show));
	unsigned int i;

	if (!show) {
		reason_set(why, ENOMEM, "out of memory");
		return NULL;
	}
	show->source = (struct show_source){dp, rtnl, *peers, (uint64_t)time(NULL)};
	show->group = group;
	show->listener = show->epoll = -1;
	for (i = 0; i < CLIENTS_MAX; i++)
		show->clients[i].fd = -1;
	if (listen_at(show, path, why)) {
		show_close(show);
		return NULL;
	}
	return show;
}

void
show_close(struct show *show)
{
	unsigned int i;

	for (i = 0; i < CLIENTS_MAX; i++)
		if (show->clients[i].fd >= 0)
			client_close(&show->clients[i]);
	if (show->path[0])
		unlink(show->path);
	if (show->listener >= 0)
		close(show->listener);
	if (show->epoll >= 0)
		close(show->epoll);
	free(show);
}
