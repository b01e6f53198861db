/* SPDX-License-Identifier: BSD-3-Clause */
/* Mappings of anonymous memory (memory.h). Works before, and without, the EAL. */
#include "memory.h"

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>

#include <linux/mman.h>

#define HUGE_PAGE (UINT64_C(2) << 20)

int
memory_map(struct memory *m, size_t size)
{
	const int prot = PROT_READ | PROT_WRITE;
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS;

	/*
	 * From the pool of huge pages only what the pool really has: without MAP_NORESERVE the
	 * kernel refuses here, and not with a SIGBUS later.
	 */
	m->size = size >= HUGE_PAGE ? (size + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1) : size;
	m->base = MAP_FAILED;
	if (size >= HUGE_PAGE)
		m->base = mmap(NULL, m->size, prot, flags | MAP_HUGETLB | MAP_HUGE_2MB, -1, 0);
	if (m->base == MAP_FAILED) {
		m->base = mmap(NULL, m->size, prot, flags | MAP_NORESERVE, -1, 0);
		if (m->base == MAP_FAILED) {
			*m = (struct memory){0};
			return -ENOMEM;
		}
		madvise(m->base, m->size, MADV_HUGEPAGE);
	}
	/*
	 * Best effort, as RLIMIT_MEMLOCK allows. Untouched pages stay unbacked, but for those of
	 * the pool: it has set them aside anyway, and nobody waits later until they are cleared.
	 */
	mlock2(m->base, m->size, MLOCK_ONFAULT);
	madvise(m->base, m->size, MADV_DONTDUMP);
	return 0;
}

void
memory_touch(void *from, size_t size)
{
	volatile char *at = from;

	for (size_t i = 0; i < size; i += 4096)
		at[i] = 0;
	if (size > 0)
		at[size - 1] = 0;
}

void
memory_unmap(struct memory *m)
{
	if (m->base)
		munmap(m->base, m->size);
	*m = (struct memory){0};
}
