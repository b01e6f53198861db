/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What net_af_packet does not count: frames that the kernel had no slot for, as the worker did not
 * come round in time.
 */
#pragma once

#include <stdint.h>

/*
 * Frames that this process's packet sockets on an interface of the kernel have missed since the
 * last call: the kernel forgets what it has told (packet(7), PACKET_STATISTICS). Any thread.
 */
uint64_t packet_socket_missed(unsigned int ifindex);
