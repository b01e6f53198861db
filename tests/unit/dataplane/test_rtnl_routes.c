/* SPDX-License-Identifier: BSD-3-Clause */
/* What the FIB is told when the kernel has several routes for one prefix and metric. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>

#include "dataplane/dataplane.h"
#include "dataplane/rtnl_routes.h"
#include "fib_model.h"

#define ONE     11 /* ifindex of iface 0, main table */
#define TWO     12 /* of iface 1, main table */
#define TENANT  13 /* of iface 2, table 100, VRF 1 */
#define FOREIGN 99

#define MAIN  254
#define LOCAL 255

enum how { ADD, APPEND, REPLACE, DELETE };

static struct dataplane dp;
static struct rtnl_routes *routes;

static int
setup(void **state)
{
	dp = (struct dataplane){.fib = model_fib(), .ifaces_count = 3};
	for (uint16_t i = 0; i < 3; i++) {
		dp.ifaces[i].number = i;
		dp.ifaces[i].ifindex = ONE + i;
		dp.ifaces[i].table = i < 2 ? MAIN : 100;
		dp.ifaces[i].vrf = i < 2 ? 0 : 1;
	}
	routes = rtnl_routes_new(&dp);
	return routes != NULL ? 0 : -1;
}

static int
teardown(void **state)
{
	rtnl_routes_free(routes);
	model_reset();
	return 0;
}

static struct rtnl_route
route_of(uint32_t table, const char *prefix, uint8_t type)
{
	struct rtnl_route r = {.key.table = table, .type = type};
	char addr[INET6_ADDRSTRLEN];
	unsigned int len;

	assert_int_equal(sscanf(prefix, "%45[^/]/%u", addr, &len), 2);
	r.key.prefix.len = (uint8_t)len;
	r.key.prefix.family = strchr(addr, ':') ? FAMILY_V6 : FAMILY_V4;
	inet_pton(strchr(addr, ':') ? AF_INET6 : AF_INET, addr, r.key.prefix.addr.bytes);
	return r;
}

static void
add_path(struct rtnl_route *r, int ifindex, const char *gateway)
{
	struct rtnl_path *p = &r->paths[r->count++];

	*p = (struct rtnl_path){.ifindex = ifindex, .weight = 1};
	if (gateway == NULL)
		return;
	p->gateway_family = strchr(gateway, ':') ? FAMILY_V6 : FAMILY_V4;
	inet_pton(strchr(gateway, ':') ? AF_INET6 : AF_INET, gateway, p->gateway.bytes);
}

static void
tell(enum how how, struct rtnl_route *r)
{
	r->append = how == APPEND;
	r->replace = how == REPLACE;
	assert_int_equal(how == DELETE ? rtnl_routes_delete(routes, r) : rtnl_routes_add(routes, r),
			 0);
}

/* A route of the main table with one path. */
static void
tell_one(enum how how, const char *prefix, int ifindex, const char *gateway)
{
	struct rtnl_route r = route_of(MAIN, prefix, NEXTHOP_CONNECTED);

	add_path(&r, ifindex, gateway);
	tell(how, &r);
}

static void
expect(uint16_t vrf, const char *prefix, const char *rest)
{
	char want[256] = "";

	if (rest[0] != '\0')
		snprintf(want, sizeof(want), "%u %s metric 0 %s", vrf, prefix, rest);
	assert_string_equal(model_route(vrf, prefix, 0), want);
}

#define P4 "10.2.0.0/16"
#define P6 "2001:db8::/32"

static void
ipv4_equals_form_a_list_whose_first_counts(void **state)
{
	tell_one(ADD, P4, ONE, "10.0.0.1");
	tell_one(APPEND, P4, ONE, "10.0.0.2");
	expect(0, P4, "unicast via 10.0.0.1 iface 0");
	tell_one(ADD, P4, TWO, "10.0.0.3"); /* before */
	expect(0, P4, "unicast via 10.0.0.3 iface 1");
	tell_one(REPLACE, P4, TWO, "10.0.0.4");
	expect(0, P4, "unicast via 10.0.0.4 iface 1");
	tell_one(DELETE, P4, ONE, "10.0.0.1"); /* in the middle */
	expect(0, P4, "unicast via 10.0.0.4 iface 1");
	tell_one(DELETE, P4, TWO, "10.0.0.4");
	expect(0, P4, "unicast via 10.0.0.2 iface 0");
	tell_one(DELETE, P4, ONE, "10.0.0.2");
	expect(0, P4, "");
	assert_int_equal(rtnl_routes_count(routes).followed, 0);
}

static void
a_message_told_twice_changes_nothing(void **state)
{
	tell_one(ADD, P4, ONE, "10.0.0.1");
	tell_one(APPEND, P4, ONE, "10.0.0.2");
	model_fib_changes = 0;
	tell_one(APPEND, P4, ONE, "10.0.0.1");
	tell_one(ADD, P4, ONE, "10.0.0.2");
	tell_one(DELETE, P4, ONE, "10.0.0.9"); /* never was, or is gone already */
	assert_int_equal(model_fib_changes, 0);
	assert_int_equal(rtnl_routes_count(routes).followed, 2);
}

static void
a_route_through_a_foreign_device_gives_way_to_ours(void **state)
{
	tell_one(ADD, P4, FOREIGN, "10.0.0.1");
	expect(0, P4, "unreachable");
	tell_one(APPEND, P4, ONE, "10.0.0.2");
	expect(0, P4, "unicast via 10.0.0.2 iface 0");
	assert_int_equal(rtnl_routes_count(routes).foreign, 1);
	tell_one(REPLACE, P4, TWO, "10.0.0.3"); /* of the foreign one */
	expect(0, P4, "unicast via 10.0.0.3 iface 1");
	assert_int_equal(rtnl_routes_count(routes).foreign, 0);
	assert_int_equal(rtnl_routes_count(routes).followed, 2);
}

/* Otherwise the prefix that covers it would take its packets out of a port. */
static void
a_foreign_route_is_unreachable_here(void **state)
{
	struct rtnl_route r = route_of(MAIN, P6, NEXTHOP_CONNECTED);

	tell_one(ADD, "10.0.0.0/8", ONE, "10.0.0.1");
	tell_one(ADD, P4, FOREIGN, NULL);
	expect(0, "10.0.0.0/8", "unicast via 10.0.0.1 iface 0");
	expect(0, P4, "unreachable");
	expect(1, P4, ""); /* of another table */
	assert_int_equal(rtnl_routes_count(routes).foreign, 1);
	assert_true(rtnl_routes_lead_to(routes, FOREIGN));
	tell_one(DELETE, P4, FOREIGN, NULL);
	expect(0, P4, "");
	assert_false(rtnl_routes_lead_to(routes, FOREIGN));

	add_path(&r, FOREIGN, "fe80::1");
	r.paths[0].dead = true;
	tell(ADD, &r);
	expect(0, P6, "");
	r.paths[0].dead = false;
	tell(ADD, &r);
	expect(0, P6, "unreachable");
	add_path(&r, TWO, "fe80::2"); /* of two paths, one is ours */
	tell(ADD, &r);
	expect(0, P6, "unicast via fe80::2 iface 1");
	r.paths[1].dead = true;
	tell(REPLACE, &r);
	expect(0, P6, "unreachable");
}

static void
a_dead_path_is_not_used(void **state)
{
	struct rtnl_route r = route_of(MAIN, P4, NEXTHOP_CONNECTED);

	add_path(&r, ONE, "10.0.0.1");
	add_path(&r, TWO, "10.0.0.2");
	r.paths[0].dead = true;
	tell(ADD, &r);
	expect(0, P4, "unicast via 10.0.0.2 iface 1");
	r.paths[0].dead = false;
	r.paths[1].dead = true;
	tell(ADD, &r);
	expect(0, P4, "unicast via 10.0.0.1 iface 0");
	r.paths[0].dead = true;
	tell(ADD, &r);
	expect(0, P4, "");
	tell(DELETE, &r);
	assert_int_equal(rtnl_routes_count(routes).followed, 0);
}

static void
ipv6_gateways_are_one_route(void **state)
{
	struct rtnl_route whole = route_of(MAIN, P6, NEXTHOP_CONNECTED);

	tell_one(ADD, P6, ONE, "fe80::1");
	add_path(&whole, ONE, "fe80::1");
	add_path(&whole, TWO, "fe80::2");
	tell(APPEND, &whole);
	expect(0, P6, "unicast via fe80::1 iface 0 unicast via fe80::2 iface 1");
	tell_one(DELETE, P6, ONE, "fe80::1");
	expect(0, P6, "unicast via fe80::2 iface 1");
	tell_one(REPLACE, P6, ONE, "fe80::3");
	expect(0, P6, "unicast via fe80::3 iface 0");
	tell_one(DELETE, P6, ONE, "fe80::3");
	expect(0, P6, "");
}

static void
ipv6_links_with_one_prefix_stay_apart(void **state)
{
	tell_one(ADD, "fe80::/64", ONE, NULL);
	tell_one(ADD, "fe80::/64", TWO, NULL);
	expect(0, "fe80::/64", "unicast iface 0");
	tell_one(DELETE, "fe80::/64", ONE, NULL);
	expect(0, "fe80::/64", "unicast iface 1");
}

static void
too_many_ipv6_paths_are_refused(void **state)
{
	char gateway[32];

	for (int i = 0; i <= FIB_PATHS_MAX; i++) {
		snprintf(gateway, sizeof(gateway), "fe80::%x", i + 1);
		tell_one(APPEND, P6, ONE, gateway);
	}
	expect(0, P6, "");
	assert_int_equal(rtnl_routes_count(routes).refused, 1);
}

static void
the_local_table_goes_where_its_interface_is(void **state)
{
	struct rtnl_route r = route_of(LOCAL, "10.0.0.1/32", NEXTHOP_LOCAL);

	add_path(&r, ONE, NULL);
	tell(ADD, &r);
	r.paths[0].ifindex = TENANT;
	tell(APPEND, &r);
	expect(0, "10.0.0.1/32", "local iface 0");
	expect(1, "10.0.0.1/32", "local iface 2");
	r.paths[0].ifindex = ONE;
	tell(DELETE, &r);
	expect(0, "10.0.0.1/32", "");
	expect(1, "10.0.0.1/32", "local iface 2");

	r = route_of(LOCAL, "127.0.0.0/8", NEXTHOP_LOCAL);
	add_path(&r, FOREIGN, NULL);
	tell(ADD, &r);
	expect(0, "127.0.0.0/8", "local");
	expect(1, "127.0.0.0/8", "local");
}

static void
routes_without_a_device_are_followed(void **state)
{
	struct rtnl_route r = route_of(MAIN, P4, NEXTHOP_BLACKHOLE);

	tell(ADD, &r);
	expect(0, P4, "blackhole");
	expect(1, P4, "");
	r = route_of(100, P6, NEXTHOP_UNREACHABLE); /* IPv6 names a device that means nothing */
	add_path(&r, FOREIGN, NULL);
	tell(ADD, &r);
	expect(1, P6, "unreachable");
	expect(0, P6, "");
}

static void
what_cannot_be_followed_is_counted(void **state)
{
	struct rtnl_route r = route_of(77, P4, NEXTHOP_CONNECTED);

	add_path(&r, ONE, NULL);
	tell(ADD, &r);
	assert_int_equal(rtnl_routes_count(routes).foreign, 1);
	tell(DELETE, &r);
	assert_int_equal(rtnl_routes_count(routes).foreign, 0);

	r.paths[0].ifindex = FOREIGN;
	tell(ADD, &r);
	assert_int_equal(rtnl_routes_count(routes).foreign, 1);

	r = route_of(MAIN, P4, NEXTHOP_CONNECTED); /* a nexthop object, and no word of its paths */
	tell(ADD, &r);
	assert_int_equal(rtnl_routes_count(routes).refused, 1);
	expect(0, P4, "");
}

static void
a_refused_type_of_service_leaves_its_neighbour_alone(void **state)
{
	struct rtnl_route r = route_of(MAIN, P4, NEXTHOP_CONNECTED);

	tell_one(ADD, P4, ONE, "10.0.0.1");
	add_path(&r, TWO, "10.0.0.2");
	r.key.tos = 0x10;
	r.refused = "type of service";
	tell(ADD, &r);
	expect(0, P4, "unicast via 10.0.0.1 iface 0");
	tell(DELETE, &r);
	expect(0, P4, "unicast via 10.0.0.1 iface 0");
}

/* A resynchronisation forgets what is here, not what is in the FIB. */
static void
what_is_read_again_unchanged_leaves_the_fib_alone(void **state)
{
	char prefix[32];

	for (int turn = 0; turn < 2; turn++) {
		rtnl_routes_clear(routes);
		fib_mark(dp.fib);
		for (int i = 0; i < 1000 - turn; i++) {
			snprintf(prefix, sizeof(prefix), "10.3.%d.%d/32", i / 250, i % 250);
			tell_one(APPEND, prefix, ONE, "10.0.0.1");
		}
		fib_sweep(dp.fib);
		assert_int_equal(model_routes_count(), 1000 - turn);
		assert_int_equal(model_fib_changes, 1000 + turn);
		assert_int_equal(rtnl_routes_count(routes).followed, 1000 - turn);
	}
}

#define behaviour(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		behaviour(ipv4_equals_form_a_list_whose_first_counts),
		behaviour(a_message_told_twice_changes_nothing),
		behaviour(a_route_through_a_foreign_device_gives_way_to_ours),
		behaviour(a_foreign_route_is_unreachable_here),
		behaviour(a_dead_path_is_not_used),
		behaviour(ipv6_gateways_are_one_route),
		behaviour(ipv6_links_with_one_prefix_stay_apart),
		behaviour(too_many_ipv6_paths_are_refused),
		behaviour(the_local_table_goes_where_its_interface_is),
		behaviour(routes_without_a_device_are_followed),
		behaviour(what_cannot_be_followed_is_counted),
		behaviour(a_refused_type_of_service_leaves_its_neighbour_alone),
		behaviour(what_is_read_again_unchanged_leaves_the_fib_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
