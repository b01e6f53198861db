/* SPDX-License-Identifier: BSD-3-Clause */
#include "put.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define TEXT_MAX (INET6_ADDRSTRLEN + 8)

void
put_text(json_t *o, const char *key, const char *value)
{
	json_object_set_new(o, key, value ? json_string(value) : json_null());
}

void
put_number(json_t *o, const char *key, uint64_t value)
{
	json_object_set_new(o, key, json_integer((json_int_t)value));
}

void
put_bool(json_t *o, const char *key, bool value)
{
	json_object_set_new(o, key, json_boolean(value));
}

void
put_address(json_t *o, const char *key, uint8_t family, const union ip_addr *addr)
{
	char text[TEXT_MAX];

	put_text(o, key,
		 inet_ntop(family == FAMILY_V6 ? AF_INET6 : AF_INET, addr, text, sizeof(text)));
}

void
put_prefix(json_t *o, const char *key, uint8_t family, const union ip_addr *addr, uint8_t len)
{
	char text[TEXT_MAX];
	size_t used;

	if (family == 0) {
		put_text(o, key, "any");
		return;
	}
	inet_ntop(family == FAMILY_V6 ? AF_INET6 : AF_INET, addr, text, sizeof(text));
	used = strlen(text);
	snprintf(text + used, sizeof(text) - used, "/%u", len);
	put_text(o, key, text);
}

void
put_spi(json_t *o, const char *key, rte_be32_t spi)
{
	char text[16];

	snprintf(text, sizeof(text), "0x%08x", rte_be_to_cpu_32(spi));
	put_text(o, key, spi ? text : NULL);
}

void
put_mac(json_t *o, const char *key, const struct rte_ether_addr *mac)
{
	char text[RTE_ETHER_ADDR_FMT_SIZE];

	rte_ether_format_addr(text, sizeof(text), mac);
	put_text(o, key, text);
}

void
put_age(json_t *o, const char *key, uint64_t then)
{
	uint64_t now = (uint64_t)time(NULL);

	json_object_set_new(o, key,
			    then ? json_integer(now > then ? (json_int_t)(now - then) : 0)
				 : json_null());
}

void
put_limit(json_t *o, const char *key, uint64_t limit, uint64_t none)
{
	json_object_set_new(o, key, limit == none ? json_null() : json_integer((json_int_t)limit));
}

void
put_waiting(json_t *o, uint64_t now, uint64_t expired, uint64_t overflowed)
{
	put_number(o, "packets", now);
	put_number(o, "expired", expired);
	put_number(o, "overflowed", overflowed);
}
