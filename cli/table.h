/* SPDX-License-Identifier: BSD-3-Clause */
/* JSON as text that a person can read: tables with fitted columns, and lists of values. */
#pragma once

#include <stdio.h>

#include <jansson.h>

/*
 * Prints an array of objects as a table. `columns` names the members to print, in order, ended by
 * NULL. Columns of numbers are aligned to the right, absent values are "-".
 */
void table_print(FILE *out, const json_t *rows, const char *const *columns);

/* Prints an object as lines "key  value", members of inner objects as "outer.key". */
void table_print_values(FILE *out, const json_t *object);
