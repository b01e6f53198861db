/* SPDX-License-Identifier: BSD-3-Clause */
/* The pages of the SAD and the SPD, for show_page.c's table. */
#pragma once

#include "show_page.h"

json_t *show_sa_next(const struct show_source *s, union show_cursor *cursor);
json_t *show_policy_head(const struct show_source *s);
json_t *show_policy_next(const struct show_source *s, union show_cursor *cursor);
