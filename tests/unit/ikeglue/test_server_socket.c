/* SPDX-License-Identifier: BSD-3-Clause */
/* Whose the control socket is: who may use it, and what is left alone that stands in its place. */
#include <errno.h>
#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "crypto/socket_path.h"
#include "server_bench.h"

#define NOBODY 65534 /* a user and a group without rights */

static int
setup(void **state)
{
	return bench_setup(state, (gid_t)-1);
}

static int
setup_nogroup(void **state)
{
	return bench_setup(state, geteuid() == 0 ? NOBODY : getegid());
}

static void
socket_in_use_is_left_alone(void **state)
{
	struct bench *b = *state;
	const struct ctl_config config = {
		.path = b->addr.sun_path, .group = (gid_t)-1, .sad = b->sad, .spd = b->spd};
	struct reason why = {.text = ""};

	assert_null(ctl_open(&config, &why));
	assert_non_null(strstr(why.text, "another engine"));
	assert_int_equal(access(b->addr.sun_path, F_OK), 0);
}

/* Nor does its prober wait for it: no queue of connections is left. */
static void
socket_of_a_stopped_engine_is_left_alone(void **state)
{
	struct bench *b = *state;
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct ctl_config config = {
		.path = addr.sun_path, .group = (gid_t)-1, .sad = b->sad, .spd = b->spd};
	struct reason why = {.text = ""};
	int listener = socket(AF_UNIX, SOCK_SEQPACKET, 0), queued;

	snprintf(addr.sun_path, sizeof(addr.sun_path), "/tmp/sealane-test-%d.stopped",
		 (int)getpid());
	assert_int_equal(bind(listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(listener, 0), 0);
	queued = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	assert_int_equal(connect(queued, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_null(ctl_open(&config, &why));
	assert_non_null(strstr(why.text, "another engine"));
	assert_int_equal(access(addr.sun_path, F_OK), 0);
	close(queued);
	close(listener);
	/* Now nobody listens. */
	assert_int_equal(socket_path_clear(&addr, SOCK_SEQPACKET, &why), 0);
	assert_int_equal(access(addr.sun_path, F_OK), -1);
}

static void
what_is_no_socket_is_left_alone(void **state)
{
	struct bench *b = *state;
	char path[sizeof(b->addr.sun_path) + 8];
	const struct ctl_config config = {
		.path = path, .group = (gid_t)-1, .sad = b->sad, .spd = b->spd};
	struct reason why = {.text = ""};
	struct stat found;
	FILE *file;

	snprintf(path, sizeof(path), "%s.file", b->addr.sun_path);
	file = fopen(path, "w");
	fputs("precious", file);
	fclose(file);
	assert_null(ctl_open(&config, &why));
	assert_non_null(strstr(why.text, path));
	assert_non_null(strstr(why.text, "is no socket"));
	assert_int_equal(stat(path, &found), 0);
	assert_int_equal(found.st_size, 8);
	unlink(path);
	/* A link is judged itself, not what it leads to. */
	assert_int_equal(symlink(b->addr.sun_path, path), 0);
	assert_null(ctl_open(&config, &why));
	assert_non_null(strstr(why.text, "is no socket"));
	unlink(path);
}

/* Whether a process of that user and group is served: a child tries. */
static bool
served(struct bench *b, uid_t uid, gid_t gid, gid_t supplementary)
{
	int status = -1;
	pid_t child = fork();

	if (child == 0) {
		uint8_t data[64];
		struct xfrm_buf buf = {.len = 0};
		int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

		if (setgroups(1, &supplementary) < 0 || setresgid(gid, gid, gid) < 0 ||
		    setresuid(uid, uid, uid) < 0 ||
		    connect(fd, (struct sockaddr *)&b->addr, sizeof(b->addr)) < 0)
			_exit(2);
		bench_new_sa(&buf, 1, NLM_F_ACK);
		send(fd, buf.data, buf.len, MSG_NOSIGNAL);
		_exit(recv(fd, data, sizeof(data), 0) > 0 ? 0 : 1);
	}
	while (waitpid(child, &status, WNOHANG) == 0)
		ctl_poll(b->ctl);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void
S1_others_are_refused(void **state)
{
	struct bench *b = *state;

	if (geteuid() != 0)
		skip();
	assert_int_equal(chmod(b->addr.sun_path, 0666), 0); /* credentials are checked besides */
	assert_false(served(b, NOBODY, NOBODY, NOBODY));
	assert_int_equal(sad_count(b->sad), 0);
	assert_true(served(b, 0, 0, 0));
}

static void
members_of_the_group_are_served(void **state)
{
	struct bench *b = *state;
	struct stat stat_buf;

	assert_int_equal(stat(b->addr.sun_path, &stat_buf), 0);
	assert_int_equal(stat_buf.st_mode & 0777, 0660);
	if (geteuid() != 0)
		skip();
	assert_true(served(b, NOBODY, NOBODY, 1));
	assert_true(served(b, NOBODY, 1, NOBODY));
	assert_false(served(b, NOBODY, 1, 1));
}

int
main(void)
{
#define SOCKET_TEST(name) cmocka_unit_test_setup_teardown(name, setup, bench_teardown)
	const struct CMUnitTest tests[] = {
		SOCKET_TEST(socket_in_use_is_left_alone),
		SOCKET_TEST(socket_of_a_stopped_engine_is_left_alone),
		SOCKET_TEST(what_is_no_socket_is_left_alone),
		SOCKET_TEST(S1_others_are_refused),
		cmocka_unit_test_setup_teardown(members_of_the_group_are_served, setup_nogroup,
						bench_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
