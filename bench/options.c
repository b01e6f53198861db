/* SPDX-License-Identifier: BSD-3-Clause */
#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/dataplane.h"
#include "dataplane/packet.h"

const char *const direction_words[] = {"out", "in", "both", NULL};
const char *const order_words[] = {"seq", "random", "zipf", NULL};
const char *const mode_words[] = {"tunnel", "transport", NULL};
static const char *const family_words[] = {"4", "6", NULL};
static const char *const encap_words[] = {"none", "udp", NULL};

#define LEAST   48      /* headers of IPv6 and UDP */
#define MOST    9000    /* bytes of a packet */
#define SAS_MAX 4000000 /* addresses that the peers have */

static const char usage[] =
	"usage: sealane-bench [OPTION]...\n"
	"Carries packets through the stages of real workers, from memory to memory, and prints "
	"TSC\n"
	"ticks a packet beside what the crypto alone costs in the same run.\n"
	"  --direction out|in|both  default out: seal; in: open\n"
	"  --suite WORD             as in strongSwan's proposals, default aes128gcm16\n"
	"  --mode tunnel|transport\n"
	"  --family 4|6             of inner and outer packets\n"
	"  --encap none|udp\n"
	"  --size N|imix            bytes of an inner IP packet, default 64; imix is 64, 570 and\n"
	"                           1420 at 7:4:1\n"
	"  --sas N                  in each direction\n"
	"  --order seq|random|zipf  in which packets take the SAs\n"
	"  --policies N             at least one for each SA\n"
	"  --workers N\n"
	"  --shared                 the first worker has all packets and SAs, the others do a "
	"part\n"
	"                           of its crypto\n"
	"  --backend ipsec-mb|openssl\n"
	"  --burst N                packets that a port gives at once, at most 64\n"
	"  --lap N                  packets between two looks at the clock, default 256\n"
	"  --repeat N               laps; the fastest but one in 1,000 counts\n"
	"  --latency N              measure as well how long N packets are in a worker\n"
	"  --json FILE\n";

static void __attribute__((noreturn)) refuse(const char *option, const char *value)
{
	fprintf(stderr, "sealane-bench: --%s cannot be %s\n%s", option, value, usage);
	exit(EXIT_FAILURE);
}

static unsigned int
word(const char *option, const char *value, const char *const *words)
{
	for (unsigned int i = 0; words[i] != NULL; i++)
		if (strcmp(words[i], value) == 0)
			return i;
	refuse(option, value);
}

static unsigned int
number(const char *option, const char *value, unsigned int min, unsigned int max)
{
	char *end;
	unsigned long n = strtoul(value, &end, 10);

	if (end == value || *end != '\0' || n < min || n > max)
		refuse(option, value);
	return (unsigned int)n;
}

static unsigned int
suite(const char *value)
{
	int n = crypto_suite_by_name(value);

	if (n < 0)
		refuse("suite", value);
	return (unsigned int)n;
}

static enum crypto_backend
backend(const char *value)
{
	int n = crypto_backend_by_name(value);

	if (n < 0)
		refuse("backend", value);
	return (enum crypto_backend)n;
}

enum option_key {
	DIRECTION = 256,
	SUITE,
	MODE,
	FAMILY,
	ENCAP,
	SIZE,
	SAS,
	ORDER,
	POLICIES,
	WORKERS,
	SHARED,
	BACKEND,
	BURST,
	LAP,
	REPEAT,
	LATENCY,
	JSON,
	HELP,
};

static const struct option keys[] = {
	{"direction", required_argument, NULL, DIRECTION},
	{"suite", required_argument, NULL, SUITE},
	{"mode", required_argument, NULL, MODE},
	{"family", required_argument, NULL, FAMILY},
	{"encap", required_argument, NULL, ENCAP},
	{"size", required_argument, NULL, SIZE},
	{"sas", required_argument, NULL, SAS},
	{"order", required_argument, NULL, ORDER},
	{"policies", required_argument, NULL, POLICIES},
	{"workers", required_argument, NULL, WORKERS},
	{"shared", no_argument, NULL, SHARED},
	{"backend", required_argument, NULL, BACKEND},
	{"burst", required_argument, NULL, BURST},
	{"lap", required_argument, NULL, LAP},
	{"repeat", required_argument, NULL, REPEAT},
	{"latency", required_argument, NULL, LATENCY},
	{"json", required_argument, NULL, JSON},
	{"help", no_argument, NULL, HELP},
	{NULL, 0, NULL, 0},
};

static void
set(struct options *o, int key, const char *name, const char *value)
{
	switch (key) {
	case DIRECTION:
		o->direction = word(name, value, direction_words);
		break;
	case SUITE:
		o->suite = suite(value);
		break;
	case MODE:
		o->transport = word(name, value, mode_words) == 1;
		break;
	case FAMILY:
		o->family = word(name, value, family_words) == 0 ? FAMILY_V4 : FAMILY_V6;
		break;
	case ENCAP:
		o->udp_encap = word(name, value, encap_words) == 1;
		break;
	case SIZE:
		o->size = strcmp(value, "imix") == 0 ? 0 : number(name, value, LEAST, MOST);
		break;
	case SAS:
		o->sas = number(name, value, 1, SAS_MAX);
		break;
	case ORDER:
		o->order = word(name, value, order_words);
		break;
	case POLICIES:
		o->policies = number(name, value, 1, SAS_MAX);
		break;
	case WORKERS:
		o->workers = number(name, value, 1, WORKERS_MAX);
		break;
	case SHARED:
		o->shared = true;
		break;
	case BACKEND:
		o->backend = backend(value);
		break;
	case BURST:
		o->burst = number(name, value, 1, BURST_MAX);
		break;
	case LAP:
		o->lap = number(name, value, BURST_MAX, LAP_MAX);
		break;
	case REPEAT:
		o->repeat = number(name, value, 1, 10000000);
		break;
	case LATENCY:
		o->latency = number(name, value, 1, 1000000000);
		break;
	case JSON:
		o->json = value;
		break;
	}
}

struct options
options_read(int argc, char **argv)
{
	struct options o = {
		.family = FAMILY_V4,
		.size = 64,
		.sas = 1,
		.policies = 1,
		.workers = 1,
		.backend = CRYPTO_IPSEC_MB,
		.burst = BURST_MAX,
		.lap = 256,
		.repeat = 2000,
	};
	int key, index = 0;

	while ((key = getopt_long(argc, argv, "", keys, &index)) != -1) {
		if (key == '?' || key == HELP) {
			fputs(usage, key == HELP ? stdout : stderr);
			exit(key == HELP ? EXIT_SUCCESS : EXIT_FAILURE);
		}
		set(&o, key, keys[index].name, optarg);
	}
	if (optind < argc) {
		fprintf(stderr, "sealane-bench: what is %s?\n%s", argv[optind], usage);
		exit(EXIT_FAILURE);
	}
	if (o.sas < o.workers && !o.shared) {
		fprintf(stderr, "sealane-bench: each worker needs an SA of its own\n");
		exit(EXIT_FAILURE);
	}
	if (o.policies < o.sas)
		o.policies = o.sas;
	return o;
}
