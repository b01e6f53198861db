/* SPDX-License-Identifier: BSD-3-Clause */
#include "packet_socket.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdlib.h>

#include <linux/if_packet.h>
#include <sys/socket.h>

/* The driver keeps its sockets to itself, so they are found among all that are open. */
static bool
is_on(int fd, unsigned int ifindex)
{
	struct sockaddr_ll addr = {0};
	socklen_t len = sizeof(addr);

	return getsockname(fd, (struct sockaddr *)&addr, &len) == 0 &&
	       addr.sll_family == AF_PACKET && (unsigned int)addr.sll_ifindex == ifindex;
}

static uint64_t
missed(int fd)
{
	struct tpacket_stats stats = {0};
	socklen_t len = sizeof(stats);

	return getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &len) == 0 ? stats.tp_drops
										: 0;
}

uint64_t
packet_socket_missed(unsigned int ifindex)
{
	DIR *folder = opendir("/proc/self/fd");
	const struct dirent *entry;
	uint64_t sum = 0;

	if (folder == NULL)
		return 0;
	while ((entry = readdir(folder)) != NULL) {
		int fd = atoi(entry->d_name);

		if (is_on(fd, ifindex))
			sum += missed(fd);
	}
	closedir(folder);
	return sum;
}
