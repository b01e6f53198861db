/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzing the packet path: an engine without wires (tests/unit/dataplane/engine.h) that lives for
 * the whole run, with tunnels of several kinds, and their peer. An input is a burst of records, a
 * length byte and that many bytes each; a target makes a frame of each record. Whatever comes in,
 * the counters must add up and the buffers come back. The engine's buffers are poisoned to the
 * byte (dataplane/room.h).
 */
#pragma once

#include "tests/unit/dataplane/peer.h"

#define FUZZ_FRAME_MAX 2000
#define FUZZ_TUNNELS   12

extern struct engine fuzz_engine;
extern struct peer fuzz_peer;
extern const struct tunnel fuzz_tunnels[FUZZ_TUNNELS];
extern const struct sa *fuzz_sas[FUZZ_TUNNELS]; /* the peer's, to seal with */

/* A number higher than all before, for any tunnel. */
uint64_t fuzz_next_seq(void);

/* How a frame comes in; by the unprotected port unless a target says otherwise. */
struct fuzz_way {
	unsigned int port; /* 0 lan, 1 wan */
	bool from_host;    /* the kernel sent it, by that port's interface */
	uint64_t ol_flags; /* what the port says of it */
	uint16_t vlan_tci;
};

/* Makes a frame of a record; returns its length, 0 for none. */
typedef size_t fuzz_frame_fn(const uint8_t *data, size_t size, uint8_t *frame,
			     struct fuzz_way *way);

/* Runs an input's records through the engine as one burst. */
void fuzz_run(const uint8_t *data, size_t size, fuzz_frame_fn *make);

/* Mends the IPv4 header's checksum, where there is a header. */
void fuzz_mend(uint8_t *ip, size_t len);

/* What a target adds to the engine once. */
void fuzz_start(void);

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
