/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Decoding rtnetlink messages. Lengths are checked before every read: a message that is cut is
 * refused as a whole.
 */
#include "rtnl_msg.h"

#include <string.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

static uint8_t
family_of(uint8_t af)
{
	return af == AF_INET ? FAMILY_V4 : af == AF_INET6 ? FAMILY_V6 : 0;
}

static size_t
addr_len(uint8_t family)
{
	return family == FAMILY_V4 ? 4 : 16;
}

static bool
get_u32(const struct nlattr *attr, uint32_t *value)
{
	if (mnl_attr_get_payload_len(attr) < sizeof(*value))
		return false;
	*value = mnl_attr_get_u32(attr);
	return true;
}

static bool
get_addr(const struct nlattr *attr, uint8_t family, union ip_addr *addr)
{
	if (mnl_attr_get_payload_len(attr) != addr_len(family))
		return false;
	*addr = (union ip_addr){0};
	memcpy(addr->bytes, mnl_attr_get_payload(attr), addr_len(family));
	return true;
}

/*
 * The fixed part of a message, or NULL where it is cut. The kernel pads its last attribute as well,
 * and libmnl's iterator reads on the assumption that this is so.
 */
static const void *
fixed_part(const struct nlmsghdr *h, size_t size)
{
	bool whole = mnl_nlmsg_get_payload_len(h) >= size && h->nlmsg_len % MNL_ALIGNTO == 0;

	return whole ? mnl_nlmsg_get_payload(h) : NULL;
}

/* ---- links ---- */

enum rtnl_verdict
rtnl_link_decode(const struct nlmsghdr *h, struct rtnl_link *link)
{
	const struct ifinfomsg *msg = fixed_part(h, sizeof(*msg));

	if (msg == NULL)
		return RTNL_BAD;
	if (msg->ifi_family != AF_UNSPEC) /* a bridge's view of its ports */
		return RTNL_SKIP;
	link->ifindex = msg->ifi_index;
	link->up = h->nlmsg_type == RTM_NEWLINK && (msg->ifi_flags & IFF_UP) != 0 &&
		   (msg->ifi_flags & IFF_LOWER_UP) != 0;
	return RTNL_OK;
}

/* ---- addresses ---- */

enum rtnl_verdict
rtnl_addr_decode(const struct nlmsghdr *h, struct rtnl_addr *addr)
{
	const struct ifaddrmsg *msg = fixed_part(h, sizeof(*msg));
	const struct nlattr *attr;
	bool found = false, local = false;
	uint32_t flags;

	if (msg == NULL)
		return RTNL_BAD;
	*addr = (struct rtnl_addr){
		.ifindex = (int)msg->ifa_index,
		.family = family_of(msg->ifa_family),
		.scope = msg->ifa_scope,
	};
	if (addr->family == 0)
		return RTNL_SKIP;
	flags = msg->ifa_flags;
	mnl_attr_for_each(attr, h, sizeof(*msg))
	{
		switch (mnl_attr_get_type(attr)) {
		case IFA_LOCAL: /* where there is one, IFA_ADDRESS is the peer's */
			if (!get_addr(attr, addr->family, &addr->addr))
				return RTNL_BAD;
			found = local = true;
			break;
		case IFA_ADDRESS:
			if (!local && !get_addr(attr, addr->family, &addr->addr))
				return RTNL_BAD;
			found = true;
			break;
		case IFA_FLAGS:
			if (!get_u32(attr, &flags))
				return RTNL_BAD;
			break;
		}
	}
	addr->usable = (flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)) == 0 ||
		       (flags & IFA_F_OPTIMISTIC) != 0;
	return found ? RTNL_OK : RTNL_BAD;
}

/* ---- neighbours ---- */

#define NUD_USABLE (NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_NOARP | NUD_PERMANENT)

/* The kernel makes entries for them without a message; nobody is a neighbour by such an address. */
static bool
is_multicast(uint8_t family, const union ip_addr *addr)
{
	return family == FAMILY_V4 ? (addr->bytes[0] & 0xf0) == 0xe0 : addr->bytes[0] == 0xff;
}

enum rtnl_verdict
rtnl_neigh_decode(const struct nlmsghdr *h, struct rtnl_neigh *neigh)
{
	const struct ndmsg *msg = fixed_part(h, sizeof(*msg));
	const struct nlattr *attr;
	bool found = false, mac = false;

	if (msg == NULL)
		return RTNL_BAD;
	*neigh = (struct rtnl_neigh){
		.ifindex = msg->ndm_ifindex,
		.family = family_of(msg->ndm_family),
	};
	if (neigh->family == 0 || (msg->ndm_flags & NTF_PROXY) != 0)
		return RTNL_SKIP;
	mnl_attr_for_each(attr, h, sizeof(*msg))
	{
		switch (mnl_attr_get_type(attr)) {
		case NDA_DST:
			if (!get_addr(attr, neigh->family, &neigh->addr))
				return RTNL_BAD;
			found = true;
			break;
		case NDA_LLADDR:
			mac = mnl_attr_get_payload_len(attr) == sizeof(neigh->mac);
			if (mac)
				memcpy(&neigh->mac, mnl_attr_get_payload(attr), sizeof(neigh->mac));
			break;
		}
	}
	if (found && is_multicast(neigh->family, &neigh->addr))
		return RTNL_SKIP;
	neigh->valid = h->nlmsg_type == RTM_NEWNEIGH && mac && (msg->ndm_state & NUD_USABLE) != 0;
	neigh->stale = neigh->valid && (msg->ndm_state & NUD_STALE) != 0;
	return found ? RTNL_OK : RTNL_BAD;
}

/* ---- routes ---- */

static enum rtnl_verdict
route_type(const struct rtmsg *msg, struct rtnl_route *route)
{
	switch (msg->rtm_type) {
	case RTN_UNICAST:
		route->type = NEXTHOP_CONNECTED;
		return RTNL_OK;
	case RTN_LOCAL:
	case RTN_ANYCAST: /* an address of the host as well, if not its alone */
		route->type = NEXTHOP_LOCAL;
		return RTNL_OK;
	case RTN_BROADCAST:
		route->type = NEXTHOP_BROADCAST;
		return RTNL_OK;
	case RTN_BLACKHOLE:
		route->type = NEXTHOP_BLACKHOLE;
		return RTNL_OK;
	case RTN_UNREACHABLE:
		route->type = NEXTHOP_UNREACHABLE;
		return RTNL_OK;
	case RTN_PROHIBIT:
		route->type = NEXTHOP_PROHIBIT;
		return RTNL_OK;
	case RTN_MULTICAST:
		return RTNL_SKIP;
	default:
		route->type = NEXTHOP_NONE;
		route->refused = "route type";
		return RTNL_OK;
	}
}

static bool
path_via(const struct nlattr *attr, struct rtnl_path *path)
{
	const struct rtvia *via = mnl_attr_get_payload(attr);
	size_t len = mnl_attr_get_payload_len(attr);

	if (len < sizeof(*via))
		return false;
	path->gateway_family = family_of((uint8_t)via->rtvia_family);
	if (path->gateway_family == 0 || len != sizeof(*via) + addr_len(path->gateway_family))
		return false;
	path->gateway = (union ip_addr){0};
	memcpy(path->gateway.bytes, via->rtvia_addr, addr_len(path->gateway_family));
	return true;
}

/* An attribute that a route has for its only path, and each path of several for itself. */
static bool
path_attr(struct rtnl_route *route, struct rtnl_path *path, const struct nlattr *attr)
{
	switch (mnl_attr_get_type(attr)) {
	case RTA_GATEWAY:
		path->gateway_family = route->key.prefix.family;
		return get_addr(attr, path->gateway_family, &path->gateway);
	case RTA_VIA:
		return path_via(attr, path);
	case RTA_ENCAP:
		route->refused = "encapsulation (lightweight tunnel)";
		return true;
	}
	return true;
}

static bool
multipath(struct rtnl_route *route, const struct nlattr *attr)
{
	const struct rtnexthop *hop = mnl_attr_get_payload(attr);
	int left = mnl_attr_get_payload_len(attr);

	route->count = 0;
	while (left >= (int)sizeof(*hop)) {
		const struct nlattr *part = (const void *)(hop + 1);
		struct rtnl_path *path;

		if (hop->rtnh_len < sizeof(*hop) || hop->rtnh_len > left)
			return false;
		if (route->count == FIB_PATHS_MAX) {
			route->refused = "more paths than a route may have";
			return true;
		}
		path = &route->paths[route->count++];
		*path = (struct rtnl_path){
			.ifindex = hop->rtnh_ifindex,
			.weight = hop->rtnh_hops + 1,
			.dead = (hop->rtnh_flags & RTNH_F_DEAD) != 0,
		};
		while (mnl_attr_ok(part, (const char *)hop + hop->rtnh_len - (const char *)part)) {
			if (!path_attr(route, path, part))
				return false;
			part = mnl_attr_next(part);
		}
		left -= RTNH_ALIGN(hop->rtnh_len);
		hop = RTNH_NEXT(hop);
	}
	return true;
}

static bool
route_attr(struct rtnl_route *route, struct rtnl_path *single, const struct nlattr *attr)
{
	struct rtnl_route_key *key = &route->key;
	uint32_t ifindex;

	switch (mnl_attr_get_type(attr)) {
	case RTA_DST:
		return get_addr(attr, key->prefix.family, &key->prefix.addr);
	case RTA_TABLE:
		return get_u32(attr, &key->table);
	case RTA_PRIORITY:
		return get_u32(attr, &key->metric);
	case RTA_OIF:
		if (!get_u32(attr, &ifindex))
			return false;
		single->ifindex = (int)ifindex;
		return true;
	case RTA_MULTIPATH:
		return multipath(route, attr);
	default:
		return path_attr(route, single, attr);
	}
}

/* What the kernel routes by and the FIB does not. */
static void
refuse_unknown(struct rtnl_route *route)
{
	if (route->key.tos != 0)
		route->refused = "type of service";
	else if (route->key.src_len != 0)
		route->refused = "source prefix";
}

enum rtnl_verdict
rtnl_route_decode(const struct nlmsghdr *h, struct rtnl_route *route)
{
	const struct rtmsg *msg = fixed_part(h, sizeof(*msg));
	struct rtnl_path single = {.weight = 1};
	const struct nlattr *attr;

	if (msg == NULL)
		return RTNL_BAD;
	*route = (struct rtnl_route){
		.key = {.table = msg->rtm_table, .tos = msg->rtm_tos, .src_len = msg->rtm_src_len},
		.append = (h->nlmsg_flags & NLM_F_APPEND) != 0,
		.replace = (h->nlmsg_flags & NLM_F_REPLACE) != 0,
	};
	route->key.prefix.family = family_of(msg->rtm_family);
	route->key.prefix.len = msg->rtm_dst_len;
	if (route->key.prefix.family == 0 || (msg->rtm_flags & RTM_F_CLONED) != 0)
		return RTNL_SKIP;
	if (msg->rtm_dst_len > 8 * addr_len(route->key.prefix.family))
		return RTNL_BAD;
	if (route_type(msg, route) != RTNL_OK)
		return RTNL_SKIP;

	single.dead = (msg->rtm_flags & RTNH_F_DEAD) != 0;
	mnl_attr_for_each(attr, h,
			  sizeof(*msg)) if (!route_attr(route, &single, attr)) return RTNL_BAD;
	/* A nexthop object's paths come along unless net.ipv4.nexthop_compat_mode is off. */
	if (route->count == 0 && single.ifindex != 0)
		route->paths[route->count++] = single;
	refuse_unknown(route);
	return RTNL_OK;
}

/* ---- requests ---- */

/* Every dump request begins with its fixed struct, all zero but for the family. */
static size_t
dump_size(uint16_t type)
{
	switch (type) {
	case RTM_GETLINK:
		return sizeof(struct ifinfomsg);
	case RTM_GETADDR:
		return sizeof(struct ifaddrmsg);
	case RTM_GETNEIGH:
		return sizeof(struct ndmsg);
	default:
		return sizeof(struct rtmsg);
	}
}

struct nlmsghdr *
rtnl_dump_request(void *buf, uint16_t type, uint8_t family, uint32_t seq)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	struct rtgenmsg *msg;

	h->nlmsg_type = type;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	h->nlmsg_seq = seq;
	msg = mnl_nlmsg_put_extra_header(h, dump_size(type));
	msg->rtgen_family = family == FAMILY_V4   ? AF_INET
			    : family == FAMILY_V6 ? AF_INET6
						  : AF_UNSPEC;
	return h;
}

struct nlmsghdr *
rtnl_use_request(void *buf, int ifindex, uint8_t family, const union ip_addr *addr)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	struct ndmsg *msg;

	h->nlmsg_type = RTM_NEWNEIGH;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE;
	msg = mnl_nlmsg_put_extra_header(h, sizeof(*msg));
	msg->ndm_family = family == FAMILY_V4 ? AF_INET : AF_INET6;
	msg->ndm_ifindex = ifindex;
	msg->ndm_flags = NTF_USE;
	mnl_attr_put(h, NDA_DST, addr_len(family), addr->bytes);
	return h;
}
