/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kernel's XFRM protocol numbers, with those that are younger than Debian 12's linux/xfrm.h.
 * There they are macros beside the enumeration; where a newer header enumerates them as well, the
 * values are the same (include/uapi/linux/xfrm.h).
 */
#pragma once

#include <netinet/in.h>

#include <linux/netlink.h>
#include <linux/xfrm.h>

#define XFRMA_SA_DIR                 33 /* __u8 */
#define XFRMA_NAT_KEEPALIVE_INTERVAL 34 /* __u32 */
#define XFRMA_SA_PCPU                35 /* __u32 */
#define XFRMA_IPTFS_DROP_TIME        36
#define XFRMA_IPTFS_REORDER_WINDOW   37
#define XFRMA_IPTFS_DONT_FRAG        38
#define XFRMA_IPTFS_INIT_DELAY       39
#define XFRMA_IPTFS_MAX_QSIZE        40
#define XFRMA_IPTFS_PKT_SIZE         41
#define XFRM_ATTRS                   42 /* attributes that have a name here */

#define XFRM_POLICY_CPU_ACQUIRE 4
#ifndef XFRM_MAX_DEPTH
#define XFRM_MAX_DEPTH 6 /* templates of a policy, steps of a migration */
#endif

#define XFRM_SA_DIR_IN  1
#define XFRM_SA_DIR_OUT 2

#define XFRM_UDP_ENCAP_ESPINUDP 2 /* UDP_ENCAP_ESPINUDP of linux/udp.h */
