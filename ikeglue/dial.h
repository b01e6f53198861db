/* SPDX-License-Identifier: BSD-3-Clause */
/* The preload library's way to the engine. */
#pragma once

#include <stdbool.h>

#define DIAL_SECONDS 2 /* that connecting may take: the engine is stopped, its queue full */

/*
 * A socket connected to the engine, with what `type` has of SOCK_CLOEXEC and SOCK_NONBLOCK; the
 * caller's. -1 where there is no engine, which is said on stderr once a process.
 */
int dial(int type);

/* Whether the engine is there and takes connections: asked without waiting for it. */
bool dial_would_do(void);
