/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What operators may see, page by page: JSON of the dataplane's state, a row at a time, so that
 * show.c can stream a page of any length between other work. Never a key. Control thread.
 */
#pragma once

#include <jansson.h>

#include "dataplane.h"
#include "show.h"

struct rtnl;

struct show_source {
	struct dataplane *dp;
	struct rtnl *rtnl;
	struct show_peers peers;
	uint64_t started; /* wall-clock seconds */
};

/* Where a page's rows have got to; zero at its start. */
union show_cursor {
	uint32_t number;
	uint64_t place;
};

struct show_page {
	const char *name; /* the request, and the key of the rows */
	/* Members of the document beside its rows, or NULL. */
	json_t *(*head)(const struct show_source *s);
	/* The next row, NULL after the last. Rows survive changes between calls. */
	json_t *(*next)(const struct show_source *s, union show_cursor *cursor);
};

/* The page of that name, or NULL. */
const struct show_page *show_page_find(const char *name);
