/* SPDX-License-Identifier: BSD-3-Clause */
/* What `ip` lists of the kernel's routes and neighbours, in fib_model.h's words. */
#pragma once

#include <stdint.h>

/* The interfaces that there are for the model; others are foreign. */
struct ip_model_iface {
	const char *name;
	uint32_t table;
	uint16_t vrf;
};

#define IP_MODEL_IFACES 3
extern const struct ip_model_iface ip_model_ifaces[IP_MODEL_IFACES];

/* What model_routes() and model_neighbours() shall say. Free it. */
char *ip_model_routes(void);
char *ip_model_neighbours(void);
