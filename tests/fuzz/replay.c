/* SPDX-License-Identifier: BSD-3-Clause */
/* In place of libFuzzer, with any compiler: runs a target once over each file of a folder. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
__attribute__((weak)) int LLVMFuzzerInitialize(int *argc, char ***argv);

static void
run_file(const char *folder, const char *name)
{
	char path[4096];
	long size;
	uint8_t *data;
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "rb");
	if (file == NULL || fseek(file, 0, SEEK_END) != 0 || (size = ftell(file)) < 0)
		abort();
	rewind(file);
	data = malloc((size_t)size); /* exact: sanitizers see its end */
	if (fread(data, 1, (size_t)size, file) != (size_t)size)
		abort();
	fclose(file);
	LLVMFuzzerTestOneInput(data, (size_t)size);
	free(data);
}

int
main(int argc, char **argv)
{
	DIR *folder = opendir(argv[1]);
	const struct dirent *entry;
	unsigned int files = 0;

	if (folder == NULL) {
		fprintf(stderr, "no folder %s\n", argv[1]);
		return 1;
	}
	if (LLVMFuzzerInitialize != NULL)
		LLVMFuzzerInitialize(&argc, &argv);
	while ((entry = readdir(folder)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		run_file(argv[1], entry->d_name);
		files++;
	}
	closedir(folder);
	printf("%u inputs\n", files);
	return files == 0; /* an empty corpus shows nothing */
}
