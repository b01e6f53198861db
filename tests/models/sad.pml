/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A model of how an SA is published, used and retired (sadb/sad.c, sadb/sad_key.c, sadb/reclaim.c):
 * a control thread adds, retires and adds again one key in two places of the arena, while two
 * workers look it up, take outbound numbers from it, claim inbound ones and report quiescent
 * states, or sleep. Checked by spin over every interleaving:
 *
 *   - a worker only touches places that hold a whole SA: not yet filled, or overwritten, never;
 *   - no outbound number of the key is used twice, and no inbound number accepted twice, whichever
 *     worker, and though the key comes back while workers still hold its former SA;
 *   - the control thread is never stuck: at the end both places are free again.
 *
 * One step here is one atomic operation there. Each -D below takes one piece of the protocol away,
 * and spin then has to find the mistake: so the model shows that the piece is needed.
 *
 *   NO_GRACE    a place is overwritten at once
 *   NO_CLOSE    the counter and the window of a retired SA stay open
 *   NO_UNLINK   the place is still published while its grace period runs
 *   NO_TOMB     a key that comes back starts again
 *   NO_ONLINE   a worker that wakes does not announce itself
 *   NO_WAIT     a worker is quiescent though another one seals for it (dataplane/spread.c)
 */

#define WORKERS 2
#define PLACES  2
#define ADDS    3 /* times that the key is added */
#define POLLS   2 /* turns of each worker */
#define NUMBERS 4 /* as many as are taken, or claimed, at most */
#define CLOSED  255

#define NOWHERE PLACES /* nothing is published */

byte published = NOWHERE; /* sa.published: where a lookup finds the SA */
bool whole[PLACES];       /* it is filled and not overwritten */
byte seq[PLACES];         /* sa.seq */
byte seen[PLACES];        /* the window's bitmap; CLOSED once closed */

byte token = 1;     /* rte_rcu_qsbr.token */
byte cnt[WORKERS];  /* each thread's: 0 offline, else the token it saw last */

byte taken = 0;    /* numbers of the key that were used: bits */
byte accepted = 0; /* numbers of the key that were accepted */

/* sa_seq_reserve(): a compare-and-swap until it succeeds or the counter is closed. */
inline reserve(p)
{
	byte last;

	last = seq[p];
	do
	:: last >= NUMBERS -> break /* closed, or at its end */
	:: else ->
		if
		:: atomic { seq[p] == last -> seq[p] = last + 1;
			assert((taken & (1 << last)) == 0);
			taken = taken | (1 << last) }
			break
		:: atomic { seq[p] != last -> last = seq[p] }
		fi
	od
}

/* replay_check(), the ICV, replay_claim(): the window may change in between. */
inline claim(p, n)
{
	byte old;

	old = seen[p];
	do
	:: old == CLOSED || (old & (1 << n)) != 0 -> break
	:: else ->
		if
		:: atomic { seen[p] == old -> seen[p] = old | (1 << n);
			assert((accepted & (1 << n)) == 0);
			accepted = accepted | (1 << n) }
			break
		:: atomic { seen[p] != old -> old = seen[p] }
		fi
	od
}

inline go_online(me)
{
#ifdef NO_ONLINE
	skip
#else
	cnt[me] = token
#endif
}

/*
 * spread_quiescent(): with a batch under way a worker is quiescent as of the token that it read
 * before it offered that, the next time after it has come back.
 */
inline quiescent(me)
{
#ifdef NO_WAIT
	cnt[me] = token
#else
	if
	:: lent == NOWHERE -> cnt[me] = token
	:: lent != NOWHERE && older
	:: lent != NOWHERE && !older ->
		if
		:: as_of > cnt[me] -> cnt[me] = as_of
		:: else
		fi;
		as_of = token;
		older = true
	fi
#endif
}

proctype worker(byte me)
{
	byte p;
	byte polls = 0;
	byte lent = NOWHERE; /* a batch of that SA is under way: one worker that lends will do */
	bool older;          /* since before `as_of` was read */
	byte as_of = 0;

	go_online(me);
	do
	:: polls < POLLS ->
		polls++;
		p = published; /* lookup */
		if
		:: p != NOWHERE ->
			assert(whole[p]);
			if
			:: reserve(p)
			:: claim(p, 0)
			:: claim(p, 1)
			fi;
			assert(whole[p]); /* the key is read until the burst is done */
			if
			:: me == 0 && lent == NOWHERE -> lent = p; older = false
			:: true
			fi
		:: else
		fi;
		if
		:: quiescent(me)
		:: lent == NOWHERE -> cnt[me] = 0; /* sleeps, then wakes */
			go_online(me)
		fi
	:: lent != NOWHERE -> assert(whole[lent]); lent = NOWHERE /* it comes back */
	:: polls == POLLS && lent == NOWHERE -> break
	od;
	cnt[me] = 0
}

/* rte_rcu_qsbr_check(). */
#define passed(t) ((cnt[0] == 0 || cnt[0] >= t) && (cnt[1] == 0 || cnt[1] >= t))

active proctype control()
{
	byte place = 0, adds = 0, past_seq = 0, past_seen = 0;
	byte waits = NOWHERE, due; /* the place that waits for a grace period */

	run worker(0);
	run worker(1);
	do
	:: adds < ADDS ->
		adds++;
		/* sa_fill(), from the tombstone on; then publish. */
#ifdef NO_TOMB
		seq[place] = 0;
		seen[place] = 0;
#else
		seq[place] = past_seq;
		seen[place] = past_seen;
#endif
		whole[place] = true;
		published = place;

		/* slot_retire(). */
#ifndef NO_UNLINK
		published = NOWHERE;
#endif
#ifdef NO_CLOSE
		past_seq = seq[place];
		past_seen = seen[place];
#else
		atomic { past_seq = seq[place]; seq[place] = CLOSED };
		atomic { past_seen = seen[place]; seen[place] = CLOSED };
#endif
		/* The other place's grace period, if one runs, has to end before this one begins. */
		if
		:: waits != NOWHERE ->
			passed(due);
			whole[waits] = false
		:: else
		fi;
		token++;
		due = token;
		waits = place;
#ifdef NO_GRACE
		whole[waits] = false;
		waits = NOWHERE;
#endif
		place = 1 - place
	:: adds == ADDS -> break
	od;
	published = NOWHERE;
	if
	:: waits != NOWHERE ->
		passed(due);
		whole[waits] = false
	:: else
	fi;
	assert(!whole[0] && !whole[1])
}
