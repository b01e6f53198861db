/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A tenant: whose traffic it is. Tenants may have the same addresses; each has policies, SAs and a
 * routing table of its own. One is told by the kernel's if_id, by a mark, or by both, in one number
 * here; 0 is nobody in particular.
 */
#pragma once

#include <stdint.h>

static inline uint64_t
tenant_make(uint32_t if_id, uint32_t mark)
{
	return (uint64_t)mark << 32 | if_id;
}

static inline uint32_t
tenant_if_id(uint64_t tenant)
{
	return (uint32_t)tenant;
}

static inline uint32_t
tenant_mark(uint64_t tenant)
{
	return (uint32_t)(tenant >> 32);
}
