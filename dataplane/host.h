/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Host interfaces: a TAP for each interface, and the helper thread that reads and writes them, so
 * that no worker makes a system call for the host.
 */
#pragma once

#include <stdbool.h>

#include "crypto/reason.h"

struct dataplane;

/*
 * Makes a TAP for every interface (name, MAC address and MTU of the interface; carrier of the
 * port), fills iface.tap_fd, ifindex and to_host, and starts the thread. All or nothing.
 */
int host_start(struct dataplane *dp, struct reason *why);
void host_stop(struct dataplane *dp); /* the TAPs vanish with it */

/* Tells the kernel about a port's carrier, for its interface and sub-ports. Control thread. */
void host_carrier(struct dataplane *dp, unsigned int port, bool up);
