/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Host interfaces: a TAP for each interface, and the helper thread that reads and writes them, so
 * that no worker makes a system call for the host. The thread fills workers' inboxes, so it runs
 * only within their lifetime:
 *
 *   host_start, rtnl_open, workers_start, host_run ... host_halt, workers_stop, rtnl_close,
 * host_stop
 *
 * All functions belong to the control thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "crypto/reason.h"

struct dataplane;

/*
 * Makes a TAP for every interface (name, MAC address and MTU of the interface; carrier of the
 * port), sets it up, and fills iface.tap_fd, ifindex and to_host. All or nothing: 0, or a negative
 * errno with a reason that names the device. A name that exists already is refused.
 */
int host_start(struct dataplane *dp, struct reason *why);
void host_stop(struct dataplane *dp); /* the TAPs vanish with it; nothing where there is no host */

/* Starts the thread that moves frames. The workers exist. 0 or a negative errno with the reason. */
int host_run(struct dataplane *dp, struct reason *why);
void host_halt(struct dataplane *dp); /* waits for its end; the workers still exist */

/* Tells the kernel about a port's carrier, for its interface and sub-ports. */
void host_carrier(struct dataplane *dp, unsigned int port, bool up);

struct host_stats {
	uint64_t to_kernel;    /* frames written to TAPs */
	uint64_t from_kernel;  /* frames that reached a worker's inbox */
	uint64_t write_errors; /* frames that the kernel refused: the host interface is down */
	uint64_t read_errors;  /* of TAPs; one that somebody removed is given up */
	uint64_t inbox_full;   /* frames from the kernel that the worker had no room for */
	uint64_t no_buf;       /* times that no packet buffer was left to read into */
};
struct host_stats host_stats(const struct dataplane *dp); /* a snapshot, for show */
