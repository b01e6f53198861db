/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A configuration file while it is being read: its YAML tree, which knows the lines, and where
 * complaints go. Private to config*.c: config_schema.c compares the tree with the schema,
 * config_check.c the values with sense, and both complain of everything that they find.
 */
#pragma once

#include <stdio.h>

#include <cyaml/cyaml.h>
#include <yaml.h>

#include "config.h"

struct config_source {
	const char *path; /* of the file */
	FILE *errors;
	unsigned int complaints;
	yaml_document_t document;
};

/* Writes "FILE:LINE: KEY: TEXT" and counts it. `key` is a path such as "ports[1].name". */
__attribute__((format(printf, 3, 4))) void config_complain(struct config_source *s, const char *key,
							   const char *format, ...);

/* Likewise, of something that does not prevent a start. */
__attribute__((format(printf, 3, 4))) void config_warn(struct config_source *s, const char *key,
						       const char *format, ...);

/* The shape of struct config. libcyaml fills the structure by it. */
extern const struct cyaml_schema_value config_schema;

/* Complains of every key and value of the tree that the schema does not have. */
void config_check_schema(struct config_source *s);

/* Complains of every value that makes no sense, once absent ones have their defaults. */
void config_check(struct config_source *s, const struct config *config);
