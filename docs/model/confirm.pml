/*
 * Confirm, expire and late writes of DraftStore, for spin (https://spinroot.com). README.md says how to read this.
 *
 * One object name. Every transaction of metadata-service is one atomic step, every act of the store another; between
 * two steps anybody else may act, and whoever is not scheduled is asleep. Time is not counted: an instant passes when
 * Clock says so, at any moment the real rules allow.
 *
 * Sizes, all with -D:  DRAFTS of the one name, TRIES (confirm attempts per draft, in the order of their claims),
 * PUTS per draft, CLEANERS, STALLS (of cleaners), DELETES of the object. Behaviour: REPLACE and PREPARE allow what
 * they say beside `fail` and plain confirms; CRASHES, DISCARD, RESTORE, RESIGN, LATE_PUT, SLOW_COPY, RECONCILE.
 * For the sake of size, THREE: all attempts but the last; CALM: the bytes are there from the start, the horizon has
 * passed and no PUT follows; SWIFT: a cleaner's work is one step.
 * What starts with NO_, and ONE_KEY, takes a rule away, so that its absence can be seen.
 */

#ifndef DRAFTS
#define DRAFTS 1
#endif
#ifndef TRIES
#define TRIES 1
#endif
#ifndef PUTS
#define PUTS 1
#endif
#ifndef CLEANERS
#define CLEANERS 1
#endif
#ifndef STALLS
#define STALLS 0
#endif
#ifndef DELETES
#define DELETES 0
#endif

#define ATTEMPTS (DRAFTS * TRIES)
#define NONE 255

/* ---- Rows and bytes -------------------------------------------------------------------------------------------- */

/* `open` and `uploaded` differ in what callers are told, never in what may follow: both are `living` here. */
mtype:state = { living, confirming, prepared, confirmed, expired, discarded, purging, purged };

typedef Draft {
    mtype:state state = living;
    byte bytes;       /* in the draft bucket: 0 nothing, else the ETag */
    byte fence;       /* of the attempt that holds or held it: attempt + 1 */
    byte claims;
    bool overdue;     /* expires_at has passed */
    bool beyond;      /* write_horizon_at has passed */
    bool on_record;   /* purge_due_at names a removal still to come, in a state that ends */
    bool taken;       /* a cleaner's lease */
    byte receipt;     /* key + 1 */
    byte judged;      /* the ETag it was judged by, for the receipt's bytes */
    bool given_up;    /* ghost: its removal has begun */
    byte puts;
    bool put_late, resigned, restored, removing
};

/* A row of object_keys. `grace`: garbage whose URLs still work; `waiting`: deleted once, until COPY_HORIZON. */
mtype:key = { unused, reserved, published, grace, garbage, waiting, again, deleted };

typedef Key {
    mtype:key state = unused;
    byte etag;        /* source_etag */
    byte bytes;       /* in the main bucket */
    bool taken
};

/* What one attempt wants of the store. */
mtype:copy = { idle, meant, sent, reading, landed, failed };

typedef Copying {
    mtype:copy state = idle;
    byte target;
    byte pin;
    bool orphan       /* nobody waits for it any more */
};

Draft draft[DRAFTS];
Key key[ATTEMPTS];         /* a fresh key is numbered after the attempt that made it: unique for ever */
Copying copy[ATTEMPTS];
byte object[DRAFTS];       /* the row of the name, filed under the draft it came from: its key, or NONE */
bool lapsed[ATTEMPTS];     /* the lease, or the deadline of the hold, ran out */
byte stalls = STALLS;
byte deletes = DELETES;

hidden byte i;             /* of loops inside one step; no part of the state */
hidden byte found;

/* ---- Invariants ------------------------------------------------------------------------------------------------ */

bit object_has_other_bytes;  /* a visible object's key holds anything but the judged bytes */
bit reader_cut_off;          /* bytes of a replaced or deleted object changed before url_grace was over */
bit two_objects_of_a_name;
bit second_receipt;
bit both_ends;               /* a draft was confirmed and given up */
bit live_attempt_refused;    /* an attempt lost its claim although its lease had not run out */
bit commit_refused;          /* a prepared draft's commit was refused before its deadline */
bit stuck;                   /* at rest, and a draft is neither confirmed nor purged */
bit draft_bytes_left;        /* at rest, and nothing on record will remove them */
bit main_bytes_left;         /* the same in the main bucket: bytes no object names */
bit object_missing;          /* at rest: a published key without its object, or without a receipt */

#define BROKEN(invariant) invariant = 1; assert(!invariant)
#define REQUIRE(condition, invariant) if :: condition :: else -> BROKEN(invariant) fi

/* ---- The rules, and how each is taken away --------------------------------------------------------------------- */

#if defined(NO_FENCE)
#define HELD(d, a, in) (draft[d].state == in)
#elif defined(NO_STATE_CHECK)
#define HELD(d, a, in) (draft[d].fence == a + 1)
#else
#define HELD(d, a, in) (draft[d].state == in && draft[d].fence == a + 1)
#endif

#ifdef NO_LEASE_CHECK
#define OVER(d) (true)
#else
#define OVER(d) (lapsed[draft[d].fence - 1])
#endif

#ifdef NO_PIN
#define PINNED(a, d) (draft[d].bytes != 0)
#else
#define PINNED(a, d) (draft[d].bytes == copy[a].pin)
#endif

#ifdef ONE_KEY
#define KEY_IS_OURS (true)
#else
#define KEY_IS_OURS (key[chosen].state == reserved)
#endif

#ifdef NO_HORIZON_DELETE
#define REMOVED_AGAIN false
#else
#define REMOVED_AGAIN !final
#endif

#if DRAFTS == 1
#define OTHER_HOLDS(d) (false)
#define GIVE_BACK_OTHER(d)
#define OBJECT_EXISTS (object[0] != NONE)
#define TWO_OBJECTS (false)
#define WRONG_OBJECT WRONG(0)
#else
#define OTHER_HOLDS(d) (draft[1 - d].state == prepared && !lapsed[draft[1 - d].fence - 1])
#define GIVE_BACK_OTHER(d) if :: draft[1 - d].state == prepared -> give_back(1 - d) :: else fi;
#define OBJECT_EXISTS (object[0] != NONE || object[1] != NONE)
#define TWO_OBJECTS (object[0] != NONE && object[1] != NONE)
#define WRONG_OBJECT (WRONG(0) || WRONG(1))
#endif
#define WRONG(d) (object[d] != NONE && key[object[d]].bytes != draft[d].judged)

#ifdef NO_NAME_HOLD
#define NAME_HELD(d) (false)
#else
#define NAME_HELD(d) OTHER_HOLDS(d)
#endif

#ifdef NO_UNIQUE_NAME
#define NAME_TAKEN (false)
#else
#define NAME_TAKEN OBJECT_EXISTS
#endif

/* ---- Statements that several share ------------------------------------------------------------------------------ */

inline drop_keys(d, kept) {
    for (i : (d * TRIES) .. (d * TRIES + TRIES - 1)) {
        if
        :: key[i].state == reserved && i != kept -> key[i].state = garbage
        :: else
        fi
    }
}

/* _RESERVE: the same bytes of the same draft get the same key, others a fresh one. */
inline reserve_key(d, a, etag_, chosen) {
#ifdef ONE_KEY
    chosen = 0;
    key[0].state = reserved;
    key[0].etag = etag_;
#else
    found = NONE;
    for (i : (d * TRIES) .. (d * TRIES + TRIES - 1)) {
        if
        :: key[i].state == reserved && key[i].etag == etag_ -> found = i
        :: else
        fi
    }
    if
    :: found != NONE -> chosen = found
    :: else ->
        chosen = a;
        assert(key[a].state == unused);
        key[a].state = reserved;
        key[a].etag = etag_;
        drop_keys(d, chosen)
    fi;
#endif
    copy[a].target = chosen;
    copy[a].pin = etag_;
    copy[a].state = meant
}

/* The publishing transaction, past its checks. */
inline publish(d, chosen, etag_) {
#ifndef NO_UNIQUE_NAME
    for (i : 0 .. (DRAFTS - 1)) {
        if
        :: object[i] != NONE -> key[object[i]].state = grace; object[i] = NONE
        :: else
        fi
    }
#endif
    object[d] = chosen;
    key[chosen].state = published;
    drop_keys(d, chosen);
    REQUIRE(draft[d].receipt == 0, second_receipt);
    REQUIRE(!draft[d].given_up, both_ends);
    draft[d].receipt = chosen + 1;
    draft[d].judged = etag_;
    draft[d].state = confirmed;
    draft[d].on_record = true
}

/* _RECOVER: RECOVERY_TTL left to live. */
inline give_back(which) {
    draft[which].state = living;
    draft[which].overdue = false
}

/* An attempt ends. What it has asked of the store goes on without it. */
inline leave(a) {
    copy[a].orphan = true;
    if
    :: copy[a].state == sent || copy[a].state == reading
    :: else -> copy[a].state = idle; copy[a].target = 0; copy[a].pin = 0
    fi
}

#ifdef CRASHES
#define MAY_DIE :: goto gone
#else
#define MAY_DIE
#endif

/* ---- One confirm attempt, and the caller of a prepared one ------------------------------------------------------- */

proctype Attempt(byte d; byte nth) {
    byte a = d * TRIES + nth;
    byte judged;
    byte chosen;
    bool replace;
    bool prepare;

end_unclaimed:
    atomic {                                                     /* _CLAIM */
        draft[d].state == living && !draft[d].overdue && draft[d].claims == nth ->
        draft[d].claims++;
        draft[d].state = confirming;
        draft[d].fence = a + 1;
        if
        :: replace = false
#ifdef REPLACE
        :: replace = true
#endif
        fi;
        if
        :: prepare = false
#ifdef PREPARE
        :: prepare = true
#endif
        fi
    }

    if                                                           /* HEAD and judge */
    :: atomic { draft[d].bytes == 0 -> goto refused }
    :: atomic { draft[d].bytes != 0 -> judged = draft[d].bytes }
    MAY_DIE
    fi;

    if                                                           /* reserve */
    :: atomic { !HELD(d, a, confirming) -> goto lost }
    :: atomic { HELD(d, a, confirming) && OBJECT_EXISTS && !replace -> goto refused }
    :: d_step { HELD(d, a, confirming) && (!OBJECT_EXISTS || replace) -> reserve_key(d, a, judged, chosen) }
    MAY_DIE
    fi;

    if                                                           /* ask for the copy */
    :: copy[a].state = sent
    MAY_DIE
    fi;

    if                                                           /* wait for its answer */
    :: atomic { copy[a].state == failed -> goto refused }
    :: atomic { copy[a].state == landed }
#ifdef CRASHES
    :: atomic { copy[a].state == sent || copy[a].state == reading -> goto outage }
#endif
    MAY_DIE
    fi;

#ifdef NO_NAME_LOCK
    if
    :: atomic { NAME_HELD(d) || (NAME_TAKEN && !replace) -> goto refused }
    :: atomic { !NAME_HELD(d) && !(NAME_TAKEN && !replace) }
    fi;
#define NAME_FREE (prepare || !NAME_TAKEN || replace)
#else
#define NAME_FREE (!NAME_HELD(d) && (!NAME_TAKEN || replace))
#endif

    if                                                           /* publish, or prepare */
    :: atomic { !HELD(d, a, confirming) || !KEY_IS_OURS -> goto lost }
    :: atomic { HELD(d, a, confirming) && KEY_IS_OURS && !NAME_FREE -> goto refused }
    :: d_step {
        HELD(d, a, confirming) && KEY_IS_OURS && NAME_FREE && !prepare ->
        publish(d, chosen, judged)
       }
    :: atomic {
        HELD(d, a, confirming) && KEY_IS_OURS && NAME_FREE && prepare ->
        GIVE_BACK_OTHER(d)                                       /* it is over, else the name would not be free */
        draft[d].state = prepared;
        lapsed[a] = false;                                       /* the lease is now the deadline of the hold */
        goto hold
       }
    MAY_DIE
    fi;

purge:
    if
    :: d_step { draft[d].bytes = 0 }
    MAY_DIE
    fi;
    goto gone;

hold:                                                            /* the caller has its token */
    if
    :: atomic { HELD(d, a, prepared) && !lapsed[a] }             /* a commit reads the clock as it begins */
    :: atomic { !HELD(d, a, prepared) || lapsed[a] -> REQUIRE(lapsed[a], commit_refused); goto gone }
    :: atomic { HELD(d, a, prepared) -> give_back(d); goto gone }                   /* rollback */
    MAY_DIE
    fi;
    atomic {
        if
        :: HELD(d, a, prepared) && !NAME_HELD(d) && (!OBJECT_EXISTS || replace) -> publish(d, chosen, judged); goto purge
        :: else -> REQUIRE(lapsed[a], commit_refused); goto gone
        fi
    }

lost:
    atomic { REQUIRE(lapsed[a], live_attempt_refused) }

refused:                                                         /* _RELEASE */
    atomic {
        if
        :: HELD(d, a, confirming) -> draft[d].state = living
        :: else
        fi;
        goto gone
    }

#ifdef CRASHES
outage:                                                          /* _RELEASE, with RECOVERY_TTL left to live */
    atomic {
        if
        :: HELD(d, a, confirming) -> give_back(d)
        :: else
        fi;
        goto gone
    }
#endif

gone:
    atomic { leave(a); a = 0; judged = 0; chosen = 0; replace = false; prepare = false }
}

/* The store at one copy: it looks at the source once, and what it has read lands later, whole. */
proctype Copy(byte d; byte nth) {
    byte got;
#define ME (d * TRIES + nth)
end:
    do
    :: d_step {
        copy[ME].state == sent ->
        if
        :: PINNED(ME, d) -> got = draft[d].bytes; copy[ME].state = reading
        :: else -> copy[ME].state = failed
        fi;
        if
        :: copy[ME].state == failed && copy[ME].orphan ->
            copy[ME].state = idle; copy[ME].target = 0; copy[ME].pin = 0
        :: else
        fi
       }
    :: d_step {
        copy[ME].state == reading ->
        key[copy[ME].target].bytes = got;
        got = 0;
        copy[ME].state = landed;
        if
        :: copy[ME].orphan -> copy[ME].state = idle; copy[ME].target = 0; copy[ME].pin = 0
        :: else
        fi
       }
    od
}

/* ---- Clients ----------------------------------------------------------------------------------------------------- */

/* A PUT that began in time lands at any moment before the horizon. Bytes differ; the first are called 1. */
proctype Client(byte d) {
end:
    do
    :: d_step { draft[d].puts < PUTS && !draft[d].beyond -> draft[d].puts++; draft[d].bytes = 1 }
    :: d_step { draft[d].puts > 0 && draft[d].puts < PUTS && !draft[d].beyond -> draft[d].puts++; draft[d].bytes = 2 }
#ifdef LATE_PUT
    :: d_step { draft[d].beyond && !draft[d].put_late -> draft[d].put_late = true; draft[d].bytes = 1 }
#endif
#ifdef RESIGN
    :: d_step {                                                  /* _ALLOW_URL */
        draft[d].state == living && !draft[d].overdue && draft[d].beyond && !draft[d].resigned ->
        draft[d].resigned = true; draft[d].beyond = false
       }
#endif
#ifdef DISCARD
    :: d_step {                                                  /* _DISCARD, then an attempt to remove the bytes */
        draft[d].state == living && !draft[d].overdue -> draft[d].state = discarded; draft[d].removing = true
       }
    :: d_step { draft[d].removing -> draft[d].removing = false; draft[d].bytes = 0 }
#endif
#ifdef RESTORE
    :: d_step {
        draft[d].state == expired && !draft[d].restored ->
        draft[d].restored = true; draft[d].state = living; draft[d].overdue = false
       }
#endif
    od
}

/* DELETE of the object. */
proctype Deleter() {
end:
    do
    :: d_step {
        deletes > 0 && OBJECT_EXISTS ->
        deletes--;
        for (i : 0 .. (DRAFTS - 1)) {
            if
            :: object[i] != NONE -> key[object[i]].state = grace; object[i] = NONE
            :: else
            fi
        }
       }
    od
}

/* ---- Cleaners ---------------------------------------------------------------------------------------------------- */

#ifdef RESTORE
#define EXPIRES(d) (draft[d].state == expired)
#else
#define EXPIRES(d) (draft[d].state == living && draft[d].overdue)
#endif
#define GIVEN_UP(d) (EXPIRES(d) || draft[d].state == discarded || draft[d].state == purging)
#define LEFTOVER(d) ((draft[d].state == confirmed || draft[d].state == purged) && draft[d].on_record && draft[d].beyond)
#define DRAFT_DUE(d) (!draft[d].taken && (GIVEN_UP(d) || LEFTOVER(d)))
#define KEY_DUE(k) (!key[k].taken && (key[k].state == garbage || key[k].state == again))

inline take_draft(d) {                                           /* _TAKE_DRAFTS */
    final = draft[d].beyond;
    draft[d].taken = true;
    if
    :: LEFTOVER(d)
    :: else ->
        draft[d].state = purging;
        draft[d].given_up = true;
        draft[d].overdue = false;
        REQUIRE(draft[d].receipt == 0, both_ends);
        drop_keys(d, NONE)
    fi
}

inline report_draft(d) {                                         /* _PURGED_DRAFTS */
    draft[d].taken = false;
    draft[d].on_record = REMOVED_AGAIN;
    if
    :: draft[d].state == purging -> draft[d].state = purged
    :: else
    fi
}

inline report_key(k) {                                           /* _PURGED_KEYS */
    key[k].taken = false;
    if
    :: key[k].state == deleted
#ifdef NO_SECOND_DELETE
    :: key[k].state != deleted -> key[k].state = deleted
#else
    :: key[k].state != deleted && final -> key[k].state = deleted
    :: key[k].state != deleted && !final -> key[k].state = waiting
#endif
    fi
}

#if defined(SWIFT)
#define TAKE_DRAFT(d_) :: d_step { DRAFT_DUE(d_) -> take_draft(d_); draft[d_].bytes = 0; report_draft(d_); final = false }
#elif defined(NO_STATE_CHECK)
#define TAKE_DRAFT(d_) :: DRAFT_DUE(d_) -> atomic { it = d_; take_draft(d_); goto remove_draft }
#else
#define TAKE_DRAFT(d_) :: atomic { DRAFT_DUE(d_) -> it = d_; take_draft(d_); goto remove_draft }
#endif
#ifdef SWIFT
#define TAKE_KEY(k) :: d_step { KEY_DUE(k) -> final = (key[k].state == again); key[k].bytes = 0; report_key(k); final = false }
#else
#define TAKE_KEY(k) :: atomic { KEY_DUE(k) -> it = k; key[k].taken = true; final = (key[k].state == again); goto remove_key }

#endif

proctype Cleaner() {
    byte it;
    bool final;

end:
    do
    TAKE_DRAFT(0)
#if DRAFTS > 1
    TAKE_DRAFT(1)
#endif
    TAKE_KEY(0)
#if ATTEMPTS > 1
    TAKE_KEY(1)
#endif
#if ATTEMPTS > 2
    TAKE_KEY(2)
#endif
#if ATTEMPTS > 3
    TAKE_KEY(3)
#endif
    od;

#ifndef SWIFT
remove_draft:
    draft[it].bytes = 0;
    if
    :: d_step { report_draft(it); it = 0; final = false }
    :: d_step { stalls > 0 -> stalls--; draft[it].taken = false; it = 0; final = false }     /* it dies */
    fi;
    goto end;

remove_key:
    key[it].bytes = 0;
    if
    :: d_step { report_key(it); it = 0; final = false }
    :: d_step { stalls > 0 -> stalls--; key[it].taken = false; it = 0; final = false }
    fi;
    goto end
#endif
}

/* Finds what no row will remove; re-reads the row just before it deletes. */
proctype Reconcile(byte n) {
end:
    do
    :: d_step {
        n < DRAFTS && draft[n].bytes != 0 && draft[n].beyond && !draft[n].on_record &&
        (draft[n].state == confirmed || draft[n].state == purged) ->
        draft[n].bytes = 0
       }
    :: d_step { key[n].state == deleted && key[n].bytes != 0 -> key[n].bytes = 0 }
    od
}

/* ---- Time -------------------------------------------------------------------------------------------------------- */

#define TOWARDS(k, a) (copy[a].target == k && (copy[a].state == meant || copy[a].state == sent || copy[a].state == reading))
#ifdef SLOW_COPY
#define UNDERWAY(k) (false)
#elif ATTEMPTS == 1
#define UNDERWAY(k) TOWARDS(k, 0)
#elif ATTEMPTS == 2
#define UNDERWAY(k) (TOWARDS(k, 0) || TOWARDS(k, 1))
#elif ATTEMPTS == 3
#define UNDERWAY(k) (TOWARDS(k, 0) || TOWARDS(k, 1) || TOWARDS(k, 2))
#else
#define UNDERWAY(k) (TOWARDS(k, 0) || TOWARDS(k, 1) || TOWARDS(k, 2) || TOWARDS(k, 3))
#endif

#define HAS_LEASE(d) (draft[d].state == confirming || draft[d].state == prepared)

proctype DraftClock(byte d) {
end:
    do
    :: d_step { draft[d].state == living && !draft[d].overdue -> draft[d].overdue = true }
    :: d_step { !draft[d].beyond -> draft[d].beyond = true }
    :: d_step { HAS_LEASE(d) && !lapsed[draft[d].fence - 1] -> lapsed[draft[d].fence - 1] = true }
    :: d_step { HAS_LEASE(d) && OVER(d) -> give_back(d) }
#ifdef RESTORE
    :: d_step { draft[d].state == living && draft[d].overdue -> draft[d].state = expired }
#endif
#if STALLS > 0
    :: d_step { draft[d].taken && stalls > 0 -> stalls--; draft[d].taken = false }
#endif
    od
}

proctype KeyClock(byte k) {
end:
    do
    :: d_step { key[k].state == grace -> key[k].state = garbage }
    :: d_step { key[k].state == waiting && !UNDERWAY(k) -> key[k].state = again }
#if STALLS > 0
    :: d_step { key[k].taken && stalls > 0 -> stalls--; key[k].taken = false }
#endif
    od
}

/* ---- What must hold ---------------------------------------------------------------------------------------------- */

proctype Watch() {
    byte n;
    do
    :: d_step { WRONG_OBJECT -> BROKEN(object_has_other_bytes) }
    :: d_step { TWO_OBJECTS -> BROKEN(two_objects_of_a_name) }
#ifndef ONE_KEY
    :: d_step { key[0].state == grace && key[0].bytes != draft[0].judged -> BROKEN(reader_cut_off) }
#if ATTEMPTS > 1
    :: d_step { key[1].state == grace && key[1].bytes != draft[1 / TRIES].judged -> BROKEN(reader_cut_off) }
#endif
#if ATTEMPTS > 2
    :: d_step { key[2].state == grace && key[2].bytes != draft[2 / TRIES].judged -> BROKEN(reader_cut_off) }
#endif
#if ATTEMPTS > 3
    :: d_step { key[3].state == grace && key[3].bytes != draft[3 / TRIES].judged -> BROKEN(reader_cut_off) }
#endif
#endif
    :: timeout -> break                                          /* nothing else can happen: all has come to rest */
    od;
    atomic {
        for (n : 0 .. (DRAFTS - 1)) {
            REQUIRE(draft[n].state == confirmed || draft[n].state == purged, stuck);
            REQUIRE((draft[n].state == confirmed) == (draft[n].receipt != 0), object_missing);
            REQUIRE(draft[n].bytes == 0, draft_bytes_left);
            REQUIRE(object[n] == NONE || key[object[n]].state == published, object_missing)
        }
        for (n : 0 .. (ATTEMPTS - 1)) {
            REQUIRE(key[n].state == published || key[n].bytes == 0, main_bytes_left);
            REQUIRE(key[n].state == unused || key[n].state == published || key[n].state == deleted, main_bytes_left);
            REQUIRE(key[n].state != published || object[n / TRIES] == n, object_missing)
        }
    }
}

init {
    atomic {
        for (i : 0 .. (DRAFTS - 1)) {
            object[i] = NONE;
#ifdef CALM
            draft[i].bytes = i + 1;
            draft[i].puts = PUTS;
            draft[i].beyond = true;
#endif
            run Client(i);
            run DraftClock(i)
        }
        for (i : 0 .. (ATTEMPTS - 1)) {
#ifdef THREE
            if
            :: i < 3 -> run Attempt(i / TRIES, i % TRIES); run Copy(i / TRIES, i % TRIES); run KeyClock(i)
            :: else
            fi;
#else
            run Attempt(i / TRIES, i % TRIES);
            run Copy(i / TRIES, i % TRIES);
            run KeyClock(i);
#endif
#ifdef RECONCILE
            run Reconcile(i)
#endif
        }
        for (i : 1 .. CLEANERS) {
            run Cleaner()
        }
#if DELETES > 0
        run Deleter();
#endif
        run Watch()
    }
}
