/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Following the kernel. Two sockets: one hears of changes, the other reads everything, at the
 * start and whenever changes were lost (ENOBUFS) or the kernel makes some that it does not tell:
 * IPv4 routes vanish with their link, source address or nexthop object without a message.
 *
 * Reading everything begins with the links. That dump waits for the kernel's rtnetlink lock, so
 * the change that a message announced has been carried out in full by then.
 */
#include "rtnl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <rte_log.h>

#include "dataplane.h"
#include "rtnl_msg.h"
#include "rtnl_routes.h"

RTE_LOG_REGISTER(rtnl_log, sealane.rtnl, NOTICE);
#define LOG(level, ...) rte_log(RTE_LOG_##level, rtnl_log, "rtnl: " __VA_ARGS__)

#define RECEIVE_BUFFER (16 << 20) /* bytes: tens of thousands of changes at once */
#define DATAGRAM_MAX   65536
#define BATCH_MAX      512 /* datagrams in one rtnl_poll(), so that others get their turn */
#define DUMP_TRIES     5   /* of a dump that changes interrupt */

/* The addresses of one interface, in the kernel's order: the primary one first. */
struct addresses {
	struct rtnl_addr *list;
	unsigned int count, room;
};

struct rtnl {
	struct dataplane *dp;
	struct mnl_socket *events, *requests;
	uint32_t seq; /* of the last dump */
	bool stale;   /* everything is to be read again */
	struct rtnl_routes *routes;
	struct addresses addresses[IFACES_MAX];
	bool seen[IFACES_MAX]; /* by the dump of links */
	struct rtnl_stats stats;
	_Alignas(struct nlmsghdr) uint8_t buffer[DATAGRAM_MAX];
};

static struct iface *
iface_of(const struct rtnl *r, int ifindex)
{
	for (unsigned int i = 0; i < r->dp->ifaces_count; i++)
		if (ifindex != 0 && r->dp->ifaces[i].ifindex == ifindex)
			return &r->dp->ifaces[i];
	return NULL;
}

/* ---- links ---- */

static bool
iface_up(const struct iface *iface)
{
	/* Relaxed: the control thread is the only writer. */
	return atomic_load_explicit(&iface->up, memory_order_relaxed);
}

static void
set_up(struct iface *iface, bool up)
{
	/* Relaxed: nothing else is published with it; a worker sees it soon enough. */
	atomic_store_explicit(&iface->up, up, memory_order_relaxed);
}

/* The carrier of the interface below a port is the port's. */
static void
set_lower(struct rtnl *r, const struct rtnl_link *link)
{
	for (unsigned int i = 0; i < r->dp->ports_count; i++)
		if (r->dp->ports[i].lower == (unsigned int)link->ifindex)
			r->dp->ports[i].lower_up = link->up;
}

static enum rtnl_verdict
on_link(struct rtnl *r, const struct nlmsghdr *h)
{
	struct rtnl_link link;
	enum rtnl_verdict verdict = rtnl_link_decode(h, &link);
	struct iface *iface;

	if (verdict != RTNL_OK)
		return verdict;
	set_lower(r, &link);
	iface = iface_of(r, link.ifindex);
	if (iface == NULL) {
		r->stale |= !link.up && rtnl_routes_lead_to(r->routes, link.ifindex);
		return RTNL_OK;
	}
	r->seen[iface->number] = true;
	if (iface_up(iface) == link.up)
		return RTNL_OK;
	set_up(iface, link.up);
	r->stale = true;
	return RTNL_OK;
}

/* ---- addresses ---- */

static int
address_rank(const struct rtnl_addr *a)
{
	return a->usable ? 256 - a->scope : 0; /* global scope is 0 */
}

/* The source of our ICMP errors: the first of the farthest reach. */
static void
publish_addresses(struct iface *iface, const struct addresses *addresses)
{
	const struct rtnl_addr *best[2] = {NULL, NULL};
	union ip_addr v4 = {0}, v6 = {0};

	for (unsigned int i = 0; i < addresses->count; i++) {
		const struct rtnl_addr *a = &addresses->list[i];
		const struct rtnl_addr **b = &best[a->family == FAMILY_V6];

		if (address_rank(a) > (*b == NULL ? 0 : address_rank(*b)))
			*b = a;
	}
	if (best[0] != NULL)
		v4 = best[0]->addr;
	if (best[1] != NULL)
		v6 = best[1]->addr;
	/* Relaxed: each word is of use alone; an IPv6 source half old is one lost ICMP error. */
	atomic_store_explicit(&iface->addr4.half[0], v4.u64[0], memory_order_relaxed);
	atomic_store_explicit(&iface->addr6.half[0], v6.u64[0], memory_order_relaxed);
	atomic_store_explicit(&iface->addr6.half[1], v6.u64[1], memory_order_relaxed);
}

static struct rtnl_addr *
address_find(const struct addresses *addresses, const struct rtnl_addr *addr)
{
	for (unsigned int i = 0; i < addresses->count; i++) {
		struct rtnl_addr *a = &addresses->list[i];

		if (a->family == addr->family && ip_addr_equal(&a->addr, &addr->addr))
			return a;
	}
	return NULL;
}

static bool
address_put(struct addresses *addresses, const struct rtnl_addr *addr)
{
	struct rtnl_addr *known = address_find(addresses, addr);

	if (known != NULL) {
		*known = *addr;
		return true;
	}
	if (addresses->count == addresses->room) {
		unsigned int room = addresses->room > 0 ? 2 * addresses->room : 4;
		struct rtnl_addr *list = realloc(addresses->list, room * sizeof(*list));

		if (list == NULL)
			return false;
		addresses->list = list;
		addresses->room = room;
	}
	addresses->list[addresses->count++] = *addr;
	return true;
}

static void
address_remove(struct addresses *addresses, const struct rtnl_addr *addr)
{
	struct rtnl_addr *known = address_find(addresses, addr);

	if (known == NULL)
		return;
	addresses->count--;
	memmove(known, known + 1,
		(size_t)(addresses->list + addresses->count - known) * sizeof(*known));
}

static enum rtnl_verdict
on_address(struct rtnl *r, const struct nlmsghdr *h)
{
	struct rtnl_addr addr;
	enum rtnl_verdict verdict = rtnl_addr_decode(h, &addr);
	struct addresses *addresses;
	struct iface *iface;

	if (verdict != RTNL_OK)
		return verdict;
	/* Whatever the device, IPv4 routes through ours may have had it as their source. */
	if (h->nlmsg_type == RTM_DELADDR && addr.family == FAMILY_V4)
		r->stale = true;
	iface = iface_of(r, addr.ifindex);
	if (iface == NULL)
		return RTNL_OK;
	addresses = &r->addresses[iface->number];
	if (h->nlmsg_type == RTM_DELADDR)
		address_remove(addresses, &addr);
	else if (!address_put(addresses, &addr))
		LOG(ERR, "no memory for an address of %s\n", iface->name);
	if ((h->nlmsg_flags & NLM_F_MULTI) == 0) /* a dump is published when it is complete */
		publish_addresses(iface, addresses);
	return RTNL_OK;
}

/* ---- neighbours ---- */

static enum rtnl_verdict
on_neighbour(struct rtnl *r, const struct nlmsghdr *h)
{
	struct rtnl_neigh n;
	enum rtnl_verdict verdict = rtnl_neigh_decode(h, &n);
	const struct iface *iface;

	if (verdict != RTNL_OK)
		return verdict;
	iface = iface_of(r, n.ifindex);
	if (iface == NULL)
		return RTNL_OK;
	if (!n.valid)
		neigh_unset(r->dp->neighs, iface->number, n.family, &n.addr);
	else if (neigh_set(r->dp->neighs, iface->number, n.family, &n.addr, &n.mac, n.stale,
			   false) != 0)
		r->stats.neighbours_refused++;
	return RTNL_OK;
}

/* ---- routes ---- */

static enum rtnl_verdict
on_route(struct rtnl *r, const struct nlmsghdr *h)
{
	struct rtnl_route route;
	enum rtnl_verdict verdict = rtnl_route_decode(h, &route);
	int error;

	if (verdict != RTNL_OK)
		return verdict;
	if (h->nlmsg_flags & NLM_F_MULTI) /* of a dump, which tells equals in their order */
		route.append = true;
	error = h->nlmsg_type == RTM_NEWROUTE ? rtnl_routes_add(r->routes, &route)
					      : rtnl_routes_delete(r->routes, &route);
	if (error != 0)
		LOG(ERR, "a route is lost: %s\n", strerror(-error));
	return RTNL_OK;
}

/* ---- messages ---- */

static void
on_message(struct rtnl *r, const struct nlmsghdr *h)
{
	enum rtnl_verdict verdict = RTNL_SKIP;

	switch (h->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		verdict = on_link(r, h);
		break;
	case RTM_NEWADDR:
	case RTM_DELADDR:
		verdict = on_address(r, h);
		break;
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
		verdict = on_neighbour(r, h);
		break;
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		verdict = on_route(r, h);
		break;
	case RTM_NEWNEXTHOP:
	case RTM_DELNEXTHOP: /* the routes that use it change without a word of their own */
		r->stale = true;
		break;
	}
	r->stats.messages++;
	r->stats.malformed += verdict == RTNL_BAD;
}

/* One datagram of the kernel's: its length, 0 for one to be ignored, or a negative errno. */
static ssize_t
receive(struct rtnl *r, const struct mnl_socket *socket, int flags)
{
	struct sockaddr_nl from;
	struct iovec iov = {.iov_base = r->buffer, .iov_len = sizeof(r->buffer)};
	struct msghdr msg = {
		.msg_name = &from,
		.msg_namelen = sizeof(from),
		.msg_iov = &iov,
		.msg_iovlen = 1,
	};
	ssize_t n;

	do
		n = recvmsg(mnl_socket_get_fd(socket), &msg, flags);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (from.nl_pid != 0)
		return 0;
	return (msg.msg_flags & MSG_TRUNC) != 0 ? -ENOBUFS : n;
}

/* ---- reading everything ---- */

/* The messages of one datagram of a dump: 0, 1 at its end, or a negative errno. */
static int
dump_part(struct rtnl *r, ssize_t n, bool *interrupted)
{
	const struct nlmsghdr *h = (const void *)r->buffer;
	int left = (int)n;

	for (; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left)) {
		if (h->nlmsg_seq != r->seq) /* the end of a dump that was given up */
			continue;
		*interrupted |= (h->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
		if (h->nlmsg_type == NLMSG_DONE)
			return 1;
		if (h->nlmsg_type == NLMSG_ERROR) {
			const struct nlmsgerr *e = mnl_nlmsg_get_payload(h);

			return mnl_nlmsg_get_payload_len(h) < sizeof(*e) ? -EBADMSG : e->error;
		}
		on_message(r, h);
	}
	return 0;
}

/* 0, -EAGAIN where changes interrupted it, or another negative errno. */
static int
dump_once(struct rtnl *r, uint16_t type, uint8_t family)
{
	_Alignas(struct nlmsghdr) uint8_t request[RTNL_REQUEST_MAX];
	const struct nlmsghdr *h = rtnl_dump_request(request, type, family, ++r->seq);
	bool interrupted = false;
	int state = 0;

	if (mnl_socket_sendto(r->requests, h, h->nlmsg_len) < 0)
		return -errno;
	while (state == 0) {
		ssize_t n = receive(r, r->requests, 0);

		state = n < 0 ? (int)n : dump_part(r, n, &interrupted);
	}
	if (state < 0)
		return state;
	return interrupted ? -EAGAIN : 0;
}

static int
dump(struct rtnl *r, uint16_t type, uint8_t family)
{
	int error = -EAGAIN;

	for (int i = 0; i < DUMP_TRIES && error == -EAGAIN; i++)
		error = dump_once(r, type, family);
	/* Changes all the time: what the dump missed is in their messages, or in the next one. */
	if (error == -EAGAIN) {
		r->stale = true;
		error = 0;
	}
	return error;
}

static int
dump_both(struct rtnl *r, uint16_t type)
{
	int error = dump(r, type, FAMILY_V4);

	/* A kernel without IPv6 answers with everything it has for family 0: the same again. */
	return error != 0 ? error : dump(r, type, FAMILY_V6);
}

static int
read_links(struct rtnl *r)
{
	int error;

	memset(r->seen, 0, sizeof(r->seen));
	for (unsigned int i = 0; i < r->dp->ports_count; i++)
		r->dp->ports[i].lower_up = false;
	error = dump(r, RTM_GETLINK, 0);
	if (error != 0)
		return error;
	for (unsigned int i = 0; i < r->dp->ifaces_count; i++)
		if (!r->seen[i])
			set_up(&r->dp->ifaces[i], false);
	return 0;
}

static int
read_addresses(struct rtnl *r)
{
	int error;

	for (unsigned int i = 0; i < r->dp->ifaces_count; i++)
		r->addresses[i].count = 0;
	error = dump(r, RTM_GETADDR, 0);
	for (unsigned int i = 0; i < r->dp->ifaces_count; i++)
		publish_addresses(&r->dp->ifaces[i], &r->addresses[i]);
	return error;
}

static int
read_neighbours(struct rtnl *r)
{
	int error;

	neigh_mark(r->dp->neighs);
	error = dump_both(r, RTM_GETNEIGH);
	if (error == 0)
		neigh_sweep(r->dp->neighs);
	return error;
}

static int
read_routes(struct rtnl *r)
{
	int error;

	rtnl_routes_clear(r->routes);
	fib_mark(r->dp->fib);
	error = dump_both(r, RTM_GETROUTE);
	if (error == 0)
		fib_sweep(r->dp->fib);
	return error;
}

/*
 * Changes that happen meanwhile wait on the events' socket and are applied again afterwards, in
 * their order: what they say last is what holds. After an error everything stays to be read again.
 */
static int
resync(struct rtnl *r)
{
	int error;

	r->stats.resyncs++;
	error = read_links(r);
	r->stale = false; /* links that changed until now */
	if (error == 0)
		error = read_addresses(r);
	if (error == 0)
		error = read_neighbours(r);
	if (error == 0)
		error = read_routes(r);
	if (error != 0)
		r->stale = true;
	return error;
}

/* ---- changes ---- */

static void
events_part(struct rtnl *r, ssize_t n)
{
	const struct nlmsghdr *h = (const void *)r->buffer;
	int left = (int)n;

	for (; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left))
		on_message(r, h);
}

static void
resync_if_stale(struct rtnl *r)
{
	int error;

	if (!r->stale)
		return;
	error = resync(r);
	if (error != 0)
		LOG(ERR, "cannot read the kernel's state, will try again: %s\n", strerror(-error));
}

void
rtnl_poll(struct rtnl *r)
{
	for (int i = 0; i < BATCH_MAX; i++) {
		ssize_t n = receive(r, r->events, MSG_DONTWAIT);

		if (n == -EAGAIN)
			break;
		if (n < 0) { /* ENOBUFS: changes were lost */
			LOG(INFO, "reading everything again: %s\n", strerror((int)-n));
			r->stale = true;
		} else {
			events_part(r, n);
		}
	}
	resync_if_stale(r);
}

void
rtnl_resolve(struct rtnl *r, uint16_t iface, uint8_t family, const union ip_addr *addr)
{
	_Alignas(struct nlmsghdr) uint8_t request[RTNL_REQUEST_MAX];
	const struct nlmsghdr *h;

	h = rtnl_use_request(request, r->dp->ifaces[iface].ifindex, family, addr);
	/* A refusal (the link is down) needs no answer: the packets that wait time out. */
	if (send(mnl_socket_get_fd(r->events), h, h->nlmsg_len, MSG_DONTWAIT) < 0)
		LOG(DEBUG, "resolve: %s\n", strerror(errno));
}

void
rtnl_tick(struct rtnl *r)
{
	uint32_t cursor = 0;
	struct neigh *n;

	resync_if_stale(r);
	while ((n = neigh_next(r->dp->neighs, &cursor)) != NULL) {
		/* Relaxed: a hint, and a use that is missed is seen a second later. */
		bool used = atomic_exchange_explicit(&n->used, false, memory_order_relaxed);

		if (used && n->stale && !n->permanent)
			rtnl_resolve(r, n->iface, n->family, &n->addr);
	}
}

/* ---- start and end ---- */

static const int groups[] = {
	RTNLGRP_LINK,       RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_NEIGH,
	RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE,  RTNLGRP_NEXTHOP,
};

/* Subscribed before the first dump, so nothing is missed in between. */
static int
subscribe(struct rtnl *r)
{
	int fd = mnl_socket_get_fd(r->events), size = RECEIVE_BUFFER;

	/* FORCE needs CAP_NET_ADMIN; the other is limited by net.core.rmem_max. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) != 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		int group = groups[i];

		if (mnl_socket_setsockopt(r->events, NETLINK_ADD_MEMBERSHIP, &group,
					  sizeof(group)) < 0)
			return -errno;
	}
	return 0;
}

static struct mnl_socket *
open_socket(void)
{
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);

	if (socket != NULL && mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0) {
		mnl_socket_close(socket);
		return NULL;
	}
	return socket;
}

struct rtnl *
rtnl_open(struct dataplane *dp, struct reason *why)
{
	struct rtnl *r = calloc(1, sizeof(*r));
	int error;

	if (r == NULL)
		goto err_memory;
	r->dp = dp;
	r->routes = rtnl_routes_new(dp);
	if (r->routes == NULL)
		goto err_memory;
	r->events = open_socket();
	r->requests = open_socket();
	if (r->events == NULL || r->requests == NULL) {
		reason_set(why, errno, "rtnetlink: no socket: %s", strerror(errno));
		goto err;
	}
	error = subscribe(r);
	if (error == 0)
		error = resync(r);
	if (error != 0) {
		reason_set(why, -error, "rtnetlink: cannot read the kernel's state: %s",
			   strerror(-error));
		goto err;
	}
	return r;

err_memory:
	reason_set(why, ENOMEM, "rtnetlink: no memory");
err:
	rtnl_close(r);
	return NULL;
}

void
rtnl_close(struct rtnl *r)
{
	if (r == NULL)
		return;
	if (r->events != NULL)
		mnl_socket_close(r->events);
	if (r->requests != NULL)
		mnl_socket_close(r->requests);
	for (unsigned int i = 0; i < IFACES_MAX; i++)
		free(r->addresses[i].list);
	rtnl_routes_free(r->routes);
	free(r);
}

int
rtnl_fd(const struct rtnl *r)
{
	return mnl_socket_get_fd(r->events);
}

struct rtnl_stats
rtnl_stats(const struct rtnl *r)
{
	struct rtnl_routes_count count = rtnl_routes_count(r->routes);
	struct rtnl_stats stats = r->stats;

	stats.routes_followed = count.followed;
	stats.routes_refused = count.refused;
	stats.routes_foreign = count.foreign;
	return stats;
}
