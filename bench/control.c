/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the control socket of a running engine takes from one IKE daemon that does not wait for each
 * answer, many messages a datagram. It goes through phases and prints messages a second for each;
 * without phases those that leave nothing behind:
 *
 *   control SOCKET [OPTION...] [PHASE...]
 *
 *   sas        adds N SAs
 *   policies   adds a policy for each, of one host
 *   dump       has all SAs told, and counts them
 *   flush      flushes the policies
 *   delete     deletes the SAs
 *   storm      all at once: in each round each SA is rekeyed (the next one is added, the last one
 *              deleted), its policy updated, and a guest comes, an SA and a policy; another goes
 *
 *   --first I --sas N     SAs number I to I + N - 1
 *   --generation G        how often they have been rekeyed: SPIs and keys are others each time
 *   --dst ADDRESS         the peer of all of them, instead of one for each four
 *   --expire SECONDS      their hard lifetime
 *   --rounds R --rate M   of the storm, M messages a second (0: as many as are taken)
 *   --json FILE
 */
#include <arpa/inet.h>
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
#define NUMBERS      (1u << 21) /* of SAs, each generation: SPIs return after 2000 generations */
#define GUESTS       1000       /* numbers for them; half of them are there */

struct control {
	int fd;
	uint32_t first, sas, generation, expire, rounds, rate;
	rte_be32_t dst; /* 0: by number */
	const char *json;
	json_t *all;
	uint32_t seq;
	uint8_t out[DATAGRAM_MAX];
	uint32_t out_len;
	struct nlmsghdr *last; /* in `out` */
};

/* A message about SA number i of a generation, or its policy. */
typedef void message_fn(const struct control *c, uint32_t i, uint32_t generation,
			struct xfrm_buf *buf);

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
sa_of(const struct control *c, uint32_t i, uint32_t generation)
{
	rte_be32_t dst = c->dst != 0 ? c->dst : rte_cpu_to_be_32(0x0b000000 + i / 4);
	struct sa_params p = {
		.id = {.dst = ip_addr_v4(dst),
		       .spi = rte_cpu_to_be_32(SPI_FIRST + i + generation % 2000 * NUMBERS),
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
	memcpy(p.key + sizeof(p.reqid), &generation, sizeof(generation));
	return p;
}

static void
new_sa(const struct control *c, uint32_t i, uint32_t generation, struct xfrm_buf *buf)
{
	const struct xfrm_head head = {XFRM_MSG_NEWSA, NLM_F_REQUEST, c->seq, 0};
	const struct sa_params p = sa_of(c, i, generation);
	const struct xfrm_sa sa = {.params = &p};

	if (!xfrm_encode_sa(buf, &head, &sa))
		fail("an SA does not fit into a message");
}

static void
put_policy(const struct control *c, uint32_t i, uint16_t type, struct xfrm_buf *buf)
{
	const struct xfrm_head head = {type, NLM_F_REQUEST, c->seq, 0};
	const struct sa_params p = sa_of(c, i, 0);
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
new_policy(const struct control *c, uint32_t i, uint32_t generation, struct xfrm_buf *buf)
{
	(void)generation;
	put_policy(c, i, XFRM_MSG_NEWPOLICY, buf);
}

static void
update_policy(const struct control *c, uint32_t i, uint32_t generation, struct xfrm_buf *buf)
{
	(void)generation;
	put_policy(c, i, XFRM_MSG_UPDPOLICY, buf);
}

static void
delete_policy(const struct control *c, uint32_t i, uint32_t generation, struct xfrm_buf *buf)
{
	struct {
		struct nlmsghdr head;
		struct xfrm_userpolicy_id id;
	} m = {.head = {.nlmsg_len = sizeof(m),
			.nlmsg_type = XFRM_MSG_DELPOLICY,
			.nlmsg_flags = NLM_F_REQUEST,
			.nlmsg_seq = c->seq},
	       .id = {.sel = {.daddr.a4 = rte_cpu_to_be_32(0x0a000000 + i),
			      .prefixlen_d = 32,
			      .family = AF_INET},
		      .dir = SPD_OUT}};

	(void)generation;
	memcpy(buf->data, &m, sizeof(m));
	buf->len = sizeof(m);
}

static void
delete_sa(const struct control *c, uint32_t i, uint32_t generation, struct xfrm_buf *buf)
{
	const struct sa_params p = sa_of(c, i, generation);
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
flush_policies(const struct control *c, uint32_t i, uint32_t generation, struct xfrm_buf *buf)
{
	const struct xfrm_head head = {XFRM_MSG_FLUSHPOLICY, NLM_F_REQUEST, c->seq, 0};

	(void)i;
	(void)generation;
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
append(struct control *c, message_fn *message, uint32_t i, uint32_t generation)
{
	struct xfrm_buf buf = {.len = 0};

	c->seq++;
	message(c, i, generation, &buf);
	if (c->out_len + buf.len > sizeof(c->out))
		send_all(c);
	c->last = (struct nlmsghdr *)(c->out + c->out_len);
	memcpy(c->last, buf.data, buf.len);
	c->out_len += buf.len;
}

/* Returns when the engine has done all that it was asked for. */
static void
finish(struct control *c)
{
	uint32_t count = 0;

	c->last->nlmsg_flags |= NLM_F_ACK;
	send_all(c);
	while (!read_answers(c, c->seq, NLMSG_NOOP, &count))
		;
}

/* ---- phases ---- */

static void
report(struct control *c, const char *what, uint32_t count, double begin)
{
	double rate = count / (seconds() - begin);

	printf("%-16s %10.0f a second, %u in all\n", what, rate, count);
	json_object_set_new(c->all, what, json_real(rate));
}

static void
run(struct control *c, const char *what, message_fn *message, uint32_t n)
{
	double begin = seconds();

	for (uint32_t i = 0; i < n; i++)
		append(c, message, c->first + i, c->generation);
	finish(c);
	report(c, what, n, begin);
}

static void
add_sas(struct control *c)
{
	run(c, "sas_added", new_sa, c->sas);
}

static void
add_policies(struct control *c)
{
	run(c, "policies_added", new_policy, c->sas);
}

static void
flush(struct control *c)
{
	run(c, "policy_flushes", flush_policies, 1);
}

static void
delete_sas(struct control *c)
{
	run(c, "sas_deleted", delete_sa, c->sas);
}

static void
dump(struct control *c)
{
	const struct nlmsghdr request = {.nlmsg_len = sizeof(request),
					 .nlmsg_type = XFRM_MSG_GETSA,
					 .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
					 .nlmsg_seq = ++c->seq};
	double begin = seconds();
	uint32_t count = 0;

	if (send(c->fd, &request, sizeof(request), MSG_NOSIGNAL) != sizeof(request))
		fail("the engine takes no request: %s", strerror(errno));
	while (!read_answers(c, c->seq, XFRM_MSG_NEWSA, &count))
		;
	if (count != c->sas)
		fail("a dump has %u SAs, expected %u", count, c->sas);
	report(c, "sas_dumped", count, begin);
}

/* Where the messages so far are ahead of the rate: sends them, and waits. */
static void
keep_rate(struct control *c, uint32_t messages, double begin)
{
	const struct timespec pause = {.tv_nsec = 500000};

	while (c->rate != 0 && messages > (seconds() - begin) * c->rate) {
		send_all(c);
		nanosleep(&pause, NULL);
	}
}

/* Guest k comes; the guest of GUESTS / 2 before goes. */
static void
guest_comes(struct control *c, uint32_t k)
{
	append(c, new_sa, c->first + c->sas + k % GUESTS, k / GUESTS);
	append(c, new_policy, c->first + c->sas + k % GUESTS, 0);
}

static void
guest_goes(struct control *c, uint32_t k)
{
	append(c, delete_policy, c->first + c->sas + k % GUESTS, 0);
	append(c, delete_sa, c->first + c->sas + k % GUESTS, k / GUESTS);
}

static void
storm(struct control *c)
{
	uint32_t start = c->generation * c->sas, end = start + c->rounds * c->sas;
	uint32_t messages = c->seq;
	double begin = seconds();

	for (uint32_t k = start; k < end; k++) {
		append(c, new_sa, c->first + k % c->sas, k / c->sas + 1);
		append(c, delete_sa, c->first + k % c->sas, k / c->sas);
		append(c, update_policy, c->first + k % c->sas, 0);
		guest_comes(c, k);
		if (k - start >= GUESTS / 2)
			guest_goes(c, k - GUESTS / 2);
		keep_rate(c, c->seq - messages, begin);
	}
	for (uint32_t k = end - RTE_MIN(end - start, GUESTS / 2u); k < end; k++)
		guest_goes(c, k);
	finish(c);
	c->generation += c->rounds;
	report(c, "storm", c->seq - messages, begin);
}

static const struct phase {
	const char *name;
	void (*run)(struct control *c);
} phases[] = {
	{"sas", add_sas}, {"policies", add_policies}, {"dump", dump},
	{"flush", flush}, {"delete", delete_sas},     {"storm", storm},
};

#define PHASES       (sizeof(phases) / sizeof(phases[0]))
#define PHASES_USUAL 5 /* the first */

static void
run_phase(struct control *c, const char *name)
{
	size_t i = 0;

	while (i < PHASES && strcmp(phases[i].name, name) != 0)
		i++;
	if (i == PHASES)
		fail("there is no phase %s", name);
	phases[i].run(c);
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

static uint32_t
number(const char *text)
{
	return (uint32_t)strtoul(text, NULL, 10);
}

static void
set(struct control *c, int option)
{
	switch (option) {
	case 'f':
		c->first = number(optarg);
		break;
	case 'n':
		c->sas = number(optarg);
		break;
	case 'g':
		c->generation = number(optarg);
		break;
	case 'd':
		c->dst = inet_addr(optarg);
		break;
	case 'e':
		c->expire = number(optarg);
		break;
	case 'o':
		c->rounds = number(optarg);
		break;
	case 'r':
		c->rate = number(optarg);
		break;
	case 'j':
		c->json = optarg;
		break;
	default:
		exit(2);
	}
}

static void
parse(struct control *c, int argc, char **argv)
{
	static const struct option options[] = {
		{"first", required_argument, NULL, 'f'},
		{"sas", required_argument, NULL, 'n'},
		{"generation", required_argument, NULL, 'g'},
		{"dst", required_argument, NULL, 'd'},
		{"expire", required_argument, NULL, 'e'},
		{"rounds", required_argument, NULL, 'o'},
		{"rate", required_argument, NULL, 'r'},
		{"json", required_argument, NULL, 'j'},
		{0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
		set(c, option);
	if (optind == argc || c->sas == 0 || c->sas > NUMBERS - GUESTS - c->first)
		fail("usage: control SOCKET [--first I] [--sas N] [--generation G] [--dst ADDRESS] "
		     "[--expire SECONDS] [--rounds R] [--rate R] [--json FILE] [PHASE...]");
	connect_to(c, argv[optind]);
}

int
main(int argc, char **argv)
{
	static struct control c = {.sas = 100000, .rounds = 1};

	parse(&c, argc, argv);
	c.all = json_object();
	json_object_set_new(c.all, "sas", json_integer(c.sas));
	for (int i = optind + 1; i < argc; i++)
		run_phase(&c, argv[i]);
	for (size_t i = 0; optind + 1 == argc && i < PHASES_USUAL; i++)
		phases[i].run(&c);
	if (c.json != NULL && json_dump_file(c.all, c.json, JSON_INDENT(8)) != 0)
		fail("%s cannot be written", c.json);
	json_decref(c.all);
	close(c.fd);
	return 0;
}
