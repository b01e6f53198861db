/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Loads the configuration file: libyaml reads the tree, config_schema.c checks it, libcyaml fills
 * struct config from it, absent values get their defaults, and config_check.c judges the result.
 */
#include "config.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "config_source.h"

#define FILE_MAX (16u << 20)

static void
cyaml_complain(cyaml_log_t level, void *ctx, const char *format, va_list args)
{
	struct config_source *s = ctx;
	char text[256];

	vsnprintf(text, sizeof(text), format, args);
	text[strcspn(text, "\n")] = '\0';
	config_complain(s, "", "%s", text);
}

static cyaml_config_t
cyaml_settings(struct config_source *s)
{
	return (cyaml_config_t){
		.log_fn = s ? cyaml_complain : NULL,
		.log_ctx = s,
		.mem_fn = cyaml_mem,
		.log_level = CYAML_LOG_ERROR,
	};
}

void
config_free(struct config *config)
{
	const cyaml_config_t settings = cyaml_settings(NULL);

	cyaml_free(&settings, &config_schema, config, 0);
}

/* The whole file in memory, or NULL after a complaint. */
static uint8_t *
file_read(struct config_source *s, size_t *len)
{
	FILE *file = fopen(s->path, "r");
	uint8_t *text = NULL;

	if (file) {
		text = malloc(FILE_MAX);
		errno = ENOMEM;
		*len = text ? fread(text, 1, FILE_MAX, file) : 0;
		if (text && (ferror(file) || *len == FILE_MAX)) {
			errno = *len == FILE_MAX ? EFBIG : errno;
			free(text);
			text = NULL;
		}
		fclose(file);
	}
	if (!text) {
		fprintf(s->errors, "%s: %s\n", s->path, strerror(errno));
		s->complaints++;
	}
	return text;
}

static void
complain_syntax(struct config_source *s, const yaml_parser_t *parser)
{
	fprintf(s->errors, "%s:%zu: bad YAML: %s%s%s, expected \"key: value\" lines\n", s->path,
		parser->problem_mark.line + 1, parser->context ? parser->context : "",
		parser->context ? ": " : "", parser->problem ? parser->problem : "unreadable");
	s->complaints++;
}

/* Fills s->document with the first document; there may be no second. False after a complaint. */
static bool
tree_read(struct config_source *s, const uint8_t *text, size_t len)
{
	yaml_document_t second;
	yaml_parser_t parser;
	bool ok = false;

	if (!yaml_parser_initialize(&parser))
		return false;
	yaml_parser_set_input_string(&parser, text, len);
	if (!yaml_parser_load(&parser, &s->document)) {
		complain_syntax(s, &parser);
	} else if (!yaml_parser_load(&parser, &second)) {
		complain_syntax(s, &parser);
		yaml_document_delete(&s->document);
	} else {
		ok = true;
		if (yaml_document_get_root_node(&second))
			config_complain(s, "", "a second document, expected one");
		yaml_document_delete(&second);
	}
	yaml_parser_delete(&parser);
	return ok;
}

/* Gives an absent string its default. False without memory. */
static bool
default_text(char **text, const char *value)
{
	if (!*text)
		*text = strdup(value);
	return *text;
}

static void
default_number(uint32_t *number, uint32_t value)
{
	if (*number == 0)
		*number = value;
}

/* One worker on the last CPU that we may use: the first is where everything else runs. */
static bool
default_cores(struct config_workers *workers)
{
	cpu_set_t cpus;
	unsigned int cpu;

	if (workers->cores_count > 0)
		return true;
	free(workers->cores);
	workers->cores = calloc(1, sizeof(*workers->cores));
	if (!workers->cores)
		return false;
	workers->cores_count = 1;
	CPU_ZERO(&cpus);
	sched_getaffinity(0, sizeof(cpus), &cpus);
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &cpus))
			workers->cores[0] = cpu;
	return true;
}

static bool
default_port(struct config_port *port)
{
	bool ok = default_text(&port->host_interface, port->name);
	unsigned int i;

	port->mtu = port->mtu ? port->mtu : 1500;
	default_number(&port->table, 254);
	default_number(&port->tenant_in, port->tenant);
	default_number(&port->mark_in, port->mark);
	for (i = 0; i < port->vlans_count; i++) {
		struct config_vlan *vlan = &port->vlans[i];

		ok &= default_text(&vlan->host_interface, vlan->name);
		vlan->mtu = vlan->mtu ? vlan->mtu : port->mtu;
		default_number(&vlan->table, 254);
		default_number(&vlan->tenant_in, vlan->tenant);
		default_number(&vlan->mark_in, vlan->mark);
	}
	return ok;
}

static bool
set_defaults(struct config *config)
{
	bool ok = default_cores(&config->workers);
	unsigned int i;

	for (i = 0; i < config->ports_count; i++)
		ok &= default_port(&config->ports[i]);
	for (i = 0; i < config->routes_count; i++)
		default_number(&config->routes[i].table, 254);
	default_number(&config->sad.max_sas, 16384);
	default_number(&config->sad.replay_window, 992);
	default_number(&config->sad.orphan_grace, 300);
	default_number(&config->spd.max_policies, 16384);
	default_number(&config->tunnels.path_mtu_age, 600);
	default_number(&config->reassembly.max_sets, 256);
	default_number(&config->reassembly.max_bytes, 2u << 20);
	default_number(&config->reassembly.timeout, 5);
	default_number(&config->host.punt_rate, 10000);
	ok &= default_text(&config->crypto.backend, "ipsec-mb");
	ok &= default_text(&config->sockets.xfrm, "/run/sealane/xfrm.sock");
	ok &= default_text(&config->sockets.show, "/run/sealane/show.sock");
	ok &= default_text(&config->log.level, "notice");
	ok &= default_text(&config->log.target, "stderr");
	return ok;
}

static struct config *
load(struct config_source *s, const uint8_t *text, size_t len)
{
	const cyaml_config_t settings = cyaml_settings(s);
	cyaml_data_t *data = NULL;

	config_check_schema(s);
	if (s->complaints > 0)
		return NULL;
	if (cyaml_load_data(text, len, &settings, &config_schema, &data, NULL) != CYAML_OK)
		return NULL;
	if (set_defaults(data))
		config_check(s, data);
	else
		config_complain(s, "", "out of memory");
	if (s->complaints > 0) {
		config_free(data);
		return NULL;
	}
	return data;
}

struct config *
config_load(const char *path, FILE *errors)
{
	struct config_source s = {.path = path, .errors = errors};
	struct config *config = NULL;
	uint8_t *text;
	size_t len;

	text = file_read(&s, &len);
	if (!text)
		return NULL;
	if (tree_read(&s, text, len)) {
		config = load(&s, text, len);
		yaml_document_delete(&s.document);
	}
	free(text);
	return config;
}
