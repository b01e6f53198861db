/* SPDX-License-Identifier: BSD-3-Clause */
/* The image of the library that a context has to itself, where IPsec-MB is older than 2.0. */
#include <dlfcn.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <intel-ipsec-mb.h>

#include "crypto/private_image.h"
#include "wire.h"

/* Mappings of the library in this process. */
static unsigned int
mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned int found = 0;
	char line[512];

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps))
		found += strstr(line, "libIPSec_MB") != NULL;
	fclose(maps);
	return found;
}

static void
test_a_freed_context_unmaps_its_image(void **state)
{
	unsigned int before = mappings();
	struct crypto_ctx *ctx = crypto_ctx_new(CRYPTO_IPSEC_MB, NULL);

	assert_in_range(mappings(), before + 1, before + 10);
	crypto_ctx_free(ctx);
	assert_int_equal(mappings(), before);
}

static void
test_no_image_of_what_no_library_holds(void **state)
{
	struct private_image image;
	int local = 0;

	assert_int_equal(private_image_map(&image, &local), -ENOENT);
	assert_null(image.base);
	assert_int_equal(image.shift, 0);
	private_image_unmap(&image);
}

/* Writes a file anew under that name: who has the old one mapped keeps it. */
static void
put_file(const char *path, const uint8_t *bytes, size_t len)
{
	FILE *file;

	unlink(path);
	file = fopen(path, "we");
	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, len, file), len);
	assert_int_equal(fclose(file), 0);
}

static uint8_t *
get_file(const char *path, size_t *len)
{
	FILE *file = fopen(path, "re");
	uint8_t *bytes;

	assert_non_null(file);
	fseek(file, 0, SEEK_END);
	*len = (size_t)ftell(file);
	rewind(file);
	bytes = malloc(*len);
	assert_int_equal(fread(bytes, 1, *len, file), *len);
	fclose(file);
	return bytes;
}

/* A package is upgraded while the engine runs: what is on disk is not what runs. */
static void
test_a_library_that_changed_since_it_was_loaded_has_no_image(void **state)
{
	char folder[] = "/tmp/sealane-test-XXXXXX", path[64];
	struct private_image image;
	uint8_t *bytes, *at;
	void *library, *function;
	Dl_info info;
	size_t len;

	assert_int_not_equal(dladdr((void *)(uintptr_t)alloc_mb_mgr, &info), 0);
	bytes = get_file(info.dli_fname, &len);
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/library.so", folder);
	put_file(path, bytes, len);
	library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	assert_non_null(library);
	function = dlsym(library, "aes_gcm_enc_128_sse");
	assert_non_null(function);
	assert_int_equal(private_image_map(&image, function), 0);
	private_image_unmap(&image);
	at = memmem(bytes, len, function, 64);
	assert_non_null(at);
	*at ^= 1;
	put_file(path, bytes, len);
	assert_int_equal(private_image_map(&image, function), -ESTALE);
	dlclose(library);
	unlink(path);
	rmdir(folder);
	free(bytes);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_freed_context_unmaps_its_image),
		cmocka_unit_test(test_no_image_of_what_no_library_holds),
		cmocka_unit_test(test_a_library_that_changed_since_it_was_loaded_has_no_image),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
