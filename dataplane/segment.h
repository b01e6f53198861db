/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a network card does for the kernel of a host, done here by the copy that is made anyway:
 * long TCP and UDP frames are cut into segments, and segments in a row become a long frame
 * again. Frames begin with an Ethernet header. What stands beside them is virtio's header, as
 * packet(7) has it with PACKET_VNET_HDR.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <linux/virtio_net.h>

#include <rte_mbuf.h>

#define SEGMENT_FRAME_MAX 65535 /* of a long frame; what is longer the kernel would cut itself */
#define SEGMENT_HEAD_MAX  (14 + 40 + 60) /* Ethernet, IPv6, TCP with options */

/* A long frame that is being cut. */
struct segments {
	const uint8_t *frame;
	uint32_t len;
	uint16_t l4;   /* offset of the TCP or UDP header */
	uint16_t head; /* bytes of all headers */
	uint16_t size; /* payload bytes of a segment */
	bool v4, tcp;
};

/* Reads a frame of a sender that left segmentation to its card. False where it is none that we cut.
 */
bool segments_read(struct segments *s, const uint8_t *frame, uint32_t len,
		   const struct virtio_net_hdr *about);

/*
 * Writes the segment whose payload begins `offset` bytes, a multiple of the size, into the whole
 * one: head + size bytes at most, right to the last checksum. Returns its bytes.
 */
uint32_t segments_cut(const struct segments *s, uint32_t offset, uint8_t *to);

/* The headers of a long frame that is put together, behind what virtio says of it. */
struct segment_head {
	struct virtio_net_hdr about;
	uint8_t bytes[SEGMENT_HEAD_MAX];
	uint16_t len; /* of `bytes`; so many are the headers of each of the segments */
};

/*
 * How many frames from m[0] on are segments in a row of one TCP stream that a receiver's card would
 * merge: right to the checksum, alike, and cut again by the kernel they would be the same. `head`
 * is written where that is more than one. At least 1.
 */
unsigned int segments_merge(struct rte_mbuf *const *m, unsigned int n, struct segment_head *head);
