/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the control socket of a running engine takes: adds SAs and policies as one IKE daemon would
 * that does not wait for each answer, many messages a datagram; has all SAs dumped; deletes
 * everything. Prints messages a second for each.
 *
 *   control SOCKET [--sas N] [--expire SECONDS] [--json FILE]
 *
 * With --expire the SAs have that hard lifetime, and they and the policies are left alone.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>
#include <libmnl/libmnl.h>

#include "ikeglue/xfrm_encode.h"
#include "ikeglue/xfrm_uapi.h"

#define DATAGRAM_MAX 65536
#define SPI_FIRST    0x10000

struct control {
	int fd;
	uint32_t sas, expire;
	const char *json;
	uint32_t seq;
	uint8_t out[DATAGRAM_MAX];
	uint32_t out_len;
	struct nlmsghdr *last; /* in `out` */
};

/* What one of the N messages of a phase says. */
typedef void message_fn(const struct control *c, uint32_t i, struct xfrm_buf *buf);

__attribute__((format(printf, 1, 2), noreturn)) static void
fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

static double
seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- messages ---- */

static struct sa_params
sa_of(const struct control *c, uint32_t i)
{
	struct sa_params p = {
		.id = {.dst = ip_addr_v4(rte_cpu_to_be_32(0x0b000000 + i / 4)),
		       .spi = rte_cpu_to_be_32(SPI_FIRST + i),
		       .family = FAMILY_V4,
		       .proto = IPPROTO_ESP},
		.src = ip_addr_v4(RTE_BE32(0xc0000201)),
		.mode = SA_MODE_TUNNEL,
		.flags = SA_REPLAY,
		.reqid = i + 1,
		.replay_window = 32,
		.limits = {.soft_bytes = UINT64_MAX,
			   .hard_bytes = UINT64_MAX,
			   .soft_packets = UINT64_MAX,
			   .hard_packets = UINT64_MAX,
			   .hard_add_seconds = c->expire},
		.suite = (uint8_t)crypto_suite_by_name("aes128gcm16"),
		.replay_bitmap_words = 1,
	};

	memcpy(p.key, &p.reqid, sizeof(p.reqid));
	return p;
}

static void
new_sa(const struct control *c, uint32_t i, struct xfrm_buf *buf)
{
	const struct xfrm_head head = {XFRM_MSG_NEWSA, NLM_F_REQUEST, c->seq, 0};
	const struct sa_params p = sa_of(c, i);
	const struct xfrm_sa sa = {.params = &p};

	if (!xfrm_encode_sa(buf, &head, &sa))
		fail("an SA does not fit into a message");
}

static void
new_policy(const struct control *c, uint32_t i, struct xfrm_buf *buf)
{
	const struct xfrm_head head = {XFRM_MSG_NEWPOLICY, NLM_F_REQUEST, c->seq, 0};
	const struct sa_params p = sa_of(c, i);
	const struct spd_params params = {
		.id = {.sel = {.dst = ip_addr_v4(rte_cpu_to_be_32(0x0a000000 + i)),
			       .dst_len = 32,
			       .family = FAMILY_V4},
		       .dir = SPD_OUT},
		.action = SPD_PROTECT,
		.tmpl = {.src = p.src,
			 .dst = p.id.dst,
			 .family = FAMILY_V4,
			 .proto = IPPROTO_ESP,
			 .reqid = p.reqid,
			 .mode = SA_MODE_TUNNEL},
		.limits = {.soft_bytes = UINT64_MAX,
			   .hard_bytes = UINT64_MAX,
			   .soft_packets = UINT64_MAX,
			   .hard_packets = UINT64_MAX},
	};
	const struct xfrm_policy policy = {.params = &params};

	if (!xfrm_encode_policy(buf, &head, &policy))
		fail("a policy does not fit into a message");
}

static void
delete_sa(const struct control *c, uint32_t i, struct xfrm_buf *buf)
{
	const struct sa_params p = sa_of(c, i);
	struct {
		struct nlmsghdr head;
		struct xfrm_usersa_id id;
	} m = {.head = {.nlmsg_len = sizeof(m),
			.nlmsg_type = XFRM_MSG_DELSA,
			.nlmsg_flags = NLM_F_REQUEST,
			.nlmsg_seq = c->seq},
	       .id = {.daddr.a4 = p.id.dst.v4,
		      .spi = p.id.spi,
		      .family = AF_INET,
		      .proto = IPPROTO_ESP}};

	memcpy(buf->data, &m, sizeof(m));
	buf->len = sizeof(m);
}

static void
flush_policies(const struct control *c, uint32_t i, struct xfrm_buf *buf)
{
	const struct xfrm_head head = {XFRM_MSG_FLUSHPOLICY, NLM_F_REQUEST, c->seq, 0};

	(void)i;
	xfrm_encode_flush_policy(buf, &head);
}

/* ---- the socket ---- */

/*
 * Reads one datagram of answers: adds the messages of `type` to *count, and says whether request
 * `seq` is answered. A refusal is the end.
 */
static bool
read_answers(struct control *c, uint32_t seq, uint16_t type, uint32_t *count)
{
	static uint8_t in[DATAGRAM_MAX];
	const struct nlmsghdr *h = (const void *)in;
	int left = (int)recv(c->fd, in, sizeof(in), 0);
	bool done = false;

	if (left <= 0)
		fail("the engine hung up");
	for (; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left)) {
		const struct nlmsgerr *error = NLMSG_DATA(h);

		*count += h->nlmsg_type == type;
		if (h->nlmsg_type == NLMSG_ERROR && error->error != 0)
			fail("request %u is refused: %s", h->nlmsg_seq, strerror(-error->error));
		done |= (h->nlmsg_type == NLMSG_ERROR || h->nlmsg_type == NLMSG_DONE) &&
			h->nlmsg_seq == seq;
	}
	return done;
}

/* What the engine answers before it takes more can only be refusals. */
static void
send_all(struct control *c)
{
	struct pollfd poll_fd = {.fd = c->fd, .events = POLLIN | POLLOUT};
	uint32_t count;

	if (c->out_len == 0)
		return;
	while (poll(&poll_fd, 1, -1) == 1 && (poll_fd.revents & POLLIN) != 0)
		read_answers(c, 0, NLMSG_NOOP, &count);
	if (send(c->fd, c->out, c->out_len, MSG_NOSIGNAL) != (ssize_t)c->out_len)
		fail("the engine takes no request: %s", strerror(errno));
	c->out_len = 0;
}

static void
append(struct control *c, const struct xfrm_buf *buf)
{
	if (c->out_len + buf->len > sizeof(c->out))
		send_all(c);
	c->last = (struct nlmsghdr *)(c->out + c->out_len);
	memcpy(c->last, buf->data, buf->len);
	c->out_len += buf->len;
}

/* Messages a second, the last one answered. */
static double
run(struct control *c, const char *what, message_fn *message, uint32_t n)
{
	double begin = seconds(), rate;
	uint32_t answered = 0;
	struct xfrm_buf buf;

	for (uint32_t i = 0; i < n; i++) {
		c->seq++;
		buf.len = 0;
		message(c, i, &buf);
		append(c, &buf);
	}
	c->last->nlmsg_flags |= NLM_F_ACK;
	send_all(c);
	while (!read_answers(c, c->seq, NLMSG_NOOP, &answered))
		;
	rate = n / (seconds() - begin);
	printf("%-16s %10.0f a second\n", what, rate);
	return rate;
}

static double
dump(struct control *c)
{
	const struct nlmsghdr request = {.nlmsg_len = sizeof(request),
					 .nlmsg_type = XFRM_MSG_GETSA,
					 .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
					 .nlmsg_seq = ++c->seq};
	double begin = seconds(), rate;
	uint32_t count = 0;

	if (send(c->fd, &request, sizeof(request), MSG_NOSIGNAL) != sizeof(request))
		fail("the engine takes no request: %s", strerror(errno));
	while (!read_answers(c, c->seq, XFRM_MSG_NEWSA, &count))
		;
	if (count != c->sas)
		fail("a dump has %u SAs, expected %u", count, c->sas);
	rate = count / (seconds() - begin);
	printf("%-16s %10.0f a second\n", "SAs dumped", rate);
	return rate;
}

/* ---- the program ---- */

static void
connect_to(struct control *c, const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	c->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || connect(c->fd, (const void *)&addr, sizeof(addr)) != 0)
		fail("%s: %s", path, strerror(errno));
}

static void
parse(struct control *c, int argc, char **argv)
{
	static const struct option options[] = {
		{"sas", required_argument, NULL, 's'},
		{"expire", required_argument, NULL, 'e'},
		{"json", required_argument, NULL, 'j'},
		{0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 's')
			c->sas = (uint32_t)strtoul(optarg, NULL, 10);
		else if (option == 'e')
			c->expire = (uint32_t)strtoul(optarg, NULL, 10);
		else if (option == 'j')
			c->json = optarg;
		else
			exit(2);
	}
	if (optind + 1 != argc || c->sas == 0)
		fail("usage: control SOCKET [--sas N] [--expire SECONDS] [--json FILE]");
	connect_to(c, argv[optind]);
}

int
main(int argc, char **argv)
{
	static struct control c = {.sas = 100000};
	json_t *all = json_object();

	parse(&c, argc, argv);
	json_object_set_new(all, "sas", json_integer(c.sas));
	json_object_set_new(all, "sas_added", json_real(run(&c, "SAs added", new_sa, c.sas)));
	json_object_set_new(all, "policies_added",
			    json_real(run(&c, "policies added", new_policy, c.sas)));
	if (c.expire == 0) {
		json_object_set_new(all, "sas_dumped", json_real(dump(&c)));
		run(&c, "policy flushes", flush_policies, 1);
		json_object_set_new(all, "sas_deleted",
				    json_real(run(&c, "SAs deleted", delete_sa, c.sas)));
	}
	if (c.json != NULL && json_dump_file(all, c.json, JSON_INDENT(8)) != 0)
		fail("%s cannot be written", c.json);
	json_decref(all);
	close(c.fd);
	return 0;
}
