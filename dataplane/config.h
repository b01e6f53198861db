/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The configuration file (YAML), validated: docs/configuration.md is its reference. Every error
 * names file, line and the key's path, and says what was expected.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "crypto/reason.h"
#include "sadb/addr.h"

struct fib_prefix;

enum config_polling { POLLING_ADAPTIVE, POLLING_BUSY };
enum config_spread { SPREAD_OFF, SPREAD_AUTO, SPREAD_ALWAYS };
enum config_side { SIDE_PROTECTED, SIDE_UNPROTECTED };
enum config_no_match { NO_MATCH_DISCARD, NO_MATCH_BYPASS };
enum config_fragments { FRAGMENTS_PASS, FRAGMENTS_DISCARD };
enum config_df { DF_COPY, DF_SET, DF_CLEAR };
enum config_fragment { FRAGMENT_BEFORE, FRAGMENT_AFTER };
enum config_too_big { TOO_BIG_ACCEPT, TOO_BIG_IGNORE };
enum config_ecn { ECN_LOG, ECN_SILENT };
enum config_mss { MSS_KEEP, MSS_CLAMP };
enum config_errors { ERRORS_ANSWER, ERRORS_SILENT };

struct config_workers {
	unsigned int *cores; /* CPU numbers, one worker each; default the last CPU */
	unsigned int cores_count;
	enum config_polling polling;
	enum config_spread spread; /* of one SA's crypto, default off */
};

/* What an untagged port and an 802.1Q sub-port have in common: an interface of the gateway. */
struct config_vlan {
	char *name;
	uint16_t id; /* 802.1Q, 1 to 4094 */
	enum config_side side;
	uint16_t mtu;                /* of IP packets; default the port's */
	char *host_interface;        /* name of the TAP; default the name */
	uint32_t tenant;             /* if_id, 0 none */
	uint32_t mark;               /* likewise */
	uint32_t tenant_in, mark_in; /* of decrypted packets; default the same */
	uint32_t table;              /* kernel routing table, default 254 (main) */
};

struct config_port {
	char *name;
	char *device; /* DPDK device arguments ("net_af_packet0,iface=veth0") or a PCI address */
	enum config_side side;
	uint16_t mtu; /* default 1500 */
	char *host_interface;
	uint32_t tenant, mark, tenant_in, mark_in, table;
	struct config_vlan *vlans;
	unsigned int vlans_count;
};

struct config_route {
	char *prefix; /* "10.2.0.0/16", "2001:db8::/32" */
	char *via;    /* gateway, or NULL: on link */
	char *port;   /* port or sub-port; NULL for a blackhole */
	uint32_t table;
};

struct config_neighbour {
	char *address, *mac, *port;
};

enum config_nat_rebinding {                       /* what a peer's new address or port does */
			    NAT_REBINDING_EVENT,  /* it is told to the IKE daemon */
			    NAT_REBINDING_FOLLOW, /* and packets go there at once */
};

struct config_sad {
	uint32_t max_sas;                        /* default 16384 */
	uint32_t replay_window;                  /* least window of an inbound SA, default 992 */
	uint32_t orphan_grace;                   /* seconds, default 300 */
	enum config_nat_rebinding nat_rebinding; /* default event */
};

struct config_spd {
	uint32_t max_policies;           /* default 16384 */
	enum config_no_match no_match;   /* default discard */
	enum config_fragments fragments; /* default pass */
	enum config_errors errors;       /* to whose packets policy discards, default answer */
};

struct config_tunnels {
	enum config_df df;             /* of outer IPv4 headers, default copy */
	enum config_fragment fragment; /* before or after encryption, default before */
	enum config_too_big too_big;   /* messages about our ESP, default accept */
	uint32_t path_mtu_age;         /* seconds, default 600 */
	enum config_ecn ecn_anomalies; /* default log */
	enum config_mss mss_clamp;     /* default off */
	uint32_t dummy_rate;           /* packets a second for each SA, default 0 */
};

struct config_host {
	uint32_t punt_rate; /* packets a second from one source, in each worker; default 10000 */
};

struct config_reassembly {  /* each of a worker */
	uint32_t max_sets;  /* datagrams under way, default 256 */
	uint32_t max_bytes; /* of buffers that fragments hold, default 2 MiB */
	uint32_t timeout;   /* seconds, default 5 */
};

struct config_crypto {
	char *backend; /* "ipsec-mb" (default) or "openssl" */
	char **legacy; /* algorithms that are off unless named here ("sha1") */
	unsigned int legacy_count;
};

struct config_sockets {
	char *xfrm;  /* default /run/sealane/xfrm.sock */
	char *show;  /* default /run/sealane/show.sock */
	char *group; /* may use them beside root; default none */
};

struct config_log {
	char *level;  /* "error", "warning", "notice" (default), "info", "debug" */
	char *target; /* "stderr" (default), "syslog" or a file's path */
};

struct config {
	struct config_workers workers;
	struct config_port *ports;
	unsigned int ports_count;
	struct config_route *routes;
	unsigned int routes_count;
	struct config_neighbour *neighbours;
	unsigned int neighbours_count;
	struct config_sad sad;
	struct config_spd spd;
	struct config_tunnels tunnels;
	struct config_reassembly reassembly;
	struct config_host host;
	struct config_crypto crypto;
	struct config_sockets sockets;
	struct config_log log;
};

/*
 * Reads and checks `path`. NULL after every error found was written to `errors`, one a line:
 * "FILE:LINE: KEY: what is wrong, expected ...". Free with config_free().
 */
struct config *config_load(const char *path, FILE *errors);
void config_free(struct config *config);

/*
 * The parts of a checked route's prefix ("10.2.0.0/16") or an address ("10.2.0.1"). 0, or -EINVAL
 * with the reason.
 */
int config_prefix(const char *text, struct fib_prefix *prefix, struct reason *why);
int config_address(const char *text, union ip_addr *addr, uint8_t *family);
