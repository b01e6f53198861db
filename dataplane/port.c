/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ports. First every device is found, then the pool of packet buffers is made to fit all of them,
 * then every port is configured and started.
 */
#include "port.h"

#include <linux/if_packet.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <rte_dev.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>

#include "dataplane.h"
#include "packet.h"
#include "packet_socket.h"
#include "room.h"
#include "sa_wait.h"
#include "vnet.h"
#include "waiting.h"
#include "worker.h"

#define DESCRIPTORS 512 /* of a queue */
#define POOL_CACHE  256 /* buffers that a worker keeps at hand */
#define POOL_PER_WORKER                                                                            \
	(2 * POOL_CACHE + 4 * BURST_MAX + 1024) /* at hand, under way, in its inbox */
#define POOL_PER_IFACE 512                      /* on the way to the kernel or from it */
#define ROOM_MIN       2048
#define ROOM_MAX       (UINT16_MAX - PACKET_HEADROOM)
#define L2_MAX         (RTE_ETHER_HDR_LEN + sizeof(struct rte_vlan_hdr))
#define RSS_WANTED     (RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_ESP)

/* What a driver does not say of itself. */
struct driver {
	const char *name;
	bool rx_partial;          /* frames of the local kernel: checksums may be left out */
	bool no_carrier;          /* says "up" whatever the kernel's interface below does */
	bool fixed_queues;        /* frames come by every queue of the device, polled or not */
	uint32_t default_framesz; /* frames live in slots of the argument "framesz", 0 no slots */
};

static const struct driver drivers[] = {
	{.name = "net_af_packet",
	 .rx_partial = true,
	 .no_carrier = true,
	 .fixed_queues = true,
	 .default_framesz = 2048},
	{.name = "net_af_xdp", .rx_partial = true, .no_carrier = true, .fixed_queues = true},
	{.name = "net_pcap", .rx_partial = true},
	{.name = NULL},
};

static const struct driver *
find_driver(const char *name)
{
	const struct driver *d = drivers;

	while (d->name != NULL && strcmp(d->name, name) != 0)
		d++;
	return d;
}

/* Bytes of a slot of net_af_packet; 0 for other drivers. */
static uint32_t
slot_size(const struct port *port, const struct rte_eth_dev_info *info)
{
	const struct driver *driver = find_driver(info->driver_name);
	const char *arg = strstr(port->config->device, ",framesz=");

	if (driver->default_framesz == 0 || arg == NULL)
		return driver->default_framesz;
	return (uint32_t)strtoul(arg + strlen(",framesz="), NULL, 10);
}

/* The largest IP packet of the port or of a sub-port. */
static uint32_t
largest_mtu(const struct config_port *config)
{
	uint32_t mtu = config->mtu;

	for (unsigned int i = 0; i < config->vlans_count; i++)
		mtu = RTE_MAX(mtu, config->vlans[i].mtu);
	return mtu;
}

/* A refusal of DPDK's, in words. Its drivers say -1, or -EFAULT, for whatever they logged. */
static int
refuse(const struct port *port, int rc, const char *what, struct reason *why)
{
	bool vague = rc == -1 || rc == -EFAULT;

	return reason_set(why, vague ? EIO : -rc, "port %s: %s of device %s: %s",
			  port->config->name, what, port->config->device,
			  vague ? "there is no such device, or its driver refuses" : strerror(-rc));
}

/* Finds a device of DPDK's, which may exist already. Its ethdev is called as the device is. */
static int
probe_device(struct port *port, const char *device, struct reason *why)
{
	char name[RTE_ETH_NAME_MAX_LEN];
	struct rte_dev_iterator iterator;
	uint16_t first;
	int rc;

	snprintf(name, sizeof(name), "%.*s", (int)strcspn(device, ","), device);
	if (rte_eth_dev_get_port_by_name(name, &port->ethdev) == 0)
		return 0;
	rc = rte_dev_probe(device);
	if (rc < 0)
		return refuse(port, rc, "probe", why);
	if (rte_eth_dev_get_port_by_name(name, &port->ethdev) == 0)
		return 0;
	if (rte_eth_iterator_init(&iterator, device) == 0) {
		first = rte_eth_iterator_next(&iterator);
		if (first != RTE_MAX_ETHPORTS) {
			rte_eth_iterator_cleanup(&iterator);
			port->ethdev = first;
			return 0;
		}
	}
	return reason_set(why, ENODEV, "port %s: device %s makes no port", port->config->name,
			  device);
}

static int
probe(struct port *port, struct reason *why)
{
	struct reason inner = {""};
	char device[RTE_ETH_NAME_MAX_LEN];
	int rc;

	if (!vnet_is(port->config->device))
		return probe_device(port, port->config->device, why);
	rc = vnet_open(port->config->device, &port->vnet, &inner);
	if (rc < 0)
		return reason_set(why, -rc, "port %s: device %s: %s", port->config->name,
				  port->config->device, inner.text);
	vnet_device(port->config->device, device, sizeof(device));
	return probe_device(port, device, why);
}

/* Queues, and what frames the device takes. */
static int
measure(struct port *port, unsigned int workers, struct reason *why)
{
	struct rte_eth_dev_info info;
	uint32_t slot, limit, mtu = largest_mtu(port->config);
	int rc = rte_eth_dev_info_get(port->ethdev, &info);

	if (rc < 0)
		return refuse(port, rc, "information", why);
	if (port->vnet != NULL)
		workers = 1;
	port->rx_queues = (uint16_t)RTE_MIN(workers, info.max_rx_queues);
	port->tx_queues = (uint16_t)RTE_MIN(workers, info.max_tx_queues);
	if (port->rx_queues == 0 || port->tx_queues == 0)
		return reason_set(why, EINVAL, "port %s: device %s has no queues",
				  port->config->name, port->config->device);
	if (find_driver(info.driver_name)->fixed_queues && info.max_rx_queues > workers)
		return reason_set(why, EINVAL,
				  "port %s: device %s has %u queues, expected at most %u, one for "
				  "each worker",
				  port->config->name, port->config->device, info.max_rx_queues,
				  workers);
	port->mtu = port->config->mtu;
	port->max_frame = mtu + (uint32_t)L2_MAX;
	port->rx_partial = find_driver(info.driver_name)->rx_partial;
	port->lower = port->vnet != NULL                          ? vnet_ifindex(port->vnet)
		      : find_driver(info.driver_name)->no_carrier ? info.if_index
								  : 0;
	port->lower_up = true;
	slot = slot_size(port, &info);
	/* What the kernel puts in front of a received frame in its slot is more than ours. */
	limit = slot - TPACKET_ALIGN(TPACKET2_HDRLEN + 16);
	if (slot != 0 && (port->max_frame > limit || slot > ROOM_MAX))
		return reason_set(
			why, EINVAL,
			"port %s: framesz=%u of %s, expected %u to %u for frames of %u "
			"bytes",
			port->config->name, slot, port->config->device,
			(unsigned int)(port->max_frame + TPACKET_ALIGN(TPACKET2_HDRLEN + 16)),
			(unsigned int)ROOM_MAX, port->max_frame);
	return 0;
}

static int
find_ports(struct dataplane *dp, struct reason *why)
{
	const struct config *config = dp->config;

	if (config->ports_count > PORTS_MAX)
		return reason_set(why, EINVAL, "ports: %u, expected at most %u",
				  config->ports_count, PORTS_MAX);
	for (unsigned int i = 0; i < config->ports_count; i++) {
		struct port *port = &dp->ports[i];
		int rc;

		*port = (struct port){.number = (uint16_t)i};
		port->config = &config->ports[i];
		rc = probe(port, why);
		if (rc < 0) {
			vnet_close(port->vnet);
			return rc;
		}
		dp->ports_count = i + 1;
		rc = measure(port, config->workers.cores_count, why);
		if (rc < 0)
			return rc;
	}
	return 0;
}

struct rte_mempool *
packet_pool_new(unsigned int count, unsigned int room, int socket, struct reason *why)
{
	struct rte_mempool *pool;

	room = RTE_ALIGN_CEIL(RTE_MAX(room, (unsigned int)ROOM_MIN) + PACKET_TAILROOM,
			      RTE_CACHE_LINE_SIZE);
	room = RTE_MIN(room, (unsigned int)ROOM_MAX);
	pool = room_pool_new("packets", count, POOL_CACHE, (uint16_t)(PACKET_HEADROOM + room),
			     socket);
	if (pool == NULL)
		reason_set(why, rte_errno, "no memory for %u packet buffers of %u bytes: %s", count,
			   room, rte_strerror(rte_errno));
	return pool;
}

/* The buffers that fragments may hold while they wait, in all workers. */
static unsigned int
waiting_fragments(const struct config *config, uint32_t room)
{
	uint32_t cost = (uint32_t)(sizeof(struct rte_mbuf) + sizeof(struct packet)) +
			PACKET_HEADROOM + RTE_MAX(room, (uint32_t)ROOM_MIN);

	return config->workers.cores_count * (config->reassembly.max_bytes / cost);
}

/* Buffers for every descriptor, and for all places where packets may be. */
static int
make_pool(struct dataplane *dp, struct reason *why)
{
	unsigned int workers = dp->config->workers.cores_count;
	unsigned int count = workers * POOL_PER_WORKER + WAITING_MAX + SA_WAIT_MAX;
	uint32_t room = 0;
	int socket = SOCKET_ID_ANY;

	for (unsigned int i = 0; i < dp->ports_count; i++) {
		const struct port *port = &dp->ports[i];
		struct rte_eth_dev_info info;

		if (rte_eth_dev_info_get(port->ethdev, &info) == 0)
			room = RTE_MAX(room, slot_size(port, &info));
		room = RTE_MAX(room, port->max_frame);
		count += (port->rx_queues + port->tx_queues) * DESCRIPTORS;
		count += (1 + port->config->vlans_count) * POOL_PER_IFACE;
		if (i == 0)
			socket = rte_eth_dev_socket_id(port->ethdev);
	}
	count += waiting_fragments(dp->config, room);
	dp->pool = packet_pool_new(count, room, socket, why);
	if (dp->pool == NULL)
		return -ENOMEM;
	dp->large_pool = room_pool_new("large", LARGE_PACKETS, 0, UINT16_MAX, socket);
	if (dp->large_pool == NULL)
		return reason_set(why, rte_errno, "no memory for %u large packet buffers: %s",
				  LARGE_PACKETS, rte_strerror(rte_errno));
	return 0;
}

static int
setup_queues(struct dataplane *dp, const struct port *port, const struct rte_eth_dev_info *info,
	     const struct rte_eth_conf *conf, struct reason *why)
{
	uint16_t rx_descriptors = DESCRIPTORS, tx_descriptors = DESCRIPTORS;
	unsigned int socket = (unsigned int)rte_eth_dev_socket_id(port->ethdev);
	struct rte_eth_rxconf rxconf = info->default_rxconf;
	struct rte_eth_txconf txconf = info->default_txconf;
	int rc;

	rc = rte_eth_dev_adjust_nb_rx_tx_desc(port->ethdev, &rx_descriptors, &tx_descriptors);
	if (rc < 0)
		return refuse(port, rc, "descriptors", why);
	rxconf.offloads = conf->rxmode.offloads;
	txconf.offloads = conf->txmode.offloads;
	for (uint16_t q = 0; q < port->rx_queues; q++) {
		rc = rte_eth_rx_queue_setup(port->ethdev, q, rx_descriptors, socket, &rxconf,
					    dp->pool);
		if (rc < 0)
			return refuse(port, rc, "receive queue", why);
	}
	for (uint16_t q = 0; q < port->tx_queues; q++) {
		rc = rte_eth_tx_queue_setup(port->ethdev, q, tx_descriptors, socket, &txconf);
		if (rc < 0)
			return refuse(port, rc, "transmit queue", why);
	}
	return 0;
}

/* The MTU of the kernel's interface below a port. */
static int
set_lower_mtu(const struct port *port, unsigned int ifindex, uint32_t mtu, struct reason *why)
{
	struct ifreq request = {.ifr_mtu = (int)mtu};
	int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc = 0;

	if (control < 0 || !if_indextoname(ifindex, request.ifr_name) ||
	    ioctl(control, SIOCSIFMTU, &request) != 0)
		rc = refuse(port, -errno, "MTU of the interface below", why);
	if (control >= 0)
		close(control);
	return rc;
}

/* A driver with slots says that it takes 1518 bytes, and passes what its slots hold. */
static int
set_mtu(const struct port *port, const struct rte_eth_dev_info *info, struct reason *why)
{
	uint32_t mtu = largest_mtu(port->config);
	int rc;

	if (mtu > RTE_ETHER_MTU && (port->vnet != NULL || slot_size(port, info) != 0))
		return set_lower_mtu(port, port->lower, mtu, why);
	rc = rte_eth_dev_set_mtu(port->ethdev, (uint16_t)mtu);
	return rc < 0 && rc != -ENOTSUP ? refuse(port, rc, "MTU", why) : 0;
}

/* Only what the device says it can do is asked of it. */
static int
configure(struct dataplane *dp, struct port *port, struct reason *why)
{
	struct rte_eth_conf conf = {.rxmode.mtu = largest_mtu(port->config)};
	struct rte_eth_dev_info info;
	int rc = rte_eth_dev_info_get(port->ethdev, &info);

	if (rc < 0)
		return refuse(port, rc, "information", why);
	if (slot_size(port, &info) != 0)
		conf.rxmode.mtu = RTE_MIN(conf.rxmode.mtu, (uint32_t)RTE_ETHER_MTU);
	if (port->rx_queues > 1 && (info.flow_type_rss_offloads & RSS_WANTED) != 0) {
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf.rx_adv_conf.rss_conf.rss_hf = info.flow_type_rss_offloads & RSS_WANTED;
	}
	conf.rxmode.offloads = info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_IPV4_CKSUM;
	/* All that is sent is of one pool, and nobody else holds it. */
	conf.txmode.offloads = info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
	port->rx_csum = conf.rxmode.offloads != 0;
	port->tx_offloads = conf.txmode.offloads;
	rc = rte_eth_dev_configure(port->ethdev, port->rx_queues, port->tx_queues, &conf);
	if (rc < 0)
		return refuse(port, rc, "configuration", why);
	rc = setup_queues(dp, port, &info, &conf, why);
	return rc < 0 ? rc : set_mtu(port, &info, why);
}

/* The address of the port; one without gets a random one, locally administered. */
static int
find_mac(struct port *port, struct reason *why)
{
	int rc = rte_eth_macaddr_get(port->ethdev, &port->mac);

	if (rc < 0)
		return refuse(port, rc, "MAC address", why);
	if (rte_is_zero_ether_addr(&port->mac)) {
		rte_eth_random_addr(port->mac.addr_bytes);
		/* A device that keeps none takes frames for any. */
		rte_eth_dev_default_mac_addr_set(port->ethdev, &port->mac);
	}
	return 0;
}

static int
start(struct dataplane *dp, struct port *port, struct reason *why)
{
	int rc = rte_eth_dev_start(port->ethdev);

	if (rc == 0 && port->vnet != NULL)
		rc = vnet_start(port->vnet, port->ethdev, dp->pool);
	if (rc < 0)
		return refuse(port, rc, "start", why);
	/* Neighbour discovery comes by multicast. A device that can do neither filters nothing. */
	if (rte_eth_allmulticast_enable(port->ethdev) != 0)
		rte_eth_promiscuous_enable(port->ethdev);
	return find_mac(port, why);
}

/* An interface of the port: its untagged frames, or a sub-port's. */
static int
add_iface(struct dataplane *dp, struct port *port, const struct config_vlan *c, struct reason *why)
{
	struct iface *iface = &dp->ifaces[dp->ifaces_count];
	int vrf;

	if (dp->ifaces_count == IFACES_MAX)
		return reason_set(why, EINVAL, "%s: more than %u interfaces", c->name, IFACES_MAX);
	vrf = fib_vrf(dp->fib, c->table, why);
	if (vrf < 0)
		return vrf;
	memset(iface, 0, sizeof(*iface));
	snprintf(iface->name, sizeof(iface->name), "%s", c->name);
	snprintf(iface->host_name, sizeof(iface->host_name), "%s", c->host_interface);
	iface->number = (uint16_t)dp->ifaces_count++;
	iface->port = port->number;
	iface->vlan = c->id;
	iface->mtu = c->mtu;
	dp->least_mtu = iface->number == 0 ? c->mtu : RTE_MIN(dp->least_mtu, c->mtu);
	iface->side = (uint8_t)c->side;
	iface->tenant = tenant_make(c->tenant, c->mark);
	iface->tenant_in = tenant_make(c->tenant_in, c->mark_in);
	iface->table = c->table;
	iface->vrf = (uint16_t)vrf;
	iface->mac = port->mac;
	iface->tap_fd = -1;
	return iface->number;
}

static int
add_ifaces(struct dataplane *dp, struct port *port, struct reason *why)
{
	const struct config_port *config = port->config;
	const struct config_vlan untagged = {
		.name = config->name,
		.side = config->side,
		.mtu = config->mtu,
		.host_interface = config->host_interface,
		.tenant = config->tenant,
		.tenant_in = config->tenant_in,
		.mark = config->mark,
		.mark_in = config->mark_in,
		.table = config->table,
	};
	int number = add_iface(dp, port, &untagged, why);

	if (number < 0)
		return number;
	port->iface = (uint16_t)number;
	for (unsigned int id = 0; id < RTE_DIM(port->vlan_iface); id++)
		port->vlan_iface[id] = IFACE_NONE;
	for (unsigned int i = 0; i < config->vlans_count; i++) {
		number = add_iface(dp, port, &config->vlans[i], why);
		if (number < 0)
			return number;
		port->vlan_iface[config->vlans[i].id] = (uint16_t)number;
	}
	return 0;
}

int
ports_start(struct dataplane *dp, struct reason *why)
{
	int rc = find_ports(dp, why);

	if (rc == 0)
		rc = make_pool(dp, why);
	for (unsigned int i = 0; rc == 0 && i < dp->ports_count; i++) {
		rc = configure(dp, &dp->ports[i], why);
		if (rc == 0)
			rc = start(dp, &dp->ports[i], why);
		if (rc == 0)
			rc = add_ifaces(dp, &dp->ports[i], why);
	}
	if (rc < 0)
		ports_stop(dp);
	return rc;
}

void
ports_stop(struct dataplane *dp)
{
	while (dp->ports_count > 0) {
		const struct port *port = &dp->ports[--dp->ports_count];

		rte_eth_dev_stop(port->ethdev);
		rte_eth_dev_close(port->ethdev);
		vnet_close(port->vnet);
	}
	dp->ifaces_count = 0;
	room_pool_free(dp->large_pool);
	room_pool_free(dp->pool);
	dp->large_pool = NULL;
	dp->pool = NULL;
}

struct rte_eth_stats
port_stats(struct port *port)
{
	struct rte_eth_stats stats = {0};

	rte_eth_stats_get(port->ethdev, &stats);
	if (port->lower != 0)
		port->missed += packet_socket_missed(port->lower);
	stats.imissed += port->missed;
	if (port->vnet != NULL)
		vnet_count(port->vnet, &stats);
	return stats;
}

bool
port_link_up(const struct port *port)
{
	struct rte_eth_link link;

	if (port->lower != 0)
		return port->lower_up;
	return rte_eth_link_get_nowait(port->ethdev, &link) == 0 &&
	       link.link_status == RTE_ETH_LINK_UP;
}
