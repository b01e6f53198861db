/* SPDX-License-Identifier: BSD-3-Clause */
/* The rtnetlink codec: messages as the kernel writes them, whole and cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

#include "dataplane/rtnl_msg.h"

static _Alignas(16) uint8_t buffer[4096];

static struct nlmsghdr *
message(uint16_t type, const void *fixed, size_t size)
{
	struct nlmsghdr *h;

	memset(buffer, 0, sizeof(buffer));
	h = mnl_nlmsg_put_header(buffer);
	h->nlmsg_type = type;
	memcpy(mnl_nlmsg_put_extra_header(h, size), fixed, size);
	return h;
}

static void
put_v4(struct nlmsghdr *h, uint16_t type, const char *text)
{
	mnl_attr_put_u32(h, type, inet_addr(text));
}

static void
put_v6(struct nlmsghdr *h, uint16_t type, const char *text)
{
	uint8_t addr[16];

	assert_int_equal(inet_pton(AF_INET6, text, addr), 1);
	mnl_attr_put(h, type, sizeof(addr), addr);
}

static void
expect_addr(const union ip_addr *have, const char *text)
{
	union ip_addr want = {0};

	inet_pton(strchr(text, ':') ? AF_INET6 : AF_INET, text, want.bytes);
	assert_memory_equal(have, &want, sizeof(want));
}

/* ---- links, addresses, neighbours ---- */

static void
a_link_is_up_with_carrier_only(void **state)
{
	struct ifinfomsg msg = {.ifi_index = 7, .ifi_flags = IFF_UP | IFF_LOWER_UP};
	struct rtnl_link link;

	assert_int_equal(rtnl_link_decode(message(RTM_NEWLINK, &msg, sizeof(msg)), &link), RTNL_OK);
	assert_int_equal(link.ifindex, 7);
	assert_true(link.up);
	assert_int_equal(rtnl_link_decode(message(RTM_DELLINK, &msg, sizeof(msg)), &link), RTNL_OK);
	assert_false(link.up);
	msg.ifi_flags = IFF_UP;
	rtnl_link_decode(message(RTM_NEWLINK, &msg, sizeof(msg)), &link);
	assert_false(link.up);
	msg.ifi_flags = IFF_LOWER_UP;
	rtnl_link_decode(message(RTM_NEWLINK, &msg, sizeof(msg)), &link);
	assert_false(link.up);
	msg.ifi_family = AF_BRIDGE;
	assert_int_equal(rtnl_link_decode(message(RTM_NEWLINK, &msg, sizeof(msg)), &link),
			 RTNL_SKIP);
}

static void
the_local_address_counts_not_the_peers(void **state)
{
	struct ifaddrmsg msg = {.ifa_family = AF_INET, .ifa_index = 7, .ifa_prefixlen = 32};
	struct nlmsghdr *h = message(RTM_NEWADDR, &msg, sizeof(msg));
	struct rtnl_addr addr;

	put_v4(h, IFA_LOCAL, "10.0.0.1");
	put_v4(h, IFA_ADDRESS, "10.0.0.2");
	assert_int_equal(rtnl_addr_decode(h, &addr), RTNL_OK);
	expect_addr(&addr.addr, "10.0.0.1");

	h = message(RTM_NEWADDR, &msg, sizeof(msg));
	put_v4(h, IFA_ADDRESS, "10.0.0.2");
	put_v4(h, IFA_LOCAL, "10.0.0.1");
	assert_int_equal(rtnl_addr_decode(h, &addr), RTNL_OK);
	expect_addr(&addr.addr, "10.0.0.1");
	assert_true(addr.usable);

	assert_int_equal(rtnl_addr_decode(message(RTM_NEWADDR, &msg, sizeof(msg)), &addr),
			 RTNL_BAD);
}

static void
a_tentative_address_is_not_usable(void **state)
{
	struct ifaddrmsg msg = {.ifa_family = AF_INET6, .ifa_index = 7, .ifa_scope = 253};
	struct nlmsghdr *h = message(RTM_NEWADDR, &msg, sizeof(msg));
	struct rtnl_addr addr;

	put_v6(h, IFA_ADDRESS, "fe80::1");
	mnl_attr_put_u32(h, IFA_FLAGS, IFA_F_TENTATIVE | IFA_F_PERMANENT);
	assert_int_equal(rtnl_addr_decode(h, &addr), RTNL_OK);
	expect_addr(&addr.addr, "fe80::1");
	assert_int_equal(addr.scope, 253);
	assert_false(addr.usable);
}

static void
neighbour_states(uint16_t state, bool valid, bool stale)
{
	struct ndmsg msg = {.ndm_family = AF_INET, .ndm_ifindex = 7, .ndm_state = state};
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 9};
	struct nlmsghdr *h = message(RTM_NEWNEIGH, &msg, sizeof(msg));
	struct rtnl_neigh neigh;

	put_v4(h, NDA_DST, "10.0.0.9");
	mnl_attr_put(h, NDA_LLADDR, sizeof(mac), mac);
	assert_int_equal(rtnl_neigh_decode(h, &neigh), RTNL_OK);
	assert_int_equal(neigh.valid, valid);
	assert_int_equal(neigh.stale, stale);
	expect_addr(&neigh.addr, "10.0.0.9");
	if (valid)
		assert_memory_equal(&neigh.mac, mac, sizeof(mac));
	h->nlmsg_type = RTM_DELNEIGH;
	assert_int_equal(rtnl_neigh_decode(h, &neigh), RTNL_OK);
	assert_false(neigh.valid);
}

static void
resolved_neighbours_are_valid(void **state)
{
	neighbour_states(NUD_REACHABLE, true, false);
	neighbour_states(NUD_STALE, true, true);
	neighbour_states(NUD_DELAY, true, false);
	neighbour_states(NUD_PROBE, true, false);
	neighbour_states(NUD_PERMANENT, true, false);
	neighbour_states(NUD_NOARP, true, false);
	neighbour_states(NUD_INCOMPLETE, false, false);
	neighbour_states(NUD_FAILED, false, false);
	neighbour_states(NUD_NONE, false, false);
}

static void
a_neighbour_without_an_ethernet_address_is_not_valid(void **state)
{
	struct ndmsg msg = {.ndm_family = AF_INET, .ndm_ifindex = 7, .ndm_state = NUD_REACHABLE};
	struct nlmsghdr *h = message(RTM_NEWNEIGH, &msg, sizeof(msg));
	struct rtnl_neigh neigh;

	put_v4(h, NDA_DST, "10.0.0.9");
	assert_int_equal(rtnl_neigh_decode(h, &neigh), RTNL_OK);
	assert_false(neigh.valid);
	mnl_attr_put_u32(h, NDA_LLADDR, 0);
	assert_int_equal(rtnl_neigh_decode(h, &neigh), RTNL_OK);
	assert_false(neigh.valid);
}

static void
multicast_and_proxies_are_no_neighbours(void **state)
{
	struct ndmsg msg = {.ndm_family = AF_INET6, .ndm_ifindex = 7, .ndm_state = NUD_NOARP};
	struct nlmsghdr *h = message(RTM_NEWNEIGH, &msg, sizeof(msg));
	struct rtnl_neigh neigh;

	put_v6(h, NDA_DST, "ff02::1");
	assert_int_equal(rtnl_neigh_decode(h, &neigh), RTNL_SKIP);
	msg.ndm_flags = NTF_PROXY;
	h = message(RTM_NEWNEIGH, &msg, sizeof(msg));
	put_v6(h, NDA_DST, "2001:db8::1");
	assert_int_equal(rtnl_neigh_decode(h, &neigh), RTNL_SKIP);
}

/* ---- routes ---- */

static struct nlmsghdr *
route_message(uint8_t type, uint8_t tos)
{
	struct rtmsg msg = {
		.rtm_family = AF_INET,
		.rtm_dst_len = 16,
		.rtm_tos = tos,
		.rtm_table = RT_TABLE_MAIN,
		.rtm_type = type,
	};
	struct nlmsghdr *h = message(RTM_NEWROUTE, &msg, sizeof(msg));

	put_v4(h, RTA_DST, "10.2.0.0");
	return h;
}

static void
a_gateway_route_is_read(void **state)
{
	struct nlmsghdr *h = route_message(RTN_UNICAST, 0);
	struct rtnl_route r;

	mnl_attr_put_u32(h, RTA_TABLE, 1000); /* beyond what rtm_table holds */
	mnl_attr_put_u32(h, RTA_PRIORITY, 20);
	mnl_attr_put_u32(h, RTA_OIF, 7);
	put_v4(h, RTA_GATEWAY, "10.0.0.9");
	h->nlmsg_flags = NLM_F_REPLACE;
	assert_int_equal(rtnl_route_decode(h, &r), RTNL_OK);
	assert_int_equal(r.key.table, 1000);
	assert_int_equal(r.key.metric, 20);
	assert_int_equal(r.key.prefix.len, 16);
	assert_int_equal(r.key.prefix.family, FAMILY_V4);
	expect_addr(&r.key.prefix.addr, "10.2.0.0");
	assert_int_equal(r.type, NEXTHOP_CONNECTED);
	assert_true(r.replace);
	assert_false(r.append);
	assert_null(r.refused);
	assert_int_equal(r.count, 1);
	assert_int_equal(r.paths[0].ifindex, 7);
	assert_int_equal(r.paths[0].weight, 1);
	assert_int_equal(r.paths[0].gateway_family, FAMILY_V4);
	expect_addr(&r.paths[0].gateway, "10.0.0.9");
}

static void
a_gateway_of_the_other_family_is_read(void **state)
{
	struct nlmsghdr *h = route_message(RTN_UNICAST, 0);
	struct {
		uint16_t family;
		uint8_t addr[16];
	} via = {.family = AF_INET6};
	struct rtnl_route r;

	inet_pton(AF_INET6, "fe80::9", via.addr);
	mnl_attr_put_u32(h, RTA_OIF, 7);
	mnl_attr_put(h, RTA_VIA, sizeof(via), &via);
	assert_int_equal(rtnl_route_decode(h, &r), RTNL_OK);
	assert_int_equal(r.paths[0].gateway_family, FAMILY_V6);
	expect_addr(&r.paths[0].gateway, "fe80::9");

	h = route_message(RTN_UNICAST, 0);
	mnl_attr_put(h, RTA_VIA, sizeof(via) - 1, &via);
	assert_int_equal(rtnl_route_decode(h, &r), RTNL_BAD);
}

/* A path of a multipath route, with its gateway. */
static void
put_hop(struct nlmsghdr *h, int ifindex, uint8_t hops, uint8_t flags, const char *gateway)
{
	struct rtnexthop *hop = mnl_nlmsg_get_payload_tail(h);
	struct nlattr *attr = (void *)(hop + 1);

	*hop = (struct rtnexthop){.rtnh_len = sizeof(*hop) + MNL_ATTR_HDRLEN + 4,
				  .rtnh_flags = flags,
				  .rtnh_hops = hops,
				  .rtnh_ifindex = ifindex};
	attr->nla_len = MNL_ATTR_HDRLEN + 4;
	attr->nla_type = RTA_GATEWAY;
	*(uint32_t *)(attr + 1) = inet_addr(gateway);
	h->nlmsg_len += hop->rtnh_len;
}

static struct nlmsghdr *
multipath_message(unsigned int paths)
{
	struct nlmsghdr *h = route_message(RTN_UNICAST, 0);
	struct nlattr *nest = mnl_attr_nest_start(h, RTA_MULTIPATH);

	for (unsigned int i = 0; i < paths; i++)
		put_hop(h, 7 + (int)i, (uint8_t)i, i == 1 ? RTNH_F_DEAD : 0, "10.0.0.9");
	mnl_attr_nest_end(h, nest);
	return h;
}

static void
a_multipath_route_is_read(void **state)
{
	struct rtnl_route r;

	assert_int_equal(rtnl_route_decode(multipath_message(FIB_PATHS_MAX), &r), RTNL_OK);
	assert_int_equal(r.count, FIB_PATHS_MAX);
	assert_null(r.refused);
	for (int i = 0; i < FIB_PATHS_MAX; i++) {
		assert_int_equal(r.paths[i].ifindex, 7 + i);
		assert_int_equal(r.paths[i].weight, i + 1);
		assert_int_equal(r.paths[i].dead, i == 1);
		expect_addr(&r.paths[i].gateway, "10.0.0.9");
	}
	assert_int_equal(rtnl_route_decode(multipath_message(FIB_PATHS_MAX + 1), &r), RTNL_OK);
	assert_non_null(r.refused);
}

static void
what_the_fib_cannot_do_is_refused(void **state)
{
	struct rtnl_route r;
	struct nlmsghdr *h;

	assert_int_equal(rtnl_route_decode(route_message(RTN_UNICAST, 0x10), &r), RTNL_OK);
	assert_non_null(r.refused);
	assert_int_equal(rtnl_route_decode(route_message(RTN_THROW, 0), &r), RTNL_OK);
	assert_non_null(r.refused);
	h = route_message(RTN_UNICAST, 0);
	mnl_attr_put_u32(h, RTA_OIF, 7);
	mnl_attr_put_u32(h, RTA_ENCAP, 0);
	assert_int_equal(rtnl_route_decode(h, &r), RTNL_OK);
	assert_non_null(r.refused);
}

static void
every_type_has_its_fate(void **state)
{
	static const struct {
		uint8_t rtn, type;
	} types[] = {
		{RTN_LOCAL, NEXTHOP_LOCAL},         {RTN_ANYCAST, NEXTHOP_LOCAL},
		{RTN_BROADCAST, NEXTHOP_BROADCAST}, {RTN_BLACKHOLE, NEXTHOP_BLACKHOLE},
		{RTN_PROHIBIT, NEXTHOP_PROHIBIT},   {RTN_UNREACHABLE, NEXTHOP_UNREACHABLE},
	};
	struct rtnl_route r;

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		assert_int_equal(rtnl_route_decode(route_message(types[i].rtn, 0), &r), RTNL_OK);
		assert_int_equal(r.type, types[i].type);
		assert_null(r.refused);
	}
	assert_int_equal(rtnl_route_decode(route_message(RTN_MULTICAST, 0), &r), RTNL_SKIP);
}

static void
impossible_lengths_are_bad(void **state)
{
	struct rtmsg msg = {.rtm_family = AF_INET, .rtm_dst_len = 33, .rtm_type = RTN_UNICAST};
	struct nlmsghdr *h = message(RTM_NEWROUTE, &msg, sizeof(msg));
	struct rtnl_route r;

	assert_int_equal(rtnl_route_decode(h, &r), RTNL_BAD);
	msg.rtm_dst_len = 32;
	h = message(RTM_NEWROUTE, &msg, sizeof(msg));
	put_v6(h, RTA_DST, "2001:db8::");
	assert_int_equal(rtnl_route_decode(h, &r), RTNL_BAD);
}

/* ---- hostile input: any cut and any byte changed is read within its bounds ---- */

static void
decode_any(const struct nlmsghdr *h)
{
	struct rtnl_route route;
	struct rtnl_neigh neigh;
	struct rtnl_addr addr;
	struct rtnl_link link;

	if (rtnl_route_decode(h, &route) == RTNL_OK)
		assert_true(route.count <= FIB_PATHS_MAX);
	rtnl_neigh_decode(h, &neigh);
	rtnl_addr_decode(h, &addr);
	rtnl_link_decode(h, &link);
}

static void
a_cut_or_changed_message_is_read_within_its_bounds(void **state)
{
	size_t len = multipath_message(4)->nlmsg_len;

	for (size_t cut = sizeof(struct nlmsghdr); cut <= len; cut++) {
		for (size_t at = sizeof(struct nlmsghdr); at < cut; at++) {
			uint8_t *copy =
				malloc(cut); /* exact, so that a sanitizer sees over-reads */

			memcpy(copy, buffer, cut);
			((struct nlmsghdr *)copy)->nlmsg_len = (uint32_t)cut;
			decode_any((struct nlmsghdr *)copy);
			copy[at] ^= 0xff;
			decode_any((struct nlmsghdr *)copy);
			copy[at] = 1;
			decode_any((struct nlmsghdr *)copy);
			free(copy);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_link_is_up_with_carrier_only),
		cmocka_unit_test(the_local_address_counts_not_the_peers),
		cmocka_unit_test(a_tentative_address_is_not_usable),
		cmocka_unit_test(resolved_neighbours_are_valid),
		cmocka_unit_test(a_neighbour_without_an_ethernet_address_is_not_valid),
		cmocka_unit_test(multicast_and_proxies_are_no_neighbours),
		cmocka_unit_test(a_gateway_route_is_read),
		cmocka_unit_test(a_gateway_of_the_other_family_is_read),
		cmocka_unit_test(a_multipath_route_is_read),
		cmocka_unit_test(what_the_fib_cannot_do_is_refused),
		cmocka_unit_test(every_type_has_its_fate),
		cmocka_unit_test(impossible_lengths_are_bad),
		cmocka_unit_test(a_cut_or_changed_message_is_read_within_its_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
