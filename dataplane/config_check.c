/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a schema cannot tell about a configuration: names that occur twice or nowhere, addresses,
 * CPUs and groups that are not there. Every complaint carries the key's path.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <net/if.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include <rte_ether.h>

#include "config_source.h"
#include "crypto/crypto.h"
#include "fib.h"
#include "iface.h"

#define PARENT_MAX   48 /* "ports[1].vlans[0]" with the largest numbers */
#define KEY_MAX      80
#define IPV6_MTU_MIN 1280

/* An interface of the file, a port's or a sub-port's, with the path of its keys. */
struct named {
	char key[PARENT_MAX]; /* "ports[1]" or "ports[1].vlans[0]" */
	const char *name, *host_interface;
	uint16_t mtu;
};

/* The path of a key below another: "ports[1]" and "name". Returns `key`. */
static const char *
below(char key[KEY_MAX], const char *parent, const char *word)
{
	snprintf(key, KEY_MAX, "%.*s.%s", PARENT_MAX - 1, parent, word);
	return key;
}

int
config_address(const char *text, union ip_addr *addr, uint8_t *family)
{
	memset(addr, 0, sizeof(*addr));
	*family = strchr(text, ':') ? FAMILY_V6 : FAMILY_V4;
	if (inet_pton(*family == FAMILY_V6 ? AF_INET6 : AF_INET, text, addr) != 1)
		return -EINVAL;
	return 0;
}

int
config_prefix(const char *text, struct fib_prefix *prefix, struct reason *why)
{
	unsigned int bits = strchr(text, ':') ? 128 : 32;
	const char *slash = strchr(text, '/');
	size_t address_len = slash ? (size_t)(slash - text) : strlen(text);
	char address[INET6_ADDRSTRLEN] = "", *end = NULL;
	union ip_addr masked;
	unsigned long len;

	if (address_len < sizeof(address))
		memcpy(address, text, address_len);
	len = slash && isdigit((unsigned char)slash[1]) ? strtoul(slash + 1, &end, 10) : 0;
	if (!end || *end || len > bits || config_address(address, &prefix->addr, &prefix->family))
		return reason_set(why, EINVAL, "bad prefix \"%s\", expected ADDRESS/0-%u", text,
				  bits);
	masked = ip_addr_mask(&prefix->addr, len);
	if (!ip_addr_equal(&masked, &prefix->addr)) {
		inet_ntop(bits == 128 ? AF_INET6 : AF_INET, &masked, address, sizeof(address));
		return reason_set(why, EINVAL, "bad prefix \"%s\", expected %s/%lu (no host bits)",
				  text, address, len);
	}
	prefix->len = len;
	return 0;
}

static void
check_cores(struct config_source *s, const struct config_workers *workers)
{
	char key[KEY_MAX];
	unsigned int i, j;
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	sched_getaffinity(0, sizeof(cpus), &cpus);
	for (i = 0; i < workers->cores_count; i++) {
		snprintf(key, sizeof(key), "workers.cores[%u]", i);
		if (!CPU_ISSET(workers->cores[i], &cpus))
			config_complain(s, key,
					"no such CPU: %u, expected one that this process "
					"may run on",
					workers->cores[i]);
		for (j = 0; j < i && workers->cores[j] != workers->cores[i]; j++)
			;
		if (j < i)
			config_complain(s, key, "duplicate %u, expected one worker a CPU",
					workers->cores[i]);
	}
}

/* Whether the kernel takes it as an interface's name. */
static bool
host_name_ok(const char *name)
{
	const char *c;

	for (c = name; *c; c++)
		if (*c == '/' || *c == ':' || *c == '%' || isspace((unsigned char)*c))
			return false;
	return c - name < IFNAMSIZ && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static void
check_names(struct config_source *s, const struct named *list, unsigned int count)
{
	char key[KEY_MAX];
	unsigned int i, j;

	for (i = 0; i < count; i++) {
		for (j = 0; j < i; j++)
			if (strcmp(list[j].name, list[i].name) == 0)
				config_complain(s, below(key, list[i].key, "name"),
						"duplicate \"%s\", expected a name of its own "
						"(%s has it)",
						list[i].name, list[j].key);
			else if (strcmp(list[j].host_interface, list[i].host_interface) == 0)
				config_complain(s, below(key, list[i].key, "host_interface"),
						"duplicate \"%s\", expected a name of its own "
						"(%s has it)",
						list[i].host_interface, list[j].key);
		if (strlen(list[i].name) >= sizeof(((struct iface *)0)->name))
			config_complain(s, below(key, list[i].key, "name"),
					"\"%s\" is too long, expected at most %zu bytes",
					list[i].name, sizeof(((struct iface *)0)->name) - 1);
		if (!host_name_ok(list[i].host_interface))
			config_complain(s, below(key, list[i].key, "host_interface"),
					"bad name \"%s\", expected at most %d bytes without "
					"space, '/', ':' or '%%'",
					list[i].host_interface, IFNAMSIZ - 1);
		if (list[i].mtu < IPV6_MTU_MIN)
			config_warn(s, below(key, list[i].key, "mtu"),
				    "%u is below %u, the least that IPv6 works with", list[i].mtu,
				    IPV6_MTU_MIN);
	}
}

static void
check_vlans(struct config_source *s, const struct config_port *port, const char *port_key)
{
	char key[KEY_MAX];
	unsigned int i, j;

	for (i = 0; i < port->vlans_count; i++) {
		for (j = 0; j < i && port->vlans[j].id != port->vlans[i].id; j++)
			;
		snprintf(key, sizeof(key), "%s.vlans[%u].id", port_key, i);
		if (j < i)
			config_complain(s, key, "duplicate %u, expected an id of its own",
					port->vlans[i].id);
		snprintf(key, sizeof(key), "%s.vlans[%u].mtu", port_key, i);
		if (port->vlans[i].mtu > port->mtu)
			config_complain(s, key, "%u is more than the port's, expected at most %u",
					port->vlans[i].mtu, port->mtu);
	}
}

/* The interfaces of all ports, for what must be unique among them. Returns how many. */
static unsigned int
list_names(struct config_source *s, const struct config *config, struct named list[IFACES_MAX])
{
	unsigned int count = 0, i, v;

	for (i = 0; i < config->ports_count; i++) {
		const struct config_port *p = &config->ports[i];

		if (count + 1 + p->vlans_count > IFACES_MAX) {
			config_complain(s, "ports", "too many ports and vlans, expected at most %u",
					IFACES_MAX);
			break;
		}
		list[count] = (struct named){"", p->name, p->host_interface, p->mtu};
		snprintf(list[count++].key, PARENT_MAX, "ports[%u]", i);
		for (v = 0; v < p->vlans_count; v++) {
			list[count] = (struct named){"", p->vlans[v].name,
						     p->vlans[v].host_interface, p->vlans[v].mtu};
			snprintf(list[count++].key, PARENT_MAX, "ports[%u].vlans[%u]", i, v);
		}
	}
	return count;
}

static void
check_devices(struct config_source *s, const struct config *config)
{
	char key[KEY_MAX];
	unsigned int i, j;

	if (config->ports_count == 0)
		config_complain(s, "ports", "no ports, expected at least one");
	for (i = 0; i < config->ports_count; i++) {
		const char *device = config->ports[i].device;

		snprintf(key, sizeof(key), "ports[%u].device", i);
		for (j = 0; j < i; j++)
			if (strcspn(device, ",") == strcspn(config->ports[j].device, ",") &&
			    strncmp(device, config->ports[j].device, strcspn(device, ",")) == 0)
				config_complain(s, key,
						"duplicate \"%.*s\", expected a device of its own "
						"(number it: net_af_packet0, net_af_packet1)",
						(int)strcspn(device, ","), device);
	}
}

static bool
name_exists(const struct named *list, unsigned int count, const char *name)
{
	unsigned int i;

	for (i = 0; i < count; i++)
		if (strcmp(list[i].name, name) == 0)
			return true;
	return false;
}

static void
check_port_name(struct config_source *s, const struct named *list, unsigned int count,
		const char *key, const char *name)
{
	if (!name_exists(list, count, name))
		config_complain(s, key, "unknown port \"%s\", expected the name of a port or vlan",
				name);
}

static void
check_route(struct config_source *s, const struct config_route *route, const char *parent,
	    const struct named *list, unsigned int count)
{
	struct reason why = {""};
	struct fib_prefix prefix;
	union ip_addr via;
	uint8_t family;
	char key[KEY_MAX];

	if (config_prefix(route->prefix, &prefix, &why))
		config_complain(s, below(key, parent, "prefix"), "%s", why.text);
	if (route->via && config_address(route->via, &via, &family))
		config_complain(s, below(key, parent, "via"),
				"bad address \"%s\", expected an IPv4 or IPv6 address", route->via);
	if (route->via && !route->port)
		config_complain(s, below(key, parent, "port"),
				"missing beside \"via\", expected the name of a port or vlan");
	if (route->port)
		check_port_name(s, list, count, below(key, parent, "port"), route->port);
}

static void
check_routes(struct config_source *s, const struct config *config, const struct named *list,
	     unsigned int count)
{
	char key[PARENT_MAX];
	unsigned int i;

	for (i = 0; i < config->routes_count; i++) {
		snprintf(key, sizeof(key), "routes[%u]", i);
		check_route(s, &config->routes[i], key, list, count);
	}
}

static void
check_neighbours(struct config_source *s, const struct config *config, const struct named *list,
		 unsigned int count)
{
	char parent[PARENT_MAX], key[KEY_MAX];
	struct rte_ether_addr mac;
	union ip_addr addr;
	uint8_t family;
	unsigned int i;

	for (i = 0; i < config->neighbours_count; i++) {
		const struct config_neighbour *n = &config->neighbours[i];

		snprintf(parent, sizeof(parent), "neighbours[%u]", i);
		if (config_address(n->address, &addr, &family))
			config_complain(s, below(key, parent, "address"),
					"bad address \"%s\", expected an IPv4 or IPv6 address",
					n->address);
		if (rte_ether_unformat_addr(n->mac, &mac) ||
		    !rte_is_valid_assigned_ether_addr(&mac))
			config_complain(s, below(key, parent, "mac"),
					"bad MAC address \"%s\", expected a unicast one such as "
					"02:00:00:00:00:01",
					n->mac);
		check_port_name(s, list, count, below(key, parent, "port"), n->port);
	}
}

static void
check_crypto(struct config_source *s, const struct config_crypto *crypto)
{
	if (crypto_backend_by_name(crypto->backend) < 0)
		config_complain(s, "crypto.backend",
				"unknown backend \"%s\", expected ipsec-mb or openssl",
				crypto->backend);
	for (unsigned int i = 0; i < crypto->legacy_count; i++) {
		char key[PARENT_MAX];

		snprintf(key, sizeof(key), "crypto.legacy[%u]", i);
		if (!crypto_is_legacy(crypto->legacy[i]))
			config_complain(s, key, "no legacy algorithm: \"%s\", expected sha1",
					crypto->legacy[i]);
	}
}

static void
check_socket(struct config_source *s, const char *key, const char *path)
{
	size_t max = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;

	if (path[0] != '/' || strlen(path) > max)
		config_complain(s, key,
				"bad path \"%s\", expected an absolute one of at most %zu bytes",
				path, max);
}

static void
check_sockets(struct config_source *s, const struct config_sockets *sockets)
{
	check_socket(s, "sockets.xfrm", sockets->xfrm);
	check_socket(s, "sockets.show", sockets->show);
	if (strcmp(sockets->xfrm, sockets->show) == 0)
		config_complain(s, "sockets.show", "the same as sockets.xfrm, expected another");
	if (sockets->group && !getgrnam(sockets->group))
		config_complain(s, "sockets.group",
				"no such group: \"%s\", expected one of this system",
				sockets->group);
}

static void
check_log(struct config_source *s, const struct config_log *log)
{
	static const char *const levels[] = {"error", "warning", "notice", "info", "debug"};
	unsigned int i = 0;

	while (i < RTE_DIM(levels) && strcmp(levels[i], log->level) != 0)
		i++;
	if (i == RTE_DIM(levels))
		config_complain(s, "log.level",
				"unknown level \"%s\", expected one of: error, warning, notice, "
				"info, debug",
				log->level);
	if (strcmp(log->target, "stderr") != 0 && strcmp(log->target, "syslog") != 0 &&
	    log->target[0] != '/')
		config_complain(s, "log.target",
				"bad target \"%s\", expected stderr, syslog or an absolute path",
				log->target);
}

void
config_check(struct config_source *s, const struct config *config)
{
	static struct named list[IFACES_MAX];
	unsigned int count = list_names(s, config, list), i;
	char key[PARENT_MAX];

	check_cores(s, &config->workers);
	check_devices(s, config);
	check_names(s, list, count);
	for (i = 0; i < config->ports_count; i++) {
		snprintf(key, sizeof(key), "ports[%u]", i);
		check_vlans(s, &config->ports[i], key);
	}
	check_routes(s, config, list, count);
	check_neighbours(s, config, list, count);
	check_crypto(s, &config->crypto);
	check_sockets(s, &config->sockets);
	check_log(s, &config->log);
}
