/* SPDX-License-Identifier: BSD-3-Clause */
/* What sealane-bench is asked to measure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "crypto/crypto.h"

#define LAP_MAX 1024

enum direction { DIRECTION_OUT, DIRECTION_IN, DIRECTION_BOTH };
enum order { ORDER_SEQ, ORDER_RANDOM, ORDER_ZIPF };

struct options {
	enum direction direction;
	unsigned int suite;
	bool transport; /* mode, else tunnel mode */
	uint8_t family; /* of inner and outer packets */
	bool udp_encap;
	unsigned int size; /* bytes of an inner IP packet, 0 for a mix */
	unsigned int sas;  /* in each direction */
	enum order order;  /* in which packets take them */
	unsigned int policies;
	unsigned int workers;
	bool shared; /* the first has all packets, the others share its crypto (spread.h) */
	enum crypto_backend backend;
	unsigned int burst;
	unsigned int lap; /* packets between two looks at the clock, in each direction */
	unsigned int repeat;
	unsigned int latency; /* packets of which it is measured, 0 not at all */
	const char *json;
};

/* The words of the choices, as they are given and printed. */
extern const char *const direction_words[];
extern const char *const order_words[];
extern const char *const mode_words[]; /* by options.transport */

/* Reads the command line; ends the program, with help, where it is wrong. */
struct options options_read(int argc, char **argv);

static inline bool
options_carry(const struct options *o, enum direction direction)
{
	return o->direction == direction || o->direction == DIRECTION_BOTH;
}
