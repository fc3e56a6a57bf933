/* Finding and sleeping: how a published task gets to a worker. The queue, the workers' records of what they have reserved, taking from these, calling one
 * worker who calls the next, searching and sleeping, deaths at any step, successors that may never come. What happens to a task once it is claimed is a step here
 * (tasks.pml takes that apart), and so is what publishers that wait are told (space.pml).
 *
 * An entry of the queue, a slot in one of its uses, is its task's number here. The first BATCH tasks are published at once, the others one by one.
 * Mistakes that must be found: see README.md. */
#ifndef WORKERS
#define WORKERS 2
#endif
#ifndef TASKS
#define TASKS 3
#endif
#ifndef BATCH
#define BATCH 2
#endif
#ifndef BUNCHABLE
#define BUNCHABLE BATCH   /* tasks that may be reserved together with others: the first so many */
#endif
#ifndef PLACES
#define PLACES 2
#endif
#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef ATTEMPTS
#define ATTEMPTS 1
#endif
#ifndef LIMIT
#define LIMIT 2           /* the most entries that are reserved at once */
#endif

/* What a task's word says. */
#define FREE 0
#define READY 1
#define ENDED 2
#define CLAIMED 3         /* by worker 0, and so on */

byte word[TASKS];
byte queue[PLACES];
byte head, tail;
byte record[WORKERS * LIMIT], tried[WORKERS], count[WORKERS];
byte bunched, searchers, sleepers;    /* a bit for each worker */
bool called[WORKERS], asleep[WORKERS];
bool killed[WORKERS], ended[WORKERS];
byte busy;                            /* a bit for each worker that is in a task's body */
bool locked;                          /* the host's lock */
byte runs[TASKS];
byte deaths;

#define BIT(i) (1 << (i))
#define ALL (BIT(WORKERS) - 1)
#if TASKS == 2
#define SOME_READY (word[0] == READY || word[1] == READY)
#elif TASKS == 3
#define SOME_READY (word[0] == READY || word[1] == READY || word[2] == READY)
#else
#define SOME_READY (word[0] == READY || word[1] == READY || word[2] == READY || word[3] == READY)
#endif
/* When the body of a task may end. */
#ifdef MEETING
/* Two tasks after each other meet in their bodies. */
#define BODY_ENDS(t) (runs[(t) ^ 1])
#else
/* It may take for ever as long as there are a task and a worker for it. */
#define BODY_ENDS(t) (!SOME_READY || ALL_OUT)
#endif
#define IS_OUT(i) ((busy & BIT(i)) || ended[i])
#if WORKERS == 2
#define ALL_OUT (IS_OUT(0) && IS_OUT(1))
#else
#define ALL_OUT (IS_OUT(0) && IS_OUT(1) && IS_OUT(2))
#endif

/* Calls a sleeper, unless somebody is searching. Looking through the bits and taking one is a step. */
inline call_worker(c) {
    if
#ifndef CALL_ALWAYS
    :: searchers
    :: else ->
#else
    :: true ->
#endif
        atomic {
            if
            :: sleepers & BIT(0) -> c = 0
            :: sleepers & BIT(1) -> c = 1
#if WORKERS > 2
            :: sleepers & BIT(2) -> c = 2
#endif
            :: else -> c = WORKERS
            fi;
            if :: c < WORKERS -> sleepers = sleepers & (ALL - BIT(c)) :: else fi
        }
        if
        :: atomic { c < WORKERS -> called[c] = true; asleep[c] = false; c = 0 }
        :: atomic { c == WORKERS -> c = 0 }
        fi
    fi
}

/* Claims task `e` for worker `i`, if that is still there. */
inline claim(i, e, got) {
    if
    :: word[e] == READY ->
        got = true; t = e;
        word[e] = CLAIMED + i; busy = busy | BIT(i); runs[e]++; assert(runs[e] <= ATTEMPTS)
#ifdef SKIP_ON_FLAG
    :: word[e] == READY -> skip    /* the host has set a flag between load and compare-and-swap */
#endif
    :: else
    fi
}

inline next_record(m, r) {
    do
    :: r < WORKERS && !(m & BIT(r)) -> r++
    :: else -> break
    od
}

/* Looks at what is in the records of those whose bit is set, one entry a step, from the back. */
inline look_at_records(i, m, r, c, found, take) {
#if BUNCHABLE || DEATHS
    atomic { m = bunched; r = 0; c = LIMIT; next_record(m, r) }
    do
    :: atomic { r < WORKERS && !found ->
            if :: c > count[r] -> c = count[r] :: else fi;
            if
            :: c > tried[r] && take -> c--; claim(i, record[r * LIMIT + c], found)
            :: c > tried[r] && !take -> c--; found = (word[record[r * LIMIT + c]] == READY)
            :: else
            fi;
            if :: c <= tried[r] -> r++; c = LIMIT; next_record(m, r) :: else fi
        }
    :: atomic { r == WORKERS || found -> r = 0; c = 0; m = 0; break }
    od
#else
    skip
#endif
}

/* Whether there is work, as far as workers look. */
inline look(i, m, r, c, found) {
    found = (head < tail);
#if !defined(NO_LOOK_AT_RECORDS) && (BUNCHABLE || DEATHS)
    if :: !found -> look_at_records(i, m, r, c, found, false) :: else fi
#endif
}

/* Copies the `k` entries from place `h` of the queue into the record. */
inline put_by(i, h, k) {
    if
    :: k ->
        tried[i] = 0; record[i * LIMIT] = queue[h % PLACES];
        if :: k > 1 -> record[i * LIMIT + 1] = queue[(h + 1) % PLACES] :: else fi;
#ifdef COUNT_AFTER_HEAD
        count[i] = 0
#else
        count[i] = k
#endif
    :: else
    fi
}

proctype Worker(byte i) {
    byte h, k, j, n, m, r, c, t;
    bool got, x, is_bunched;
begin:
    {
        /* First what its predecessor has left. */
#ifdef FORGET_RECORD
        atomic { n = 0; is_bunched = true }
#else
        atomic { j = tried[i]; n = count[i]; is_bunched = true }
#endif
        do
        :: atomic { j < n && !got -> claim(i, record[i * LIMIT + j], got); j++ }
            tried[i] = j
        :: j == n && !got ->
            atomic {
                if :: is_bunched -> bunched = bunched & (ALL - BIT(i)); is_bunched = false :: else fi;
                /* Nobody looks at it any more: what it says makes no difference, but more states. */
                for (j : 0 .. LIMIT - 1) { record[i * LIMIT + j] = 0 }
                tried[i] = 0; count[i] = 0; j = 0; n = 0
            }
            /* Anything may be taken out of anybody's record at any time. */
            if
            :: true
            :: atomic { r < WORKERS ->
                    if :: r = 0 :: r = 1
#if WORKERS > 2
                    :: r = 2
#endif
                    fi;
                    if :: tried[r] < count[r] && r != i -> claim(i, record[r * LIMIT + count[r] - 1], got) :: else fi;
                    r = 0 }
            fi;
            if
            :: got ->
#ifndef TAKE_SILENTLY
                look(i, m, r, c, x);
                if :: x -> x = false; call_worker(c) :: else fi
#endif
            :: else ->
            /* One step: what is copied from an outdated place of the queue comes to nothing, as the head is another by then. */
            atomic {
                h = head;
                if
                :: tail <= h -> k = 0; h = 0
                :: tail > h -> k = 1
                :: tail > h + 1 && LIMIT > 1 && queue[h % PLACES] < BUNCHABLE && queue[(h + 1) % PLACES] < BUNCHABLE -> k = 2
                fi;
#ifndef HEAD_BEFORE_RECORD
                put_by(i, h, k)
#endif
            }
            if
            :: k ->
#ifdef HEAD_BEFORE_RECORD
                atomic { x = (head == h); if :: x -> head = h + k :: else fi }
                atomic { put_by(i, h, k) }
#else
                atomic { x = (head == h); if :: x -> head = h + k :: else fi }
#endif
#ifdef COUNT_AFTER_HEAD
                count[i] = k;
#endif
                if
                :: x ->
                    atomic { x = false; h = 0; n = k; k = 0 }
                    if
                    :: n > 1 ->
#ifndef NO_BIT
                        atomic { bunched = bunched | BIT(i); is_bunched = true }
#endif
#ifndef NO_CALL_FOR_BUNCH
                        x = true
#endif
                    :: else ->
#ifndef NO_CHAIN
                        look(i, m, r, c, x)
#endif
                    fi;
                    if :: x -> x = false; call_worker(c) :: else fi
                :: else -> atomic { h = 0; k = 0 }
                fi
            :: else ->
                /* Nothing in the queue. What have others put by? */
                look_at_records(i, m, r, c, got, true);
                if
                :: got ->
#ifndef TAKE_SILENTLY
                    look(i, m, r, c, x);
                    if :: x -> x = false; call_worker(c) :: else fi
#endif
                :: else ->
                    /* Searching may end at any time, with something found or not. */
                    if
                    :: true
#ifndef NO_SEARCHING
                    :: searchers = searchers | BIT(i);
                        if
#ifdef SEARCH_AND_SLEEP
                        :: true
#else
                        :: searchers = searchers & (ALL - BIT(i))
#endif
                        fi
#endif
                    fi;
#ifdef LOOK_BEFORE_ANNOUNCING
                    look(i, m, r, c, x);
                    atomic { called[i] = false; sleepers = sleepers | BIT(i) }
#else
                    atomic { called[i] = false; sleepers = sleepers | BIT(i) }
                    look(i, m, r, c, x);
#endif
#ifdef SEARCH_AND_SLEEP
                    searchers = searchers & (ALL - BIT(i));
#endif
                    if
                    :: atomic { !x && !called[i] -> asleep[i] = true }
end1:                   atomic { !asleep[i] -> sleepers = sleepers & (ALL - BIT(i)); called[i] = false }
                    :: atomic { x || called[i] -> sleepers = sleepers & (ALL - BIT(i)); called[i] = false; x = false }
                    fi
                fi
            fi
            fi
        :: got ->
            atomic { BODY_ENDS(t); assert(word[t] == CLAIMED + i); word[t] = ENDED; busy = busy & (ALL - BIT(i)); got = false; t = 0 }
        od
    }
#if DEATHS
    unless { killed[i] }
    atomic {
        asleep[i] = false; ended[i] = true; busy = busy & (ALL - BIT(i));
        h = 0; k = 0; j = 0; n = 0; m = 0; r = 0; c = 0; t = 0; got = false; x = false; is_bunched = false
    }
end2: atomic { !ended[i] -> goto begin }
#endif
}

active proctype Publisher() {
    byte t, n, j, c;
    do
    :: atomic { t < TASKS -> n = (t == 0 -> BATCH : 1) }
        /* Places for all. Entries of tasks that are no longer there are passed by. */
        do
        :: atomic { !locked && tail + n - head <= PLACES -> locked = true; break }
        :: atomic { !locked && tail + n - head > PLACES && head < tail && word[queue[head % PLACES]] != READY -> head++ }
        od;
        atomic { for (j : t .. t + n - 1) { word[j] = READY } j = 0 }
#ifdef TAIL_BEFORE_ENTRIES
        tail = tail + n;
        atomic { for (j : 0 .. n - 1) { queue[(tail - n + j) % PLACES] = t + j } j = 0 }
#else
        atomic { for (j : 0 .. n - 1) { queue[(tail + j) % PLACES] = t + j } j = 0 }
        tail = tail + n;
#endif
        atomic { locked = false; t = t + n; n = 0 }
        call_worker(c)
    :: t == TASKS -> break
    od;
    word[0] == ENDED && word[1] == ENDED && word[TASKS - 2] == ENDED && word[TASKS - 1] == ENDED
}

init {
    atomic {
        run Worker(0); run Worker(1);
#if WORKERS > 2
        run Worker(2)
#endif
    }
}

#if DEATHS
active proctype Supervisor() {
    byte i, s, c;
end:
    do
    :: atomic {
        if
        :: ended[0] && killed[0] -> i = 0
        :: ended[1] && killed[1] -> i = 1
#if WORKERS > 2
        :: ended[2] && killed[2] -> i = 2
#endif
        fi;
        /* One task at most is its: the one it had claimed. */
        do
        :: s < TASKS && word[s] != CLAIMED + i -> s++
        :: else -> break
        od
        }
        if
        :: s == TASKS
        :: s < TASKS ->
            atomic { !locked -> locked = true }
            if
            :: runs[s] < ATTEMPTS && tail - head < PLACES ->
                word[s] = READY; queue[tail % PLACES] = s; tail++; locked = false; call_worker(c)
            :: else -> atomic { word[s] = ENDED; locked = false }
            fi
        fi;
        s = 0;
#ifndef FORGET_SEARCHER
        searchers = searchers & (ALL - BIT(i));
#endif
#ifndef FORGET_SLEEPER
        sleepers = sleepers & (ALL - BIT(i));
#endif
#ifndef RECORD_WAITS
        /* Whatever it has reserved, others may take. */
        bunched = bunched | BIT(i);
#endif
#ifdef RECALL_ONE
        call_worker(c);
#elif !defined(NO_RECALL)
        atomic { for (s : 0 .. WORKERS - 1) { called[s] = true; asleep[s] = false } s = 0 }
#endif
        /* A successor, or none. */
#ifdef RECORD_WAITS
        atomic { killed[i] = false; ended[i] = false; i = 0 }
#else
        atomic { killed[i] = false; if :: ended[i] = false :: skip fi; i = 0 }
#endif
    od
}

/* Stuck before it has acted is not seen: that is what DEATHS=0 is for. */
active proctype Killer() {
end:
    do
    :: atomic { deaths < DEATHS -> deaths++;
        if
        :: !ended[0] -> killed[0] = true
        :: !ended[1] -> killed[1] = true
#if WORKERS > 2
        :: !ended[2] -> killed[2] = true
#endif
        fi }
    od
}
#endif
