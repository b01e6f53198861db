/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an IKE daemon has installed, for an engine that has lost it: the daemon itself believes it
 * to be there and would never install it again. Policies are kept as they were sent, and are sent
 * once more. Of SAs only the identity is kept, and never a key: an SA that began anew with an old
 * key would use its numbers twice. The engine answers an SA that it does not have with a soft
 * EXPIRE, and the daemon negotiates another.
 *
 * Not for several threads at once.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/*
 * The program asks for what stands in this datagram; `sent` says whether it reached the engine.
 * What is to be added and did not is forgotten, as the program knows; what is to be deleted always
 * is.
 */
void recall_note(const void *data, size_t len, bool sent);

/* Sends a message of `len` bytes to the engine. False, and it comes again, where that failed. */
typedef bool recall_send(int fd, const void *message, size_t len);

/* The engine may have lost everything: all of it is to be sent. */
void recall_lost(void);

/* Sends NEWPOLICY for policies, HAD_TYPE for SAs, that have not been sent since. True after the
 * last. */
bool recall_policies(recall_send *send, int fd);
bool recall_sas(recall_send *send, int fd);
