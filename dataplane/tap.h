/* SPDX-License-Identifier: BSD-3-Clause */
/* One TAP device, as the kernel sees an interface of the gateway. Control thread; see host.h. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <rte_ether.h>

#include "crypto/reason.h"

struct tap_config {
	const char *name;
	const struct rte_ether_addr *mac;
	uint16_t mtu; /* of IP packets */
	bool carrier;
};

/*
 * Makes the device, up, and gives its kernel index. The descriptor is non-blocking and carries bare
 * Ethernet frames; closing it removes the device. A negative errno with the reason where it cannot
 * be made, -EEXIST where the name is taken.
 */
int tap_open(const struct tap_config *config, int *ifindex, struct reason *why);

/* 0 or a negative errno. */
int tap_set_carrier(int fd, bool up);
