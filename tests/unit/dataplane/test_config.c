/* SPDX-License-Identifier: BSD-3-Clause */
/* The configuration: what a file means, and the exact words with which a bad one is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "dataplane/config.h"
#include "dataplane/fib.h"

#define PORT "ports:\n- {name: lan, device: net_null0, side: protected}\n"

/* Loads `text` as a file "f" and gives back what was written about it. Free both. */
static struct config *
load(const char *text, char **errors)
{
	char dir[] = "/tmp/sealane-config-XXXXXX";
	struct config *config;
	FILE *file, *out;
	size_t len;

	assert_non_null(mkdtemp(dir));
	assert_int_equal(chdir(dir), 0);
	file = fopen("f", "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	out = open_memstream(errors, &len);
	config = config_load("f", out);
	fclose(out);
	unlink("f");
	assert_int_equal(chdir("/"), 0);
	rmdir(dir);
	return config;
}

static const struct bad {
	const char *text, *errors;
} bad_files[] = {
	/* syntax */
	{"", "f:1: the file is empty, expected at least \"ports\"\n"},
	{"ports: [\n", "f:2: bad YAML: while parsing a flow node: did not find expected node "
		       "content, expected \"key: value\" lines\n"},
	{PORT "\tsad: 1\n",
	 "f:3: bad YAML: while scanning for the next token: found character that "
	 "cannot start any token, expected \"key: value\" lines\n"},
	{PORT "---\nsad: {}\n", "f:1: a second document, expected one\n"},
	/* schema: every error of a file, with its line */
	{"[a]\n", "f:1: a list, expected a mapping of keys\n"},
	{"sad: {max_sas: 1}\n", "f:1: missing key \"ports\"\n"},
	{PORT "sads: {}\nspd:\n  max: 1\n",
	 "f:3: sads: unknown key, expected one of: workers, ports, routes, neighbours, sad, spd, "
	 "tunnels, "
	 "reassembly, host, crypto, sockets, log\n"
	 "f:5: spd.max: unknown key, expected one of: max_policies, no_match, fragments, errors\n"},
	{PORT "sad:\n  max_sas: 1\nsad:\n  max_sas: 2\n",
	 "f:5: sad: key given twice, expected once\n"},
	{PORT "sad:\n", "f:3: sad: nothing, expected a mapping of keys\n"},
	{PORT "sad: 7\n", "f:3: sad: a plain value, expected a mapping of keys\n"},
	{PORT "routes: {prefix: x}\n", "f:3: routes: a mapping, expected a list\n"},
	{PORT "crypto: {backend: [a]}\n", "f:3: crypto.backend: a list, expected a word\n"},
	{"ports:\n- name: lan\n  side: inside\n  mtu: 70000\n",
	 "f:3: ports[0].side: bad value \"inside\", expected one of: protected, unprotected\n"
	 "f:4: ports[0].mtu: bad value \"70000\", expected a number from 576 to 9216\n"
	 "f:2: ports[0]: missing key \"device\"\n"},
	{PORT "sad: {max_sas: 0, replay_window: -1}\n",
	 "f:3: sad.max_sas: bad value \"0\", expected a number from 1 to 16777216\n"
	 "f:3: sad.replay_window: bad value \"-1\", expected a number from 32 to 65536\n"},
	{PORT "workers: {polling: lazy, cores: [x]}\n",
	 "f:3: workers.polling: bad value \"lazy\", expected one of: adaptive, busy\n"
	 "f:3: workers.cores[0]: bad value \"x\", expected a number from 0 to 65535\n"},
	{"ports:\n- {name: a, device: d, side: protected, vlans: [{name: b, side: protected, "
	 "id: 4095}]}\n",
	 "f:2: ports[0].vlans[0].id: bad value \"4095\", expected a number from 1 to 4094\n"},
	/* sense */
	{"ports: []\n", "f:1: ports: no ports, expected at least one\n"},
	{"ports:\n"
	 "- {name: wan, device: net_null0, side: protected}\n"
	 "- {name: wan, device: net_null1, side: unprotected}\n",
	 "f:3: ports[1].name: duplicate \"wan\", expected a name of its own (ports[0] has it)\n"},
	{"ports:\n"
	 "- {name: a, device: \"net_null0,x=1\", side: protected, host_interface: tap}\n"
	 "- {name: b, device: \"net_null0,x=2\", side: unprotected, host_interface: tap}\n",
	 "f:3: ports[1].device: duplicate \"net_null0\", expected a device of its own (number it: "
	 "net_af_packet0, net_af_packet1)\n"
	 "f:3: ports[1].host_interface: duplicate \"tap\", expected a name of its own (ports[0] "
	 "has "
	 "it)\n"},
	{"ports:\n- name: abcdefghijklmnop\n  device: d\n  side: protected\n",
	 "f:2: ports[0].host_interface: bad name \"abcdefghijklmnop\", expected at most 15 bytes "
	 "without space, '/', ':' or '%'\n"},
	{"ports:\n- name: a\n  device: d\n  side: protected\n  host_interface: a/b\n",
	 "f:5: ports[0].host_interface: bad name \"a/b\", expected at most 15 bytes without space, "
	 "'/', ':' or '%'\n"},
	{"ports:\n- name: abcdefghijklmnopabcdefghijklmnop\n  device: d\n  side: protected\n"
	 "  host_interface: h\n",
	 "f:2: ports[0].name: \"abcdefghijklmnopabcdefghijklmnop\" is too long, expected at most "
	 "31 "
	 "bytes\n"},
	{"ports:\n"
	 "- name: a\n"
	 "  device: d\n"
	 "  side: protected\n"
	 "  vlans:\n"
	 "  - {name: v1, id: 7, side: protected, mtu: 9000}\n"
	 "  - {name: a, id: 7, side: protected}\n",
	 "f:7: ports[0].vlans[1].name: duplicate \"a\", expected a name of its own (ports[0] has "
	 "it)\n"
	 "f:6: ports[0].vlans[0].mtu: 9000 is more than the port's, expected at most 1500\n"
	 "f:7: ports[0].vlans[1].id: duplicate 7, expected an id of its own\n"},
	{PORT "routes:\n"
	      "- {prefix: 10.0.0.0/33, port: lan}\n"
	      "- {prefix: 10.0.0.1/8, port: lan}\n"
	      "- {prefix: \"2001:db8::1/129\", port: lan}\n"
	      "- {prefix: 10.0.0.0, port: lan}\n"
	      "- {prefix: 10.0.0.0/8, port: wan}\n"
	      "- {prefix: 10.0.0.0/8, via: 10.1, port: lan}\n"
	      "- {prefix: 10.0.0.0/8, via: 10.0.0.1}\n",
	 "f:4: routes[0].prefix: bad prefix \"10.0.0.0/33\", expected ADDRESS/0-32\n"
	 "f:5: routes[1].prefix: bad prefix \"10.0.0.1/8\", expected 10.0.0.0/8 (no host bits)\n"
	 "f:6: routes[2].prefix: bad prefix \"2001:db8::1/129\", expected ADDRESS/0-128\n"
	 "f:7: routes[3].prefix: bad prefix \"10.0.0.0\", expected ADDRESS/0-32\n"
	 "f:8: routes[4].port: unknown port \"wan\", expected the name of a port or vlan\n"
	 "f:9: routes[5].via: bad address \"10.1\", expected an IPv4 or IPv6 address\n"
	 "f:10: routes[6].port: missing beside \"via\", expected the name of a port or vlan\n"},
	{PORT "neighbours:\n"
	      "- {address: \"::g\", mac: 01:00:00:00:00:01, port: wan}\n"
	      "- {address: 10.0.0.1, mac: 02:00:00:00:01, port: lan}\n",
	 "f:4: neighbours[0].address: bad address \"::g\", expected an IPv4 or IPv6 address\n"
	 "f:4: neighbours[0].mac: bad MAC address \"01:00:00:00:00:01\", expected a unicast one "
	 "such "
	 "as 02:00:00:00:00:01\n"
	 "f:4: neighbours[0].port: unknown port \"wan\", expected the name of a port or vlan\n"
	 "f:5: neighbours[1].mac: bad MAC address \"02:00:00:00:01\", expected a unicast one such "
	 "as "
	 "02:00:00:00:00:01\n"},
	{PORT "workers: {cores: [0, 0, 60000]}\n",
	 "f:3: workers.cores[1]: duplicate 0, expected one worker a CPU\n"
	 "f:3: workers.cores[2]: no such CPU: 60000, expected one that this process may run on\n"},
	{PORT "crypto: {backend: rot13}\n",
	 "f:3: crypto.backend: unknown backend \"rot13\", expected ipsec-mb or openssl\n"},
	{PORT "crypto:\n  legacy:\n  - sha1\n  - md5\n",
	 "f:6: crypto.legacy[1]: no legacy algorithm: \"md5\", expected sha1\n"},
	{PORT "crypto: {legacy: sha1}\n", "f:3: crypto.legacy: a plain value, expected a list\n"},
	{PORT "sockets:\n  xfrm: run.sock\n  group: no such group\n",
	 "f:4: sockets.xfrm: bad path \"run.sock\", expected an absolute one of at most 107 bytes\n"
	 "f:5: sockets.group: no such group: \"no such group\", expected one of this system\n"},
	{PORT "sockets: {xfrm: /a, show: /a}\n",
	 "f:3: sockets.show: the same as sockets.xfrm, expected another\n"},
	{PORT "log: {level: loud, target: file}\n",
	 "f:3: log.level: unknown level \"loud\", expected one of: error, warning, notice, info, "
	 "debug\n"
	 "f:3: log.target: bad target \"file\", expected stderr, syslog or an absolute path\n"},
};

static void
bad_file_is_refused_in_these_words(void **state)
{
	size_t i;

	for (i = 0; i < sizeof(bad_files) / sizeof(bad_files[0]); i++) {
		char *errors;

		assert_null(load(bad_files[i].text, &errors));
		assert_string_equal(errors, bad_files[i].errors);
		free(errors);
	}
}

static void
missing_file_is_named(void **state)
{
	char *errors;
	size_t len;
	FILE *out = open_memstream(&errors, &len);

	assert_null(config_load("/nowhere/f", out));
	fclose(out);
	assert_string_equal(errors, "/nowhere/f: No such file or directory\n");
	free(errors);
}

static void
small_file_gets_every_default(void **state)
{
	struct config *c;
	char *errors;

	c = load(PORT, &errors);
	assert_string_equal(errors, "");
	assert_non_null(c);
	assert_int_equal(c->workers.cores_count, 1);
	assert_int_equal(c->workers.polling, POLLING_ADAPTIVE);
	assert_int_equal(c->workers.spread, SPREAD_OFF);
	assert_int_equal(c->ports_count, 1);
	assert_string_equal(c->ports[0].name, "lan");
	assert_string_equal(c->ports[0].host_interface, "lan");
	assert_int_equal(c->ports[0].mtu, 1500);
	assert_int_equal(c->ports[0].table, 254);
	assert_int_equal(c->ports[0].tenant, 0);
	assert_int_equal(c->sad.max_sas, 16384);
	assert_int_equal(c->sad.replay_window, 992);
	assert_int_equal(c->sad.orphan_grace, 300);
	assert_int_equal(c->spd.max_policies, 16384);
	assert_int_equal(c->spd.no_match, NO_MATCH_DISCARD);
	assert_int_equal(c->tunnels.df, DF_COPY);
	assert_int_equal(c->tunnels.fragment, FRAGMENT_BEFORE);
	assert_int_equal(c->tunnels.too_big, TOO_BIG_ACCEPT);
	assert_int_equal(c->tunnels.path_mtu_age, 600);
	assert_int_equal(c->tunnels.ecn_anomalies, ECN_LOG);
	assert_int_equal(c->tunnels.mss_clamp, MSS_KEEP);
	assert_int_equal(c->tunnels.dummy_rate, 0);
	assert_int_equal(c->spd.errors, ERRORS_ANSWER);
	assert_int_equal(c->reassembly.max_sets, 256);
	assert_int_equal(c->reassembly.max_bytes, 2u << 20);
	assert_int_equal(c->reassembly.timeout, 5);
	assert_int_equal(c->spd.fragments, FRAGMENTS_PASS);
	assert_int_equal(c->host.punt_rate, 10000);
	assert_string_equal(c->crypto.backend, "ipsec-mb");
	assert_int_equal(c->crypto.legacy_count, 0);
	assert_string_equal(c->sockets.xfrm, "/run/sealane/xfrm.sock");
	assert_string_equal(c->sockets.show, "/run/sealane/show.sock");
	assert_null(c->sockets.group);
	assert_string_equal(c->log.level, "notice");
	assert_string_equal(c->log.target, "stderr");
	config_free(c);
	free(errors);
}

static void
assert_sad(const struct config_sad *sad)
{
	assert_int_equal(sad->max_sas, 10);
	assert_int_equal(sad->replay_window, 64);
	assert_int_equal(sad->orphan_grace, 9);
}

static void
every_key_arrives(void **state)
{
	struct config *c;
	char *errors;

	c = load(
		"workers: {cores: [0], polling: busy, spread: auto}\n"
		"ports:\n"
		"- name: wan\n"
		"  device: net_af_packet0,iface=veth0\n"
		"  side: unprotected\n"
		"  mtu: 9000\n"
		"  host_interface: tap0\n"
		"  tenant: 5\n  table: 100\n"
		"  vlans:\n"
		"  - {name: v7, id: 7, side: protected, mtu: 1400, host_interface: tap7, tenant: 6,"
		" table: 101}\n"
		"  - {name: v8, id: 8, side: unprotected}\n"
		"routes:\n"
		"- {prefix: 10.2.0.0/16, via: 10.1.0.1, port: wan}\n"
		"- {prefix: \"::/0\", table: 100}\n"
		"neighbours:\n"
		"- {address: 10.1.0.1, mac: \"02:00:00:00:00:01\", port: v7}\n"
		"sad: {max_sas: 10, replay_window: 64, orphan_grace: 9}\n"
		"spd: {max_policies: 20, no_match: bypass, fragments: discard, errors: silent}\n"
		"host: {punt_rate: 77}\n"
		"tunnels: {df: clear, fragment: after, too_big: ignore, path_mtu_age: 60, "
		"ecn_anomalies: silent, mss_clamp: on, dummy_rate: 9}\n"
		"reassembly: {max_sets: 30, max_bytes: 300000, timeout: 40}\n"
		"crypto: {backend: openssl, legacy: [sha1]}\n"
		"sockets: {xfrm: /a, show: /b, group: root}\n"
		"log: {level: debug, target: /var/log/sealane}\n",
		&errors);
	assert_string_equal(errors, "");
	assert_non_null(c);
	assert_int_equal(c->workers.polling, POLLING_BUSY);
	assert_int_equal(c->workers.spread, SPREAD_AUTO);
	assert_string_equal(c->ports[0].device, "net_af_packet0,iface=veth0");
	assert_int_equal(c->ports[0].side, SIDE_UNPROTECTED);
	assert_int_equal(c->ports[0].mtu, 9000);
	assert_string_equal(c->ports[0].host_interface, "tap0");
	assert_int_equal(c->ports[0].tenant, 5);
	assert_int_equal(c->ports[0].table, 100);
	assert_int_equal(c->ports[0].vlans_count, 2);
	assert_int_equal(c->ports[0].vlans[0].id, 7);
	assert_int_equal(c->ports[0].vlans[0].side, SIDE_PROTECTED);
	assert_int_equal(c->ports[0].vlans[0].mtu, 1400);
	assert_int_equal(c->ports[0].vlans[0].tenant, 6);
	assert_int_equal(c->ports[0].vlans[0].table, 101);
	assert_int_equal(c->ports[0].vlans[1].mtu, 9000);
	assert_int_equal(c->ports[0].vlans[1].table, 254);
	assert_string_equal(c->ports[0].vlans[1].host_interface, "v8");
	assert_int_equal(c->routes_count, 2);
	assert_string_equal(c->routes[0].via, "10.1.0.1");
	assert_int_equal(c->routes[0].table, 254);
	assert_null(c->routes[1].port);
	assert_int_equal(c->routes[1].table, 100);
	assert_int_equal(c->neighbours_count, 1);
	assert_string_equal(c->neighbours[0].port, "v7");
	assert_sad(&c->sad);
	assert_int_equal(c->spd.max_policies, 20);
	assert_int_equal(c->spd.no_match, NO_MATCH_BYPASS);
	assert_int_equal(c->tunnels.df, DF_CLEAR);
	assert_int_equal(c->tunnels.fragment, FRAGMENT_AFTER);
	assert_int_equal(c->tunnels.too_big, TOO_BIG_IGNORE);
	assert_int_equal(c->tunnels.path_mtu_age, 60);
	assert_int_equal(c->tunnels.ecn_anomalies, ECN_SILENT);
	assert_int_equal(c->tunnels.mss_clamp, MSS_CLAMP);
	assert_int_equal(c->tunnels.dummy_rate, 9);
	assert_int_equal(c->spd.errors, ERRORS_SILENT);
	assert_int_equal(c->reassembly.max_sets, 30);
	assert_int_equal(c->reassembly.max_bytes, 300000);
	assert_int_equal(c->reassembly.timeout, 40);
	assert_int_equal(c->spd.fragments, FRAGMENTS_DISCARD);
	assert_int_equal(c->host.punt_rate, 77);
	assert_string_equal(c->crypto.backend, "openssl");
	assert_int_equal(c->crypto.legacy_count, 1);
	assert_string_equal(c->crypto.legacy[0], "sha1");
	assert_string_equal(c->sockets.group, "root");
	assert_string_equal(c->log.target, "/var/log/sealane");
	config_free(c);
	free(errors);
}

static void
mtu_below_ipv6_minimum_is_warned_about(void **state)
{
	struct config *c;
	char *errors;

	c = load("ports:\n- name: a\n  device: d\n  side: protected\n  mtu: 1000\n", &errors);
	assert_string_equal(errors,
			    "warning: f:5: ports[0].mtu: 1000 is below 1280, the least that "
			    "IPv6 works with\n");
	assert_non_null(c);
	config_free(c);
	free(errors);
}

static void
prefix_parts_are_read(void **state)
{
	struct fib_prefix prefix;

	assert_int_equal(config_prefix("10.2.0.0/16", &prefix, NULL), 0);
	assert_int_equal(prefix.len, 16);
	assert_int_equal(prefix.family, FAMILY_V4);
	assert_int_equal(prefix.addr.bytes[1], 2);
	assert_int_equal(config_prefix("::/0", &prefix, NULL), 0);
	assert_int_equal(prefix.family, FAMILY_V6);
	assert_int_equal(config_prefix("2001:db8::1/128", &prefix, NULL), 0);
	assert_int_equal(prefix.addr.bytes[15], 1);
	assert_true(config_prefix("10.0.0.0/-1", &prefix, NULL) < 0);
	assert_true(config_prefix("10.0.0.0/8x", &prefix, NULL) < 0);
	assert_true(config_prefix("/8", &prefix, NULL) < 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_file_is_refused_in_these_words),
		cmocka_unit_test(missing_file_is_named),
		cmocka_unit_test(small_file_gets_every_default),
		cmocka_unit_test(every_key_arrives),
		cmocka_unit_test(mtu_below_ipv6_minimum_is_warned_about),
		cmocka_unit_test(prefix_parts_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
