/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A control socket with a SAD and an SPD behind it and nothing else: no port, no worker, no root.
 * What tests drive with stock iproute2. It says "ready" on stdout, takes commands on stdin, one a
 * line, and ends with it:
 *   use SPI PACKETS BYTES    charges packets to the inbound SA of that SPI
 *   send SPI PACKETS         uses so many numbers of it
 *   mapped SPI PORT          its peer was heard of from that port
 *   acquire                  asks for an SA for the first outbound policy
 *   age SECONDS              lets that much time pass for lifetimes and orphans
 *   orphans                  how many SAs are orphans, that stay for ORPHAN_GRACE seconds
 *   subscribers              how many connections listen to events
 * and answers each with "done" or a number.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ikeglue/ctl.h"

#define MAX_SAS      20000
#define ORPHAN_GRACE 60

struct host {
	struct reclaim *reclaim;
	struct crypto_ctx *crypto;
	struct sad *sad;
	struct spd *spd;
	struct ctl *ctl;
};

static void
fail(const struct reason *why)
{
	fprintf(stderr, "xfrm_host: %s\n", why->text);
	exit(1);
}

static void
start(struct host *h, const char *path)
{
	struct reason why = {.text = "no memory"};
	struct sad_config sad = {.max_sas = MAX_SAS, .workers = 1, .replay_window = 32};
	struct ctl_config ctl = {.path = path, .group = (gid_t)-1, .orphan_grace = ORPHAN_GRACE};

	h->reclaim = reclaim_new(1);
	h->crypto = crypto_ctx_new(CRYPTO_OPENSSL, &why);
	if (!h->reclaim || !h->crypto)
		fail(&why);
	sad.crypto = h->crypto;
	sad.reclaim = h->reclaim;
	h->sad = sad_new(&sad, &why);
	if (!h->sad)
		fail(&why);
	h->spd = spd_new(MAX_SAS, h->sad, h->reclaim, &why);
	if (!h->spd)
		fail(&why);
	ctl.sad = h->sad;
	ctl.spd = h->spd;
	h->ctl = ctl_open(&ctl, &why);
	if (!h->ctl)
		fail(&why);
}

static void
stop(struct host *h)
{
	ctl_close(h->ctl);
	spd_free(h->spd);
	sad_free(h->sad);
	reclaim_free(h->reclaim);
	crypto_ctx_free(h->crypto);
}

static struct sa_control *
find(struct host *h, unsigned int spi)
{
	struct sa_control *c;
	uint32_t cursor = 0;

	while ((c = sad_next(h->sad, &cursor)))
		if (c->sa && c->sa->spi == rte_cpu_to_be_32(spi))
			return c;
	fprintf(stderr, "xfrm_host: no SA has SPI 0x%x\n", spi);
	exit(1);
}

static void
use(struct host *h, unsigned int spi, unsigned int packets, unsigned int bytes)
{
	const struct sa_control *c = find(h, spi);

	for (unsigned int i = 0; i < packets; i++)
		sad_charge(h->sad, 0, c->sa, 1, bytes, (uint64_t)time(NULL));
}

static void
acquire(struct host *h)
{
	struct flow flow = {.family = FAMILY_V4, .proto = 17};
	struct policy *policy;
	struct spd_id id;
	uint32_t cursor = 0;

	while ((policy = spd_next(h->spd, &cursor))) {
		id = spd_params(policy).id;
		if (id.dir != SPD_OUT)
			continue;
		flow.src = id.sel.src;
		flow.dst = id.sel.dst;
		flow.sport = rte_cpu_to_be_16(1000);
		flow.dport = rte_cpu_to_be_16(2000);
		ctl_acquire(h->ctl, policy, &flow);
		return;
	}
}

static void
mapped(struct host *h, struct sa_control *c, uint16_t port)
{
	sad_mapped(h->sad, c, &c->sa->src, rte_cpu_to_be_16(port));
}

static uint64_t
milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void
age(struct host *h, unsigned int seconds)
{
	sad_tick(h->sad, ((uint64_t)time(NULL) + seconds) * 1000);
	spd_tick(h->spd, (uint64_t)time(NULL) + seconds);
	ctl_tick(h->ctl, milliseconds() + UINT64_C(1000) * seconds);
}

static unsigned int
orphans(const struct host *h)
{
	const struct sa_control *c;
	uint32_t cursor = 0;
	unsigned int n = 0;

	while ((c = sad_next(h->sad, &cursor)))
		n += c->orphan;
	return n;
}

static unsigned int
subscribers(const struct host *h)
{
	unsigned int n = 0;

	for (const struct client *client = h->ctl->clients; client; client = client->next)
		n += client->groups != 0;
	return n;
}

/* The clock is that of the SAD's caller. */
static void
command(struct host *h, const char *line)
{
	unsigned int spi, packets, bytes, seconds, port;

	if (sscanf(line, "use %x %u %u", &spi, &packets, &bytes) == 3)
		use(h, spi, packets, bytes);
	else if (sscanf(line, "send %x %u", &spi, &packets) == 2)
		atomic_fetch_add(&find(h, spi)->sa->seq, packets);
	else if (sscanf(line, "mapped %x %u", &spi, &port) == 2)
		mapped(h, find(h, spi), (uint16_t)port);
	else if (!strncmp(line, "acquire", 7))
		acquire(h);
	else if (sscanf(line, "age %u", &seconds) == 1)
		age(h, seconds);
	if (!strncmp(line, "subscribers", 11))
		printf("%u\n", subscribers(h));
	else if (!strncmp(line, "orphans", 7))
		printf("%u\n", orphans(h));
	else
		printf("done\n");
	fflush(stdout);
}

int
main(int argc, char **argv)
{
	struct host host;
	char line[256];

	if (argc != 2) {
		fprintf(stderr, "usage: xfrm_host SOCKET\n");
		return 2;
	}
	start(&host, argv[1]);
	printf("ready\n");
	fflush(stdout);
	for (;;) {
		struct pollfd fds[] = {
			{.fd = STDIN_FILENO, .events = POLLIN},
			{.fd = ctl_fd(host.ctl), .events = POLLIN},
		};

		if (poll(fds, 2, 100) < 0 && errno != EINTR)
			break;
		if (fds[0].revents) {
			ssize_t n = read(STDIN_FILENO, line, sizeof(line) - 1);

			if (n <= 0)
				break;
			line[n] = '\0';
			command(&host, line);
		}
		ctl_poll(host.ctl);
		sad_tick(host.sad, (uint64_t)time(NULL) * 1000);
		spd_tick(host.spd, (uint64_t)time(NULL));
		ctl_tick(host.ctl, milliseconds());
		reclaim_poll(host.reclaim);
	}
	stop(&host);
	return 0;
}
