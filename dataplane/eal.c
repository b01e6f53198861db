/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <rte_pci.h>

#include "port.h"

RTE_LOG_REGISTER(eal_log, sealane.eal, NOTICE);

#define ARGS_MAX  (24 + 2 * PORTS_MAX)
#define HUGEPAGES "/sys/kernel/mm/hugepages"

/* A command line that grows. Its words are freed with it; EAL may reorder them. */
struct args {
	int count;
	char *word[ARGS_MAX + 1];
};

__attribute__((format(printf, 2, 3))) static void
add(struct args *args, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	if (args->count < ARGS_MAX && vasprintf(&args->word[args->count], format, list) >= 0)
		args->count++;
	va_end(list);
}

/* Free bytes in hugepages of every size. */
static uint64_t
hugepages_free(void)
{
	DIR *dir = opendir(HUGEPAGES);
	unsigned long long kib, pages;
	uint64_t bytes = 0;
	struct dirent *e;
	char path[512];

	while (dir && (e = readdir(dir))) {
		FILE *file;

		if (sscanf(e->d_name, "hugepages-%llukB", &kib) != 1)
			continue;
		snprintf(path, sizeof(path), HUGEPAGES "/%s/free_hugepages", e->d_name);
		file = fopen(path, "r");
		if (file && fscanf(file, "%llu", &pages) == 1)
			bytes += pages * kib * 1024;
		if (file)
			fclose(file);
	}
	if (dir)
		closedir(dir);
	return bytes;
}

static void
add_memory(struct args *args, size_t memory)
{
	uint64_t huge = hugepages_free();

	if (huge >= memory) {
		add(args, "--in-memory");
		return;
	}
	rte_log(RTE_LOG_WARNING, eal_log,
		"eal: %zu MiB of hugepages are needed and %zu are free: going on with ordinary "
		"memory. Packets then cost more (TLB misses: tens of percent with many SAs), and "
		"NICs need an IOMMU. Reserve some with vm.nr_hugepages.\n",
		(memory >> 20) + 1, (size_t)(huge >> 20));
	add(args, "--no-huge");
	add(args, "--no-shconf");
	add(args, "-m");
	add(args, "%zu", (memory >> 20) + 1);
}

/* "0@(0,1,2),1@4,2@5": lcore 0 on every CPU that we may use, the workers each on its own. */
static void
add_lcores(struct args *args, const struct config_workers *workers)
{
	char text[CPU_SETSIZE * 5 + 64 * 16] = "0@(";
	size_t len = strlen(text);
	cpu_set_t cpus;
	unsigned int i;

	CPU_ZERO(&cpus);
	sched_getaffinity(0, sizeof(cpus), &cpus);
	for (i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &cpus))
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%u,", i);
	text[len - 1] = ')';
	for (i = 0; i < workers->cores_count; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, ",%u@%u", i + 1,
					workers->cores[i]);
	add(args, "--lcores");
	add(args, "%s", text);
	add(args, "--main-lcore");
	add(args, "0");
}

/* Only the PCI devices that are ports: others are not ours to touch. */
static void
add_pci(struct args *args, const struct config *config)
{
	struct rte_pci_addr addr;
	bool any = false;
	unsigned int i;

	for (i = 0; i < config->ports_count; i++) {
		char *device = strdup(config->ports[i].device);

		if (device && rte_pci_addr_parse(strtok(device, ","), &addr) == 0) {
			add(args, "-a");
			add(args, "%s", config->ports[i].device);
			any = true;
		}
		free(device);
	}
	if (!any)
		add(args, "--no-pci");
}

int
eal_start(const struct config *config, size_t memory, struct reason *why)
{
	struct args args = {0};
	char *words[ARGS_MAX + 1];
	int i, started;

	add(&args, "sealaned");
	add(&args, "--file-prefix=sealane-%d", getpid());
	add(&args, "--no-telemetry");
	add_memory(&args, memory);
	add_lcores(&args, &config->workers);
	add_pci(&args, config);
	memcpy(words, args.word, sizeof(words));
	started = rte_eal_init(args.count, words);
	for (i = 0; i < args.count; i++)
		free(args.word[i]);
	if (started < 0)
		return reason_set(why, rte_errno, "DPDK does not start: %s",
				  rte_strerror(rte_errno));
	/* EAL makes a folder for what it shares with other processes: nothing, here. */
	rmdir(rte_eal_get_runtime_dir());
	return 0;
}
