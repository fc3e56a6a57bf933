/* MessageRing: putters put a message each, getters get until the ring is closed and empty, somebody closes it or does not; threads die at any step, and a
 * supervisor settles each death. A message has a block, which is its putter's, the keeper's or its getter's, and all of them name one shared object.
 *
 * The lock is OwnerLock, and the two queues of waiters are WaitQueue, as lock.pml and waiters.pml show them to be: of a lock, that it is handed on after its owner's
 * death and says so; of a queue, that a notification goes to one that waits, and that a death passes on what it was owed, or about to say.
 *
 * What must never be: a message in the ring without its block, or its object; one that two have got; one that was put, that nobody got, and that is not there, or that
 * comes after a getter was told the end; a block or object that the keeper has and no message names, unless nobody has used the ring since a death; a living thread
 * that waits for what is there.
 *
 * Run with one death: two putters and a getter with one place, and with two; a putter and two getters; one of each, and somebody who closes the ring. With two deaths:
 * one of each. Without: two of one kind, one of the other, and somebody who closes. (Two of each and who closes are 20 million states.)
 * Mistakes that must be found: COUNT_BEFORE_MESSAGE, GIVE_AFTER_COUNT, HOLD_AFTER_COUNT, ADOPT_BEFORE_TAKING, LET_GO_BEFORE_HOLDING, LET_GO_OF_NAMED, NO_REPAIR, REPAIR_ALL,
 * CLOSED_BEFORE_EMPTY, CLOSE_AFTER_LOOK, CLOSE_TELLS_PUTTERS, UNLISTED_NOTIFIER, NOTIFY_OWN_KIND, NO_SECOND_LOOK, NO_LOOK_WHEN_WAITING_AGAIN. */
#ifndef PUTTERS
#define PUTTERS 2
#endif
#ifndef GETTERS
#define GETTERS 2
#endif
#define CLOSER (PUTTERS + GETTERS)
#define THREADS (CLOSER + 1)
#ifndef CAPACITY
#define CAPACITY 1
#endif
#ifndef DEATHS
#define DEATHS 1
#endif
/* Whether somebody may close it. */
#ifndef CLOSES
#define CLOSES 1
#endif
/* Who has a block, or holds the object, beside the threads; and nobody. */
#define KEEPER THREADS
#define NOBODY (THREADS + 1)
#define GARBAGE 255

/* The ring. Its places tell the message's number, which is its putter's. */
byte lock;                /* thread + 1 */
bool left_by_dead;
bool closed;
byte put, taken;
byte place[CAPACITY];
byte names;               /* the count of KeptObjects */
/* The arena. */
byte owner[PUTTERS];      /* of a message's block */
bool holds[THREADS + 1];  /* the object */
/* The queues of waiters: a putter waits in the one, a getter in the other. */
#define NOT_WAITING 0
#define WAITING 1
#define NOTIFIED 2
byte waits[THREADS];
bool tells_getters[THREADS], tells_putters[THREADS];

bool killed[THREADS], ended[THREADS], settled[THREADS];
byte deaths;
/* What has happened. */
bool was_put[PUTTERS];
bool was_taken[PUTTERS];
bool said_to_be_over;     /* to a getter */

#define in_ring(m) ((put - taken > 0 && place[taken % CAPACITY] == m) || (put - taken > 1 && place[(taken + 1) % CAPACITY] == m))
#define anything_in_ring (put != taken)
#if PUTTERS + GETTERS == 4
#define is_alive (holds[0] || holds[1] || holds[2] || holds[3] || holds[KEEPER])
#elif PUTTERS + GETTERS == 3
#define is_alive (holds[0] || holds[1] || holds[2] || holds[KEEPER])
#else
#define is_alive (holds[0] || holds[1] || holds[KEEPER])
#endif

/* One that waits, if there is any: which is left open, as those that wait longest are not looked for here. */
inline notify_getter() {
    atomic {
        if
        :: waits[PUTTERS] == WAITING -> waits[PUTTERS] = NOTIFIED
#if GETTERS > 1
        :: waits[PUTTERS + 1] == WAITING -> waits[PUTTERS + 1] = NOTIFIED
#endif
        :: else
        fi }
}
inline notify_putter() {
    atomic {
        if
        :: waits[0] == WAITING -> waits[0] = NOTIFIED
#if PUTTERS > 1
        :: waits[1] == WAITING -> waits[1] = NOTIFIED
#endif
        :: else
        fi }
}
/* One by one: but who enters meanwhile has seen the change. */
inline notify_all(first, last) {
    n = first;
    do
    :: n < last -> atomic { if :: waits[n] == WAITING -> waits[n] = NOTIFIED :: else fi; n++ }
    :: else -> break
    od;
    n = 0
}

/* Frees what the keeper has and no message names: each block, then the object. */
inline repair() {
    n = 0;
    do
    :: n < PUTTERS ->
#ifdef REPAIR_ALL
        atomic { if :: owner[n] == KEEPER -> owner[n] = NOBODY :: else fi; n++ }
#else
        atomic { if :: owner[n] == KEEPER && !in_ring(n) -> owner[n] = NOBODY :: else fi; n++ }
#endif
    :: else -> break
    od;
    atomic { names = put - taken; n = 0 };
    atomic { if :: !anything_in_ring -> holds[KEEPER] = false :: else fi }
}

/* Steps that only their own thread can tell from the next are one with it. */
inline take_lock(i) {
    atomic { lock == 0 -> lock = i + 1; if :: left_by_dead -> left_by_dead = false :: else -> goto locked fi };
#ifndef NO_REPAIR
    repair();
#endif
}

/* What follows an attempt, as in WaitQueue.wait. `ok` and `refused` end the wait, by success, or by an error that it throws. */
inline after_attempt(i) {
    if
    :: waits[i] == NOT_WAITING ->
        if
        :: ok || refused -> goto done
#ifdef NO_SECOND_LOOK
        :: else -> waits[i] = WAITING; goto sleep
#else
        :: else -> waits[i] = WAITING; goto attempt
#endif
        fi
    :: waits[i] != NOT_WAITING && !was_notified ->
        if
        :: !ok && !refused -> goto sleep
        :: (ok || refused) && waits[i] == WAITING -> waits[i] = NOT_WAITING; goto done
        /* It may be of another change than the one that let this succeed. */
        :: (ok || refused) && waits[i] == NOTIFIED -> goto pass_on
        fi
    :: else ->
        was_notified = false;
        if
        :: ok -> waits[i] = NOT_WAITING; goto done
        :: refused -> goto pass_on
#ifdef NO_LOOK_WHEN_WAITING_AGAIN
        :: else -> waits[i] = WAITING; goto sleep
#else
        :: else -> waits[i] = WAITING; goto attempt
#endif
        fi
    fi
}

proctype Putter(byte i) {
    byte n;
    bool ok, refused, was_notified;
    {
        skip;
attempt: /* The look before the lock. */
        atomic {
            if
            :: put - taken >= CAPACITY && !closed && !left_by_dead -> goto after
            :: else
            fi;
#ifdef CLOSE_AFTER_LOOK
            refused = closed;
#endif
            tells_getters[i] = true };
        take_lock(i);
locked: atomic {
            if
#ifdef CLOSE_AFTER_LOOK
            :: refused -> goto unlock
#else
            :: closed -> refused = true; goto unlock
#endif
            :: !refused && put - taken >= CAPACITY -> goto unlock
            :: else -> names++
            fi };
#ifdef COUNT_BEFORE_MESSAGE
        holds[KEEPER] = true;
        owner[i] = KEEPER;
        atomic { place[put % CAPACITY] = GARBAGE; put++; was_put[i] = true };
        place[(put - 1) % CAPACITY] = i;
#else
#ifndef HOLD_AFTER_COUNT
        holds[KEEPER] = true;
#endif
#ifndef GIVE_AFTER_COUNT
        owner[i] = KEEPER;
#endif
        place[put % CAPACITY] = i;
        atomic { assert(!said_to_be_over); put++; was_put[i] = true };
#ifdef GIVE_AFTER_COUNT
        owner[i] = KEEPER;
#endif
#ifdef HOLD_AFTER_COUNT
        holds[KEEPER] = true;
#endif
#endif
        ok = true;
unlock: lock = 0;
        atomic {
#ifdef UNLISTED_NOTIFIER
            tells_getters[i] = false
        };
        atomic {
#endif
            if
#ifdef NOTIFY_OWN_KIND
            :: ok -> notify_putter()
#else
            :: ok -> notify_getter()
#endif
            :: else
            fi };
after:  atomic { tells_getters[i] = false; after_attempt(i) };
sleep:
end:    atomic { waits[i] == NOTIFIED -> was_notified = true; goto attempt };
pass_on:
        notify_putter();
        waits[i] = NOT_WAITING;
done:   atomic { if :: refused -> owner[i] = NOBODY :: else fi; holds[i] = false }
    } unless { killed[i] }
    atomic { n = 0; ok = false; refused = false; was_notified = false; ended[i] = true; if :: !killed[i] -> settled[i] = true :: else fi }
}

proctype Getter(byte i) {
    byte n, m;
    bool ok, refused, was_notified;
    {
        skip;
attempt: atomic {
            if
            :: put == taken && !closed && !left_by_dead -> goto after
            :: else
            fi;
            tells_putters[i] = true };
        take_lock(i);
locked: atomic {
            if
#ifdef CLOSED_BEFORE_EMPTY
            :: closed -> refused = true; said_to_be_over = true; goto unlock
            :: !closed && put == taken -> goto unlock
#else
            :: put == taken -> refused = closed; said_to_be_over = closed; goto unlock
#endif
            :: else -> m = place[taken % CAPACITY]; assert(m < PUTTERS && owner[m] == KEEPER && holds[KEEPER])
            fi };
#ifdef ADOPT_BEFORE_TAKING
        owner[m] = i;
        atomic { taken++; assert(!was_taken[m]); was_taken[m] = true };
#else
        atomic { taken++; assert(!was_taken[m]); was_taken[m] = true };
        owner[m] = i;
#endif
#ifdef LET_GO_BEFORE_HOLDING
        atomic { names--; if :: put == taken -> holds[KEEPER] = false :: else fi };
        atomic { assert(is_alive); holds[i] = true };
#else
        atomic { assert(is_alive); holds[i] = true };
        names--;
#ifdef LET_GO_OF_NAMED
        holds[KEEPER] = false;
#else
        atomic { if :: names == 0 || put == taken -> holds[KEEPER] = false :: else fi };
#endif
#endif
        ok = true;
unlock: atomic { if :: put == taken -> place[0] = 0; place[CAPACITY - 1] = 0 :: else fi; lock = 0 };
        atomic {
#ifdef UNLISTED_NOTIFIER
            tells_putters[i] = false
        };
        atomic {
#endif
            if :: ok -> notify_putter() :: else fi };
after:  atomic { tells_putters[i] = false; after_attempt(i) };
sleep:
end:    atomic { waits[i] == NOTIFIED -> was_notified = true; goto attempt };
pass_on:
        notify_getter();
        waits[i] = NOT_WAITING;
done:   atomic { if :: refused -> goto leave :: else fi; assert(owner[m] == i && holds[i]); holds[i] = false };
        atomic { owner[m] = NOBODY; m = 0; ok = false; goto attempt };
leave:  skip
    } unless { killed[i] }
    atomic { n = 0; m = 0; ok = false; refused = false; was_notified = false; ended[i] = true; if :: !killed[i] -> settled[i] = true :: else fi }
}

proctype Closer(byte i) {
    byte n;
    {
        if
        :: atomic { CLOSES -> tells_putters[i] = true; tells_getters[i] = true };
            take_lock(i);
locked:     closed = true;
            lock = 0;
#ifndef CLOSE_TELLS_PUTTERS
            notify_all(PUTTERS, PUTTERS + GETTERS);
#endif
            notify_all(0, PUTTERS);
            atomic { tells_getters[i] = false; tells_putters[i] = false }
        :: skip
        fi
    } unless { killed[i] }
    atomic { n = 0; ended[i] = true; if :: !killed[i] -> settled[i] = true :: else fi }
}

proctype Supervisor() {
    byte t, n;
end:do
    :: atomic {
        if
        :: ended[0] && !settled[0] -> t = 0
        :: ended[1] && !settled[1] -> t = 1
        :: ended[2] && !settled[2] -> t = 2
#if PUTTERS + GETTERS > 2
        :: ended[3] && !settled[3] -> t = 3
#endif
#if PUTTERS + GETTERS > 3
        :: ended[4] && !settled[4] -> t = 4
#endif
        fi };
        atomic { if :: lock == t + 1 -> lock = 0; left_by_dead = true :: else fi };
        atomic { if :: waits[t] == NOTIFIED && t < PUTTERS -> notify_putter() :: waits[t] == NOTIFIED && t >= PUTTERS -> notify_getter() :: else fi; waits[t] = NOT_WAITING };
        if :: tells_getters[t] -> notify_all(PUTTERS, PUTTERS + GETTERS) :: else fi;
        if :: tells_putters[t] -> notify_all(0, PUTTERS) :: else fi;
        /* What the dead process has. */
        n = 0;
        do
        :: n < PUTTERS -> atomic { if :: owner[n] == t -> owner[n] = NOBODY :: else fi; n++ }
        :: else -> break
        od;
        atomic { holds[t] = false; settled[t] = true; t = 0; n = 0 }
    od
}

active proctype Killer() {
    byte t;
    do
    :: atomic { deaths < DEATHS ->
        /* Putters are alike, and so are getters. */
        if :: t = 0 :: t = PUTTERS :: CLOSES -> t = CLOSER fi;
        if :: !ended[t] && !killed[t] -> killed[t] = true :: else fi;
        deaths++; t = 0 }
    :: break
    od
}

/* When nothing moves any more. */
#define is_right(m) ( \
    (was_put[m] && !was_taken[m] -> in_ring(m) && owner[m] == KEEPER && holds[KEEPER] : true) \
    && (was_put[m] && !was_taken[m] -> !said_to_be_over : true) \
    && (was_taken[m] || !was_put[m] -> !in_ring(m) && (owner[m] == NOBODY || left_by_dead || (owner[m] == m && !ended[m])) : true) )
#define is_content_putter(t) (ended[t] || (waits[t] == WAITING && put - taken == CAPACITY && !closed))
#define is_content_getter(t) (ended[t] || (waits[t] == WAITING && put == taken && !closed))

active proctype Judge() {
    timeout ->
        assert(lock == 0);
        assert(is_content_putter(0));
        assert(is_content_getter(PUTTERS));
#if GETTERS > 1
        assert(is_content_getter(PUTTERS + 1));
#endif
        assert(is_right(0));
#if PUTTERS > 1
        assert(is_content_putter(1));
        assert(is_right(1));
#endif
        assert(holds[KEEPER] == anything_in_ring || left_by_dead)
}

init {
    atomic {
        owner[0] = 0; holds[0] = true; run Putter(0);
#if PUTTERS > 1
        owner[1] = 1; holds[1] = true; run Putter(1);
#endif
        run Getter(PUTTERS);
#if GETTERS > 1
        run Getter(PUTTERS + 1);
#endif
        run Closer(CLOSER);
        run Supervisor()
    }
}
