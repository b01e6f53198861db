/* SPDX-License-Identifier: BSD-3-Clause */
#include "vnet.h"

#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_errno.h>
#include <rte_mbuf.h>

#include "packet.h"
#include "segment.h"

#define PREFIX "vnet"
#define IFACE  ",iface="

/* Frames of usual length stand in slots; of longer ones the socket keeps the whole beside. */
#define SLOT_SIZE   2048u
#define SLOTS       2048u
#define BLOCK_SIZE  (1u << 20)
#define RING_SIZE   (SLOTS * SLOT_SIZE)
#define KEPT_BYTES  (32 << 20) /* of long frames */
#define SEND_BUFFER (32 << 20) /* bytes that may be under way in the kernel */

struct vnet {
	int fd;
	unsigned int ifindex;
	struct rte_ether_addr mac;
	struct rte_mempool *pool;
	uint8_t *ring;
	uint32_t slot; /* that is looked at */

	/* The frame in it, while it is being received. */
	struct tpacket2_hdr *slot_head; /* NULL: none */
	struct segments frame;          /* of one that is not cut only frame and len */
	uint32_t offset;                /* payload bytes of it that have been received */

	_Atomic uint64_t rx_lost, tx_lost;

	/* The long frame that is being received, behind what virtio says of it. */
	uint8_t longer[sizeof(struct virtio_net_hdr) + RTE_ETHER_HDR_LEN + UINT16_MAX];
};

bool
vnet_is(const char *device)
{
	return strncmp(device, PREFIX, strlen(PREFIX)) == 0;
}

void
vnet_device(const char *device, char *name, size_t size)
{
	snprintf(name, size, "net_null_%.*s,no-rx=1", (int)strcspn(device, ","), device);
}

unsigned int
vnet_ifindex(const struct vnet *v)
{
	return v->ifindex;
}

/* Rare, so that it need not be cheap. */
static void
count(_Atomic uint64_t *counter)
{
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* ---- receiving ---- */

static struct tpacket2_hdr *
slot_at(const struct vnet *v)
{
	return (struct tpacket2_hdr *)(v->ring + (size_t)v->slot * SLOT_SIZE);
}

/* The slot is the kernel's again. */
static void
slot_return(struct vnet *v, struct tpacket2_hdr *head)
{
	/* Release: what was read of it has been read. */
	__atomic_store_n(&head->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
	v->slot = v->slot + 1 < SLOTS ? v->slot + 1 : 0;
	v->slot_head = NULL;
}

/* What a card would add up; the field has the pseudo-header's sum. False where it is not in there.
 */
static bool
complete(uint8_t *frame, uint32_t len, const struct virtio_net_hdr *about)
{
	uint32_t at = (uint32_t)about->csum_start + about->csum_offset;
	uint16_t sum;

	if (about->csum_start >= len || at + sizeof(sum) > len)
		return false;
	sum = (uint16_t)~rte_raw_cksum(frame + about->csum_start, len - about->csum_start);
	if (sum == 0) /* none at all, to UDP; and to others the same */
		sum = UINT16_MAX;
	memcpy(frame + at, &sum, sizeof(sum));
	return true;
}

/* The frame of a slot, or of a slot that it is too long for. NULL where it was lost. */
static uint8_t *
find_frame(struct vnet *v, struct tpacket2_hdr *head)
{
	ssize_t got = -1;

	if ((head->tp_status & TP_STATUS_COPY) == 0)
		return head->tp_snaplen == head->tp_len ? (uint8_t *)head + head->tp_mac : NULL;
	/* What the socket has to tell of its interface, which was down, comes first, once. */
	for (int i = 0; i < 2 && got < 0; i++)
		got = recv(v->fd, v->longer, sizeof(v->longer), MSG_DONTWAIT | MSG_TRUNC);
	return got == (ssize_t)(sizeof(struct virtio_net_hdr) + head->tp_len)
		       ? v->longer + sizeof(struct virtio_net_hdr)
		       : NULL;
}

/* False where the slot's frame cannot be received. */
static bool
read_slot(struct vnet *v, struct tpacket2_hdr *head)
{
	uint8_t *frame = find_frame(v, head);
	struct virtio_net_hdr about;

	if (frame == NULL)
		return false;
	memcpy(&about, frame - sizeof(about), sizeof(about));
	v->offset = 0;
	if (about.gso_type != VIRTIO_NET_HDR_GSO_NONE)
		return segments_read(&v->frame, frame, head->tp_len, &about);
	v->frame = (struct segments){.frame = frame, .len = head->tp_len, .size = UINT16_MAX};
	return (about.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) == 0 ||
	       complete(frame, head->tp_len, &about);
}

/* The next frame, or what is left of one. False where nothing has come. */
static bool
next_frame(struct vnet *v)
{
	while (v->slot_head == NULL) {
		struct tpacket2_hdr *head = slot_at(v);

		/* Acquire: the frame is there when the status says so. */
		if ((__atomic_load_n(&head->tp_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER) == 0)
			return false;
		if (read_slot(v, head)) {
			v->slot_head = head;
		} else {
			count(&v->rx_lost);
			slot_return(v, head);
		}
	}
	return true;
}

/* The next segment, or the whole frame. */
static void
receive_segment(struct vnet *v, struct rte_mbuf *m)
{
	const struct tpacket2_hdr *head = v->slot_head;
	uint8_t *to = rte_pktmbuf_mtod(m, uint8_t *);
	uint32_t len = v->frame.len;

	if (v->frame.head != 0)
		len = segments_cut(&v->frame, v->offset, to);
	else
		memcpy(to, v->frame.frame, len);
	m->data_len = (uint16_t)len;
	m->pkt_len = len;
	if ((head->tp_status & TP_STATUS_VLAN_VALID) != 0) {
		m->vlan_tci = head->tp_vlan_tci;
		m->ol_flags |= RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
	}
	v->offset += v->frame.size;
	if (v->frame.head + v->offset >= v->frame.len)
		slot_return(v, v->slot_head);
}

static uint16_t
receive(uint16_t port, uint16_t queue, struct rte_mbuf **frames, uint16_t n, uint16_t max,
	void *user)
{
	struct vnet *v = user;

	while (n < max && next_frame(v)) {
		struct rte_mbuf *m = rte_pktmbuf_alloc(v->pool);

		if (m == NULL) /* it can wait */
			break;
		if (v->frame.len - v->offset > rte_pktmbuf_tailroom(m) &&
		    v->frame.head + v->frame.size > rte_pktmbuf_tailroom(m)) {
			rte_pktmbuf_free(m);
			count(&v->rx_lost);
			slot_return(v, v->slot_head);
			continue;
		}
		m->port = port;
		receive_segment(v, m);
		frames[n++] = m;
	}
	return n;
}

/* ---- sending ---- */

/* A burst as the kernel is given it. */
struct messages {
	struct segment_head head[BURST_MAX];
	struct iovec part[2 * BURST_MAX];
	struct mmsghdr message[BURST_MAX];
	uint16_t end[BURST_MAX]; /* of a message's frames in the burst */
	unsigned int n, parts;
};

static void
add_part(struct messages *s, const void *bytes, size_t len)
{
	s->part[s->parts++] = (struct iovec){(void *)(uintptr_t)bytes, len};
}

/* One message, of as many frames as go in one. Returns how many. */
static unsigned int
add_message(struct messages *s, struct rte_mbuf *const *frames, unsigned int n)
{
	static const struct virtio_net_hdr nothing;
	struct segment_head *head = &s->head[s->n];
	unsigned int first = s->parts, merged = segments_merge(frames, n, head);

	if (merged == 1) {
		add_part(s, &nothing, sizeof(nothing));
		add_part(s, rte_pktmbuf_mtod(frames[0], const void *), frames[0]->data_len);
	} else {
		add_part(s, &head->about, sizeof(head->about));
		add_part(s, head->bytes, head->len);
		for (unsigned int i = 0; i < merged; i++)
			add_part(s, rte_pktmbuf_mtod_offset(frames[i], const void *, head->len),
				 (size_t)frames[i]->data_len - head->len);
	}
	s->message[s->n++].msg_hdr =
		(struct msghdr){.msg_iov = &s->part[first], .msg_iovlen = s->parts - first};
	return merged;
}

/* The messages that the kernel took. One that it never will is lost. */
static unsigned int
send_messages(struct vnet *v, struct messages *s)
{
	unsigned int sent = 0;

	while (sent < s->n) {
		int rc = sendmmsg(v->fd, s->message + sent, s->n - sent, MSG_DONTWAIT);

		if (rc > 0) {
			sent += (unsigned int)rc;
		} else if (errno == EAGAIN || errno == ENOBUFS || errno == EINTR) {
			break;
		} else {
			count(&v->tx_lost);
			sent++;
		}
	}
	return sent;
}

/* What is given on to net_null, which frees it, has been sent. */
static uint16_t
transmit(uint16_t port, uint16_t queue, struct rte_mbuf **frames, uint16_t n, void *user)
{
	struct vnet *v = user;
	struct messages s;
	unsigned int sent, done = 0;

	s.n = s.parts = 0;
	n = RTE_MIN(n, (uint16_t)BURST_MAX);
	while (done < n) {
		done += add_message(&s, frames + done, n - done);
		s.end[s.n - 1] = (uint16_t)done;
	}
	sent = send_messages(v, &s);
	return sent > 0 ? s.end[sent - 1] : 0;
}

/* ---- start and end ---- */

static int
set_option(const struct vnet *v, int option, int value)
{
	return setsockopt(v->fd, SOL_PACKET, option, &value, sizeof(value));
}

/* The interface's number and address. */
static int
find_interface(struct vnet *v, const char *name)
{
	struct ifreq request = {0};

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%.*s", (int)strcspn(name, ","), name);
	v->ifindex = if_nametoindex(request.ifr_name);
	if (v->ifindex == 0 || ioctl(v->fd, SIOCGIFHWADDR, &request) != 0)
		return -1;
	memcpy(&v->mac, request.ifr_hwaddr.sa_data, sizeof(v->mac));
	return 0;
}

static int
map_ring(struct vnet *v)
{
	struct tpacket_req ring = {.tp_block_size = BLOCK_SIZE,
				   .tp_block_nr = RING_SIZE / BLOCK_SIZE,
				   .tp_frame_size = SLOT_SIZE,
				   .tp_frame_nr = SLOTS};
	void *at;

	if (set_option(v, PACKET_VERSION, TPACKET_V2) != 0 ||
	    set_option(v, PACKET_VNET_HDR, 1) != 0 ||
	    setsockopt(v->fd, SOL_PACKET, PACKET_RX_RING, &ring, sizeof(ring)) != 0)
		return -1;
	at = mmap(NULL, RING_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, v->fd, 0);
	if (at == MAP_FAILED)
		return -1;
	v->ring = at;
	return 0;
}

/* Frames come as soon as the socket is bound. */
static int
bind_socket(struct vnet *v)
{
	struct packet_mreq group = {.mr_ifindex = (int)v->ifindex, .mr_type = PACKET_MR_ALLMULTI};
	struct sockaddr_ll address = {.sll_family = AF_PACKET,
				      .sll_protocol = RTE_BE16(ETH_P_ALL),
				      .sll_ifindex = (int)v->ifindex};
	int send = SEND_BUFFER, kept = KEPT_BYTES;

	if (setsockopt(v->fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &group, sizeof(group)) != 0 ||
	    setsockopt(v->fd, SOL_SOCKET, SO_SNDBUFFORCE, &send, sizeof(send)) != 0 ||
	    setsockopt(v->fd, SOL_SOCKET, SO_RCVBUFFORCE, &kept, sizeof(kept)) != 0 ||
	    set_option(v, PACKET_COPY_THRESH, 1) != 0 ||
	    set_option(v, PACKET_IGNORE_OUTGOING, 1) != 0 ||
	    set_option(v, PACKET_QDISC_BYPASS, 1) != 0)
		return -1;
	return bind(v->fd, (const struct sockaddr *)&address, sizeof(address));
}

/* Whatever of it fails leaves the rest to vnet_close(). */
static int
open_socket(struct vnet *v, const char *name)
{
	v->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (v->fd < 0 || find_interface(v, name) != 0 || map_ring(v) != 0 || bind_socket(v) != 0)
		return -errno;
	return 0;
}

int
vnet_open(const char *device, struct vnet **made, struct reason *why)
{
	const char *iface = strstr(device, IFACE);
	struct vnet *v = calloc(1, sizeof(*v));
	int rc;

	if (v == NULL)
		return reason_set(why, ENOMEM, "out of memory");
	v->fd = -1;
	rc = iface == NULL ? -EINVAL : open_socket(v, iface + strlen(IFACE));
	if (rc < 0) {
		vnet_close(v);
		return reason_set(why, -rc, "expected an interface, as in vnet0,iface=eth1: %s",
				  strerror(-rc));
	}
	*made = v;
	return 0;
}

void
vnet_close(struct vnet *v)
{
	if (v == NULL)
		return;
	if (v->ring != NULL)
		munmap(v->ring, RING_SIZE);
	if (v->fd >= 0)
		close(v->fd);
	free(v);
}

int
vnet_start(struct vnet *v, uint16_t ethdev, struct rte_mempool *pool)
{
	int rc = rte_eth_dev_default_mac_addr_set(ethdev, &v->mac);

	v->pool = pool;
	if (rc == 0 && (rte_eth_add_rx_callback(ethdev, 0, receive, v) == NULL ||
			rte_eth_add_tx_callback(ethdev, 0, transmit, v) == NULL))
		rc = -rte_errno;
	return rc;
}

void
vnet_count(const struct vnet *v, struct rte_eth_stats *stats)
{
	stats->ierrors += atomic_load_explicit(&v->rx_lost, memory_order_relaxed);
	stats->oerrors += atomic_load_explicit(&v->tx_lost, memory_order_relaxed);
}
