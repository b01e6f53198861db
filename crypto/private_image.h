/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A second image of a library that is loaded already: the same code at another address, with
 * writable data of its own. IPsec-MB 1.3 stores to one error variable for the whole process in
 * every direct GCM call; two threads that share the cache line under it lose up to half their
 * speed to each other. With an image for each context the line is private. 2.0 stores there only
 * after an error: built with it, there are no images (no_image.c).
 *
 * Only for functions that reach code and data relative to themselves, as hand-written assembly
 * does: whatever goes through the image's tables of addresses arrives in the first image.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct private_image {
	uint8_t *base;   /* NULL: none */
	size_t span;     /* bytes mapped at base */
	ptrdiff_t shift; /* from a function of the first image to the same one here */
};

/*
 * Maps an image of the library that holds `function`. 0, or -errno: then nothing is mapped and
 * the first image has to do. Slow (milliseconds); any thread.
 */
int private_image_map(struct private_image *image, const void *function);
void private_image_unmap(struct private_image *image);
