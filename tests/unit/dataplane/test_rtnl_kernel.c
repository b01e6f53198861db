/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The follower of rtnetlink against the kernel, in a network namespace of its own: `ip` changes
 * things, and what the FIB was told must be what `ip -j route` and `ip -j neigh` then list. Root.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/dataplane.h"
#include "dataplane/rtnl.h"
#include "dataplane/tap.h"
#include "fib_model.h"
#include "ip_model.h"

static struct dataplane dp;
static struct rtnl *rtnl;

/* ---- driving ip ---- */

static void
command(const char *text)
{
	if (system(text) != 0)
		fail_msg("failed: %s", text);
}

/* Lines for `ip -batch`, printed by the caller. */
static FILE *
batch_begin(void)
{
	FILE *f = popen("ip -batch -", "w");

	assert_non_null(f);
	return f;
}

static void
batch_end(FILE *f)
{
	assert_int_equal(pclose(f), 0);
}

/* What the kernel tells stands in the socket when `ip` ends; what it does by itself comes later. */
static void
follow(void)
{
	struct pollfd p = {.fd = rtnl_fd(rtnl), .events = POLLIN};

	while (poll(&p, 1, 0) > 0)
		rtnl_poll(rtnl);
}

static void
follow_until(bool (*done)(const void *), const void *arg)
{
	struct pollfd p = {.fd = rtnl_fd(rtnl), .events = POLLIN};

	follow();
	while (!done(arg)) {
		assert_true(poll(&p, 1, -1) > 0);
		follow();
	}
}

/* ---- what is expected ---- */

/*
 * What the model says once all is followed that the kernel lists. The kernel also acts by itself
 * (IPv6 after a link came up): a list that changed meanwhile is taken again.
 */
static void
expect_list(char *(*kernels)(void), char *(*models)(void))
{
	char *want = kernels(), *again, *have;

	for (;;) {
		follow();
		again = kernels();
		if (strcmp(want, again) == 0)
			break;
		free(want);
		want = again;
	}
	have = models();
	assert_string_equal(have, want);
	free(again);
	free(want);
	free(have);
}

static void
expect_as_kernel(void)
{
	expect_list(ip_model_routes, model_routes);
	expect_list(ip_model_neighbours, model_neighbours);
}

static void
expect_route(uint16_t vrf, const char *prefix, uint32_t metric, const char *rest)
{
	char want[512] = "";

	follow();
	if (rest[0] != '\0')
		snprintf(want, sizeof(want), "%u %s metric %u %s", vrf, prefix, metric, rest);
	assert_string_equal(model_route(vrf, prefix, metric), want);
}

static void
expect_addr4(int iface, const char *text)
{
	union ip_addr have = {.u64 = {0}}, want = {.u64 = {0}};

	follow();
	have.u64[0] = dp.ifaces[iface].addr4.half[0];
	assert_int_equal(inet_pton(AF_INET, text, want.bytes), 1);
	assert_memory_equal(&have, &want, sizeof(have));
}

struct addr6 {
	int iface;
	union ip_addr addr;
};

static bool
has_addr6(const void *arg)
{
	const struct addr6 *want = arg;

	return memcmp(dp.ifaces[want->iface].addr6.half, &want->addr, sizeof(want->addr)) == 0;
}

/* Which a worker of the kernel's tells, when `ip` has long ended. */
static void
expect_addr6(int iface, const char *text)
{
	struct addr6 want = {.iface = iface};

	assert_int_equal(inet_pton(AF_INET6, text, want.addr.bytes), 1);
	follow_until(has_addr6, &want);
}

/* ---- the namespace ---- */

static void
write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void
iface_make(int i)
{
	struct rte_ether_addr mac = {{0x02, 0, 0, 0, 0, (uint8_t)(i + 1)}};
	struct tap_config config = {
		.name = ip_model_ifaces[i].name, .mac = &mac, .mtu = 1500, .carrier = true};
	struct iface *iface = &dp.ifaces[i];
	struct reason why = {0};

	iface->number = (uint16_t)i;
	iface->table = ip_model_ifaces[i].table;
	iface->vrf = ip_model_ifaces[i].vrf;
	iface->tap_fd = tap_open(&config, &iface->ifindex, &why);
	if (iface->tap_fd < 0)
		fail_msg("%s", why.text);
}

static int
start(void **state)
{
	if (unshare(CLONE_NEWNET) != 0)
		return -1;
	write_file("/proc/sys/net/ipv6/conf/default/accept_dad", "0");
	write_file("/proc/sys/net/ipv6/conf/all/router_solicitations", "0");
	write_file("/proc/sys/net/ipv6/conf/default/router_solicitations", "0");
	command("ip link set lo up; ip tuntap add foreign mode tap; ip link set foreign up");
	for (int i = 0; i < IP_MODEL_IFACES; i++)
		iface_make(i);
	dp.ifaces_count = IP_MODEL_IFACES;
	dp.fib = model_fib();
	dp.neighs = model_neighs();
	/* What is there before the follower starts. */
	command("ip addr add 10.1.0.1/24 dev one; ip addr add 2001:db8:1::1/64 dev one;"
		"ip route add 10.7.0.0/16 via 10.1.0.9;"
		"ip neigh add 10.1.0.9 dev one lladdr 02:00:00:00:01:09");
	return 0;
}

static int
stop(void **state)
{
	rtnl_close(rtnl);
	for (int i = 0; i < IP_MODEL_IFACES; i++)
		close(dp.ifaces[i].tap_fd);
	model_reset();
	return 0;
}

static bool
is_up(const void *iface)
{
	return dp.ifaces[(uintptr_t)iface].up;
}

static bool
is_down(const void *iface)
{
	return !is_up(iface);
}

/* ---- behaviour; each test leaves the kernel as it found it ---- */

static void
the_start_reads_what_is_there(void **state)
{
	struct reason why = {0};

	rtnl = rtnl_open(&dp, &why);
	if (rtnl == NULL)
		fail_msg("%s", why.text);
	for (uintptr_t i = 0; i < IP_MODEL_IFACES; i++)
		follow_until(is_up, (void *)i);
	expect_addr4(0, "10.1.0.1");
	expect_addr6(0, "2001:db8:1::1");
	expect_route(0, "10.7.0.0/16", 0, "unicast via 10.1.0.9 iface 0");
	expect_route(0, "10.1.0.0/24", 0, "unicast iface 0");
	expect_route(0, "10.1.0.1/32", 0, "local iface 0");
	expect_as_kernel();
}

static void
addresses_come_and_go(void **state)
{
	expect_addr4(1, "0.0.0.0");
	command("ip addr add 10.2.0.1/24 dev two; ip addr add 10.2.9.1/24 dev two");
	expect_addr4(1, "10.2.0.1");
	command("ip addr del 10.2.0.1/24 dev two");
	expect_addr4(1, "10.2.9.1");
	command("ip addr del 10.2.9.1/24 dev two");
	expect_addr4(1, "0.0.0.0");

	/* Link-local until there is one that reaches farther. */
	command("ip addr add 2001:db8:2::1/64 dev two");
	expect_addr6(1, "2001:db8:2::1");
	expect_as_kernel();
	command("ip addr del 2001:db8:2::1/64 dev two");
	expect_addr6(1, "fe80::ff:fe00:2");
	expect_as_kernel();
}

static void
local_addresses_belong_to_the_vrf_of_their_interface(void **state)
{
	/* Tenants' addresses overlap. */
	command("ip addr add 10.1.0.1/24 dev tenant");
	expect_route(0, "10.1.0.1/32", 0, "local iface 0");
	expect_route(1, "10.1.0.1/32", 0, "local iface 2");
	command("ip addr del 10.1.0.1/24 dev tenant");
	expect_route(0, "10.1.0.1/32", 0, "local iface 0");
	expect_route(1, "10.1.0.1/32", 0, "");

	/* One of a foreign device is the host's wherever it arrives. */
	command("ip addr add 192.0.2.1/32 dev lo");
	expect_route(0, "192.0.2.1/32", 0, "local");
	expect_route(1, "192.0.2.1/32", 0, "local");
	command("ip addr del 192.0.2.1/32 dev lo");
	expect_as_kernel();
}

static void
routes_of_each_type_are_followed(void **state)
{
	command("ip route add blackhole 10.20.0.0/16; ip route add unreachable 10.21.0.0/16;"
		"ip route add prohibit 10.22.0.0/16; ip -6 route add blackhole 2001:db8:20::/48;"
		"ip -6 route add unreachable 2001:db8:21::/48;"
		"ip -6 route add prohibit 2001:db8:22::/48;"
		"ip route add 10.23.0.0/16 via 192.0.2.77 dev one onlink;"
		"ip route add 10.24.0.0/16 via inet6 fe80::77 dev two;"
		"ip route add 10.25.0.0/16 dev two; ip route add default via 10.1.0.254;"
		"ip -6 route add default via fe80::1 dev one;"
		"ip route add 10.26.0.0/16 via 10.1.0.9 dev one table 100");
	expect_route(0, "10.20.0.0/16", 0, "blackhole");
	expect_route(0, "2001:db8:21::/48", 1024, "unreachable");
	expect_route(0, "10.22.0.0/16", 0, "prohibit");
	expect_route(0, "10.23.0.0/16", 0, "unicast via 192.0.2.77 iface 0");
	expect_route(0, "10.24.0.0/16", 0, "unicast via fe80::77 iface 1");
	expect_route(0, "0.0.0.0/0", 0, "unicast via 10.1.0.254 iface 0");
	expect_route(1, "10.26.0.0/16", 0, "unicast via 10.1.0.9 iface 0");
	expect_as_kernel();
	command("for p in 10.20.0.0/16 10.21.0.0/16 10.22.0.0/16 10.23.0.0/16 10.24.0.0/16"
		"  10.25.0.0/16 default '10.26.0.0/16 table 100'; do ip route del $p; done;"
		"for p in 2001:db8:20::/48 2001:db8:21::/48 2001:db8:22::/48 default;"
		"  do ip -6 route del $p; done");
	expect_route(0, "10.20.0.0/16", 0, "");
	expect_as_kernel();
}

static void
equal_ipv4_routes_keep_the_kernels_order(void **state)
{
	command("ip route add 10.30.0.0/16 via 10.1.0.2;"
		"ip route append 10.30.0.0/16 via 10.1.0.3;"
		"ip route add 10.30.0.0/16 via 10.1.0.4 metric 5");
	expect_route(0, "10.30.0.0/16", 0, "unicast via 10.1.0.2 iface 0");
	expect_route(0, "10.30.0.0/16", 5, "unicast via 10.1.0.4 iface 0");
	command("ip route prepend 10.30.0.0/16 via 10.1.0.5");
	expect_route(0, "10.30.0.0/16", 0, "unicast via 10.1.0.5 iface 0");
	command("ip route replace 10.30.0.0/16 via 10.1.0.6");
	expect_as_kernel();
	command("ip route del 10.30.0.0/16 via 10.1.0.6");
	expect_route(0, "10.30.0.0/16", 0, "unicast via 10.1.0.2 iface 0");
	command("ip route del 10.30.0.0/16 via 10.1.0.2");
	expect_route(0, "10.30.0.0/16", 0, "unicast via 10.1.0.3 iface 0");
	expect_as_kernel();
	command("ip route del 10.30.0.0/16; ip route del 10.30.0.0/16");
	expect_as_kernel();
}

static void
ipv4_multipath_routes_keep_their_weights(void **state)
{
	command("ip addr add 10.2.0.1/24 dev two; ip route add 10.31.0.0/16"
		" nexthop via 10.1.0.2 weight 3 nexthop via 10.2.0.2 dev two nexthop dev foreign");
	expect_route(0, "10.31.0.0/16", 0,
		     "unicast via 10.1.0.2 iface 0 weight 3 unicast via 10.2.0.2 iface 1");
	expect_as_kernel();
	command("ip route replace 10.31.0.0/16 via 10.1.0.2");
	expect_route(0, "10.31.0.0/16", 0, "unicast via 10.1.0.2 iface 0");
	command("ip route del 10.31.0.0/16; ip addr del 10.2.0.1/24 dev two");
	expect_as_kernel();
}

static void
ipv6_paths_come_and_go_one_by_one(void **state)
{
	command("ip -6 route add 2001:db8:30::/48 via fe80::1 dev one;"
		"ip -6 route append 2001:db8:30::/48 via fe80::2 dev two");
	expect_route(0, "2001:db8:30::/48", 1024,
		     "unicast via fe80::1 iface 0 unicast via fe80::2 iface 1");
	command("ip -6 route append 2001:db8:30::/48 nexthop via fe80::3 dev one"
		" nexthop via fe80::4 dev two");
	expect_as_kernel();
	command("ip -6 route del 2001:db8:30::/48 via fe80::1 dev one");
	expect_route(0, "2001:db8:30::/48", 1024,
		     "unicast via fe80::2 iface 1 unicast via fe80::3 iface 0 unicast via "
		     "fe80::4 iface 1");
	command("ip -6 route replace 2001:db8:30::/48 nexthop via fe80::5 dev one"
		" nexthop via fe80::6 dev two");
	expect_as_kernel();
	command("ip -6 route replace 2001:db8:30::/48 via fe80::7 dev one");
	expect_route(0, "2001:db8:30::/48", 1024, "unicast via fe80::7 iface 0");
	command("ip -6 route del 2001:db8:30::/48");
	expect_route(0, "2001:db8:30::/48", 1024, "");
	expect_as_kernel();
}

/* The kernel drops IPv4 routes with their link and does not tell. */
static void
a_foreign_route_ends_with_its_link(void **state)
{
	command("ip route add 10.69.0.0/16 dev foreign; ip -6 route add 2001:db8:69::/48 dev "
		"foreign");
	expect_route(0, "10.69.0.0/16", 0, "unreachable");
	expect_route(0, "2001:db8:69::/48", 1024, "unreachable");
	expect_as_kernel();
	command("ip link set foreign down");
	expect_route(0, "10.69.0.0/16", 0, "");
	expect_as_kernel();
	command("ip link set foreign up");
	expect_as_kernel();
}

static void
what_is_not_followed_is_counted(void **state)
{
	struct rtnl_stats before, after;

	follow();
	before = rtnl_stats(rtnl);
	command("ip addr add 10.66.0.1/24 dev foreign;"
		"ip route add 10.67.0.0/16 via 10.1.0.9 table 77;"
		"ip route add 10.68.0.0/16 tos 0x10 via 10.1.0.9");
	expect_route(0, "10.66.0.0/24", 0, "unreachable");
	expect_route(0, "10.68.0.0/16", 0, "");
	after = rtnl_stats(rtnl);
	assert_int_equal(after.routes_refused, before.routes_refused + 1);
	/* Net, broadcast; and the one of a table that is no interface's. */
	assert_int_equal(after.routes_foreign, before.routes_foreign + 3);
	command("ip addr del 10.66.0.1/24 dev foreign; ip route del 10.67.0.0/16 table 77;"
		"ip route del 10.68.0.0/16 tos 0x10");
	follow();
	after = rtnl_stats(rtnl);
	assert_int_equal(after.routes_refused, before.routes_refused);
	assert_int_equal(after.routes_foreign, before.routes_foreign);
	assert_int_equal(after.malformed, 0);
}

static void
nexthop_objects_are_followed(void **state)
{
	command("ip nexthop add id 1 via 10.1.0.2 dev one; ip nexthop add id 2 via 10.1.0.3 dev "
		"one;"
		"ip nexthop add id 3 group 1/2; ip route add 10.40.0.0/16 nhid 1;"
		"ip route add 10.41.0.0/16 nhid 3; ip nexthop add id 6 via fe80::9 dev one;"
		"ip -6 route add 2001:db8:40::/48 nhid 6");
	expect_route(0, "10.40.0.0/16", 0, "unicast via 10.1.0.2 iface 0");
	expect_route(0, "10.41.0.0/16", 0,
		     "unicast via 10.1.0.2 iface 0 unicast via 10.1.0.3 iface 0");
	expect_route(0, "2001:db8:40::/48", 1024, "unicast via fe80::9 iface 0");
	command("ip nexthop replace id 1 via 10.1.0.4 dev one;"
		"ip nexthop replace id 6 via fe80::8 dev one");
	expect_route(0, "10.40.0.0/16", 0, "unicast via 10.1.0.4 iface 0");
	expect_route(0, "2001:db8:40::/48", 1024, "unicast via fe80::8 iface 0");
	command("ip nexthop del id 3; ip nexthop del id 1; ip nexthop del id 2;"
		"ip nexthop del id 6");
	expect_route(0, "10.40.0.0/16", 0, "");
	expect_route(0, "2001:db8:40::/48", 1024, "");
	expect_as_kernel();
}

static void
routes_vanish_with_their_source_address(void **state)
{
	command("ip addr add 192.0.2.9/32 dev lo; ip route add 10.42.0.0/16 dev one src 192.0.2.9");
	expect_route(0, "10.42.0.0/16", 0, "unicast iface 0");
	command("ip addr del 192.0.2.9/32 dev lo");
	expect_route(0, "10.42.0.0/16", 0, "");
	expect_as_kernel();
}

static void
routes_vanish_with_their_link(void **state)
{
	command("ip addr add 10.2.0.1/24 dev two; ip addr add 2001:db8:2::1/64 dev two;"
		"ip route add 10.50.0.0/16 via 10.2.0.2;"
		"ip route add 10.51.0.0/16 nexthop via 10.1.0.2 nexthop via 10.2.0.2;"
		"ip -6 route add 2001:db8:51::/48 nexthop via fe80::1 dev one"
		" nexthop via fe80::2 dev two; ip neigh add 10.2.0.2 dev two lladdr 2:0:0:0:2:2");
	expect_as_kernel();
	command("ip link set two down");
	follow();
	assert_true(is_down((void *)1));
	expect_route(0, "10.50.0.0/16", 0, "");
	expect_route(0, "10.51.0.0/16", 0, "unicast via 10.1.0.2 iface 0");
	expect_as_kernel();
	command("ip link set two up");
	follow_until(is_up, (void *)1);
	expect_route(0, "10.51.0.0/16", 0,
		     "unicast via 10.1.0.2 iface 0 unicast via 10.2.0.2 iface 1");
	expect_as_kernel();
	command("ip route del 10.51.0.0/16; ip -6 route del 2001:db8:51::/48;"
		"ip addr flush dev two scope global");
	expect_as_kernel();
}

static void
carrier_decides_whether_an_interface_is_up(void **state)
{
	assert_int_equal(tap_set_carrier(dp.ifaces[1].tap_fd, false), 0);
	follow_until(is_down, (void *)1);
	expect_as_kernel();
	assert_int_equal(tap_set_carrier(dp.ifaces[1].tap_fd, true), 0);
	follow_until(is_up, (void *)1);
	expect_as_kernel();
}

/* ---- many ---- */

static void
many_routes(const char *verb, const char *v4, const char *v6)
{
	FILE *f = batch_begin();

	for (unsigned int i = 0; i < 5000; i++) {
		fprintf(f, "route %s 10.%u.%u.0/24 %s\n", verb, 100 + i / 250, i % 250, v4);
		fprintf(f, "route %s 2001:db8:%x::/48 %s\n", verb, 0x1000 + i, v6);
	}
	batch_end(f);
}

static void
expect_many(const char *v4, const char *v6)
{
	char prefix[64];

	follow();
	for (unsigned int i = 0; i < 5000; i++) {
		snprintf(prefix, sizeof(prefix), "10.%u.%u.0/24", 100 + i / 250, i % 250);
		expect_route(0, prefix, 0, v4);
		snprintf(prefix, sizeof(prefix), "2001:db8:%x::/48", 0x1000 + i);
		expect_route(0, prefix, 1024, v6);
	}
}

static void
many_neighbours(const char *verb, unsigned int mac)
{
	FILE *f = batch_begin();

	for (unsigned int i = 0; i < 1000; i++)
		fprintf(f, "neigh %s 10.1.%u.%u dev one lladdr 02:00:00:%02x:%02x:%02x\n", verb,
			4 + i / 250, i % 250, mac, i / 250, i % 250);
	batch_end(f);
}

/* The whole life of 10,000 routes and 1,000 neighbours. */
static void
many_live(void)
{
	size_t routes, neighbours;

	follow();
	routes = model_routes_count();
	neighbours = model_neighbours_count();
	many_routes("add", "via 10.1.0.2", "via fe80::1 dev one");
	expect_many("unicast via 10.1.0.2 iface 0", "unicast via fe80::1 iface 0");
	assert_int_equal(model_routes_count(), routes + 10000);
	many_neighbours("add", 1);
	follow();
	assert_int_equal(model_neighbours_count(), neighbours + 1000);
	many_routes("replace", "via 10.1.0.3", "via fe80::2 dev two");
	many_neighbours("replace", 2);
	expect_many("unicast via 10.1.0.3 iface 0", "unicast via fe80::2 iface 1");
	assert_int_equal(model_routes_count(), routes + 10000);
	assert_int_equal(model_neighbours_count(), neighbours + 1000);
	many_routes("del", "", "");
	many_neighbours("del", 2);
	expect_as_kernel();
	assert_int_equal(model_routes_count(), routes);
	assert_int_equal(model_neighbours_count(), neighbours);
}

static void
ten_thousand_routes_and_a_thousand_neighbours_are_followed(void **state)
{
	many_live();
}

/* Most changes are lost, and the result is the same. */
static void
an_overrun_is_made_good(void **state)
{
	uint64_t before = rtnl_stats(rtnl).resyncs;
	int size = 1;

	assert_int_equal(setsockopt(rtnl_fd(rtnl), SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)), 0);
	many_live();
	assert_true(rtnl_stats(rtnl).resyncs > before);
	expect_as_kernel();
}

/* Changes while everything is read again: what the follower ends with is what the kernel has. */
static void
changes_during_a_resynchronisation_are_followed(void **state)
{
	FILE *f = batch_begin();

	for (unsigned int i = 0; i < 3000; i++) {
		fprintf(f, "route add 10.80.%u.%u/32 via 10.1.0.2\n", i / 250, i % 250);
		if (i >= 100)
			fprintf(f, "route del 10.80.%u.%u/32\n", (i - 100) / 250, (i - 100) % 250);
		if (i % 100 == 0) {
			fflush(f);
			rtnl_poll(rtnl);
		}
	}
	batch_end(f);
	expect_as_kernel();
	command("ip route flush 10.80.0.0/16");
	expect_as_kernel();
}

static void
a_device_that_goes_away_is_down(void **state)
{
	command("ip addr add 10.3.0.1/24 dev tenant");
	command("ip link del tenant");
	follow();
	assert_true(is_down((void *)2));
	expect_addr4(2, "0.0.0.0");
	expect_route(1, "10.3.0.1/32", 0, "");
	expect_as_kernel();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_start_reads_what_is_there),
		cmocka_unit_test(addresses_come_and_go),
		cmocka_unit_test(local_addresses_belong_to_the_vrf_of_their_interface),
		cmocka_unit_test(routes_of_each_type_are_followed),
		cmocka_unit_test(equal_ipv4_routes_keep_the_kernels_order),
		cmocka_unit_test(ipv4_multipath_routes_keep_their_weights),
		cmocka_unit_test(ipv6_paths_come_and_go_one_by_one),
		cmocka_unit_test(a_foreign_route_ends_with_its_link),
		cmocka_unit_test(what_is_not_followed_is_counted),
		cmocka_unit_test(nexthop_objects_are_followed),
		cmocka_unit_test(routes_vanish_with_their_source_address),
		cmocka_unit_test(routes_vanish_with_their_link),
		cmocka_unit_test(carrier_decides_whether_an_interface_is_up),
		cmocka_unit_test(ten_thousand_routes_and_a_thousand_neighbours_are_followed),
		cmocka_unit_test(an_overrun_is_made_good),
		cmocka_unit_test(changes_during_a_resynchronisation_are_followed),
		cmocka_unit_test(a_device_that_goes_away_is_down),
	};

	if (geteuid() != 0) {
		puts("needs root: skipped");
		return 77;
	}
	return cmocka_run_group_tests(tests, start, stop);
}
