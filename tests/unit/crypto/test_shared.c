/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The fast path of one thread writes nothing that another thread's writes: direct GCM calls leave
 * the variables alone of which the library has one for the process. They are made read-only here;
 * a call that stored to them would not come back.
 */
#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>
#include <intel-ipsec-mb.h>

#include "wire.h"

/* Pages of variables. */
struct pages {
	void *start;
	size_t size;
};

static int
variables_of_library(struct dl_phdr_info *info, size_t size, void *arg)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE) - 1;
	struct pages *found = arg;
	uintptr_t start = 0, end = 0;

	if (!strstr(info->dlpi_name, "libIPSec_MB"))
		return 0;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];

		if (segment->p_type != PT_LOAD || !(segment->p_flags & PF_W))
			continue;
		start = (info->dlpi_addr + segment->p_vaddr) & ~page;
		end = info->dlpi_addr + segment->p_vaddr + segment->p_memsz;
	}
	found->start = (void *)start;
	found->size = end - start;
	return 1;
}

static void
test_gcm_writes_to_nothing_shared(void **state)
{
	struct crypto_ctx *ctx = crypto_ctx_new(CRYPTO_IPSEC_MB, NULL);
	struct pages variables = {NULL, 0};

	assert_int_equal(dl_iterate_phdr(variables_of_library, &variables), 1);
	for (unsigned int suite = 0; suite < crypto_suites_count; suite++) {
		void *key;

		if (crypto_suites[suite].kind != CRYPTO_AEAD_GCM)
			continue;
		key = new_key(ctx, suite, 0);
		assert_int_equal(mprotect(variables.start, variables.size, PROT_READ), 0);
		wire_seal_and_open(ctx, suite, key);
		assert_int_equal(mprotect(variables.start, variables.size, PROT_READ | PROT_WRITE),
				 0);
		free(key);
	}
	crypto_ctx_free(ctx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gcm_writes_to_nothing_shared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
