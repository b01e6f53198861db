/* SPDX-License-Identifier: BSD-3-Clause */
/* The MTU of a tunnel. */
#pragma once

#include <stdint.h>

struct rte_mbuf;
struct sa;
struct worker;

/* The MTU of the interface by which the SA's outer packets leave, or of the path if less. */
uint32_t pmtu_outer(const struct worker *w, struct sa *sa, uint16_t iface);

/* The largest inner packet that the SA takes now, its packets leaving by that interface's side. */
uint32_t pmtu_inner(const struct worker *w, struct sa *sa, uint16_t iface);

/* The largest packet with the headers of this one that its SA takes on its way, in any mode. */
uint32_t pmtu_room(const struct worker *w, const struct rte_mbuf *m);

/* Cuts the sealed packet that is alone in `leaving`, if one is, and sends what comes of it. */
void pmtu_cut_sealed(struct worker *w, uint32_t mtu);
