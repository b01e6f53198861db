/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Configuration files of any bytes: read, compared with the schema, checked. A file is accepted
 * without a complaint, or refused with one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dataplane/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("config", 0);
	struct config *config;
	char path[64], *text = NULL;
	size_t len = 0;
	FILE *errors = open_memstream(&text, &len);

	if (fd < 0 || errors == NULL || write(fd, data, size) != (ssize_t)size)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	config = config_load(path, errors);
	fclose(errors);
	if (config == NULL && len == 0)
		abort();
	if (config != NULL)
		config_free(config);
	free(text);
	close(fd);
	return 0;
}
