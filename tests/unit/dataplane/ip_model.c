/* SPDX-License-Identifier: BSD-3-Clause */
#include "ip_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "fib_model.h"

const struct ip_model_iface ip_model_ifaces[IP_MODEL_IFACES] = {
	{"one", 254, 0}, {"two", 254, 0}, {"tenant", 100, 1}};

static json_t *
ip_json(const char *text)
{
	FILE *f = popen(text, "r");
	json_t *j;

	assert_non_null(f);
	j = json_loadf(f, 0, NULL);
	pclose(f);
	assert_true(json_is_array(j));
	return j;
}

static const char *
get(const json_t *o, const char *key, const char *otherwise)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s != NULL ? s : otherwise;
}

static bool
has_flag(const json_t *o, const char *flag)
{
	json_t *flags = json_object_get(o, "flags"), *f;
	size_t i;

	json_array_foreach(flags, i, f) if (strcmp(json_string_value(f), flag) == 0) return true;
	return false;
}

static int
iface_by_name(const char *name)
{
	for (int i = 0; i < IP_MODEL_IFACES; i++)
		if (strcmp(ip_model_ifaces[i].name, name) == 0)
			return i;
	return -1;
}

/* "10.0.0.1" and "default" with their length. */
static void
expected_prefix(const char *dst, bool v6, char *out, size_t room)
{
	if (strcmp(dst, "default") == 0)
		snprintf(out, room, "%s/0", v6 ? "::" : "0.0.0.0");
	else if (strchr(dst, '/') != NULL)
		snprintf(out, room, "%s", dst);
	else
		snprintf(out, room, "%s/%d", dst, v6 ? 128 : 32);
}

static size_t
expected_path(const json_t *o, const char *type, uint16_t vrf, bool local, char *out, size_t room)
{
	const json_t *via = json_object_get(o, "via");
	const char *gateway = via != NULL ? get(via, "host", NULL) : get(o, "gateway", NULL);
	int iface = iface_by_name(get(o, "dev", ""));
	long weight = json_integer_value(json_object_get(o, "weight"));
	int n;

	if (iface < 0 || has_flag(o, "dead") || (local && ip_model_ifaces[iface].vrf != vrf))
		return 0;
	n = snprintf(out, room, " %s%s%s iface %d", type, gateway != NULL ? " via " : "",
		     gateway != NULL ? gateway : "", iface);
	if (weight > 1)
		n += snprintf(out + n, room - (size_t)n, " weight %ld", weight);
	return (size_t)n;
}

static bool
foreign_path(const json_t *o)
{
	const char *dev = get(o, "dev", NULL);

	return dev != NULL && iface_by_name(dev) < 0 && !has_flag(o, "dead");
}

/* Whether a unicast route has a path by way of another device. */
static bool
foreign_route(const json_t *o)
{
	json_t *hops = json_object_get(o, "nexthops"), *hop;
	bool found = foreign_path(o);
	size_t i;

	if (strcmp(get(o, "type", "unicast"), "unicast") != 0)
		return false;
	json_array_foreach(hops, i, hop) found |= foreign_path(hop);
	return found;
}

/* Ours, or those of others: which count where there is none of ours. */
static void
expected_route(struct lines *l, const json_t *o, uint16_t vrf, bool v6, bool foreign)
{
	const char *type = get(o, "type", "unicast");
	const char *table = get(o, "table", "main");
	bool local = strcmp(table, "local") == 0;
	json_t *hops = json_object_get(o, "nexthops"), *hop;
	char prefix[80], paths[2048] = "", key[128];
	size_t i, n = 0;

	if (strcmp(type, "multicast") == 0 ||
	    (!local && strcmp(table, vrf == 0 ? "main" : "100") != 0))
		return;
	if (foreign && foreign_route(o) && !local)
		n = (size_t)snprintf(paths, sizeof(paths), " unreachable");
	else if (foreign)
		return;
	else if (hops == NULL)
		n = expected_path(o, type, vrf, local, paths, sizeof(paths));
	if (!foreign)
		json_array_foreach(hops, i, hop) n +=
			expected_path(hop, type, vrf, local, paths + n, sizeof(paths) - n);
	if (n == 0 && strcmp(type, "unicast") != 0 && strcmp(type, "broadcast") != 0 &&
	    iface_by_name(get(o, "dev", "")) < 0)
		snprintf(paths, sizeof(paths), " %s", type);
	if (paths[0] == '\0')
		return;
	expected_prefix(get(o, "dst", ""), v6, prefix, sizeof(prefix));
	snprintf(key, sizeof(key), "%u %s metric %lld", vrf, prefix,
		 (long long)json_integer_value(json_object_get(o, "metric")));
	/* Of several with one key, the kernel uses the first that it lists. */
	for (i = 0; i < l->count; i++)
		if (strncmp(l->line[i], key, strlen(key)) == 0 && l->line[i][strlen(key)] == ' ')
			return;
	lines_add(l, "%s%s", key, paths);
}

/* The search for equal keys is square: only for short lists. */
char *
ip_model_routes(void)
{
	struct lines l = {0};

	for (int v6 = 0; v6 < 2; v6++) {
		json_t *all = ip_json(v6 ? "ip -6 -j route show table all"
					 : "ip -4 -j route show table all");
		json_t *o;
		size_t i;

		for (int turn = 0; turn < 2 * 2; turn++)
			json_array_foreach(all, i, o)
				expected_route(&l, o, (uint16_t)(turn / 2), v6, turn % 2 != 0);
		json_decref(all);
	}
	return lines_sorted(&l);
}

char *
ip_model_neighbours(void)
{
	struct lines l = {0};
	json_t *all = ip_json("ip -j neigh show nud all"), *o;
	size_t i;

	json_array_foreach(all, i, o)
	{
		const char *mac = get(o, "lladdr", NULL);
		const char *state =
			json_string_value(json_array_get(json_object_get(o, "state"), 0));
		int iface = iface_by_name(get(o, "dev", ""));
		char upper[32];

		if (strncmp(get(o, "dst", ""), "ff", 2) == 0) /* multicast */
			continue;
		if (iface < 0 || mac == NULL || strcmp(state, "FAILED") == 0 ||
		    strcmp(state, "INCOMPLETE") == 0)
			continue;
		for (size_t k = 0; k <= strlen(mac); k++)
			upper[k] = mac[k] >= 'a' ? mac[k] - 'a' + 'A' : mac[k];
		lines_add(&l, "iface %d %s %s%s", iface, get(o, "dst", ""), upper,
			  strcmp(state, "STALE") == 0 ? " stale" : "");
	}
	json_decref(all);
	return lines_sorted(&l);
}
