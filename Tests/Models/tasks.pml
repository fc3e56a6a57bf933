/* What becomes of a task: publishing, reserving, claiming, finishing, giving up, taking out results, and settling deaths. Workers die at any step. How workers
 * find tasks is in ring.pml; here they reserve one at a time, in one step.
 *
 * Two tasks, in one slot after the other or in two slots. The queue has one place only (the real one has two a slot), so that it is full often.
 * Mistakes that must be found: see README.md. */
#ifndef TASKS
#define TASKS 2
#endif
#ifndef SLOTS
#define SLOTS 1
#endif
#ifndef PLACES
#define PLACES 1
#endif
#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef ATTEMPTS
#define ATTEMPTS 1        /* 1: a lost task fails; 2: it is run once again */
#endif

/* A slot's word: phase, worker + 1, use, and whether nobody is left to be told. Its task is its contents. */
#define FREE 0
#define READY 1
#define CLAIMED 2
#define VALUE 3
#define CONDEMNED 4
#define DRAINING 5
#define WORD(phase, worker, use) ((phase) | ((worker) << 3) | ((use) << 5))
#define PHASE(w) ((w) & 7)
#define WORKER(w) (((w) >> 3) & 3)
#define USE(w) (((w) >> 5) & 7)
#define ABANDONED 256
#define IS_ABANDONED(w) (((w) & ABANDONED) != 0)
#define MOVED(w, phase) (((w) & (ABANDONED | 248)) | (phase))
#define NONE 255
#define IS_THERE(entry) (PHASE(word[(entry) & 1]) == READY && USE(word[(entry) & 1]) == ((entry) >> 1))

short word[SLOTS];
byte contents[SLOTS];        /* the task whose arguments lie there */
byte result[SLOTS];          /* the task whose result lies there */
byte queue[PLACES];          /* slot | use << 1 */
byte head, tail;
byte record[2];              /* the entry that a worker has reserved; NONE */
bool locked;                 /* the host's lock */
bool taken[SLOTS];           /* not in the host's list of free slots */
byte slot_of[TASKS], use_of[TASKS];
bool published[TASKS];
byte outcome[TASKS];         /* 0 none, 1 a value, 2 a failure, 3 given up, 4 of no interest to anybody */
bool freed[TASKS];           /* what the outcome would be told to */
byte runs[TASKS], releases[TASKS];
bool killed[2], ended[2];
byte busy[2];                /* the task a worker has claimed; NONE */
byte deaths;
byte cost[2];                /* tasks that a worker's death has failed or had run again */
bool over;

#define LOCK atomic { !locked -> locked = true }
#define UNLOCK locked = false
#define ALL_DONE (outcome[0] && outcome[TASKS - 1])

/* Who tells touches the task. */
inline tell(t, what) {
    atomic { assert(!freed[t]); if :: outcome[t] == 0 -> outcome[t] = what :: else fi }
}

/* Nothing is told (0) where who has condemned the task does that. */
inline release(s, t, what) {
    /* Only whoever has moved the word to DRAINING is here, so once a task. */
    atomic { t = contents[s]; releases[t]++; assert(releases[t] == 1); contents[s] = NONE; if :: IS_ABANDONED(word[s]) -> t = t | 128 :: else fi }
    word[s] = MOVED(word[s], FREE) & 231;
    atomic { !locked -> taken[s] = false }
    if
    :: t < 128 && what > 0 -> tell(t, what)
    :: else
    fi
}

inline drain(s, w, t, ok) {
#ifdef DRAIN_BY_STORE
    atomic { ok = true; word[s] = MOVED(w, DRAINING) }
#else
    atomic { ok = (word[s] == w); if :: ok -> word[s] = MOVED(w, DRAINING) :: else fi }
#endif
    if
    :: ok -> assert(result[s] == contents[s]); release(s, t, 1)
    :: else
    fi
}

proctype Worker(byte i) {
    byte entry, s, t;
    short current;
    bool ok;
begin:
    {
        skip;
again:  if
        :: atomic { record[i] != NONE -> entry = record[i] }
        :: atomic { record[i] == NONE && (head < tail || over) ->
                t = 0; ok = false; current = 0; entry = 0; s = 0;
                if :: head < tail -> entry = queue[head % PLACES]; head++ :: else -> goto leave fi;
#ifndef NO_RECORD
                record[i] = entry
#endif
            }
        fi;
        atomic { s = entry & 1; current = word[s]; ok = false }
        if
        :: PHASE(current) == READY && USE(current) == (entry >> 1) ->
#ifdef RECORD_BEFORE_CLAIM
            record[i] = NONE;
#endif
            atomic {
                if
                :: word[s] == current ->
                    current = WORD(CLAIMED, i + 1, USE(current)) | (current & ABANDONED); word[s] = current; ok = true;
                    t = contents[s]; busy[i] = t; runs[t]++; assert(runs[t] <= ATTEMPTS)
                :: else -> goto again
                fi
            }
        :: else
        fi;
        record[i] = NONE;
        if
        :: ok ->
            /* The arguments are there as long as this worker may read them. */
            assert(contents[s] == t);
            result[s] = t;
            /* Tried again when a flag was set meanwhile. */
            atomic { if :: (word[s] & 255) == (current & 255) -> word[s] = MOVED(word[s], VALUE); busy[i] = NONE :: else -> killed[i] = true fi }
        :: else
        fi;
        goto again;
leave:  skip
    } unless { killed[i] }
    atomic { ended[i] = true; ok = false; entry = 0; current = 0; s = 0; t = 0 }
    /* Its successor. */
end: atomic { !ended[i] -> goto begin }
}

/* Under the lock. Passing by what is taken, one look after the other. */
inline room(ok) {
    do
    :: atomic { tail - head < PLACES -> ok = true; break }
    :: atomic { tail - head >= PLACES && IS_THERE(queue[head % PLACES]) -> ok = false; break }
    :: atomic { tail - head >= PLACES && !IS_THERE(queue[head % PLACES]) -> head++ }
    od
}

/* A thread of the host that submits, and then waits for every outcome. */
active proctype Publisher() {
    byte t, s, x;
    short w;
    bool ok;
    for (t : 0 .. TASKS - 1) {
        /* Results that nobody has asked for make no room by themselves. */
        do
        :: PHASE(word[0]) == VALUE -> w = word[0]; if :: PHASE(w) == VALUE -> drain(0, w, x, ok) :: else fi
        :: !taken[0] -> break
#if SLOTS > 1
        :: !taken[1] -> break
#endif
        od;
        atomic {
            if
            :: !locked && !taken[0] -> s = 0
#if SLOTS > 1
            :: !locked && !taken[1] -> s = 1
#endif
            fi;
            taken[s] = true; contents[s] = t; result[s] = NONE
        }
        do
        :: LOCK;
            room(ok);
            if
            :: ok ->
                w = word[s];
                slot_of[t] = s; use_of[t] = USE(w) + 1;
                word[s] = WORD(READY, 0, USE(w) + 1);
                queue[tail % PLACES] = s | ((USE(w) + 1) << 1);
                tail++;
                published[t] = true; UNLOCK; break
            :: else -> UNLOCK; tail - head < PLACES || !IS_THERE(queue[head % PLACES])
            fi
        od
    }
    for (t : 0 .. TASKS - 1) {
        do
        :: outcome[t] && (outcome[t] != 4 || releases[t]) -> break
        /* What nobody asks for, the supervisor takes out, as this thread does here. */
        :: (outcome[t] == 0 || (outcome[t] == 4 && !releases[t])) && PHASE(word[slot_of[t]]) == VALUE && USE(word[slot_of[t]]) == use_of[t] ->
            w = word[slot_of[t]];
            if :: PHASE(w) == VALUE && USE(w) == use_of[t] -> drain(slot_of[t], w, x, ok) :: else fi
        od
    }
    over = true
}

#ifdef GIVE_UP
/* Another thread of the host, which gives a task up, or takes out its result. */
active proctype OtherThread() {
    byte t, s, x;
    short w;
    bool ok;
    if
    :: published[0] -> t = 0
    :: published[TASKS - 1] -> t = TASKS - 1
    :: ALL_DONE -> t = 0
    fi;
    do
    :: atomic { w = word[slot_of[t]]; s = slot_of[t] }
        if
        :: USE(w) != use_of[t] -> break
        :: USE(w) == use_of[t] && PHASE(w) == READY ->
            atomic { ok = (word[s] == w); if :: ok -> word[s] = MOVED(w, DRAINING) :: else fi }
            if :: ok -> release(s, x, 3); break :: else fi
        :: USE(w) == use_of[t] && PHASE(w) == CLAIMED ->
            LOCK;
            atomic { ok = (word[s] == w); if :: ok -> word[s] = MOVED(w, CONDEMNED); killed[WORKER(w) - 1] = true :: else fi }
            UNLOCK;
            if
            :: ok -> if :: !IS_ABANDONED(w) -> tell(t, 3) :: else fi; break
            :: else
            fi
        :: USE(w) == use_of[t] && PHASE(w) == VALUE -> drain(s, w, x, ok); break
        :: USE(w) == use_of[t] && (PHASE(w) == DRAINING || PHASE(w) == CONDEMNED || PHASE(w) == FREE) -> break
        fi
    od;
    skip
}

#endif

#ifdef ABANDON
/* The last one to ask for the first task asks no more, and frees it. */
active proctype Leaver() {
    byte s, x;
    short w;
    bool ok;
    published[0];
    do
    :: outcome[0] -> break
    :: outcome[0] == 0 ->
        atomic { s = slot_of[0]; w = word[s] }
        if
        :: USE(w) == use_of[0] && (PHASE(w) == READY || PHASE(w) == CLAIMED) ->
            atomic { ok = (word[s] == w); if :: ok -> word[s] = w | ABANDONED; outcome[0] = 4 :: else fi }
        :: USE(w) == use_of[0] && PHASE(w) == VALUE ->
            atomic { ok = (word[s] == w); if :: ok -> word[s] = MOVED(w, DRAINING) | ABANDONED; outcome[0] = 4 :: else fi }
            if :: ok -> release(s, x, 1) :: else fi
        :: else ->
#ifndef LEAVE_AT_ONCE
            /* Somebody is about to tell it. */
            outcome[0];
#endif
            break
        fi
    od;
    freed[0] = true
}
#endif

active proctype Supervisor() {
    byte i, s, t;
    short w;
    bool ok;
    atomic { record[0] = NONE; record[1] = NONE; run Worker(0); run Worker(1) }
    do
    :: atomic {
        if
        :: ended[0] && killed[0] -> i = 0
        :: ended[1] && killed[1] -> i = 1
        :: over -> break
        fi }
        for (s : 0 .. SLOTS - 1) {
            do
            :: w = word[s];
                if
                :: WORKER(w) != i + 1 || PHASE(w) == FREE || PHASE(w) == READY -> break
                :: WORKER(w) == i + 1 && PHASE(w) == CLAIMED ->
                    LOCK;
                    if :: runs[contents[s]] < ATTEMPTS -> room(ok) :: else -> ok = false fi;
                    if
                    :: ok ->
#ifdef RETRY_BY_STORE
                        word[s] = WORD(READY, 0, USE(w)) | (w & ABANDONED);
#else
                        atomic { ok = (word[s] == w); if :: ok -> word[s] = WORD(READY, 0, USE(w)) | (w & ABANDONED) :: else fi }
#endif
                        /* From here on it can be claimed: by the entry that it had, which somebody may still have put by. */
                        if :: ok -> assert(!outcome[contents[s]] || outcome[contents[s]] == 4); cost[i]++; queue[tail % PLACES] = s | (USE(w) << 1); tail++ :: else fi;
                        UNLOCK
                    :: else ->
                        UNLOCK;
                        atomic { ok = (word[s] == w); if :: ok -> word[s] = MOVED(w, DRAINING) :: else fi }
                        if :: ok -> assert(busy[i] == contents[s]); cost[i]++; release(s, t, 2) :: else fi
                    fi
                :: WORKER(w) == i + 1 && PHASE(w) == CONDEMNED ->
                    atomic { ok = (word[s] == w); if :: ok -> word[s] = MOVED(w, DRAINING) :: else fi }
#ifdef TELL_TWICE
                    if :: ok -> cost[i]++; release(s, t, 3) :: else fi
#else
                    if :: ok -> cost[i]++; release(s, t, 0) :: else fi
#endif
                :: WORKER(w) == i + 1 && PHASE(w) == VALUE ->
#ifdef SETTLE_WITHOUT_DRAIN
                    result[s] = NONE;      /* gone with the worker's memory */
                    break
#else
                    drain(s, w, t, ok)
#endif
                :: WORKER(w) == i + 1 && PHASE(w) == DRAINING -> word[s] != w
                fi
            od
        }
        LOCK;
        assert(cost[i] <= 1);
        atomic { cost[i] = 0; busy[i] = NONE; ended[i] = false; killed[i] = false; w = 0; t = 0; ok = false; s = 0; locked = false; i = 0 }
    od;
    assert(releases[0] == 1 || outcome[0] == 3);
    assert(releases[1] == 1 || outcome[1] == 3)
}

/* It may stop at any time. */
active proctype Killer() {
    do
    :: atomic { deaths < DEATHS && !over -> deaths++; if :: !ended[0] -> killed[0] = true :: !ended[1] -> killed[1] = true :: else fi }
    :: break
    od
}

