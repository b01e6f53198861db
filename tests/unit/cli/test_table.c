/* SPDX-License-Identifier: BSD-3-Clause */
/* Tables: what a person sees of a JSON document. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/table.h"

#define COLUMNS(...)                                                                               \
	(const char *const[])                                                                      \
	{                                                                                          \
		__VA_ARGS__, NULL                                                                  \
	}

static void
assert_table(const char *json, const char *const *columns, const char *expected)
{
	json_t *value = json_loads(json, 0, NULL);
	char *text;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(value);
	if (columns)
		table_print(out, value, columns);
	else
		table_print_values(out, value);
	fclose(out);
	assert_string_equal(text, expected);
	free(text);
	json_decref(value);
}

static void
columns_fit_their_widest_cell(void **state)
{
	assert_table("[{\"name\":\"a\",\"packets\":7},{\"name\":\"longer\",\"packets\":123456789}]",
		     COLUMNS("name", "packets"),
		     "NAME      PACKETS\n"
		     "a               7\n"
		     "longer  123456789\n");
}

static void
column_of_words_is_not_aligned_as_numbers(void **state)
{
	assert_table("[{\"v\":1,\"x\":1},{\"v\":\"any\",\"x\":22}]", COLUMNS("v", "x"),
		     "V     X\n"
		     "1     1\n"
		     "any  22\n");
}

static void
absent_values_are_dashes(void **state)
{
	assert_table("[{\"a\":null,\"b\":true},{\"b\":false}]", COLUMNS("a", "b"),
		     "A  B\n"
		     "-  yes\n"
		     "-  no\n");
}

static void
inner_objects_become_words(void **state)
{
	assert_table("[{\"paths\":[{\"type\":\"gateway\",\"via\":\"10.0.0.1\",\"weight\":2,\"x\":"
		     "null},{\"type\":\"connected\",\"down\":true,\"up\":false}]}]",
		     COLUMNS("paths"), "PATHS\ngateway 10.0.0.1 weight=2, connected down\n");
}

static void
no_rows_leave_the_titles(void **state)
{
	assert_table("[]", COLUMNS("out_seq", "b"), "OUT SEQ  B\n");
}

static void
long_cell_is_cut_and_not_overrun(void **state)
{
	char json[2048], word[1200];
	json_t *rows;
	char *text;
	size_t len;
	FILE *out;

	memset(word, 'x', sizeof(word) - 1);
	word[sizeof(word) - 1] = '\0';
	snprintf(json, sizeof(json), "[{\"a\":\"%s\"}]", word);
	rows = json_loads(json, 0, NULL);
	out = open_memstream(&text, &len);
	table_print(out, rows, COLUMNS("a"));
	fclose(out);
	assert_true(len < 1100);
	free(text);
	json_decref(rows);
}

static void
values_are_listed_with_the_names_of_their_groups(void **state)
{
	assert_table("{\"pid\":7,\"host\":{\"frames\":3}}", NULL,
		     "pid          7\n"
		     "host.frames  3\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(columns_fit_their_widest_cell),
		cmocka_unit_test(column_of_words_is_not_aligned_as_numbers),
		cmocka_unit_test(absent_values_are_dashes),
		cmocka_unit_test(inner_objects_become_words),
		cmocka_unit_test(no_rows_leave_the_titles),
		cmocka_unit_test(long_cell_is_cut_and_not_overrun),
		cmocka_unit_test(values_are_listed_with_the_names_of_their_groups),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
