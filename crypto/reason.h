/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Why a request was refused, in words: who, what, what was expected. Control code that can refuse
 * takes a `struct reason *`, and the text travels to the IKE daemon as a netlink extended ack, to
 * the operator as a configuration error, or to the log. It lives in the lowest module so that
 * every module above can use it.
 */
#pragma once

#include <stdarg.h>
#include <stdio.h>

struct reason {
	char text[192]; /* NUL-terminated, empty while nothing was refused */
};

/*
 * Writes the reason and returns -error, so that a refusal is one statement:
 * `return reason_set(why, EINVAL, "bad key length: %u", n);`. `why` may be NULL.
 */
__attribute__((format(printf, 3, 4))) static inline int
reason_set(struct reason *why, int error, const char *format, ...)
{
	if (why) {
		va_list args;

		va_start(args, format);
		vsnprintf(why->text, sizeof(why->text), format, args);
		va_end(args);
	}
	return -error;
}
