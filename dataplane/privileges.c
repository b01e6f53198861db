/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Capabilities belong to threads, not to the process, and DPDK starts several before ours can be
 * dropped: privileges_drop() makes each of them drop its own, by a signal that it sends to all.
 */
#include "privileges.h"

#include <dirent.h>
#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <rte_log.h>

RTE_LOG_REGISTER(privileges_log, sealane.privileges, NOTICE);
#define WARN(...) rte_log(RTE_LOG_WARNING, privileges_log, "privileges: " __VA_ARGS__)

#define DROP_SIGNAL SIGUSR1
#define WAIT_MS     5000 /* for a thread that is busy */

static atomic_uint dropped, failed;

void
privileges_guard_memory(void)
{
	const struct rlimit none = {0, 0}, unlimited = {RLIM_INFINITY, RLIM_INFINITY};
	int future = MCL_FUTURE;

	if (setrlimit(RLIMIT_CORE, &none) || prctl(PR_SET_DUMPABLE, 0))
		WARN("core files cannot be switched off: %s\n", strerror(errno));
	/* With a limit, locking the future would make later allocations fail. */
	if (setrlimit(RLIMIT_MEMLOCK, &unlimited))
		future = 0;
	if (mlockall(MCL_CURRENT | future | MCL_ONFAULT))
		WARN("memory cannot be locked, keys may reach the swap: %s\n", strerror(errno));
}

/* One thread's own capabilities. Async-signal-safe: system calls and atomics only. */
static void
drop_own(int signal)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {0};
	int error = errno;

	data[0].effective = data[0].permitted = 1u << CAP_NET_ADMIN;
	/* Release: pairs with the wait in privileges_drop(). */
	if (syscall(SYS_capset, &header, data))
		atomic_fetch_add_explicit(&failed, 1, memory_order_release);
	atomic_fetch_add_explicit(&dropped, 1, memory_order_release);
	errno = error;
}

/* Signals every thread but the caller. How many there are, or a negative errno. */
static int
signal_threads(void)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *e;
	int count = 0;

	if (!dir)
		return -errno;
	while ((e = readdir(dir))) {
		pid_t tid = (pid_t)atoi(e->d_name);

		if (tid > 0 && tid != gettid() &&
		    syscall(SYS_tgkill, getpid(), tid, DROP_SIGNAL) == 0)
			count++;
	}
	closedir(dir);
	return count;
}

/* Nothing may be gained again, neither by a set-uid program nor from the bounding set. */
static void
close_ways_back(void)
{
	int cap;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		WARN("PR_SET_NO_NEW_PRIVS: %s\n", strerror(errno));
	for (cap = 0; cap <= CAP_LAST_CAP; cap++)
		if (cap != CAP_NET_ADMIN)
			prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
}

int
privileges_drop(struct reason *why)
{
	struct sigaction action = {.sa_handler = drop_own, .sa_flags = SA_RESTART}, old;
	int threads, tries;

	close_ways_back();
	sigaction(DROP_SIGNAL, &action, &old);
	threads = signal_threads();
	if (threads < 0)
		return reason_set(why, -threads, "/proc/self/task: %s", strerror(-threads));
	for (tries = 0; tries < WAIT_MS; tries++) {
		/* Acquire: pairs with the release of each thread. */
		if (atomic_load_explicit(&dropped, memory_order_acquire) >= (unsigned int)threads)
			break;
		usleep(1000);
	}
	if (tries == WAIT_MS)
		return reason_set(why, ETIMEDOUT, "capabilities: a thread does not drop its own");
	drop_own(DROP_SIGNAL);
	sigaction(DROP_SIGNAL, &old, NULL);
	if (atomic_load_explicit(&failed, memory_order_acquire) > 0)
		return reason_set(why, EPERM, "capabilities cannot be dropped");
	return 0;
}
