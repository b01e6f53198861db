/* SPDX-License-Identifier: BSD-3-Clause */
#include "table.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS_MAX 32
#define CELL_MAX    512

/* Appends to a cell; what does not fit is cut. */
__attribute__((format(printf, 2, 3))) static void
cell_add(char cell[CELL_MAX], const char *format, ...)
{
	size_t len = strlen(cell);
	va_list args;

	va_start(args, format);
	vsnprintf(cell + len, CELL_MAX - len, format, args);
	va_end(args);
}

static void cell_write(char cell[CELL_MAX], const json_t *value);

/* Members in a row: words as they are, numbers and flags with their key, nothing for absent ones.
 */
static void
cell_write_object(char cell[CELL_MAX], const json_t *object)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)object, key, value)
	{
		const char *space = *cell ? " " : "";

		if (json_is_integer(value))
			cell_add(cell, "%s%s=%lld", space, key, json_integer_value(value));
		else if (json_is_true(value))
			cell_add(cell, "%s%s", space, key);
		else if (json_is_string(value))
			cell_add(cell, "%s%s", space, json_string_value(value));
	}
}

static void
cell_write_array(char cell[CELL_MAX], const json_t *array)
{
	char part[CELL_MAX];
	size_t i;

	for (i = 0; i < json_array_size(array); i++) {
		part[0] = '\0';
		cell_write(part, json_array_get(array, i));
		cell_add(cell, "%s%s", i ? ", " : "", part);
	}
}

static void
cell_write(char cell[CELL_MAX], const json_t *value)
{
	if (json_is_string(value))
		cell_add(cell, "%s", json_string_value(value));
	else if (json_is_integer(value))
		cell_add(cell, "%lld", json_integer_value(value));
	else if (json_is_boolean(value))
		cell_add(cell, "%s", json_is_true(value) ? "yes" : "no");
	else if (json_is_object(value))
		cell_write_object(cell, value);
	else if (json_is_array(value))
		cell_write_array(cell, value);
	else
		cell_add(cell, "-");
}

struct column {
	char title[CELL_MAX];
	size_t width;
	bool numbers;
};

/* The title of a member: "out_seq" is "OUT SEQ". */
static void
column_title(struct column *column, const char *key)
{
	size_t i;

	snprintf(column->title, sizeof(column->title), "%s", key);
	for (i = 0; column->title[i]; i++)
		column->title[i] = column->title[i] == '_'
					   ? ' '
					   : (char)toupper((unsigned char)column->title[i]);
	column->width = i;
}

static void
column_fit(struct column *column, const json_t *rows, const char *key)
{
	char cell[CELL_MAX];
	size_t i;

	column_title(column, key);
	column->numbers = true;
	for (i = 0; i < json_array_size(rows); i++) {
		const json_t *value = json_object_get(json_array_get(rows, i), key);

		cell[0] = '\0';
		cell_write(cell, value);
		if (strlen(cell) > column->width)
			column->width = strlen(cell);
		if (value && !json_is_integer(value) && !json_is_null(value))
			column->numbers = false;
	}
}

/* A cell with the space to the next; the last of a line has none behind it. */
static void
cell_print(FILE *out, const struct column *column, const char *text, bool last)
{
	if (column->numbers)
		fprintf(out, "%*s%s", (int)column->width, text, last ? "\n" : "  ");
	else if (last)
		fprintf(out, "%s\n", text);
	else
		fprintf(out, "%-*s  ", (int)column->width, text);
}

void
table_print(FILE *out, const json_t *rows, const char *const *columns)
{
	struct column fitted[COLUMNS_MAX];
	unsigned int count = 0, c;
	char cell[CELL_MAX];
	size_t r;

	for (; count < COLUMNS_MAX && columns[count]; count++)
		column_fit(&fitted[count], rows, columns[count]);
	for (c = 0; c < count; c++)
		cell_print(out, &fitted[c], fitted[c].title, c + 1 == count);
	for (r = 0; r < json_array_size(rows); r++)
		for (c = 0; c < count; c++) {
			cell[0] = '\0';
			cell_write(cell, json_object_get(json_array_get(rows, r), columns[c]));
			cell_print(out, &fitted[c], cell, c + 1 == count);
		}
}

/* The longest key of an object's lines, those of inner objects included. */
static size_t
keys_width(const json_t *object)
{
	const char *key;
	size_t width = 0;
	json_t *value;

	json_object_foreach((json_t *)object, key, value)
	{
		size_t len = strlen(key) + (json_is_object(value) ? 1 + keys_width(value) : 0);

		width = len > width ? len : width;
	}
	return width;
}

static void
values_print(FILE *out, const json_t *object, const char *outer, size_t width)
{
	char name[CELL_MAX], cell[CELL_MAX];
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)object, key, value)
	{
		snprintf(name, sizeof(name), "%s%s%s", outer, *outer ? "." : "", key);
		if (json_is_object(value)) {
			values_print(out, value, name, width);
			continue;
		}
		cell[0] = '\0';
		cell_write(cell, value);
		fprintf(out, "%-*s  %s\n", (int)width, name, cell);
	}
}

void
table_print_values(FILE *out, const json_t *object)
{
	values_print(out, object, "", keys_width(object));
}
