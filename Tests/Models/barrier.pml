/* SharedBarrier: parties come, wait for one another and leave, again and again; they give up, and die at any step; a supervisor settles each death, and may die
 * itself; then somebody resets the barrier, another party comes for each that has died, and all meet once more. No time-outs but those that users ask for.
 *
 * What must never be: somebody passes before all have come, or twice; of those who meet some pass and some do not; nothing moves any more and a living party waits.
 *
 * How a party waits, and is woken by every change, is waiters.pml's: here it looks and falls asleep in one step, and all are woken in one.
 *
 * Run with one death and a supervisor that lives; without the reset (NO_RESET) with one that may die, with two deaths, and with more parties than places (CROWD); with a party that may give up (GIVE_UP), and
 * without deaths with a reset at any time (EARLY_RESET: then who comes too late for the others waits, rightly). More states than are worth the time: all of it at once.
 * Mistakes that must be found: FREE_IN_SAME_GENERATION, TAKE_ANY_FREE, LEAVE_BEFORE_LOOKING, RESET_AT_ONCE, BREAK_DRAINING, COMPLETE_BY_STORE, SETTLE_WAITERS_ONLY,
 * SETTLE_WITHOUT_ADVANCING, SETTLE_WITHOUT_FREEING, CHANGE_SILENTLY. */
#define PARTIES 2
#define THREADS 3       /* the last comes in place of one that has died */
#ifndef TURNS
#define TURNS 2
#endif
#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef SUPERVISOR_MAY_DIE
#define SUPERVISOR_MAY_DIE 0
#endif
#define GENERATIONS 7
#define NOBODY 0

mtype = { filling, draining, broken, resetting };

mtype phase = filling;      /* the state: one word */
byte generation;
bool pending;               /* why the next generation breaks: whether it does */
byte owner[PARTIES];        /* a place: thread + 1, or nobody; in which generation */
byte place_of[PARTIES];
bool asleep[THREADS];
bool killed[THREADS], ended[THREADS], is_in_order[THREADS], settled[THREADS];
byte deaths, missing;
bool is_settling, first_supervisor_gone, is_reset;
bool has_left[PARTIES];     /* it has been told, or has passed often enough, or has died */

/* What is checked. */
byte came[GENERATIONS];
bool passed[GENERATIONS], told[GENERATIONS];

inline wake_all() { d_step { asleep[0] = false; asleep[1] = false; asleep[2] = false } }

#define is_as_seen (phase == seen_phase && generation == seen && pending == seen_pending)

/* From `seen` to something else; then all are woken. Should the thread die in between, the supervisor wakes them. */
inline become_and_wake(new_phase, new_generation, new_pending) {
    atomic { if :: is_as_seen -> phase = new_phase; generation = new_generation; pending = new_pending; moved = true :: else -> moved = false fi };
#ifndef CHANGE_SILENTLY
    if :: moved -> wake_all() :: else fi;
#endif
    moved = false
}

inline see() { d_step { seen_phase = phase; seen = generation; seen_pending = pending } }
inline forget() { d_step { seen_phase = filling; seen = 0; seen_pending = false; n = 0 } }

/* Begins the next generation, if this one has ended and all have left. */
inline advance() {
    see();
    if
    :: seen_phase == draining || seen_phase == resetting ->
        n = 0;
        do
        :: n < PARTIES ->
            atomic {
                if
                :: owner[n] == NOBODY && place_of[n] == seen + 1 -> n++
                :: owner[n] == NOBODY && place_of[n] == seen -> place_of[n] = seen + 1; n++
                :: else -> break
                fi }
        :: else -> break
        od;
        if
        :: n == PARTIES ->
            if
            :: seen_pending -> become_and_wake(broken, seen + 1, false)
            :: else -> become_and_wake(filling, seen + 1, false)
            fi
        :: else
        fi
    :: else
    fi;
    forget()
}

/* One step: what `change` comes to once its compare-and-swap succeeds. */
inline break_up() {
    atomic {
        if
        :: phase == filling -> phase = broken
#ifdef BREAK_DRAINING
        :: phase == draining -> phase = broken
#else
        :: phase == draining -> pending = true
#endif
        :: phase == resetting -> pending = true
        :: phase == broken
        fi };
#ifndef CHANGE_SILENTLY
    wake_all()
#endif
}

inline take() {
    n = 0;
    do
    :: n < PARTIES ->
        atomic {
            if
#ifdef TAKE_ANY_FREE
            :: owner[n] == NOBODY ->
#else
            :: owner[n] == NOBODY && place_of[n] == seen ->
#endif
                owner[n] = i + 1; place_of[n] = seen; mine = n; n = PARTIES;
                came[seen]++; assert(came[seen] <= PARTIES)
            :: else -> n++
            fi }
    :: else -> break
    od
}

/* Lets all pass if all have come. */
inline complete() {
    n = 0;
    do
    :: n < PARTIES && owner[n] != NOBODY && place_of[n] == seen -> n++
    :: else -> break
    od;
    if
    :: n == PARTIES ->
#ifdef COMPLETE_BY_STORE
        atomic { phase = draining; generation = seen };
        wake_all()
#else
        become_and_wake(draining, seen, false)
#endif
    :: else
    fi;
    n = 0
}

inline leave() {
#ifdef FREE_IN_SAME_GENERATION
    atomic { owner[mine] = NOBODY; place_of[mine] = turn; mine = PARTIES };
#else
    atomic { owner[mine] = NOBODY; place_of[mine] = turn + 1; mine = PARTIES };
#endif
    advance()
}

/* Comes, waits, and leaves. Then `has_passed`, or has been told. */
inline meet() {
    has_passed = false;
    do
    :: see();
        if
        :: seen_phase == broken -> forget(); break
        :: seen_phase == draining || seen_phase == resetting ->
            turn = seen;
            was = seen_phase;
            advance();
            do
            :: atomic { phase == was && generation == turn -> asleep[i] = true };
end_early:      !asleep[i]
            :: else -> break
            od
        :: seen_phase == filling ->
            turn = seen;
            take();
            complete();
            forget();
            if
            :: mine == PARTIES
            :: else ->
                do
                :: atomic { phase == filling && generation == turn -> asleep[i] = true };
end_waiting:        if
                    :: !asleep[i]
#ifdef GIVE_UP
                    :: i == 0 && asleep[i] ->
                        asleep[i] = false;
                        atomic { if :: phase == filling -> phase = broken :: else fi };
#ifndef CHANGE_SILENTLY
                        wake_all();
#endif
                        break
#endif
                    fi
                :: else -> break
                od;
#ifdef LEAVE_BEFORE_LOOKING
                leave();
#endif
                /* How its own generation has ended. */
                atomic {
                    assert(generation == turn && phase != filling);
                    has_passed = (phase == draining);
                    if :: has_passed -> passed[turn] = true; assert(came[turn] == PARTIES) :: else -> told[turn] = true fi;
                    assert(!passed[turn] || !told[turn]) };
#ifndef LEAVE_BEFORE_LOOKING
                leave();
#endif
                break
            fi
        fi
    od;
    atomic { turn = 0; was = filling; forget() }
}

proctype Party(byte i) {
    byte seen, n, turn, turns, mine = PARTIES;
    mtype seen_phase = filling, was = filling;
    bool seen_pending, moved, has_passed;
    {
        if
#ifdef CROWD
        :: true ->
#else
        :: i < PARTIES ->
#endif
            do
            :: turns < TURNS -> meet(); if :: has_passed -> turns++ :: else -> break fi
            :: else -> break
            od;
            atomic { turns = 0; has_passed = false; if :: i < PARTIES -> has_left[i] = true :: else fi }
#ifndef CROWD
        :: else
#endif
        fi;
#ifndef NO_RESET
end_unneeded:
        is_reset && (i < PARTIES || missing > 0);
        meet();
#ifndef EARLY_RESET
        /* A new phase works, unless there is a new death, or one that nobody had settled. */
        assert(has_passed || deaths > missing || phase == broken || pending);
#endif
#endif
        is_in_order[i] = true
    } unless { killed[i] }
    atomic {
        seen = 0; n = 0; turn = 0; turns = 0; mine = 0; seen_phase = filling; was = filling; seen_pending = false; moved = false; has_passed = false;
        asleep[i] = false; ended[i] = true;
        if :: i < PARTIES -> has_left[i] = true :: else fi;
        if :: !killed[i] -> settled[i] = true :: else fi }
}

/* Another process, that lives. */
proctype Resetter() {
    byte seen, n;
    mtype seen_phase = filling;
    bool seen_pending, moved;
#ifdef EARLY_RESET
    skip;
#else
    /* Those who are to meet anew know that they are. */
end: has_left[0] && has_left[1] && (!ended[0] || settled[0]) && (!ended[1] || settled[1]);
#endif
    atomic {
        if
#ifdef RESET_AT_ONCE
        :: phase == filling || phase == broken -> phase = filling; generation++; place_of[0] = generation; place_of[1] = generation
#else
        :: phase == filling || phase == broken -> phase = resetting
#endif
        :: phase == draining || phase == resetting -> pending = false
        fi };
    wake_all();
    advance();
    atomic { missing = deaths; is_reset = true }
}

#define may_settle(t) (ended[t] && !settled[t] && (me == 0 || first_supervisor_gone))

proctype Supervisor(byte me) {
    byte t, n, k, seen;
    mtype seen_phase = filling;
    bool seen_pending, moved, is_there;
    {
end:    do
        :: atomic {
            if
            :: may_settle(0) -> t = 0
            :: may_settle(1) -> t = 1
            :: may_settle(2) -> t = 2
            fi;
            is_settling = true }
            is_there = (owner[0] == t + 1 || owner[1] == t + 1);
#ifndef SETTLE_WAITERS_ONLY
            if :: !is_in_order[t] || is_there -> break_up() :: else fi;
#else
            if :: is_there -> break_up() :: else fi;
#endif
            is_there = false;
#ifndef SETTLE_WITHOUT_FREEING
            k = 0;
            do
            :: k < PARTIES -> atomic { if :: owner[k] == t + 1 -> owner[k] = NOBODY; place_of[k]++ :: else fi; k++ }
            :: else -> break
            od;
            k = 0;
#endif
#ifndef SETTLE_WITHOUT_ADVANCING
            advance();
#endif
#ifndef SETTLE_SILENTLY
            wake_all();
#endif
            atomic { settled[t] = true; is_settling = false; t = 0 }
        od
    } unless { me == 0 && first_supervisor_gone }
    d_step { t = 0; n = 0; k = 0; seen = 0; seen_phase = filling; seen_pending = false; moved = false; is_there = false }
}

active proctype Killer() {
    do
    /* The parties are alike. */
    :: atomic { deaths < DEATHS && !ended[deaths] && !killed[deaths] && !is_in_order[deaths] -> killed[deaths] = true; deaths++ }
    :: atomic { SUPERVISOR_MAY_DIE && is_settling && !first_supervisor_gone -> first_supervisor_gone = true }
    :: break
    od
}

/* When nothing moves any more. */
active proctype Judge() {
    timeout ->
#if defined(EARLY_RESET) || defined(CROWD)
    /* Who waits does so for somebody who has not come. */
    assert(!(asleep[0] || asleep[1] || asleep[2]) || (phase == filling && (owner[0] == NOBODY || owner[1] == NOBODY)));
#else
    assert(!(asleep[0] || asleep[1] || asleep[2]));
#ifndef NO_RESET
    assert(is_reset)
#endif
#endif
}

init {
    atomic {
        run Party(0); run Party(1);
#ifdef CROWD
        run Party(2);
#endif
#ifndef NO_RESET
        run Party(2); run Resetter();
#endif
        run Supervisor(0);
#if SUPERVISOR_MAY_DIE
        run Supervisor(1)
#endif
    }
}
