/* SPDX-License-Identifier: BSD-3-Clause */
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include <rte_log.h>

static int file = -1;
static FILE *stream;

static ssize_t
write_syslog(void *cookie, const char *text, size_t len)
{
	/* DPDK counts its levels from 1, syslog from 0. */
	syslog(rte_log_cur_msg_loglevel() - 1, "%.*s", (int)len, text);
	return (ssize_t)len;
}

/* One line of a file, with the time, in one write: lines of two threads do not mix. */
static ssize_t
write_file(void *cookie, const char *text, size_t len)
{
	time_t now = time(NULL);
	char line[1024];
	struct tm tm;
	size_t head;

	gmtime_r(&now, &tm);
	head = strftime(line, sizeof(line), "%Y-%m-%dT%H:%M:%SZ ", &tm);
	if (len > sizeof(line) - head)
		len = sizeof(line) - head;
	memcpy(line + head, text, len);
	return write(file, line, head + len) < 0 ? -1 : (ssize_t)len;
}

static int
open_stream(const char *target)
{
	const cookie_io_functions_t to_syslog = {.write = write_syslog};
	const cookie_io_functions_t to_file = {.write = write_file};

	if (strcmp(target, "stderr") == 0)
		return 0;
	if (strcmp(target, "syslog") == 0) {
		openlog("sealaned", LOG_PID, LOG_DAEMON);
		stream = fopencookie(NULL, "w", to_syslog);
	} else {
		file = open(target, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
		stream = file < 0 ? NULL : fopencookie(NULL, "w", to_file);
	}
	if (!stream)
		return -errno;
	setvbuf(stream, NULL, _IOLBF, BUFSIZ);
	return 0;
}

/* The level by name; the configuration's check knows the same names. */
static uint32_t
level_by_name(const char *name)
{
	static const char *const names[] = {
		[RTE_LOG_ERR] = "error", [RTE_LOG_WARNING] = "warning", [RTE_LOG_NOTICE] = "notice",
		[RTE_LOG_INFO] = "info", [RTE_LOG_DEBUG] = "debug",
	};
	uint32_t level = RTE_LOG_ERR;

	while (level < RTE_LOG_DEBUG && strcmp(names[level], name) != 0)
		level++;
	return level;
}

int
log_open(const struct config_log *config, struct reason *why)
{
	uint32_t level = level_by_name(config->level);
	int error = open_stream(config->target);

	if (error)
		return reason_set(why, -error, "log.target: %s: %s", config->target,
				  strerror(-error));
	rte_openlog_stream(stream ? stream : stderr);
	rte_log_set_global_level(level);
	rte_log_set_level_pattern("sealane.*", level);
	return 0;
}

void
log_close(void)
{
	rte_openlog_stream(stderr);
	if (stream)
		fclose(stream);
	if (file >= 0)
		close(file);
	closelog();
}
