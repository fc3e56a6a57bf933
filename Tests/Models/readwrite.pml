/* SharedReadWriteLock: readers and writers of several processes come, wait, leave and die at any step, and a supervisor settles each death. No time-outs.
 *
 * The writers' lock is OwnerLock, which lock.pml is of: here it is taken in one step by whoever finds it free. The queues are WaitQueues, which waiters.pml is
 * of: here who waits is in one, notified or not. Letting go, of either kind, is a plain store, which its processor may keep to itself for a while: `storing` says
 * what is still to be seen, and Memory makes it seen at some time. A heavy fence, and an atomic instruction or a system call of the thread itself, wait for that.
 *
 * Run with one of the readers or of the writers less (all four have too many states to see all), with one death or two, with a supervisor that may die, with
 * writers that give up at their deadlines (GIVE_UP), and with several turns.
 * Mistakes that must be found: LOOK_BEFORE_PLACE, PHASE_BEFORE_PLACE, LINE_UP_SILENTLY, NO_FENCE_OF_READER, NO_FENCE_OF_WRITER, LOOK_BEFORE_LEAVING,
 * FORGET_DEATH, DEATH_SEEN_LATE, SAME_PHASE_AFTER_DEATH, SETTLE_SILENTLY, KEEP_PLACE_OF_DEAD; with one reader; and with GIVE_UP and no deaths NO_SECOND_LOOK, GIVE_UP_SILENTLY. */
#ifndef READERS
#define READERS 2
#endif
#ifndef WRITERS
#define WRITERS 2
#endif
#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef SUPERVISOR_MAY_DIE
#define SUPERVISOR_MAY_DIE 0
#endif
#ifndef READS
#define READS 1
#endif
#ifndef WRITES
#define WRITES 1
#endif
#define DIED 16
#define TOKEN 7
#define is_owned(w) ((w & TOKEN) != 0)

/* Readers are the threads 0 and 1, writers 2 and 3; with one of a kind, the second never comes. */
#define THREADS 4
byte word;                  /* the writers' lock: token of the owner, DIED */
byte phase;                 /* the state: */
bool writer_died;
#define FREE 0
#define READING 1
#define WAITING 2           /* + the phase since which it does */
byte place[2];
#define SEEN 0
#define STORED_WORD 1       /* has freed its place, or the lock; others do not see it yet */
#define STORED_BOTH 2       /* has ended its turn before */
byte storing[THREADS];
bool next_died[THREADS];    /* with which state */
#define OUT 0
#define QUEUED 1
#define NOTIFIED 2
byte queue[THREADS];        /* of readers, and of writers */

bool killed[THREADS], ended[THREADS], settled[THREADS];
byte settler[THREADS];
byte deaths;
bool is_settling, first_supervisor_gone;

/* Not in the program: */
bool inside[THREADS];
bool torn;                  /* what a writer has left half changed */
bool is_lined_up[2];
byte passed[2];        /* how many writers have had their turn while it waits */

/* Makes the stores of thread t seen, in their order. */
inline see_one(t) {
    if
    :: storing[t] == STORED_BOTH -> phase++; writer_died = next_died[t]; next_died[t] = false; storing[t] = STORED_WORD
    :: storing[t] == STORED_WORD -> storing[t] = SEEN; if :: t < 2 -> place[t] = FREE :: else -> word = 0 fi
    :: else
    fi
}
inline drain(t) { see_one(t); see_one(t) }
inline heavy_fence() { atomic { drain(0); drain(1); drain(2); drain(3) } }

inline notify_readers() {
    d_step {
        if :: queue[0] == QUEUED -> queue[0] = NOTIFIED :: else fi;
        if :: queue[1] == QUEUED -> queue[1] = NOTIFIED :: else fi
    }
}
/* One of them, a dead one included; whoever settles its death notifies another. */
inline notify_writer() {
    atomic {
        if
        :: queue[2] == QUEUED -> queue[2] = NOTIFIED
        :: queue[3] == QUEUED -> queue[3] = NOTIFIED
        :: queue[2] != QUEUED && queue[3] != QUEUED
        fi
    }
}
#define may_writers_wait (queue[2] != OUT || queue[3] != OUT)
#define may_readers_wait (queue[0] != OUT || queue[1] != OUT)

/* The word, then the state. `may` whether to read; `told` whether of a death. */
inline permission(since) {
    seen = word;
    atomic {
        may = !is_owned(seen) || phase != since;
#ifdef DEATH_SEEN_LATE
        told = false;
#else
        told = writer_died || (!is_owned(seen) && (seen & DIED) != 0);
#endif
        seen = 0
    }
}
#ifdef LINE_UP_SILENTLY
#define line_up(since) atomic { place[i] = WAITING + since; is_lined_up[i] = true }
#else
#define line_up(since) atomic { place[i] = WAITING + since; is_lined_up[i] = true }; if :: may_writers_wait -> notify_writer() :: else fi
#endif
inline attempt_to_read(since) {
    permission(since);
#ifndef NO_FENCE_OF_READER
    if
    :: !may -> heavy_fence(); permission(since)
    :: else
    fi;
#endif
    if
    :: may ->
        place[i] = READING;
#ifndef NO_SECOND_LOOK
        permission(since);
        if :: !may -> line_up(since) :: else fi
#endif
    :: else
    fi
}

proctype Reader(byte i) {
    byte seen, since, turns;
    bool may, told;
    {
        turns = 0;
again:  skip;
#ifdef LOOK_BEFORE_PLACE
        seen = word;
#endif
#ifdef PHASE_BEFORE_PLACE
        since = phase;
#endif
        /* An atomic instruction waits until the thread's own stores are seen. */
        atomic { drain(i); place[i] = READING }
#ifndef LOOK_BEFORE_PLACE
        seen = word;
#endif
        if
        :: !is_owned(seen) ->
#ifdef DEATH_SEEN_LATE
            told = false;
#else
            told = (seen & DIED) != 0;
#endif
            goto allowed
        :: else
        fi;
#ifndef PHASE_BEFORE_PLACE
        since = phase;
#endif
        line_up(since);
        queue[i] = QUEUED;
look:   attempt_to_read(since);
        if :: may -> queue[i] = OUT; goto allowed :: else fi;
        queue[i] == NOTIFIED;
        attempt_to_read(since);
        if :: may -> queue[i] = OUT; goto allowed :: else fi;
        queue[i] = QUEUED;
        goto look;
allowed:
        atomic { told = told || writer_died; is_lined_up[i] = false; passed[i] = 0; seen = 0; since = 0; may = false }
#ifdef DEATH_SEEN_LATE
        told = told || (word & DIED) != 0;
#endif
        if
        :: told
        :: else ->
            atomic { inside[i] = true; assert(!inside[2] && !inside[3]); assert(!torn) }
            inside[i] = false
        fi;
        atomic { told = false; storing[i] = STORED_WORD }
        if :: may_writers_wait -> atomic { drain(i); skip }; notify_writer() :: else fi;
        turns++;
        if :: turns < READS -> goto again :: else fi
    } unless { killed[i] }
    /* Whoever learns of a thread's end learns of it after all its stores. */
    atomic { drain(i); ended[i] = true; inside[i] = false; is_lined_up[i] = false; passed[i] = 0;
        seen = 0; since = 0; turns = 0; may = false; told = false; if :: !killed[i] -> settled[i] = true :: else fi }
}

#define precedes(r, p) (place[r] == READING || (place[r] >= WAITING && place[r] != WAITING + p))
inline look_at_readers() {
    is_alone = !precedes(0, phase);
    if :: is_alone -> is_alone = !precedes(1, phase) :: else fi
}

proctype Writer(byte i) {
    byte seen, turns;
    bool is_alone;
    {
        turns = 0;
again:  atomic { drain(i); !is_owned(word) -> seen = word; word = i + 1 }
        if
        :: seen & DIED ->
#ifndef FORGET_DEATH
#ifdef SAME_PHASE_AFTER_DEATH
            writer_died = true;
#else
            atomic { writer_died = true; phase++ }
#endif
#endif
            notify_readers()
        :: else
        fi;
        seen = 0;
        look_at_readers();
        if :: is_alone -> goto alone :: else fi;
        queue[i] = QUEUED;
look:   look_at_readers();
#ifndef NO_FENCE_OF_WRITER
        if :: !is_alone -> heavy_fence(); look_at_readers() :: else fi;
#endif
        if :: is_alone -> queue[i] = OUT; goto alone :: else fi;
#ifdef GIVE_UP
        if
        :: queue[i] == NOTIFIED
        :: queue[i] = OUT; storing[i] = STORED_WORD; goto left
        fi;
#else
        queue[i] == NOTIFIED;
#endif
        look_at_readers();
        if :: is_alone -> queue[i] = OUT; goto alone :: else fi;
        queue[i] = QUEUED;
        goto look;
alone:
        atomic {
            inside[i] = true;
            assert(!inside[0] && !inside[1] && !inside[5 - i]);
            assert(word == i + 1);
            /* Who writes after a death repairs. */
            assert(!torn || writer_died);
            torn = true;
            if :: is_lined_up[0] -> passed[0]++ :: else fi;
            if :: is_lined_up[1] -> passed[1]++ :: else fi;
            assert(passed[0] <= 1 && passed[1] <= 1) }
        atomic { inside[i] = false; torn = false }
#ifdef LOOK_BEFORE_LEAVING
        is_alone = !may_readers_wait;
        storing[i] = STORED_BOTH;
        if :: !is_alone -> atomic { drain(i); skip }; notify_readers() :: else fi;
#else
        storing[i] = STORED_BOTH;
#ifdef GIVE_UP_SILENTLY
        if :: may_readers_wait -> atomic { drain(i); skip }; notify_readers() :: else fi;
        goto next;
left:   skip;
next:   skip;
#else
left:   if :: may_readers_wait -> atomic { drain(i); skip }; notify_readers() :: else fi;
#endif
#endif
        turns++;
        if :: turns < WRITES -> goto again :: else fi
    } unless { killed[i] }
    atomic { drain(i); ended[i] = true; inside[i] = false; seen = 0; turns = 0; is_alone = false; if :: !killed[i] -> settled[i] = true :: else fi }
}

/* A processor's stores are seen at some time. */
proctype Memory() {
end:
    do
    :: atomic { storing[0] != SEEN -> see_one(0) }
    :: atomic { storing[1] != SEEN -> see_one(1) }
    :: atomic { storing[2] != SEEN -> see_one(2) }
    :: atomic { storing[3] != SEEN -> see_one(3) }
    od
}

#define may_settle(t) (ended[t] && !settled[t] && (settler[t] == 0 || settler[t] == me + 1 || first_supervisor_gone))

/* Settles the deaths, each by one supervisor at a time. The first of the two may itself end at any step: the other then takes over what it had begun. */
proctype Supervisor(byte me) {
    byte t;
    {
end:    do
        :: atomic {
            if
            :: may_settle(0) -> t = 0
            :: may_settle(1) -> t = 1
            :: may_settle(2) -> t = 2
            :: may_settle(3) -> t = 3
            fi;
            settler[t] = me + 1; is_settling = true }
            /* By the thread's list: the lock, and the queue it waited in. */
            atomic { if :: word == t + 1 -> word = DIED :: else fi };
            if
            :: queue[t] == NOTIFIED && t >= 2 -> notify_writer()
            :: else
            fi;
            queue[t] = OUT;
            /* By the object, which the process held. */
#ifndef KEEP_PLACE_OF_DEAD
            if :: t < 2 -> place[t] = FREE :: else fi;
#endif
#ifndef SETTLE_SILENTLY
            notify_readers();
            d_step {
                if :: queue[2] == QUEUED -> queue[2] = NOTIFIED :: else fi;
                if :: queue[3] == QUEUED -> queue[3] = NOTIFIED :: else fi
            };
#endif
            atomic { settled[t] = true; is_settling = false; t = 0 }
        od
    } unless { me == 0 && first_supervisor_gone }
}

/* It may stop at any time, so that what only another death would free counts as stuck. */
active proctype Killer() {
    byte t;
    do
    :: atomic { deaths < DEATHS ->
        /* Those of a kind are alike. */
        if :: t = 0 :: t = 2 fi;
        if :: killed[t] -> t++ :: else fi;
        if :: !ended[t] && t != READERS && t != 2 + WRITERS -> killed[t] = true :: else fi;
        t = 0; deaths++ }
    :: atomic { SUPERVISOR_MAY_DIE && is_settling && !first_supervisor_gone -> first_supervisor_gone = true }
    :: break
    od
}

init {
    atomic {
        run Reader(0);
        run Writer(2);
#if READERS > 1
        run Reader(1);
#endif
#if WRITERS > 1
        run Writer(3);
#endif
        run Memory();
        run Supervisor(0);
#if SUPERVISOR_MAY_DIE
        run Supervisor(1)
#endif
    }
}
