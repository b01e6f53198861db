/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Members of a JSON object, one call each: json_pack() takes them by type letters alone. What of a
 * value there is none is null.
 */
#pragma once

#include <jansson.h>

#include <rte_ether.h>

#include "sadb/addr.h"

void put_text(json_t *o, const char *key, const char *value);
void put_number(json_t *o, const char *key, uint64_t value);
void put_bool(json_t *o, const char *key, bool value);
void put_address(json_t *o, const char *key, uint8_t family, const union ip_addr *addr);
/* "any" where the family is 0. */
void put_prefix(json_t *o, const char *key, uint8_t family, const union ip_addr *addr, uint8_t len);
void put_spi(json_t *o, const char *key, rte_be32_t spi);
void put_mac(json_t *o, const char *key, const struct rte_ether_addr *mac);
/* Seconds since a wall-clock time, 0 for one that never came. */
void put_age(json_t *o, const char *key, uint64_t then);
/* `none` is the value that stands for no limit. */
void put_limit(json_t *o, const char *key, uint64_t limit, uint64_t none);
/* Of packets that wait: now, and dropped so far, as it was in vain or too many waited. */
void put_waiting(json_t *o, uint64_t now, uint64_t expired, uint64_t overflowed);
