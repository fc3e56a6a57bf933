/* Who wakes whom: workers that sleep until they are called, the supervisor that sleeps until something wants its attention, and a publisher that sleeps until
 * there is a free slot. Claims, ends and deaths are single steps here (tasks.pml takes them apart); every step of announcing, looking and calling is not.
 * Two workers of which one may die, with slots for all tasks; or, with SLOTS 1, one worker, which lives, and a publisher that has to wait. Dead workers are not replaced, so that a call that goes to a dead one is lost unless somebody passes it on.
 *
 * Mistakes that must be found: LOOK_BEFORE_ANNOUNCING, CALL_BEFORE_PUBLISHING, NO_PASSING_ON, PASS_ON_TO_ONE, FORGET_NO_SLEEPER, SUPERVISOR_LOOKS_LATE,
 * SPACE_SEEN_LATE. */
#define TASKS 2
#ifndef SLOTS
#define SLOTS 2
#endif
#ifndef DEATHS
#define DEATHS 1
#endif

byte published, taken, finished, drained;     /* counts of tasks that have got so far */
bool busy[2];                                 /* has claimed a task */
bool killed[2], ended[2], event[2];
bool sleepers[2], called[2], asleep[2];
byte attention;
bool supervisor_asleep, supervisor_in_kernel;
byte space, waiting;
bool publisher_in_kernel;
byte deaths;

#define IS_EMPTY (taken >= published)

inline call_worker() {
    if
    :: sleepers[0] ->
        atomic { if :: sleepers[0] -> sleepers[0] = false; c = 0 :: else -> c = 2 fi }
    :: else -> c = 2
    fi;
    if
    :: c == 2 && sleepers[1] ->
        atomic { if :: sleepers[1] -> sleepers[1] = false; c = 1 :: else fi }
    :: else
    fi;
    if
    :: c < 2 -> called[c] = true; asleep[c] = false
    :: else
    fi
}

inline call_supervisor() {
    attention++;
    if :: supervisor_asleep -> supervisor_in_kernel = false :: else fi
}

inline announce_space() {
    if :: waiting -> space++; publisher_in_kernel = false :: else fi
}

proctype Worker(byte i) {
    byte c;
    {
        do
        :: atomic { !IS_EMPTY -> taken++; busy[i] = true }
            if :: !IS_EMPTY -> call_worker() :: else fi;
            /* The body of a task may take for ever, as long as others wait for a worker. */
            IS_EMPTY || ended[1 - i] || SLOTS == 1;
#if SLOTS > 1
            atomic { busy[i] = false; drained++ }
#else
            atomic { busy[i] = false; finished++ }
            call_supervisor();
            announce_space()
#endif
        :: IS_EMPTY ->
#ifdef LOOK_BEFORE_ANNOUNCING
            if
            :: IS_EMPTY ->
                called[i] = false;
                sleepers[i] = true;
end1:           atomic { !called[i] -> asleep[i] = true }
                !asleep[i]
            :: else
            fi;
#else
            called[i] = false;
            sleepers[i] = true;
            if
            :: IS_EMPTY ->
                atomic { if :: !called[i] -> asleep[i] = true :: else fi }
end2:           !asleep[i]
            :: else
            fi;
#endif
            sleepers[i] = false
        od
    } unless { killed[i] }
    /* The monitor's thread of the host posts it. */
    atomic { ended[i] = true; asleep[i] = false; c = 0; event[i] = true }
}

/* What the supervisor does about a worker's end. */
inline settle() {
    atomic { if :: busy[i] -> busy[i] = false; drained++ :: else fi }
#ifndef FORGET_NO_SLEEPER
    sleepers[i] = false;
#endif
#ifndef NO_PASSING_ON
#ifdef PASS_ON_TO_ONE
    if :: !IS_EMPTY -> call_worker() :: else fi;
#else
    called[0] = true; asleep[0] = false;
    called[1] = true; asleep[1] = false;
#endif
#endif
    atomic { i = 0; c = 0 }
}

active proctype Supervisor() {
    byte seen, i, c;
    run Worker(0);
#if SLOTS > 1
    run Worker(1);
#endif
#if SLOTS > 1
end:
    do
    :: atomic { event[0] -> event[0] = false; i = 0 }
        settle()
    :: atomic { event[1] -> event[1] = false; i = 1 }
        settle()
    od
#else
    do
    ::
#ifndef SUPERVISOR_LOOKS_LATE
        seen = attention;
#endif
        do
        :: atomic { finished > 0 -> finished--; drained++ }
            announce_space()
        :: finished == 0 -> break
        od;
#ifdef SUPERVISOR_LOOKS_LATE
        seen = attention;
#endif
        supervisor_asleep = true;
        atomic { if :: attention == seen -> supervisor_in_kernel = true :: else fi }
end:    !supervisor_in_kernel;
        supervisor_asleep = false
    od
#endif
}

active proctype Publisher() {
    byte seen, c;
    do
    :: published == TASKS -> break
    :: published < TASKS ->
        do
        :: published - drained < SLOTS -> break
        :: published - drained >= SLOTS ->
            /* Takes out what is finished itself, or sleeps. */
            if
            :: atomic { finished > 0 -> finished--; drained++ }
            :: finished == 0 ->
#ifdef SPACE_SEEN_LATE
                if
                :: published - drained >= SLOTS && finished == 0 ->
                    waiting++;
                    seen = space;
#else
                waiting++;
                seen = space;
                if
                :: published - drained >= SLOTS && finished == 0 ->
#endif
                    atomic { if :: space == seen -> publisher_in_kernel = true :: else fi }
                    !publisher_in_kernel
                :: else
                fi;
                waiting = 0
            fi
        od;
#ifdef CALL_BEFORE_PUBLISHING
        call_worker();
        published++
#else
        published++;
        call_worker()
#endif
    od;
    drained == TASKS
}

/* It may stop at any time, so that what only another death would free counts as stuck. One worker always stays: somebody has to do the work. */
active proctype Killer() {
    do
    :: atomic { deaths < DEATHS -> deaths++; if :: killed[0] = true :: killed[1] = true fi }
    :: break
    od
}
