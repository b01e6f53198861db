/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "wire.h"

/*
 * Ends the program unless each packet of the lap is what it should be: opened by the other crypto
 * backend, where it was sealed, and compared byte by byte with what went in.
 */
void verify_lap(const struct lane *lane);
