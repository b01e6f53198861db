/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of redirected descriptors, and their connections: see redirect.h. */
#undef _FILE_OFFSET_BITS /* fcntl is to be fcntl */
#undef _FORTIFY_SOURCE

#include "redirect.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include <linux/netlink.h>
#include <linux/xfrm.h>

#include "dial.h"
#include "hello.h"
#include "real.h"
#include "recall.h"
#include "watches.h"

#define FDS_MAX   65536 /* descriptor numbers that can be redirected */
#define LINKS_MAX 64    /* sockets of one program at a time */
#define REVIVE_MS 200   /* between two looks whether the engine is back */

/* A socket; its duplicates share it. Everything under the lock. */
struct link {
	unsigned int fds; /* descriptors that refer to it, 0: free */
	bool greeted;
	int parked;       /* the library's end of the pair while the engine is away, or -1 */
	unsigned int era; /* in which it was connected */
	uint32_t port, groups, flags;
	struct nlmsghdr asked; /* the request that has no answer yet; nlmsg_type 0: none */
};

static struct link links[LINKS_MAX];
static bool reviving;                           /* the thread is there; under the lock */
static enum { WHOLE, LOST_ALL, LOST_SAS } loss; /* what an engine is to be told; under the lock */
static unsigned int era;                        /* how often that was all; under the lock */
/* Which link, plus one; 0 none. Written under the lock; relaxed: a program that shares a descriptor
 * between threads has synchronised already. */
static _Atomic uint8_t link_of[FDS_MAX];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pid_t owner; /* a child of vfork() shares our memory but not our descriptors */

static_assert(LINKS_MAX < 256, "link_of holds a byte");

static void
before_fork(void)
{
	pthread_mutex_lock(&mutex);
}

static void
after_fork(void)
{
	pthread_mutex_unlock(&mutex);
}

static void
after_fork_child(void)
{
	owner = getpid();
	reviving = false; /* threads stay with the parent */
	pthread_mutex_unlock(&mutex);
}

__attribute__((constructor)) static void
start(void)
{
	real_functions();
	owner = getpid();
	pthread_atfork(before_fork, after_fork, after_fork_child);
}

/* No thread is cancelled while it holds the lock. Returns what unlock() wants. */
static int
lock(void)
{
	int state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	pthread_mutex_lock(&mutex);
	return state;
}

static void
unlock(int state)
{
	pthread_mutex_unlock(&mutex);
	pthread_setcancelstate(state, NULL);
}

static unsigned int
link_number(int fd)
{
	if (fd < 0 || fd >= FDS_MAX)
		return 0;
	return atomic_load_explicit(&link_of[fd], memory_order_relaxed);
}

bool
redirected(int fd)
{
	return link_number(fd) != 0;
}

static struct link *
link_find(int fd)
{
	unsigned int number = link_number(fd);

	return number ? &links[number - 1] : NULL;
}

/* ---- under the lock ---- */

static void
link_set(int fd, struct link *link)
{
	unsigned int number = link ? (unsigned int)(link - links) + 1 : 0;

	atomic_store_explicit(&link_of[fd], (uint8_t)number, memory_order_relaxed);
}

static struct link *
link_new(void)
{
	for (unsigned int i = 0; i < LINKS_MAX; i++) {
		if (links[i].fds == 0) {
			links[i] = (struct link){.parked = -1, .era = era};
			return &links[i];
		}
	}
	return NULL;
}

static void
forget(int fd)
{
	struct link *link = link_find(fd);

	watches_forget(fd);
	if (!link)
		return;
	link_set(fd, NULL);
	if (--link->fds == 0 && link->parked >= 0)
		real_functions()->close(link->parked);
}

/* Like the kernel: the process id for the first socket, then numbers no process has. */
static uint32_t
choose_port(void)
{
	static uint32_t next = (uint32_t)-4096;
	uint32_t pid = (uint32_t)getpid();

	for (unsigned int i = 0; i < LINKS_MAX; i++)
		if (links[i].fds > 0 && links[i].port == pid)
			return next--;
	return pid;
}

/* Another one in a forked child. Under the lock. */
static uint64_t
process_number(void)
{
	static uint64_t number;
	static pid_t of;

	if (of == getpid())
		return number;
	of = getpid();
	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		number = (uint64_t)of;
	return number;
}

/* `flags` are those of a netlink message. */
static int
greet(int fd, struct link *link, uint16_t flags)
{
	struct {
		struct nlmsghdr head;
		struct hello hello;
	} m = {
		.head = {.nlmsg_len = sizeof(m), .nlmsg_type = HELLO_TYPE, .nlmsg_flags = flags},
		.hello = {.version = HELLO_VERSION, .groups = link->groups, .flags = link->flags},
	};

	if (link->port == 0)
		link->port = choose_port();
	m.hello.port = m.head.nlmsg_pid = link->port;
	m.hello.process = process_number();
	link->greeted =
		real_functions()->send(fd, &m, sizeof(m), MSG_NOSIGNAL) == (ssize_t)sizeof(m);
	return link->greeted ? 0 : -1;
}

/* Makes every descriptor of the link refer to what `fd` refers to, and closes that. */
static void
replace(struct link *link, int fd)
{
	for (int i = 0; i < FDS_MAX; i++) {
		if (link_find(i) == link) {
			int cloexec =
				real_functions()->fcntl(i, F_GETFD) & FD_CLOEXEC ? O_CLOEXEC : 0;

			real_functions()->fcntl(fd, F_SETFL, real_functions()->fcntl(i, F_GETFL));
			watches_repeat(i, EPOLL_CTL_DEL);
			real_functions()->dup3(fd, i, cloexec);
			watches_repeat(i, EPOLL_CTL_ADD);
		}
	}
	real_functions()->close(fd);
}

static int
parked_pair(struct link *link, int type)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | type, 0, pair) < 0)
		return -1;
	real_functions()->fcntl(pair[1], F_SETFD, FD_CLOEXEC);
	link->parked = pair[1];
	link->greeted = false;
	return pair[0];
}

static bool
any_parked(void)
{
	for (unsigned int i = 0; i < LINKS_MAX; i++)
		if (links[i].fds > 0 && links[i].parked >= 0)
			return true;
	return false;
}

static void *revive_thread(void *arg);

/* Starts the thread unless it runs. It is the library's: the program's signals are not for it. */
static void
revive_later(void)
{
	sigset_t all, before;
	pthread_attr_t attr;
	pthread_t thread;

	if (reviving || getpid() != owner)
		return;
	sigfillset(&all);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	reviving = pthread_create(&thread, &attr, revive_thread, NULL) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
}

static bool
hung_up(int fd)
{
	struct pollfd p = {.fd = fd};

	return poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR)) != 0;
}

/* Unless it was another connection's end that came before, and has been made good. */
static void
lose(const struct link *link)
{
	if (link->era != era)
		return;
	loss = LOST_ALL;
	recall_lost();
}

/* Unless another thread has seen it before, and perhaps connected anew. */
static void
park(int lost, struct link *link)
{
	int fd;

	if (link->parked >= 0 || !hung_up(lost))
		return;
	fd = parked_pair(link, SOCK_CLOEXEC);
	if (fd < 0)
		return;
	replace(link, fd);
	lose(link);
	revive_later();
}

/* One policy again: the engine acknowledges it, or has it, or refuses it as it did before. */
static bool
send_policy(int fd, const void *message, size_t len)
{
	uint8_t answer[4096];

	return real_functions()->send(fd, message, len, MSG_NOSIGNAL) >= 0 &&
	       real_functions()->recv(fd, answer, sizeof(answer), 0) > 0;
}

/* Before anything else is asked of an engine that may be another one. */
static int
restore_policies(void)
{
	const struct timeval limit = {.tv_sec = DIAL_SECONDS};
	int fd;

	if (loss != LOST_ALL)
		return 0;
	fd = dial(SOCK_CLOEXEC);
	if (fd < 0)
		return -1;
	real_functions()->setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (recall_policies(send_policy, fd)) {
		loss = LOST_SAS;
		era++;
	} else {
		recall_lost(); /* all of them, next time */
	}
	real_functions()->close(fd);
	return loss == LOST_SAS ? 0 : -1;
}

/* The engine's answer to a greeting is there: it is left where it is. */
static bool
greeted_back(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, DIAL_SECONDS * 1000) > 0;
}

/*
 * Closing the parked end wakes a poll() that sleeps on it. It looks at the new socket then, but
 * would not wait for it: the engine's answer is there to be found, or the poll() would sleep on for
 * ever.
 */
static int
revive(struct link *link)
{
	int fd = restore_policies() == 0 ? dial(SOCK_CLOEXEC) : -1;

	if (fd < 0)
		return -1;
	if (greet(fd, link, NLM_F_ACK) < 0 || !greeted_back(fd)) {
		real_functions()->close(fd);
		return -1;
	}
	replace(link, fd);
	real_functions()->close(link->parked);
	link->parked = -1;
	link->era = era;
	return 0;
}

static void
revive_others(void)
{
	for (unsigned int i = 0; i < LINKS_MAX; i++)
		if (links[i].fds > 0 && links[i].parked >= 0 && revive(&links[i]) < 0)
			return;
}

/* What an IKE daemon has and others have not: it is told of SAs that end. */
static struct link *
daemon_link(void)
{
	for (unsigned int i = 0; i < LINKS_MAX; i++)
		if (links[i].fds > 0 && links[i].groups & 1u << (XFRMNLGRP_EXPIRE - 1))
			return &links[i];
	return NULL;
}

/* Without waiting: the program may have to read before there is room. */
static bool
send_sa(int fd, const void *message, size_t len)
{
	return real_functions()->send(fd, message, len, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
}

/* As far as the socket takes it. */
static void
tell_lost_sas(void)
{
	const struct link *link = daemon_link();
	int fd = 0;

	if (loss != LOST_SAS || !link || link->parked >= 0)
		return;
	while (link_find(fd) != link)
		fd++;
	if (recall_sas(send_sa, fd))
		loss = WHOLE;
}

/* ---- without the lock ---- */

static void *
revive_thread(void *arg)
{
	const struct timespec pause = {.tv_nsec = REVIVE_MS * 1000000L};
	bool there, more = true;
	int state;

	while (more) {
		nanosleep(&pause, NULL);
		there = dial_would_do();
		state = lock();
		if (there) {
			revive_others();
			tell_lost_sas();
		}
		more = reviving = any_parked() || (loss != WHOLE && daemon_link());
		unlock(state);
	}
	return NULL;
}

int
redirect_open(int type)
{
	int flags = type & (SOCK_CLOEXEC | SOCK_NONBLOCK);
	int state = lock();
	struct link *link = link_new();
	int fd = -1;

	if (link) {
		fd = dial(flags);
		if (fd < 0)
			fd = parked_pair(link, flags);
	} else {
		errno = EMFILE;
	}
	if (fd >= FDS_MAX) {
		real_functions()->close(fd);
		if (link->parked >= 0)
			real_functions()->close(link->parked);
		errno = EMFILE;
		fd = -1;
	}
	if (fd >= 0) {
		forget(fd); /* closed behind our back */
		link->fds = 1;
		link_set(fd, link);
		if (link->parked >= 0)
			revive_later();
	}
	unlock(state);
	return fd;
}

void
redirect_forget(int fd)
{
	int state;

	if (fd < 0 || (!redirected(fd) && !watches_any()) || getpid() != owner)
		return;
	state = lock();
	forget(fd);
	unlock(state);
}

void
redirect_watch(int epfd, int op, int fd, const struct epoll_event *event)
{
	int state = lock();

	watches_note(epfd, op, fd, event);
	unlock(state);
}

void
redirect_dup(int from, int to)
{
	struct link *link;
	int state;

	if (from == to || (!redirected(from) && !redirected(to)) || getpid() != owner)
		return;
	state = lock();
	forget(to);
	link = link_find(from);
	if (link && to < FDS_MAX) {
		link->fds++;
		link_set(to, link);
	}
	unlock(state);
}

int
redirect_ready(int fd)
{
	int state = lock();
	struct link *link = link_find(fd);
	int rc = 0;

	if (link && link->parked >= 0) {
		rc = revive(link);
		if (rc == 0) {
			revive_others();
			tell_lost_sas();
		}
	} else if (link && !link->greeted) {
		rc = greet(fd, link, 0);
	}
	unlock(state);
	if (rc < 0)
		errno = ENETDOWN;
	return rc;
}

int
redirect_lost(int fd)
{
	int state = lock();
	struct link *link = link_find(fd);

	if (link)
		park(fd, link);
	unlock(state);
	errno = ENETDOWN;
	return -1;
}

void
redirect_sent(int fd, const void *data, size_t len, bool sent)
{
	int error = errno, state = lock();
	struct link *link = link_find(fd);

	if (sent && link && len >= sizeof(link->asked))
		memcpy(&link->asked, data, sizeof(link->asked));
	if (daemon_link())
		recall_note(data, len, sent);
	unlock(state);
	errno = error;
}

/* Tells the engine, if it is there: it is told everything again when it comes back. */
static int
changed(int fd, struct link *link)
{
	if (link->parked < 0)
		greet(fd, link, 0);
	return 0;
}

int
redirect_bind(int fd, uint32_t port, uint32_t groups)
{
	int state = lock();
	struct link *link = link_find(fd);

	if (link) {
		if (port != 0)
			link->port = port;
		else if (link->port == 0)
			link->port = choose_port();
		link->groups |= groups;
		changed(fd, link);
	}
	unlock(state);
	return 0;
}

int
redirect_join(int fd, uint32_t group, bool join)
{
	int state = lock();
	struct link *link = link_find(fd);

	if (link && group > 0 && group <= 32) {
		if (join)
			link->groups |= 1u << (group - 1);
		else
			link->groups &= ~(1u << (group - 1));
		changed(fd, link);
	}
	unlock(state);
	return 0;
}

int
redirect_ext_ack(int fd, bool on)
{
	int state = lock();
	struct link *link = link_find(fd);

	if (link) {
		link->flags = on ? link->flags | HELLO_EXT_ACK : link->flags & ~HELLO_EXT_ACK;
		link->greeted = false; /* goes along with the next greeting */
	}
	unlock(state);
	return 0;
}

void
redirect_name(int fd, uint32_t *port, uint32_t *groups)
{
	int state = lock();
	const struct link *link = link_find(fd);

	*port = link ? link->port : 0;
	*groups = link ? link->groups : 0;
	unlock(state);
}

void
redirect_answered(int fd, const struct nlmsghdr *head)
{
	bool more = (head->nlmsg_flags & NLM_F_MULTI) != 0 && head->nlmsg_type != NLMSG_DONE;
	int state = lock();
	struct link *link = link_find(fd);

	if (link && !more && head->nlmsg_seq == link->asked.nlmsg_seq)
		link->asked.nlmsg_type = 0;
	unlock(state);
}

bool
redirect_unanswered(int fd, struct nlmsghdr *request)
{
	int state = lock();
	struct link *link = link_find(fd);
	bool asked = link && link->asked.nlmsg_type != 0;

	if (asked) {
		*request = link->asked;
		link->asked.nlmsg_type = 0;
	}
	unlock(state);
	return asked;
}
