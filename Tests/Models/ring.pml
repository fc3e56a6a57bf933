/* Finding and sleeping: how a published task gets to a worker. The queue, the workers' records of what they have reserved, stealing from these, calling and
 * sleeping, deaths at any step, successors that may never come. What happens to a task once it is claimed is a step here (tasks.pml takes that apart).
 *
 * Two workers. Three tasks: a batch of two, which fills the queue, then one more, which needs a place and, with two slots, a slot again.
 * Mistakes that must be found: see README.md. */
#ifndef WORKERS
#define WORKERS 2
#endif
#ifndef TASKS
#define TASKS 3
#endif
#ifndef BATCH
#define BATCH 2           /* tasks published at once: the first so many; the others one by one */
#endif
#ifndef SLOTS
#define SLOTS 3
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

/* A slot's word: phase, worker + 1, use. */
#define FREE 0
#define READY 1
#define CLAIMED 2
#define WORD(phase, worker, use) ((phase) | ((worker) << 2) | ((use) << 4))
#define PHASE(w) ((w) & 3)
#define WORKER(w) (((w) >> 2) & 3)
#define USE(w) (((w) >> 4) & 7)
/* An entry: slot, use. No task has use 0. */
#define ENTRY(slot, use) ((slot) | ((use) << 2))
#define SLOT(e) ((e) & 3)
#define IS_READY(e) (PHASE(word[SLOT(e)]) == READY && USE(word[SLOT(e)]) == ((e) >> 2))

byte word[SLOTS];
byte contents[SLOTS];                 /* the task there */
byte queue[PLACES];
byte head, tail;
byte record[WORKERS * LIMIT], count[WORKERS];
bool sleepers[WORKERS], called[WORKERS], asleep[WORKERS];
bool killed[WORKERS], ended[WORKERS];
byte busy[WORKERS];                   /* the task it has claimed, + 1 */
bool locked;                          /* the host's lock */
byte outcome[TASKS], runs[TASKS];
byte deaths;

#if SLOTS == 1
#define SOME_READY (PHASE(word[0]) == READY)
#elif SLOTS == 2
#define SOME_READY (PHASE(word[0]) == READY || PHASE(word[1]) == READY)
#elif SLOTS == 3
#define SOME_READY (PHASE(word[0]) == READY || PHASE(word[1]) == READY || PHASE(word[2]) == READY)
#endif
/* When the body of a task may end. */
#ifdef MEETING
/* Two tasks after each other meet in their bodies. */
#define BODY_ENDS(t) (runs[(t) ^ 1])
#else
/* It may take for ever as long as there are a task and a worker for it. */
#define BODY_ENDS(t) (!SOME_READY || ALL_OUT)
#endif
#define IS_OUT(i) (busy[i] || ended[i])
#if WORKERS == 2
#define ALL_OUT (IS_OUT(0) && IS_OUT(1))
#else
#define ALL_OUT (IS_OUT(0) && IS_OUT(1) && IS_OUT(2))
#endif
#define LOCK atomic { !locked -> locked = true }
#define UNLOCK locked = false

/* Looking through the bits is one step here; sleep.pml takes it apart. */
inline call_worker(c) {
    atomic {
        c = 0;
        do
        :: c < WORKERS && !sleepers[c] -> c++
        :: else -> break
        od;
        if :: c < WORKERS -> sleepers[c] = false :: else fi
    }
    if
    :: c < WORKERS -> atomic { called[c] = true; asleep[c] = false; c = 0 }
    :: else -> c = 0
    fi
}

/* Claims what entry `e` names, if that is still there. */
inline claim(i, e, got) {
    if
    :: IS_READY(e) ->
        got = true;
        word[SLOT(e)] = WORD(CLAIMED, i + 1, USE(word[SLOT(e)]));
        assert(!busy[i]);
        busy[i] = contents[SLOT(e)] + 1; runs[busy[i] - 1]++; assert(runs[busy[i] - 1] <= ATTEMPTS)
#ifdef SKIP_ON_FLAG
    :: IS_READY(e) -> skip    /* the host has set a flag between load and compare-and-swap */
#endif
    :: else
    fi
}

/* Looks at the entries in the records of the others, from the back, one a step. */
inline look_at_records(i, r, c, found, take) {
    atomic { r = 0; c = LIMIT }
    do
    :: atomic { r < WORKERS && !found ->
        if
        :: r == i -> r++
        :: else ->
            if :: c > count[r] -> c = count[r] :: else fi;
            if
            :: c > 0 && take -> c--; claim(i, record[r * LIMIT + c], found)
            :: c > 0 && !take -> c--; found = IS_READY(record[r * LIMIT + c])
            :: else
            fi;
            if :: c == 0 -> r++; c = LIMIT :: else fi
        fi }
    :: atomic { r == WORKERS || found -> r = 0; c = 0; break }
    od
}
proctype Worker(byte i) {
    byte h, k, j, n, r, c;
    bool got, x;
begin:
    {
        /* First what its predecessor has left. */
#ifdef FORGET_RECORD
        n = 0;
#else
        n = count[i];
#endif
        do
        ::
            if
            :: atomic { j < n -> claim(i, record[i * LIMIT + j], got); j++ }
            :: atomic { j == n -> h = head; n = 0; j = 0;
                    if :: tail > h -> if :: k = 1 :: tail - h > 1 && LIMIT > 1 -> k = 2 fi :: else -> k = 0; h = 0 fi }
                if
                :: k ->
#ifdef HEAD_BEFORE_RECORD
                    atomic { x = (head == h); if :: x -> head = h + k :: else fi }
#endif
                    atomic { count[i] = 0; record[i * LIMIT] = queue[h % PLACES] }
#ifdef COUNT_AFTER_HEAD
                    if :: k == 2 -> record[i * LIMIT + 1] = queue[(h + 1) % PLACES] :: else fi;
#else
                    atomic { if :: k == 2 -> record[i * LIMIT + 1] = queue[(h + 1) % PLACES] :: else fi; count[i] = k }
#endif
#ifndef HEAD_BEFORE_RECORD
                    atomic { x = (head == h); if :: x -> head = h + k :: else fi }
#endif
#ifdef COUNT_AFTER_HEAD
                    count[i] = k;
#endif
                    if
                    :: x ->
                        atomic { n = k; x = (k == 2 || tail > h + k); h = 0; k = 0 }
#ifndef NO_CALL
                        if :: x -> x = false; call_worker(c) :: else fi
#else
                        x = false
#endif
                    :: else -> atomic { h = 0; k = 0 }
                    fi
                :: else ->
                    /* Nothing in the queue. What have others put by? */
                    look_at_records(i, r, c, got, true);
                    if
                    :: got
                    :: else ->
#ifdef LOOK_BEFORE_ANNOUNCING
                        x = (head < tail);
                        if :: !x -> look_at_records(i, r, c, x, false) :: else fi;
                        atomic { called[i] = false; sleepers[i] = true }
#else
                        atomic { called[i] = false; sleepers[i] = true }
                        x = (head < tail);
#ifndef NO_LOOK_AT_RECORDS
                        if :: !x -> look_at_records(i, r, c, x, false) :: else fi;
#endif
#endif
                        if
                        :: atomic { !x && !called[i] -> asleep[i] = true }
end1:                       atomic { !asleep[i] -> sleepers[i] = false }
                        :: atomic { x || called[i] -> sleepers[i] = false; x = false }
                        fi
                    fi
                fi
            fi;
            if
            :: got ->
                atomic {
                    BODY_ENDS(busy[i] - 1);
                    h = 0;
                    do
                    :: h < SLOTS && word[h] != WORD(CLAIMED, i + 1, USE(word[h])) -> h++
                    :: else -> break
                    od;
                    assert(h < SLOTS && contents[h] == busy[i] - 1 && !outcome[busy[i] - 1]);
                    outcome[busy[i] - 1] = 1; word[h] = WORD(FREE, 0, USE(word[h]));
                    busy[i] = 0; got = false; h = 0
                }
            :: else
            fi
        od
    } unless { killed[i] }
    atomic { asleep[i] = false; ended[i] = true; h = 0; k = 0; j = 0; n = 0; r = 0; c = 0; got = false; x = false }
end2: atomic { !ended[i] -> goto begin }
}

active proctype Publisher() {
    byte t, n, j, c;
    do
    :: atomic { t < TASKS -> n = (t == 0 -> BATCH : 1) }
        /* Slots for all, and places. */
        atomic { PHASE(word[t % SLOTS]) == FREE && PHASE(word[(t + n - 1) % SLOTS]) == FREE && !locked && tail + n - head <= PLACES -> locked = true }
        atomic {
            for (j : 0 .. n - 1) { contents[(t + j) % SLOTS] = t + j; word[(t + j) % SLOTS] = WORD(READY, 0, (t + j) / SLOTS + 1) }
            j = 0
        }
#ifdef TAIL_BEFORE_ENTRIES
        tail = tail + n;
        atomic { for (j : 0 .. n - 1) { queue[(tail - n + j) % PLACES] = ENTRY((t + j) % SLOTS, (t + j) / SLOTS + 1) } j = 0 }
#else
        atomic { for (j : 0 .. n - 1) { queue[(tail + j) % PLACES] = ENTRY((t + j) % SLOTS, (t + j) / SLOTS + 1) } j = 0 }
        tail = tail + n;
#endif
        atomic { locked = false; t = t + n }
#ifdef PUBLISHER_CALLS_ONE
        n = 1;
#endif
        do
        :: n > 0 -> n--; call_worker(c)
        :: n == 0 -> break
        od
    :: t == TASKS -> break
    od;
    outcome[0] && outcome[1] && outcome[TASKS - 2] && outcome[TASKS - 1]
}

active proctype Supervisor() {
    byte i, s, c;
    atomic {
        run Worker(0); run Worker(1);
#if WORKERS > 2
        run Worker(2)
#endif
    }
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
        :: s < SLOTS && (PHASE(word[s]) != CLAIMED || WORKER(word[s]) != i + 1) -> s++
        :: else -> break
        od;
        assert(busy[i] == (s < SLOTS -> contents[s] + 1 : 0)); busy[i] = 0
        }
        if
        :: s == SLOTS
        :: s < SLOTS && runs[contents[s]] < ATTEMPTS ->
            LOCK;
            word[s] = WORD(READY, 0, USE(word[s]));
            if
            :: tail - head < PLACES -> queue[tail % PLACES] = ENTRY(s, USE(word[s])); tail++; UNLOCK; call_worker(c)
            :: else ->
                UNLOCK;
                atomic { if :: PHASE(word[s]) == READY -> outcome[contents[s]] = 2; word[s] = WORD(FREE, 0, USE(word[s])) :: else fi }
            fi
        :: s < SLOTS && runs[contents[s]] == ATTEMPTS ->
            atomic { assert(!outcome[contents[s]]); outcome[contents[s]] = 2; word[s] = WORD(FREE, 0, USE(word[s])) }
        fi;
        atomic {
            sleepers[i] = false;
#ifdef RECALL_BY_QUEUE
            for (s : 0 .. WORKERS - 1) { if :: !sleepers[s] -> called[s] = true; asleep[s] = false :: else fi }
#elif !defined(NO_RECALL)
            for (s : 0 .. WORKERS - 1) { called[s] = true; asleep[s] = false }
#endif
            s = 0
        }
#ifdef RECALL_BY_QUEUE
        if :: head < tail -> call_worker(c) :: else fi;
#endif
        /* A successor, or none. */
        atomic { killed[i] = false; if :: ended[i] = false :: skip fi; i = 0 }
    od
}

/* Stuck before it has acted is not seen: that is what DEATHS=0 is for. */
active proctype Killer() {
end:
    do
    :: atomic { deaths < DEATHS -> deaths++; if :: !ended[0] -> killed[0] = true :: !ended[1] -> killed[1] = true fi }
    od
}
