/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sealanectl: asks a running sealaned for a page over its show socket (dataplane/show.h) and
 * prints it as a table, or as the JSON that came.
 */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "table.h"

#define SOCKET_DEFAULT "/run/sealane/show.sock"
#define ANSWER_SECONDS 5 /* that the daemon may be silent: it answers within milliseconds */

enum { EXIT_UNREACHABLE = 1, EXIT_USAGE = 2 };

struct options {
	const char *socket;
	bool json, all;
};

#define COLUMNS(...)                                                                               \
	(const char *const[])                                                                      \
	{                                                                                          \
		__VA_ARGS__, NULL                                                                  \
	}

/* What a person is shown of each page; the JSON has more. */
static const struct page {
	const char *name;
	const char *const *columns;
	const char *help;
} pages[] = {
	{"status", NULL, "the daemon, its databases and its threads"},
	{"sa",
	 COLUMNS("spi", "src", "dst", "protocol", "mode", "suite", "reqid", "state", "orphan",
		 "direction", "esn", "window", "out_seq", "in_seq", "path_mtu", "packets", "bytes",
		 "idle_seconds"),
	 "security associations, never a key"},
	{"policy",
	 COLUMNS("direction", "priority", "action", "src", "dst", "protocol", "sport", "dport",
		 "if_id", "template", "sa_spi", "idle_seconds"),
	 "security policies and the SA that each uses"},
	{"port",
	 COLUMNS("port", "side", "state", "vlan", "mtu", "mac", "host_interface", "rx_packets",
		 "rx_bytes", "tx_packets", "tx_bytes", "punted", "from_host"),
	 "ports and 802.1Q sub-ports, and whether every packet is accounted for"},
	{"route", COLUMNS("prefix", "table", "metric", "active", "paths"), "routes followed"},
	{"neighbour", COLUMNS("address", "port", "mac", "state"), "neighbours followed"},
	{"drops", COLUMNS("reason", "packets", "meaning"),
	 "dropped packets by reason, and whether every packet is accounted for"},
	{"worker",
	 COLUMNS("worker", "core", "received", "made", "resumed", "forwarded", "punted", "consumed",
		 "held", "dropped", "sealed", "opened", "offered", "helped", "inbox", "sleeps",
		 "busy_percent", "gap_us", "long_gaps"),
	 "workers and what each has done"},
	{"client", COLUMNS("pid", "groups", "queued_bytes"),
	 "who is connected to the control socket: IKE daemons and `ip`"},
};

#define PAGES (sizeof(pages) / sizeof(pages[0]))

static void
usage(FILE *out)
{
	size_t i;

	fprintf(out, "usage: sealanectl [-s SOCKET] [--json] [--all] PAGE [show]\n\npages:\n");
	for (i = 0; i < PAGES; i++)
		fprintf(out, "  %-10s %s\n", pages[i].name, pages[i].help);
	fprintf(out, "\noptions:\n"
		     "  -s, --socket SOCKET  the daemon's show socket (" SOCKET_DEFAULT ")\n"
		     "  -j, --json           print the JSON document\n"
		     "  -a, --all            drops: the reasons without a packet, too\n"
		     "  -V, --version        print the version\n"
		     "  -h, --help           print this\n");
}

static int
unreachable(const char *path, int error)
{
	const char *advice = "";

	if (error == EAGAIN) {
		fprintf(stderr, "sealanectl: %s: the daemon does not answer\n", path);
		return -1;
	}
	if (error == ENOENT || error == ECONNREFUSED)
		advice = " (is sealaned running?)";
	else if (error == EACCES)
		advice = " (be root, or in the group of the configuration's sockets.group)";
	fprintf(stderr, "sealanectl: %s: %s%s\n", path, strerror(error), advice);
	return -1;
}

/* Of connecting as well, where the daemon's queue of connections is full. */
static int
limit_time(int fd)
{
	const struct timeval limit = {.tv_sec = ANSWER_SECONDS};

	return setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) ||
	       setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
}

static int
ask(const char *path, const char *page)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(addr.sun_path))
		return unreachable(path, ENAMETOOLONG);
	memcpy(addr.sun_path, path, strlen(path));
	if (fd < 0 || limit_time(fd) || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) ||
	    dprintf(fd, "%s\n", page) < 0)
		return unreachable(path, errno);
	return fd;
}

/* The whole answer, or NULL after a message. Closes the socket. */
static char *
receive(int fd, const char *path, size_t *len)
{
	FILE *stream = fdopen(fd, "r");
	char *text = NULL;
	size_t room = 0;
	ssize_t got = stream ? getdelim(&text, &room, '\0', stream) : -1;

	if (got < 0 || ferror(stream)) {
		if (errno == EAGAIN)
			unreachable(path, errno);
		else
			fprintf(stderr, "sealanectl: the daemon's answer broke off\n");
		free(text);
		text = NULL;
	}
	if (stream)
		fclose(stream);
	*len = got < 0 ? 0 : (size_t)got;
	return text;
}

static json_int_t
member(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

/* The proof that no packet was lost uncounted. */
static void
print_balance(const json_t *b)
{
	json_int_t in = member(b, "received") + member(b, "made") + member(b, "resumed");
	json_int_t difference = member(b, "difference");

	printf("\nreceived %lld + made %lld + resumed %lld = %lld\n", member(b, "received"),
	       member(b, "made"), member(b, "resumed"), in);
	printf("forwarded %lld + punted %lld + consumed %lld + held %lld + dropped %lld = %lld\n",
	       member(b, "forwarded"), member(b, "punted"), member(b, "consumed"),
	       member(b, "held"), member(b, "dropped"), in - difference);
	if (json_is_true(json_object_get(b, "holds")))
		printf("The balance holds: every packet is accounted for.\n");
	else
		printf("The balance differs by %lld: packets were under way; ask again.\n",
		       difference);
}

/* Leaves only the reasons for which a packet was dropped. */
static void
remove_zero(json_t *rows)
{
	size_t i = 0;

	while (i < json_array_size(rows))
		if (json_integer_value(json_object_get(json_array_get(rows, i), "packets")) == 0)
			json_array_remove(rows, i);
		else
			i++;
}

static void
print_page(const struct page *page, const json_t *document, const struct options *options)
{
	json_t *rows = json_object_get(document, page->name);
	const json_t *balance = json_object_get(document, "balance");
	const json_t *waiting = json_object_get(document, "waiting");

	if (!page->columns) {
		table_print_values(stdout, rows);
		return;
	}
	if (strcmp(page->name, "drops") == 0 && !options->all)
		remove_zero(rows);
	table_print(stdout, rows, page->columns);
	if (balance)
		print_balance(balance);
	if (waiting) {
		printf("\npackets waiting for %s:\n",
		       strcmp(page->name, "policy") == 0 ? "an SA" : "a neighbour");
		table_print_values(stdout, waiting);
	}
}

/* Prints an answer of the daemon. The exit status. */
static int
print_answer(const struct page *page, const char *text, size_t len, const struct options *options)
{
	json_error_t error;
	json_t *document = json_loadb(text, len, 0, &error);
	const json_t *refusal = json_object_get(document, "error");
	int status = EXIT_SUCCESS;

	if (!document || refusal) {
		fprintf(stderr, "sealanectl: the daemon's answer: %s\n",
			refusal ? json_string_value(refusal) : error.text);
		status = EXIT_UNREACHABLE;
	} else if (options->json) {
		fwrite(text, 1, len, stdout);
	} else {
		print_page(page, document, options);
	}
	json_decref(document);
	return status;
}

static const struct page *
page_find(const char *name)
{
	size_t i;

	for (i = 0; i < PAGES; i++)
		if (strcmp(pages[i].name, name) == 0)
			return &pages[i];
	return NULL;
}

static int
show(const struct page *page, const struct options *options)
{
	int fd = ask(options->socket, page->name), status = EXIT_UNREACHABLE;
	size_t len;
	char *text;

	if (fd < 0)
		return EXIT_UNREACHABLE;
	text = receive(fd, options->socket, &len);
	if (text)
		status = print_answer(page, text, len, options);
	free(text);
	return status;
}

/* Fills options; a status to exit with, or -1 to go on. */
static int
parse_options(int argc, char **argv, struct options *options)
{
	static const struct option long_options[] = {
		{"socket", required_argument, NULL, 's'}, {"json", no_argument, NULL, 'j'},
		{"all", no_argument, NULL, 'a'},          {"version", no_argument, NULL, 'V'},
		{"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "s:jaVh", long_options, NULL)) != -1) {
		switch (option) {
		case 's':
			options->socket = optarg;
			break;
		case 'j':
			options->json = true;
			break;
		case 'a':
			options->all = true;
			break;
		case 'V':
			printf("sealanectl %s\n", SEALANE_VERSION);
			return EXIT_SUCCESS;
		case 'h':
			usage(stdout);
			return EXIT_SUCCESS;
		default:
			usage(stderr);
			return EXIT_USAGE;
		}
	}
	return -1;
}

int
main(int argc, char **argv)
{
	struct options options = {.socket = SOCKET_DEFAULT};
	const struct page *page;
	int status = parse_options(argc, argv, &options);
	int words = argc - optind;

	if (status >= 0)
		return status;
	if (words < 1 || words > 2 || (words == 2 && strcmp(argv[optind + 1], "show") != 0)) {
		usage(stderr);
		return EXIT_USAGE;
	}
	page = page_find(argv[optind]);
	if (!page) {
		fprintf(stderr, "sealanectl: unknown page \"%s\", expected one of those below\n",
			argv[optind]);
		usage(stderr);
		return EXIT_USAGE;
	}
	return show(page, &options);
}
