/* SPDX-License-Identifier: BSD-3-Clause */
#include "drop.h"

const char *const drop_names[DROP_COUNT] = {
#define X(id, name, help) [DROP_##id] = name,
	DROP_REASONS(X)
#undef X
};

const char *const drop_help[DROP_COUNT] = {
#define X(id, name, help) [DROP_##id] = help,
	DROP_REASONS(X)
#undef X
};
