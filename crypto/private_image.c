/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Read-only segments are mapped from the library's file once more, so that all images share the
 * page cache's memory; they are compared with what is running, in case the file was replaced.
 * Writable ones are copied.
 */
#include "private_image.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct search {
	uintptr_t function;
	struct dl_phdr_info holder; /* the library that it is in */
};

static uintptr_t
page_down(uintptr_t address)
{
	return address & ~((uintptr_t)sysconf(_SC_PAGESIZE) - 1);
}

static int
holds_function(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct search *search = arg;

	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];

		if (segment->p_type != PT_LOAD ||
		    search->function - info->dlpi_addr - segment->p_vaddr >= segment->p_memsz)
			continue;
		search->holder = *info;
		return 1;
	}
	return 0;
}

static int
map_read_only(uint8_t *base, const struct dl_phdr_info *library, const ElfW(Phdr) * segment, int fd)
{
	uintptr_t start = page_down(segment->p_vaddr), lead = segment->p_vaddr - start;
	int access = PROT_READ | (segment->p_flags & PF_X ? PROT_EXEC : 0);

	if (mmap(base + start, lead + segment->p_filesz, access, MAP_PRIVATE | MAP_FIXED, fd,
		 (off_t)(segment->p_offset - lead)) == MAP_FAILED)
		return -errno;
	if (memcmp(base + segment->p_vaddr, (void *)(library->dlpi_addr + segment->p_vaddr),
		   segment->p_filesz) != 0)
		return -ESTALE;
	return 0;
}

static int
copy_writable(uint8_t *base, const struct dl_phdr_info *library, const ElfW(Phdr) * segment)
{
	uintptr_t start = page_down(segment->p_vaddr);

	if (mprotect(base + start, segment->p_vaddr - start + segment->p_memsz,
		     PROT_READ | PROT_WRITE) < 0)
		return -errno;
	memcpy(base + segment->p_vaddr, (void *)(library->dlpi_addr + segment->p_vaddr),
	       segment->p_memsz);
	return 0;
}

/* What the loader makes read-only once it has filled it in: the tables of addresses. */
static int
protect(uint8_t *base, const ElfW(Phdr) * segment)
{
	uintptr_t start = page_down(segment->p_vaddr);
	uintptr_t end = page_down(segment->p_vaddr + segment->p_memsz);

	return mprotect(base + start, end - start, PROT_READ) < 0 ? -errno : 0;
}

static int
fill_segment(uint8_t *base, const struct dl_phdr_info *library, const ElfW(Phdr) * segment, int fd)
{
	if (segment->p_type == PT_GNU_RELRO)
		return protect(base, segment); /* it follows the segment that it is part of */
	if (segment->p_type != PT_LOAD)
		return 0;
	if (segment->p_flags & PF_W)
		return copy_writable(base, library, segment);
	return map_read_only(base, library, segment, fd);
}

static int
fill_segments(uint8_t *base, const struct dl_phdr_info *library, int fd)
{
	int error = 0;

	for (int i = 0; !error && i < library->dlpi_phnum; i++)
		error = fill_segment(base, library, &library->dlpi_phdr[i], fd);
	return error;
}

/* Bytes from the library's start to the end of its last segment. */
static size_t
span_of(const struct dl_phdr_info *library)
{
	size_t span = 0;

	for (int i = 0; i < library->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &library->dlpi_phdr[i];

		if (segment->p_type == PT_LOAD && segment->p_vaddr + segment->p_memsz > span)
			span = segment->p_vaddr + segment->p_memsz;
	}
	return span;
}

static int
map_library(struct private_image *image, const struct dl_phdr_info *library, int fd)
{
	size_t span = span_of(library);
	uint8_t *base = mmap(NULL, span, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int error;

	if (base == MAP_FAILED)
		return -errno;
	error = fill_segments(base, library, fd);
	if (error) {
		munmap(base, span);
		return error;
	}
	image->base = base;
	image->span = span;
	image->shift = (ptrdiff_t)((uintptr_t)base - library->dlpi_addr);
	return 0;
}

int
private_image_map(struct private_image *image, const void *function)
{
	struct search search = {.function = (uintptr_t)function};
	int fd, error;

	*image = (struct private_image){0};
	if (!dl_iterate_phdr(holds_function, &search))
		return -ENOENT;
	fd = open(search.holder.dlpi_name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	error = map_library(image, &search.holder, fd);
	close(fd);
	return error;
}

void
private_image_unmap(struct private_image *image)
{
	if (image->base)
		munmap(image->base, image->span);
	*image = (struct private_image){0};
}
