/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory straight from the system, for what is large, long-lived or secret: zeroed, locked as far
 * as the process may, never in a core file. Only touched pages cost anything.
 */
#pragma once

#include <stddef.h>

struct memory {
	void *base; /* at least page-aligned; NULL if not mapped */
	size_t size;
};

/* 0 or -ENOMEM. Huge pages where the system has them, transparent ones else. Control thread. */
int memory_map(struct memory *m, size_t size);
/* Has the pages of unused memory in place before another thread uses it: clears some of it. */
void memory_touch(void *from, size_t size);
void memory_unmap(struct memory *m); /* does not overwrite: that is the owner's */
