/* The supervisor, which sleeps until something wants its attention: ends of tasks that it has been asked to complete, and deaths, which the monitor posts.
 * (Workers' sleep is in ring.pml, publishers' in space.pml.) Two workers with such a task each, of which one may die at any step; nobody but the supervisor
 * takes their results out.
 * Mistakes that must be found: see README.md. */
#ifndef DEATHS
#define DEATHS 1
#endif
#define CLAIMED 0
#define VALUE 1
#define DRAINED 2

byte word[2];
bool finished[2], event[2];          /* what there is to see for the supervisor */
bool killed[2];
byte attention;
bool supervisor_asleep, in_kernel;
byte deaths;

inline call_supervisor() {
    attention++;
    if :: supervisor_asleep -> in_kernel = false :: else fi
}

proctype Worker(byte i) {
    {
        word[i] = VALUE;
#ifdef CALL_BEFORE_BIT
        call_supervisor();
        finished[i] = true;
#else
        finished[i] = true;
        call_supervisor();
#endif
end:    false
    } unless { killed[i] }
#ifndef NO_EVENT
    /* The monitor's thread of the host posts it. */
    event[i] = true;
    call_supervisor()
#endif
}

inline look(i) {
    if :: atomic { finished[i] -> finished[i] = false } atomic { if :: word[i] == VALUE -> word[i] = DRAINED :: else fi } :: else fi;
    if :: atomic { event[i] -> event[i] = false } word[i] = DRAINED :: else fi
}

active proctype Supervisor() {
    byte seen;
    run Worker(0); run Worker(1);
    do
    ::
#ifdef SUPERVISOR_LOOKS_LATE
        look(0); look(1);
        seen = attention;
#else
        seen = attention;
        look(0); look(1);
#endif
        supervisor_asleep = true;
#ifdef FORGET_SEEN
        in_kernel = true;
#else
        atomic { if :: attention == seen -> in_kernel = true :: else fi }
#endif
end:    !in_kernel;
        supervisor_asleep = false
    od
}

active proctype Waiter() { word[0] == DRAINED && word[1] == DRAINED }

active proctype Killer() {
end:
    do
    :: atomic { deaths < DEATHS -> deaths++; if :: killed[0] = true :: killed[1] = true fi }
    od
}
