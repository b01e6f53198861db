/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What differs between IPsec-MB 1.3 and 2.0: how struct gcm_key_data is laid out behind the round
 * keys, that a job of 2.0 says by a number what functions are for it, and bursts without a queue.
 * Only ipsec_mb.c wants to know. The fourth difference is private_image.h's.
 */
#pragma once

#include <stdbool.h>
#include <string.h>

#include <intel-ipsec-mb.h>

#if IMB_VERSION_NUM < IMB_VERSION(2, 0, 0)

/* A table of powers of the hash key, of which a text takes one for each of its blocks. */
#define GCM_TABLES     1
#define GCM_TABLE_SIZE (48 * 16)
#define GCM_TEXT_EXTRA 0

struct job_kind {
};

static inline bool
job_kind_find(struct job_kind *kind, IMB_MGR *mgr, IMB_JOB *job)
{
	return true;
}

static inline void
job_kind_set(IMB_JOB *job, const struct job_kind *kind)
{
}

#define CCM_BURSTS false

static inline void
ccm_burst(IMB_MGR *mgr, IMB_JOB *jobs, unsigned int n)
{
}

#else

/* Two tables, and the block of lengths takes a power as well. */
#define GCM_TABLES     2
#define GCM_TABLE_SIZE (32 * 16)
#define GCM_TEXT_EXTRA 16

/* One for all jobs with the same ciphers, direction and length of key. */
struct job_kind {
	uint32_t suite_id[2];
};

/* Of a job that is filled in. Not for the packet path: the library counts these calls. */
static inline bool
job_kind_find(struct job_kind *kind, IMB_MGR *mgr, IMB_JOB *job)
{
	if (!imb_set_session(mgr, job))
		return false;
	memcpy(kind->suite_id, job->suite_id, sizeof(kind->suite_id));
	return true;
}

static inline void
job_kind_set(IMB_JOB *job, const struct job_kind *kind)
{
	memcpy(job->suite_id, kind->suite_id, sizeof(kind->suite_id));
}

/* Runs `n` jobs, alike but for keys and data. Of all AEADs the library knows CCM alone here. */
#define CCM_BURSTS     true

static inline void
ccm_burst(IMB_MGR *mgr, IMB_JOB *jobs, unsigned int n)
{
	IMB_SUBMIT_AEAD_BURST_NOCHECK(mgr, jobs, n, IMB_CIPHER_CCM, jobs->cipher_direction,
				      (IMB_KEY_SIZE_BYTES)jobs->key_len_in_bytes);
}

#endif
