/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sealaned: the daemon. The only file that sees all modules. It starts them in the order of one
 * list, runs the control thread's loop, and ends them in the reverse.
 */
#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_log.h>
#include <rte_ring_elem.h>

#include "config.h"
#include "crypto/crypto.h"
#include "dataplane.h"
#include "dummy.h"
#include "eal.h"
#include "ecn_log.h"
#include "host.h"
#include "ikeglue/server.h"
#include "log.h"
#include "natt.h"
#include "privileges.h"
#include "rtnl.h"
#include "sa_wait.h"
#include "show.h"
#include "stall_log.h"
#include "waiting.h"
#include "worker.h"

RTE_LOG_REGISTER(daemon_log, sealane.daemon, NOTICE);
#define LOG(level, ...) rte_log(RTE_LOG_##level, daemon_log, __VA_ARGS__)

/*
 * How often the control thread looks at what workers hand it: they make no system call to wake
 * it. Short while packets wait for a neighbour, long enough when idle to cost nothing.
 */
#define TURN_WAITING_MS 1
#define TURN_IDLE_MS    10
#define NEIGHBOURS_MS   1000 /* confirming neighbours in use */

struct daemon {
	const struct config *config;
	enum crypto_backend backend;
	struct crypto_ctx *crypto; /* the control thread's */
	struct dataplane *dp;
	struct rtnl *rtnl;
	struct ctl *ctl;
	struct show *show;
	int signals, epoll;
	gid_t group;
	bool carrier[PORTS_MAX];
	struct ecn_log ecn_log;
	struct stall_log stall_log;
	struct dummies dummies;
	uint64_t tick_due, neighbours_due; /* monotonic milliseconds */
	bool stop;
};

/* ---- the parts, in the order of their start ---- */

static int
start_log(struct daemon *d, struct reason *why)
{
	return log_open(&d->config->log, why);
}

static void
stop_log(struct daemon *d)
{
	log_close();
}

static int
start_guard(struct daemon *d, struct reason *why)
{
	privileges_guard_memory();
	return 0;
}

/* Before any thread is started, so that none of them takes the signals. */
static int
start_signals(struct daemon *d, struct reason *why)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	d->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (d->signals < 0)
		return reason_set(why, errno, "signalfd: %s", strerror(errno));
	return 0;
}

static void
stop_signals(struct daemon *d)
{
	close(d->signals);
}

static int
start_crypto(struct daemon *d, struct reason *why)
{
	const struct config_crypto *config = &d->config->crypto;
	struct reason inner = {""};

	for (unsigned int i = 0; i < config->legacy_count; i++)
		if (crypto_suites_allow(config->legacy[i], why) != 0)
			return -EINVAL;
	d->backend = (enum crypto_backend)crypto_backend_by_name(config->backend);
	d->crypto = crypto_ctx_new(d->backend, &inner);
	if (!d->crypto)
		return reason_set(why, ENOTSUP, "crypto backend %s: %s",
				  crypto_backend_name(d->backend), inner.text);
	if (crypto_self_test(d->crypto, &inner) == 0)
		return 0;
	crypto_ctx_free(d->crypto);
	return reason_set(why, EIO, "crypto backend %s fails its self-test and is refused: %s",
			  crypto_backend_name(d->backend), inner.text);
}

static void
stop_crypto(struct daemon *d)
{
	crypto_ctx_free(d->crypto);
}

static int
start_eal(struct daemon *d, struct reason *why)
{
	return eal_start(d->config, dataplane_memory(d->config), why);
}

static void
stop_eal(struct daemon *d)
{
	rte_eal_cleanup();
}

static int
start_dataplane(struct daemon *d, struct reason *why)
{
	d->dp = dataplane_new(d->config, d->crypto, d->backend, why);
	return d->dp ? 0 : -1;
}

static void
stop_dataplane(struct daemon *d)
{
	dataplane_free(d->dp);
}

static int
start_rtnl(struct daemon *d, struct reason *why)
{
	d->rtnl = rtnl_open(d->dp, why);
	return d->rtnl ? 0 : -1;
}

static void
stop_rtnl(struct daemon *d)
{
	rtnl_close(d->rtnl);
}

/* The folder of a socket, where it is missing: /run is empty after a boot. */
static void
make_folder(const char *socket)
{
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];

	snprintf(path, sizeof(path), "%s", socket);
	*strrchr(path, '/') = '\0';
	if (*path)
		mkdir(path, 0755);
}

static int
start_ctl(struct daemon *d, struct reason *why)
{
	const struct config_sockets *sockets = &d->config->sockets;
	const struct group *group = sockets->group ? getgrnam(sockets->group) : NULL;
	const struct ctl_config config = {
		.path = sockets->xfrm,
		.group = group ? group->gr_gid : (gid_t)-1,
		.sad = d->dp->sad,
		.spd = d->dp->spd,
		.bypass = d->config->spd.no_match == NO_MATCH_BYPASS,
		.orphan_grace = d->config->sad.orphan_grace,
	};

	d->group = config.group;
	make_folder(sockets->xfrm);
	d->ctl = ctl_open(&config, why);
	return d->ctl ? 0 : -1;
}

static void
stop_ctl(struct daemon *d)
{
	ctl_close(d->ctl);
}

static bool
peer_of(void *ctl, uint32_t n, struct show_peer *to)
{
	struct ctl_peer peer;

	if (!ctl_peer(ctl, n, &peer))
		return false;
	*to = (struct show_peer){peer.pid, peer.groups, peer.queued};
	return true;
}

static void
orphans_of(void *ctl, uint32_t *now, uint64_t *removed)
{
	ctl_orphans(ctl, now, removed);
}

static int
start_show(struct daemon *d, struct reason *why)
{
	const struct show_peers peers = {d->ctl, peer_of, orphans_of};

	make_folder(d->config->sockets.show);
	d->show = show_open(d->dp, d->rtnl, &peers, d->config->sockets.show, d->group, why);
	return d->show ? 0 : -1;
}

static void
stop_show(struct daemon *d)
{
	show_close(d->show);
}

static int
start_workers(struct daemon *d, struct reason *why)
{
	return workers_start(d->dp, why);
}

static void
stop_workers(struct daemon *d)
{
	workers_stop(d->dp);
}

static int
start_host(struct daemon *d, struct reason *why)
{
	return host_run(d->dp, why);
}

static void
stop_host(struct daemon *d)
{
	host_halt(d->dp);
}

static int
watch(struct daemon *d, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	return epoll_ctl(d->epoll, EPOLL_CTL_ADD, fd, &event);
}

static int
start_loop(struct daemon *d, struct reason *why)
{
	d->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (d->epoll < 0 || watch(d, d->signals) || watch(d, rtnl_fd(d->rtnl)) ||
	    watch(d, ctl_fd(d->ctl)) || watch(d, show_fd(d->show)))
		return reason_set(why, errno, "epoll: %s", strerror(errno));
	return 0;
}

static void
stop_loop(struct daemon *d)
{
	close(d->epoll);
}

static int
start_privileges(struct daemon *d, struct reason *why)
{
	return privileges_drop(why);
}

static const struct part {
	int (*start)(struct daemon *d, struct reason *why);
	void (*stop)(struct daemon *d); /* NULL: nothing to end */
} parts[] = {
	{start_log, stop_log},         {start_guard, NULL},     {start_signals, stop_signals},
	{start_crypto, stop_crypto},   {start_eal, stop_eal},   {start_dataplane, stop_dataplane},
	{start_rtnl, stop_rtnl},       {start_ctl, stop_ctl},   {start_show, stop_show},
	{start_workers, stop_workers}, {start_host, stop_host}, {start_loop, stop_loop},
	{start_privileges, NULL},
};

/* ---- the loop ---- */

static void
take_signals(struct daemon *d)
{
	struct signalfd_siginfo info;

	while (read(d->signals, &info, sizeof(info)) == sizeof(info))
		if (info.ssi_signo == SIGHUP)
			LOG(WARNING,
			    "SIGHUP ignored: the configuration is read at the start only\n");
		else
			d->stop = true;
}

static void
take_acquires(struct daemon *d)
{
	struct acquire acquire;

	while (rte_ring_sc_dequeue_elem(d->dp->acquires, &acquire, sizeof(acquire)) == 0) {
		const struct policy *policy = spd_find(d->dp->spd, NULL, acquire.policy_index);

		if (policy)
			ctl_acquire(d->ctl, policy, &acquire.flow);
	}
}

static void
follow_carrier(struct daemon *d)
{
	unsigned int i;

	for (i = 0; i < d->dp->ports_count; i++) {
		bool up = port_link_up(&d->dp->ports[i]);

		if (up != d->carrier[i])
			host_carrier(d->dp, i, up);
		d->carrier[i] = up;
	}
}

static uint64_t
milliseconds(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* What time brings about. */
static void
tick(struct daemon *d)
{
	uint64_t now = milliseconds(CLOCK_MONOTONIC);

	dummies_tick(&d->dummies, d->dp, now);
	if (now >= d->tick_due) {
		d->tick_due = now + SAD_TICK_MS;
		sad_tick(d->dp->sad, milliseconds(CLOCK_REALTIME));
		spd_tick(d->dp->spd, (uint64_t)time(NULL));
		ctl_tick(d->ctl, now);
		natt_tick(d->dp, (uint64_t)time(NULL));
		follow_carrier(d);
		ecn_log_tick(&d->ecn_log, d->dp, now);
		stall_log_tick(&d->stall_log, d->dp, now);
	}
	if (now >= d->neighbours_due) {
		d->neighbours_due = now + NEIGHBOURS_MS;
		rtnl_tick(d->rtnl);
	}
}

static void
dispatch(struct daemon *d, int fd)
{
	if (fd == d->signals)
		take_signals(d);
	else if (fd == rtnl_fd(d->rtnl))
		rtnl_poll(d->rtnl);
	else if (fd == ctl_fd(d->ctl))
		ctl_poll(d->ctl);
	else
		show_poll(d->show);
}

static void
run(struct daemon *d)
{
	struct epoll_event events[4];
	int timeout = TURN_IDLE_MS, n, i;

	while (!d->stop) {
		n = epoll_wait(d->epoll, events, RTE_DIM(events), timeout);
		for (i = 0; i < n; i++)
			dispatch(d, events[i].data.fd);
		waiting_poll(d->dp, d->rtnl);
		sa_wait_poll(d->dp, ctl_acquire_heard(d->ctl), milliseconds(CLOCK_MONOTONIC));
		take_acquires(d);
		natt_poll(d->dp);
		reclaim_poll(d->dp->reclaim);
		tick(d);
		timeout = waiting_stats(d->dp).waiting > 0 ? TURN_WAITING_MS : TURN_IDLE_MS;
	}
}

/* ---- start and end ---- */

/* Tells a service manager that waits for it (sd_notify(3)). */
static void
notify_ready(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	const char *path = getenv("NOTIFY_SOCKET");
	int fd;

	if (!path || strlen(path) >= sizeof(addr.sun_path))
		return;
	memcpy(addr.sun_path, path, strlen(path));
	if (addr.sun_path[0] == '@')
		addr.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 ||
	    sendto(fd, "READY=1", 7, 0, (struct sockaddr *)&addr,
		   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path))) < 0)
		LOG(WARNING, "NOTIFY_SOCKET: %s\n", strerror(errno));
	if (fd >= 0)
		close(fd);
}

/* Starts all parts or none, and runs until a signal. The exit status. */
static int
serve(const struct config *config)
{
	struct daemon d = {.config = config};
	struct reason why = {"unknown error"};
	size_t started = 0;

	while (started < RTE_DIM(parts) && parts[started].start(&d, &why) == 0)
		started++;
	if (started == RTE_DIM(parts)) {
		LOG(NOTICE, "sealaned %s: %u ports, %u workers, crypto %s: ready\n",
		    SEALANE_VERSION, d.dp->ports_count, d.dp->workers_count,
		    crypto_backend_name(d.backend));
		notify_ready();
		run(&d);
		LOG(NOTICE, "sealaned: ending\n");
	} else {
		fprintf(stderr, "sealaned: %s\n", why.text);
		if (strcmp(config->log.target, "stderr") != 0)
			LOG(ERR, "sealaned: %s\n", why.text);
	}
	while (started-- > 0)
		if (parts[started].stop)
			parts[started].stop(&d);
	return d.stop ? EXIT_SUCCESS : EXIT_FAILURE;
}

static void
usage(FILE *out)
{
	fprintf(out, "usage: sealaned -c FILE [--check]\n\n"
		     "  -c, --config FILE  the configuration (YAML)\n"
		     "      --check        say whether the configuration is good, and end\n"
		     "      --version      print the version\n"
		     "      --help         print this\n");
}

struct options {
	const char *config;
	bool check;
};

/* Fills options; a status to exit with, or -1 to go on. */
static int
parse_options(int argc, char **argv, struct options *options)
{
	static const struct option long_options[] = {
		{"config", required_argument, NULL, 'c'},
		{"check", no_argument, NULL, 'k'},
		{"version", no_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "c:", long_options, NULL)) != -1) {
		switch (option) {
		case 'c':
			options->config = optarg;
			break;
		case 'k':
			options->check = true;
			break;
		case 'v':
			printf("sealaned %s\n", SEALANE_VERSION);
			return EXIT_SUCCESS;
		case 'h':
			usage(stdout);
			return EXIT_SUCCESS;
		default:
			usage(stderr);
			return EXIT_FAILURE;
		}
	}
	if (options->config && optind == argc)
		return -1;
	usage(stderr);
	return EXIT_FAILURE;
}

int
main(int argc, char **argv)
{
	struct options options = {0};
	int status = parse_options(argc, argv, &options);
	struct config *config;

	if (status >= 0)
		return status;
	config = config_load(options.config, stderr);
	if (!config)
		return EXIT_FAILURE;
	if (options.check) {
		printf("%s: good\n", options.config);
		status = EXIT_SUCCESS;
	} else {
		status = serve(config);
	}
	config_free(config);
	return status;
}
