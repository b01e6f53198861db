/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Host interfaces and the thread that serves them. Frames that workers punt come by one ring per
 * interface and are written to its TAP; frames that the kernel sends are read from the TAPs and
 * put into a worker's inbox, chosen by a hash of the flow so that a flow keeps its order.
 *
 * The thread sleeps in epoll on the TAPs. Rings cannot wake it without a system call of the
 * worker, so the sleep is bounded: short while there is traffic, growing to two milliseconds
 * without.
 */
#include "host.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <rte_errno.h>
#include <rte_ip.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include "packet.h"
#include "room.h"
#include "tap.h"
#include "worker.h"

RTE_LOG_REGISTER(host_log, sealane.host, NOTICE);
#define LOG(level, ...) rte_log(RTE_LOG_##level, host_log, "host: " __VA_ARGS__)

#define TO_HOST_SIZE 1024
#define SEGMENTS_MAX 16      /* of a frame to the host */
#define SLEEP_MIN_NS 8000    /* the first sleep after a turn that found nothing */
#define SLEEP_MAX_NS 2000000 /* 500 wakeups a second cost about 1 % of a core */

/* Written by the thread alone; the control thread reads. */
struct host_counters {
	_Atomic uint64_t to_kernel, from_kernel, write_errors, read_errors, inbox_full, no_buf;
};

struct host {
	struct dataplane *dp;
	int epoll_fd;
	pthread_t thread;
	bool running; /* the control thread's: the thread is to be joined */
	_Atomic bool stop;
	struct host_counters count;

	/* The thread's own: buffers at hand to read into. */
	struct rte_mbuf *spare[BURST_MAX];
	unsigned int spare_count;
};

static inline void
count_add(_Atomic uint64_t *counter, uint64_t n)
{
	/* One writer, so no read-modify-write; relaxed, as nothing is ordered by a counter. */
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

/* ---- from workers to the kernel ---- */

static bool
write_frame(int fd, const struct rte_mbuf *m)
{
	struct iovec part[SEGMENTS_MAX];
	int parts = 0;

	for (; m != NULL; m = m->next) {
		if (parts == SEGMENTS_MAX)
			return false;
		part[parts].iov_base = rte_pktmbuf_mtod(m, void *);
		part[parts++].iov_len = m->data_len;
	}
	return writev(fd, part, parts) >= 0;
}

static unsigned int
ring_to_tap(struct host *h, struct iface *iface)
{
	struct rte_mbuf *frames[BURST_MAX];
	unsigned int n, written = 0;

	n = rte_ring_sc_dequeue_burst(iface->to_host, (void **)frames, BURST_MAX, NULL);
	if (n == 0)
		return 0;
	for (unsigned int i = 0; i < n; i++)
		written += write_frame(iface->tap_fd, frames[i]);
	rte_pktmbuf_free_bulk(frames, n);
	count_add(&h->count.to_kernel, written);
	count_add(&h->count.write_errors, n - written);
	return n;
}

static unsigned int
rings_to_taps(struct host *h)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < h->dp->ifaces_count; i++)
		n += ring_to_tap(h, &h->dp->ifaces[i]);
	return n;
}

/* ---- from the kernel to workers ---- */

/* The ports of TCP and UDP as one word; 0 where there are none, or not in every fragment. */
static uint32_t
flow_ports(const struct rte_mbuf *m, uint8_t proto, uint32_t offset, bool fragment)
{
	const uint32_t *ports;
	uint32_t copy;

	if (fragment || (proto != IPPROTO_TCP && proto != IPPROTO_UDP))
		return 0;
	ports = rte_pktmbuf_read(m, offset, sizeof(copy), &copy);
	if (ports == NULL)
		return 0;
	memcpy(&copy, ports, sizeof(copy));
	return copy;
}

/*
 * A flow's hash. The kernel's own frames are well formed; a packet socket's need not be, and any
 * value does for them. Non-IP frames all have 0.
 */
static uint32_t
flow_hash(const struct rte_mbuf *m)
{
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	const struct rte_ipv4_hdr *v4 = (const void *)(eth + 1);
	const struct rte_ipv6_hdr *v6 = (const void *)(eth + 1);
	uint32_t length = m->data_len - sizeof(*eth), offset = sizeof(*eth);
	uint64_t words[4], hash;

	if (eth->ether_type == RTE_BE16(RTE_ETHER_TYPE_IPV4) && length >= sizeof(*v4)) {
		memcpy(words, &v4->src_addr, sizeof(words[0]));
		offset += (v4->version_ihl & 0x0f) * 4u;
		hash = words[0] ^ flow_ports(m, v4->next_proto_id, offset,
					     (v4->fragment_offset & RTE_BE16(0x3fff)) != 0);
		return chash_mix(v4->next_proto_id, hash);
	}
	if (eth->ether_type == RTE_BE16(RTE_ETHER_TYPE_IPV6) && length >= sizeof(*v6)) {
		memcpy(words, &v6->src_addr, sizeof(words));
		offset += sizeof(*v6);
		hash = chash_mix(words[0], words[1]) ^ chash_mix(words[2], words[3]);
		return chash_mix(hash, flow_ports(m, v6->proto, offset, false));
	}
	return 0;
}

/* Frames of one interface, into the inbox of each one's worker. */
static void
frames_to_workers(struct host *h, const struct iface *iface, struct rte_mbuf **frames,
		  unsigned int n)
{
	struct rte_mbuf *mine[BURST_MAX];
	unsigned int worker[BURST_MAX];
	unsigned int workers = h->dp->workers_count;

	for (unsigned int i = 0; i < n; i++) {
		struct packet *p = packet(frames[i]);

		memset(p, 0, sizeof(*p));
		p->in = iface->number;
		p->out = IFACE_NONE;
		p->flags = PACKET_FROM_HOST;
		p->resume = RESUME_CLASSIFY;
		worker[i] = workers == 1 ? 0 : flow_hash(frames[i]) % workers;
	}
	for (unsigned int w = 0; w < workers; w++) {
		unsigned int count = 0, sent;

		for (unsigned int i = 0; i < n; i++)
			if (worker[i] == w)
				mine[count++] = frames[i];
		sent = rte_ring_enqueue_burst(h->dp->workers[w]->inbox, (void **)mine, count, NULL);
		rte_pktmbuf_free_bulk(&mine[sent], count - sent);
		count_add(&h->count.from_kernel, sent);
		count_add(&h->count.inbox_full, count - sent);
	}
}

/* A TAP that the kernel no longer has (somebody deleted it) would make epoll return at once, ever.
 */
static void
give_up(struct host *h, const struct iface *iface)
{
	count_add(&h->count.read_errors, 1);
	if (errno == EIO) /* down: the frames that it still had are gone, it will come back */
		return;
	LOG(ERR, "host interface \"%s\" is lost: %s\n", iface->host_name, strerror(errno));
	epoll_ctl(h->epoll_fd, EPOLL_CTL_DEL, iface->tap_fd, NULL);
}

static bool
spares_fill(struct host *h)
{
	unsigned int missing = BURST_MAX - h->spare_count;

	if (rte_pktmbuf_alloc_bulk(h->dp->pool, &h->spare[h->spare_count], missing) == 0)
		h->spare_count = BURST_MAX;
	return h->spare_count > 0;
}

/* A burst from a TAP. The rest, if there is more, is epoll's next event. */
static unsigned int
tap_to_workers(struct host *h, const struct iface *iface)
{
	struct rte_mbuf *frames[BURST_MAX];
	unsigned int n = 0;

	while (h->spare_count > 0) {
		struct rte_mbuf *m = h->spare[h->spare_count - 1];
		ssize_t got =
			read(iface->tap_fd, rte_pktmbuf_mtod(m, void *), rte_pktmbuf_tailroom(m));

		if (got < (ssize_t)sizeof(struct rte_ether_hdr)) {
			if (got < 0 && errno != EAGAIN && errno != EINTR)
				give_up(h, iface);
			break;
		}
		m->data_len = got;
		m->pkt_len = got;
		room_fit(m, 0);
		frames[n++] = m;
		h->spare_count--;
	}
	if (n > 0)
		frames_to_workers(h, iface, frames, n);
	return n;
}

/* ---- the thread ---- */

/* Sleeps up to that long for frames of the kernel, and moves a burst from each TAP that has some.
 */
static unsigned int
taps_to_workers(struct host *h, long sleep_ns)
{
	struct timespec limit = {.tv_nsec = sleep_ns};
	struct epoll_event events[32];
	unsigned int n = 0;
	int ready;

	if (!spares_fill(h)) { /* frames that cannot be read would end an epoll's sleep at once */
		count_add(&h->count.no_buf, 1);
		limit.tv_nsec = RTE_MAX(sleep_ns, SLEEP_MIN_NS);
		nanosleep(&limit, NULL);
		return 0;
	}
	ready = epoll_pwait2(h->epoll_fd, events, RTE_DIM(events), &limit, NULL);
	for (int i = 0; i < ready && spares_fill(h); i++)
		n += tap_to_workers(h, &h->dp->ifaces[events[i].data.u32]);
	return n;
}

/* The sleep after one that found nothing. */
static long
longer(long sleep_ns)
{
	if (sleep_ns < SLEEP_MIN_NS)
		return SLEEP_MIN_NS;
	return sleep_ns < SLEEP_MAX_NS / 2 ? 2 * sleep_ns : SLEEP_MAX_NS;
}

static void *
host_thread(void *arg)
{
	struct host *h = arg;
	long sleep_ns = 0;

	/* As a registered thread it has a cache of packet buffers; without, it does as well. */
	if (rte_thread_register() != 0)
		LOG(INFO, "thread not registered: %s\n", rte_strerror(rte_errno));

	/* Relaxed: nothing is read on the strength of the flag; pthread_join() orders the end. */
	while (!atomic_load_explicit(&h->stop, memory_order_relaxed)) {
		unsigned int n = rings_to_taps(h);

		n += taps_to_workers(h, sleep_ns);
		sleep_ns = n > 0 ? 0 : longer(sleep_ns);
	}
	rte_pktmbuf_free_bulk(h->spare, h->spare_count);
	h->spare_count = 0;
	rte_thread_unregister();
	return NULL;
}

int
host_run(struct dataplane *dp, struct reason *why)
{
	struct host *h = dp->host;
	int error;

	atomic_store_explicit(&h->stop, false, memory_order_relaxed);
	/* Free to run wherever the control thread is. */
	error = pthread_create(&h->thread, NULL, host_thread, h);
	if (error != 0)
		return reason_set(why, error, "host interfaces: no thread: %s", strerror(error));
	pthread_setname_np(h->thread, "sealane-host");
	h->running = true;
	return 0;
}

void
host_halt(struct dataplane *dp)
{
	struct host *h = dp->host;

	if (h == NULL || !h->running)
		return;
	atomic_store_explicit(&h->stop, true, memory_order_relaxed);
	pthread_join(h->thread, NULL);
	h->running = false;
}

/* ---- start and end ---- */

/* The kernel cuts what does not fit into the buffer of a read, without a word. */
static int
check_room(const struct dataplane *dp, const struct iface *iface, struct reason *why)
{
	unsigned int room = rte_pktmbuf_data_room_size(dp->pool) - RTE_PKTMBUF_HEADROOM;

	if (iface->mtu + sizeof(struct rte_ether_hdr) > room)
		return reason_set(why, EINVAL,
				  "host interface \"%s\": MTU %u does not fit a packet buffer "
				  "of %u bytes",
				  iface->host_name, iface->mtu, room);
	return 0;
}

static int
attach(struct dataplane *dp, struct iface *iface, struct reason *why)
{
	struct tap_config config = {
		.name = iface->host_name,
		.mac = &iface->mac,
		.mtu = iface->mtu,
		.carrier = port_link_up(&dp->ports[iface->port]),
	};
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = iface->number};
	char name[RTE_RING_NAMESIZE];
	int error;

	error = check_room(dp, iface, why);
	if (error != 0)
		return error;
	iface->tap_fd = tap_open(&config, &iface->ifindex, why);
	if (iface->tap_fd < 0)
		return iface->tap_fd;
	/* RTS: a worker that the scheduler stopped within an enqueue does not hold up others. */
	snprintf(name, sizeof(name), "to_host_%u", iface->number);
	iface->to_host = rte_ring_create(name, TO_HOST_SIZE, SOCKET_ID_ANY,
					 RING_F_MP_RTS_ENQ | RING_F_SC_DEQ);
	if (iface->to_host == NULL)
		return reason_set(why, ENOMEM, "host interface \"%s\": no memory for its ring: %s",
				  iface->host_name, rte_strerror(rte_errno));
	if (epoll_ctl(dp->host->epoll_fd, EPOLL_CTL_ADD, iface->tap_fd, &event) != 0)
		return reason_set(why, errno, "host interface \"%s\": epoll: %s", iface->host_name,
				  strerror(errno));
	return 0;
}

static void
detach(struct iface *iface)
{
	struct rte_mbuf *m;

	if (iface->to_host != NULL)
		while (rte_ring_sc_dequeue(iface->to_host, (void **)&m) == 0)
			rte_pktmbuf_free(m);
	rte_ring_free(iface->to_host);
	iface->to_host = NULL;
	if (iface->tap_fd >= 0)
		close(iface->tap_fd);
	iface->tap_fd = -1;
	iface->ifindex = 0;
}

int
host_start(struct dataplane *dp, struct reason *why)
{
	int error = 0;

	for (unsigned int i = 0; i < dp->ifaces_count; i++) {
		dp->ifaces[i].tap_fd = -1;
		dp->ifaces[i].ifindex = 0;
		dp->ifaces[i].to_host = NULL;
	}
	dp->host = calloc(1, sizeof(*dp->host));
	if (dp->host == NULL)
		return reason_set(why, ENOMEM, "host interfaces: no memory");
	dp->host->dp = dp;
	dp->host->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (dp->host->epoll_fd < 0)
		error = reason_set(why, errno, "host interfaces: epoll: %s", strerror(errno));
	for (unsigned int i = 0; i < dp->ifaces_count && error == 0; i++)
		error = attach(dp, &dp->ifaces[i], why);
	if (error != 0)
		host_stop(dp);
	return error;
}

void
host_stop(struct dataplane *dp)
{
	if (dp->host == NULL)
		return;
	host_halt(dp);
	for (unsigned int i = 0; i < dp->ifaces_count; i++)
		detach(&dp->ifaces[i]);
	if (dp->host->epoll_fd >= 0)
		close(dp->host->epoll_fd);
	free(dp->host);
	dp->host = NULL;
}

void
host_carrier(struct dataplane *dp, unsigned int port, bool up)
{
	for (unsigned int i = 0; i < dp->ifaces_count; i++) {
		struct iface *iface = &dp->ifaces[i];
		int error;

		if (iface->port != port || iface->tap_fd < 0)
			continue;
		error = tap_set_carrier(iface->tap_fd, up);
		if (error != 0)
			LOG(WARNING, "carrier of \"%s\": %s\n", iface->host_name, strerror(-error));
	}
}

struct host_stats
host_stats(const struct dataplane *dp)
{
	const struct host_counters *count = &dp->host->count;

#define READ(name) .name = atomic_load_explicit(&count->name, memory_order_relaxed)
	/* Relaxed: each counter is read on its own. */
	return (struct host_stats){
		READ(to_kernel),   READ(from_kernel), READ(write_errors),
		READ(read_errors), READ(inbox_full),  READ(no_buf),
	};
#undef READ
}
