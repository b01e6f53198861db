/* SPDX-License-Identifier: BSD-3-Clause */
/* The algorithm attributes of an SA, and the suite of crypto/ that they name. */
#pragma once

#include "sadb/sad.h"
#include "xfrm_attr.h"

/* XFRMA_ALG_*: sets suite, key, auth_key and salt, or says why not. */
int xfrm_decode_algorithms(const struct xfrm_attrs *attrs, struct sa_params *params,
			   struct reason *why);
