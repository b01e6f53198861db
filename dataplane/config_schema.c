/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The schema of the configuration file, and the comparison of a file's YAML tree with it. libcyaml
 * fills struct config by the same tables but gives up at the first error, and of a syntax error it
 * does not know the line; so the tree is compared here first, where all errors can be told at once.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "config_source.h"
#include "dataplane.h"

#define KEY_MAX 256

static const cyaml_strval_t polling_names[] = {
	{"adaptive", POLLING_ADAPTIVE},
	{"busy", POLLING_BUSY},
};

static const cyaml_strval_t spread_names[] = {
	{"off", SPREAD_OFF},
	{"auto", SPREAD_AUTO},
	{"always", SPREAD_ALWAYS},
};

static const cyaml_strval_t side_names[] = {
	{"protected", SIDE_PROTECTED},
	{"unprotected", SIDE_UNPROTECTED},
};

static const cyaml_strval_t no_match_names[] = {
	{"discard", NO_MATCH_DISCARD},
	{"bypass", NO_MATCH_BYPASS},
};

static const cyaml_strval_t df_names[] = {
	{"copy", DF_COPY},
	{"set", DF_SET},
	{"clear", DF_CLEAR},
};

static const cyaml_strval_t fragment_names[] = {
	{"before", FRAGMENT_BEFORE},
	{"after", FRAGMENT_AFTER},
};

static const cyaml_strval_t too_big_names[] = {
	{"accept", TOO_BIG_ACCEPT},
	{"ignore", TOO_BIG_IGNORE},
};

static const cyaml_strval_t ecn_names[] = {
	{"log", ECN_LOG},
	{"silent", ECN_SILENT},
};

static const cyaml_strval_t mss_names[] = {
	{"off", MSS_KEEP},
	{"on", MSS_CLAMP},
};

static const cyaml_strval_t errors_names[] = {
	{"answer", ERRORS_ANSWER},
	{"silent", ERRORS_SILENT},
};

static const cyaml_strval_t fragments_names[] = {
	{"pass", FRAGMENTS_PASS},
	{"discard", FRAGMENTS_DISCARD},
};

static const cyaml_strval_t nat_rebinding_names[] = {
	{"event", NAT_REBINDING_EVENT},
	{"follow", NAT_REBINDING_FOLLOW},
};

/* What numbers may be, by their key (libcyaml 1.3 knows no ranges). */
static const struct range {
	const char *key;
	uint32_t min, max;
} ranges[] = {
	{"cores", 0, 65535},
	{"dummy_rate", 0, 1000},
	{"id", 1, 4094},
	{"mark", 0, UINT32_MAX},
	{"mark_in", 0, UINT32_MAX},
	{"max_bytes", 1u << 18, 1u << 30},
	{"max_policies", 1, 1u << 24},
	{"max_sas", 1, 1u << 24},
	{"max_sets", 1, 1u << 20},
	{"mtu", 576, 9216},
	{"orphan_grace", 1, 31536000},
	{"path_mtu_age", 1, 86400},
	{"punt_rate", 1, 1000000},
	{"replay_window", REPLAY_WINDOW_MIN, REPLAY_WINDOW_MAX},
	{"table", 1, UINT32_MAX},
	{"tenant", 0, UINT32_MAX},
	{"tenant_in", 0, UINT32_MAX},
	{"timeout", 1, 60},
};

#define TEXT(flags, type, member)                                                                  \
	CYAML_FIELD_STRING_PTR(#member, CYAML_FLAG_POINTER | (flags), type, member, 1,             \
			       CYAML_UNLIMITED)
#define NUMBER(flags, type, member) CYAML_FIELD_UINT(#member, flags, type, member)
#define CHOICE(flags, type, member, names)                                                         \
	CYAML_FIELD_ENUM(#member, CYAML_FLAG_STRICT | (flags), type, member, names,                \
			 CYAML_ARRAY_LEN(names))
#define LIST(flags, type, member, entry, max)                                                      \
	CYAML_FIELD_SEQUENCE(#member, CYAML_FLAG_POINTER | (flags), type, member, &(entry), 0, max)
#define SECTION(member, fields)                                                                    \
	CYAML_FIELD_MAPPING(#member, CYAML_FLAG_OPTIONAL, struct config, member, fields)

#define REQUIRED CYAML_FLAG_DEFAULT
#define OPTIONAL CYAML_FLAG_OPTIONAL

static const cyaml_schema_value_t core_schema = {
	CYAML_VALUE_UINT(CYAML_FLAG_DEFAULT, unsigned int),
};

static const cyaml_schema_field_t workers_fields[] = {
	LIST(OPTIONAL, struct config_workers, cores, core_schema, WORKERS_MAX),
	CHOICE(OPTIONAL, struct config_workers, polling, polling_names),
	CHOICE(OPTIONAL, struct config_workers, spread, spread_names),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t vlan_fields[] = {
	TEXT(REQUIRED, struct config_vlan, name),
	NUMBER(REQUIRED, struct config_vlan, id),
	CHOICE(REQUIRED, struct config_vlan, side, side_names),
	NUMBER(OPTIONAL, struct config_vlan, mtu),
	TEXT(OPTIONAL, struct config_vlan, host_interface),
	NUMBER(OPTIONAL, struct config_vlan, tenant),
	NUMBER(OPTIONAL, struct config_vlan, tenant_in),
	NUMBER(OPTIONAL, struct config_vlan, mark),
	NUMBER(OPTIONAL, struct config_vlan, mark_in),
	NUMBER(OPTIONAL, struct config_vlan, table),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t vlan_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_vlan, vlan_fields),
};

static const cyaml_schema_field_t port_fields[] = {
	TEXT(REQUIRED, struct config_port, name),
	TEXT(REQUIRED, struct config_port, device),
	CHOICE(REQUIRED, struct config_port, side, side_names),
	NUMBER(OPTIONAL, struct config_port, mtu),
	TEXT(OPTIONAL, struct config_port, host_interface),
	NUMBER(OPTIONAL, struct config_port, tenant),
	NUMBER(OPTIONAL, struct config_port, tenant_in),
	NUMBER(OPTIONAL, struct config_port, mark),
	NUMBER(OPTIONAL, struct config_port, mark_in),
	NUMBER(OPTIONAL, struct config_port, table),
	LIST(OPTIONAL, struct config_port, vlans, vlan_schema, IFACES_MAX),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t port_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_port, port_fields),
};

static const cyaml_schema_field_t route_fields[] = {
	TEXT(REQUIRED, struct config_route, prefix),
	TEXT(OPTIONAL, struct config_route, via),
	TEXT(OPTIONAL, struct config_route, port),
	NUMBER(OPTIONAL, struct config_route, table),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t route_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_route, route_fields),
};

static const cyaml_schema_field_t neighbour_fields[] = {
	TEXT(REQUIRED, struct config_neighbour, address),
	TEXT(REQUIRED, struct config_neighbour, mac),
	TEXT(REQUIRED, struct config_neighbour, port),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t neighbour_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_neighbour, neighbour_fields),
};

static const cyaml_schema_field_t sad_fields[] = {
	NUMBER(OPTIONAL, struct config_sad, max_sas),
	NUMBER(OPTIONAL, struct config_sad, replay_window),
	NUMBER(OPTIONAL, struct config_sad, orphan_grace),
	CHOICE(OPTIONAL, struct config_sad, nat_rebinding, nat_rebinding_names),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t spd_fields[] = {
	NUMBER(OPTIONAL, struct config_spd, max_policies),
	CHOICE(OPTIONAL, struct config_spd, no_match, no_match_names),
	CHOICE(OPTIONAL, struct config_spd, fragments, fragments_names),
	CHOICE(OPTIONAL, struct config_spd, errors, errors_names),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t tunnels_fields[] = {
	CHOICE(OPTIONAL, struct config_tunnels, df, df_names),
	CHOICE(OPTIONAL, struct config_tunnels, fragment, fragment_names),
	CHOICE(OPTIONAL, struct config_tunnels, too_big, too_big_names),
	NUMBER(OPTIONAL, struct config_tunnels, path_mtu_age),
	CHOICE(OPTIONAL, struct config_tunnels, ecn_anomalies, ecn_names),
	CHOICE(OPTIONAL, struct config_tunnels, mss_clamp, mss_names),
	NUMBER(OPTIONAL, struct config_tunnels, dummy_rate),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t reassembly_fields[] = {
	NUMBER(OPTIONAL, struct config_reassembly, max_sets),
	NUMBER(OPTIONAL, struct config_reassembly, max_bytes),
	NUMBER(OPTIONAL, struct config_reassembly, timeout),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t host_fields[] = {
	NUMBER(OPTIONAL, struct config_host, punt_rate),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t algorithm_schema = {
	CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 1, CYAML_UNLIMITED),
};

static const cyaml_schema_field_t crypto_fields[] = {
	TEXT(OPTIONAL, struct config_crypto, backend),
	LIST(OPTIONAL, struct config_crypto, legacy, algorithm_schema, CYAML_UNLIMITED),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t sockets_fields[] = {
	TEXT(OPTIONAL, struct config_sockets, xfrm),
	TEXT(OPTIONAL, struct config_sockets, show),
	TEXT(OPTIONAL, struct config_sockets, group),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t log_fields[] = {
	TEXT(OPTIONAL, struct config_log, level),
	TEXT(OPTIONAL, struct config_log, target),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t config_fields[] = {
	SECTION(workers, workers_fields),
	LIST(REQUIRED, struct config, ports, port_schema, PORTS_MAX),
	LIST(OPTIONAL, struct config, routes, route_schema, CYAML_UNLIMITED),
	LIST(OPTIONAL, struct config, neighbours, neighbour_schema, CYAML_UNLIMITED),
	SECTION(sad, sad_fields),
	SECTION(spd, spd_fields),
	SECTION(tunnels, tunnels_fields),
	SECTION(reassembly, reassembly_fields),
	SECTION(host, host_fields),
	SECTION(crypto, crypto_fields),
	SECTION(sockets, sockets_fields),
	SECTION(log, log_fields),
	CYAML_FIELD_END,
};

const struct cyaml_schema_value config_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct config, config_fields),
};

static const char *
scalar(const yaml_node_t *node)
{
	return (const char *)node->data.scalar.value;
}

static const yaml_node_pair_t *
mapping_find(struct config_source *s, const yaml_node_t *node, const char *key, size_t len)
{
	const yaml_node_pair_t *pair;

	for (pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top; pair++) {
		const yaml_node_t *k = yaml_document_get_node(&s->document, pair->key);

		if (k->type == YAML_SCALAR_NODE && k->data.scalar.length == len &&
		    memcmp(scalar(k), key, len) == 0)
			return pair;
	}
	return NULL;
}

/* The line of a key's path, or of the nearest part of it that the file has. From 1. */
static size_t
line_of(struct config_source *s, const char *key)
{
	const yaml_node_t *node = yaml_document_get_root_node(&s->document);
	size_t line = node ? node->start_mark.line : 0;

	while (node && *key) {
		if (*key == '[' && node->type == YAML_SEQUENCE_NODE) {
			const yaml_node_item_t *item = node->data.sequence.items.start;
			char *end;

			item += strtoul(key + 1, &end, 10);
			if (item >= node->data.sequence.items.top)
				break;
			node = yaml_document_get_node(&s->document, *item);
			line = node->start_mark.line;
			key = end + 1;
		} else if (node->type == YAML_MAPPING_NODE) {
			const yaml_node_pair_t *pair;
			size_t len;

			key += *key == '.';
			len = strcspn(key, ".[");
			pair = mapping_find(s, node, key, len);
			if (!pair)
				break;
			line = yaml_document_get_node(&s->document, pair->key)->start_mark.line;
			node = yaml_document_get_node(&s->document, pair->value);
			key += len;
		} else {
			break;
		}
	}
	return line + 1;
}

__attribute__((format(printf, 4, 0))) static void
say(struct config_source *s, size_t line, const char *key, const char *format, va_list args)
{
	fprintf(s->errors, "%s:%zu: %s%s", s->path, line, key, *key ? ": " : "");
	vfprintf(s->errors, format, args);
	fputc('\n', s->errors);
}

__attribute__((format(printf, 4, 5))) static void
complain_at(struct config_source *s, size_t line, const char *key, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(s, line, key, format, args);
	va_end(args);
	s->complaints++;
}

void
config_complain(struct config_source *s, const char *key, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(s, line_of(s, key), key, format, args);
	va_end(args);
	s->complaints++;
}

void
config_warn(struct config_source *s, const char *key, const char *format, ...)
{
	va_list args;

	fputs("warning: ", s->errors);
	va_start(args, format);
	say(s, line_of(s, key), key, format, args);
	va_end(args);
}

/* The last word of a path, without an index: "ports[0].mtu" is "mtu", "workers.cores[2]" "cores".
 */
static void
last_word(const char *path, char word[KEY_MAX])
{
	const char *dot = strrchr(path, '.');

	snprintf(word, KEY_MAX, "%s", dot ? dot + 1 : path);
	word[strcspn(word, "[")] = '\0';
}

static void
check_number(struct config_source *s, const yaml_node_t *node, const char *path)
{
	const struct range *range = ranges;
	char word[KEY_MAX], *end;
	unsigned long long value;

	last_word(path, word);
	while (strcmp(range->key, word) != 0)
		range++;
	errno = 0;
	value = strtoull(scalar(node), &end, 0);
	if (end == scalar(node) || *end || errno || strchr(scalar(node), '-') ||
	    value < range->min || value > range->max)
		complain_at(s, node->start_mark.line + 1, path,
			    "bad value \"%s\", expected a number from %u to %u", scalar(node),
			    range->min, range->max);
}

/* Appends words to a list in a fixed buffer; cut where it is full. */
static void
append(char *list, size_t size, const char *word)
{
	size_t len = strlen(list);

	snprintf(list + len, size - len, "%s%s", len ? ", " : "", word);
}

static void
check_choice(struct config_source *s, const yaml_node_t *node, const cyaml_schema_value_t *schema,
	     const char *path)
{
	char expected[KEY_MAX] = "";
	uint32_t i;

	for (i = 0; i < schema->enumeration.count; i++) {
		if (strcmp(scalar(node), schema->enumeration.strings[i].str) == 0)
			return;
		append(expected, sizeof(expected), schema->enumeration.strings[i].str);
	}
	complain_at(s, node->start_mark.line + 1, path, "bad value \"%s\", expected one of: %s",
		    scalar(node), expected);
}

static void check_value(struct config_source *s, const yaml_node_t *node,
			const cyaml_schema_value_t *schema, const char *path);

static void
check_list(struct config_source *s, const yaml_node_t *node, const cyaml_schema_value_t *schema,
	   const char *path)
{
	const yaml_node_item_t *item = node->data.sequence.items.start;
	size_t count = node->data.sequence.items.top - item;
	char entry[KEY_MAX];
	size_t i;

	if (count > schema->sequence.max)
		complain_at(s, node->start_mark.line + 1, path, "%zu entries, expected at most %u",
			    count, schema->sequence.max);
	for (i = 0; i < count; i++) {
		snprintf(entry, sizeof(entry), "%s[%zu]", path, i);
		check_value(s, yaml_document_get_node(&s->document, item[i]),
			    schema->sequence.entry, entry);
	}
}

static const cyaml_schema_field_t *
field_find(const cyaml_schema_field_t *fields, const char *key)
{
	for (; fields->key; fields++)
		if (strcmp(fields->key, key) == 0)
			return fields;
	return NULL;
}

static void
complain_unknown(struct config_source *s, size_t line, const cyaml_schema_field_t *fields,
		 const char *path)
{
	char expected[KEY_MAX] = "";

	for (; fields->key; fields++)
		append(expected, sizeof(expected), fields->key);
	complain_at(s, line, path, "unknown key, expected one of: %s", expected);
}

static void
check_pair(struct config_source *s, const yaml_node_t *node, const yaml_node_pair_t *pair,
	   const cyaml_schema_field_t *fields, const char *path)
{
	const yaml_node_t *key = yaml_document_get_node(&s->document, pair->key);
	size_t line = key->start_mark.line + 1;
	const cyaml_schema_field_t *field;
	char inner[KEY_MAX];

	if (key->type != YAML_SCALAR_NODE) {
		complain_at(s, line, path, "a list or mapping as a key, expected a word");
		return;
	}
	snprintf(inner, sizeof(inner), "%s%s%s", path, *path ? "." : "", scalar(key));
	field = field_find(fields, scalar(key));
	if (!field)
		complain_unknown(s, line, fields, inner);
	else if (mapping_find(s, node, scalar(key), key->data.scalar.length) != pair)
		complain_at(s, line, inner, "key given twice, expected once");
	else
		check_value(s, yaml_document_get_node(&s->document, pair->value), &field->value,
			    inner);
}

static void
check_mapping(struct config_source *s, const yaml_node_t *node, const cyaml_schema_field_t *fields,
	      const char *path)
{
	const yaml_node_pair_t *pair;

	for (pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top; pair++)
		check_pair(s, node, pair, fields, path);
	for (; fields->key; fields++)
		if (!(fields->value.flags & CYAML_FLAG_OPTIONAL) &&
		    !mapping_find(s, node, fields->key, strlen(fields->key)))
			complain_at(s, node->start_mark.line + 1, path, "missing key \"%s\"",
				    fields->key);
}

static const char *
kind_expected(const cyaml_schema_value_t *schema)
{
	switch (schema->type) {
	case CYAML_MAPPING:
		return "a mapping of keys";
	case CYAML_SEQUENCE:
		return "a list";
	case CYAML_UINT:
		return "a number";
	default:
		return "a word";
	}
}

static void
check_value(struct config_source *s, const yaml_node_t *node, const cyaml_schema_value_t *schema,
	    const char *path)
{
	static const char *const kinds[] = {"nothing", "a plain value", "a list", "a mapping"};
	yaml_node_type_t wanted = schema->type == CYAML_MAPPING    ? YAML_MAPPING_NODE
				  : schema->type == CYAML_SEQUENCE ? YAML_SEQUENCE_NODE
								   : YAML_SCALAR_NODE;

	if (node->type != wanted || (wanted == YAML_SCALAR_NODE && *scalar(node) == '\0'))
		complain_at(s, node->start_mark.line + 1, path, "%s, expected %s",
			    node->type == YAML_SCALAR_NODE && *scalar(node) == '\0'
				    ? kinds[0]
				    : kinds[node->type],
			    kind_expected(schema));
	else if (schema->type == CYAML_MAPPING)
		check_mapping(s, node, schema->mapping.fields, path);
	else if (schema->type == CYAML_SEQUENCE)
		check_list(s, node, schema, path);
	else if (schema->type == CYAML_UINT)
		check_number(s, node, path);
	else if (schema->type == CYAML_ENUM)
		check_choice(s, node, schema, path);
}

void
config_check_schema(struct config_source *s)
{
	const yaml_node_t *root = yaml_document_get_root_node(&s->document);

	if (!root)
		complain_at(s, 1, "", "the file is empty, expected at least \"ports\"");
	else
		check_value(s, root, &config_schema, "");
}
