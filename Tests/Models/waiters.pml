/* WaitQueue: threads of several processes wait in a queue for permits that others release; they give up at deadlines, are cancelled, and die at any step, as
 * do those who release; a supervisor settles each death, and may die itself. No time-outs but those that users ask for.
 *
 * What must never be: nothing moves any more, a permit is there, and a living thread waits for it.
 *
 * Run with one death and a supervisor that lives, with one that may die while it settles the death of one that was notified, and without deaths with a waiter
 * that may give up (GIVE_UP). More states than are worth the time: GIVE_UP with a death (7 million), one that may be cancelled (CANCEL), two deaths.
 * Mistakes that must be found: NO_SECOND_LOOK, COUNT_BEFORE_ENTRY, LOWER_UNSEEN, NO_PASSING_ON, FREE_BEFORE_PASSING, WAIT_BEFORE_ATTEMPT, SETTLE_SILENTLY,
 * FREE_BEFORE_SETTLING, UNLISTED_NOTIFIER, NO_WAKING_AFTER_DEATH, NO_LOOK_WHEN_WAITING_AGAIN, NO_PASSING_OF_UNNEEDED. */
#define WAITERS 2
#ifndef RELEASERS
#define RELEASERS 1
#endif
#define THREADS (WAITERS + RELEASERS)
#define ENTRIES WAITERS
#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef SUPERVISOR_MAY_DIE
#define SUPERVISOR_MAY_DIE 1
#endif
#define AWAKE 0
#define ASLEEP 1
#define NOTIFIED 2
#define CANCELLED 3

byte permits;
byte owner[ENTRIES];      /* of an entry: thread + 1, 0 when it is free */
byte phase[ENTRIES];
byte ticket[ENTRIES];
byte next_ticket, in_use; /* the summary: one word */
bool listed[THREADS];
bool killed[THREADS];
bool ended[THREADS];
bool settled[THREADS];
bool asleep[WAITERS];     /* in the kernel's queue for its entry */
byte deaths;
bool is_settling, first_supervisor_gone;

inline attempt() { atomic { if :: permits > 0 -> permits--; ok = true :: else -> ok = false fi } }

/* Whoever sleeps on the entry: its thread. */
inline wake(e) { atomic { if :: owner[e] != 0 -> asleep[owner[e] - 1] = false :: else fi } }

/* Of the words read one after the other, the longest waiting; then one compare-and-swap. Until it has succeeded, or nobody waits. */
inline notify() {
    done = false;
    do
    :: done -> break
    :: else ->
        atomic { seen_next = next_ticket; seen_use = in_use; at = 0; best = ENTRIES; last = 0 }
        /* In one step: to read the entries one by one shows no more. */
        atomic {
            do
            :: at < seen_use ->
                if
                :: owner[at] != 0 ->
                    last = at + 1;
                    if
                    :: phase[at] <= ASLEEP && (best == ENTRIES || ticket[at] < best_ticket) ->
                        best = at; best_owner = owner[at]; best_phase = phase[at]; best_ticket = ticket[at]
                    :: else
                    fi
                :: else
                fi;
                at++
            :: else -> break
            od };
        if
        :: best == ENTRIES ->
            atomic {
                if
#ifdef LOWER_UNSEEN
                :: last < seen_use -> in_use = last
#else
                :: last < seen_use && seen_next == next_ticket && seen_use == in_use -> in_use = last
#endif
                :: else
                fi };
            done = true
        :: else ->
            atomic {
                if
                :: owner[best] == best_owner && phase[best] == best_phase && ticket[best] == best_ticket -> phase[best] = NOTIFIED; done = true
                :: else
                fi };
            if :: done && best_phase == ASLEEP -> wake(best) :: else fi
        fi;
        /* So that states that differ in nothing that matters are one. */
        atomic { seen_next = 0; seen_use = 0; at = 0; best = 0; best_owner = 0; best_phase = 0; best_ticket = 0; last = 0 }
    od;
    done = false
}

inline count(e) { atomic { next_ticket++; if :: in_use < e + 1 -> in_use = e + 1 :: else fi } }

proctype Waiter(byte i) {
    byte e, mine, at, best, best_owner, best_phase, best_ticket, last, seen_next, seen_use;
    bool ok, done;
    {
        attempt();
        if :: ok -> goto gone :: else fi;
        listed[i] = true;
        mine = next_ticket;
        e = 0;
#ifdef COUNT_BEFORE_ENTRY
        count(i);
#endif
        do
        :: atomic { owner[e] == 0 -> owner[e] = i + 1; phase[e] = AWAKE; ticket[e] = mine }; break
        :: owner[e] != 0 -> e = (e + 1) % ENTRIES
        od;
#ifndef COUNT_BEFORE_ENTRY
        count(e);
#endif
#ifdef NO_SECOND_LOOK
        goto sleep;
#endif
look:   attempt();
        if :: ok -> goto leave_unneeded :: else fi;
sleep:  atomic { if :: phase[e] == AWAKE -> phase[e] = ASLEEP :: else fi };
        /* The kernel compares the word. */
        atomic { if :: phase[e] == ASLEEP -> asleep[i] = true :: else fi };
end:    if
        :: !asleep[i]
#ifdef GIVE_UP
        :: i == 0 -> asleep[i] = false; attempt(); goto leave
#endif
        fi;
        if :: phase[e] == CANCELLED -> goto leave :: else fi;
#ifdef WAIT_BEFORE_ATTEMPT
        phase[e] = AWAKE;
        goto look;
#endif
        attempt();
        if
        :: ok -> owner[e] = 0; listed[i] = false; goto gone
        :: else
        fi;
#ifdef GIVE_UP
        if :: i == 0 -> goto leave :: skip fi;
#endif
        phase[e] = AWAKE;
#ifdef NO_LOOK_WHEN_WAITING_AGAIN
        goto sleep;
#endif
        goto look;

leave_unneeded:
#ifdef NO_PASSING_OF_UNNEEDED
        owner[e] = 0; listed[i] = false; goto gone;
#endif
leave:  atomic { if :: phase[e] != NOTIFIED -> owner[e] = 0; goto left :: else fi };
#ifdef FREE_BEFORE_PASSING
        owner[e] = 0;
        listed[i] = false;
#endif
#ifndef NO_PASSING_ON
        notify();
#endif
        owner[e] = 0;
left:   listed[i] = false;
gone:   skip
    } unless { killed[i] }
    atomic { e = 0; mine = 0; ok = false; done = false; at = 0; best = 0; best_owner = 0; best_phase = 0; best_ticket = 0; last = 0; seen_next = 0; seen_use = 0;
        ended[i] = true; asleep[i] = false; if :: !killed[i] -> settled[i] = true :: else fi }
}

proctype Releaser(byte i) {
    byte at, best, best_owner, best_phase, best_ticket, last, seen_next, seen_use;
    bool done;
    {
#ifndef UNLISTED_NOTIFIER
        listed[i] = true;
#endif
        permits++;
        notify();
        listed[i] = false
    } unless { killed[i] }
    atomic { ended[i] = true; if :: !killed[i] -> settled[i] = true :: else fi }
}

#ifdef CANCEL
/* May cancel the first that waits, at any time, or not. */
active proctype Canceller() {
    byte e;
    do
    :: atomic { e < ENTRIES && owner[e] == 1 && phase[e] <= ASLEEP -> phase[e] = CANCELLED; asleep[0] = false; break }
    :: atomic { e < ENTRIES && owner[e] != 1 -> e++ }
    :: break
    od
}
#endif

/* Whom a dead thread has notified it may not have woken. */
inline wake_ended() {
#ifndef NO_WAKING_AFTER_DEATH
    m = 0;
    do
    :: m < ENTRIES -> atomic { if :: owner[m] != 0 && phase[m] > ASLEEP -> asleep[owner[m] - 1] = false :: else fi; m++ }
    :: else -> break
    od;
    m = 0
#else
    skip
#endif
}

/* The second takes over what the first had begun. */
#define may_settle(t) (ended[t] && !settled[t] && (me == 0 || first_supervisor_gone))

proctype Supervisor(byte me) {
    byte t, n, m, at, best, best_owner, best_phase, best_ticket, last, seen_next, seen_use;
    bool done;
    {
end:    do
        :: atomic {
            if
            :: may_settle(0) -> t = 0
            :: may_settle(1) -> t = 1
            :: may_settle(2) -> t = 2
#if RELEASERS > 1
            :: may_settle(3) -> t = 3
#endif
            fi;
            n = 0; is_settling = true }
            if
            :: listed[t] && t < WAITERS ->
                do
                :: n < ENTRIES ->
                    if
                    :: owner[n] == t + 1 ->
                        /* Its phase may still be changed by others. */
#ifdef FREE_BEFORE_SETTLING
                        if
                        :: atomic { phase[n] == NOTIFIED -> owner[n] = 0 }; notify(); wake_ended(); n++
                        :: atomic { phase[n] != NOTIFIED -> owner[n] = 0 }; n++
                        fi
#else
                        if
#ifndef SETTLE_SILENTLY
                        :: phase[n] == NOTIFIED -> notify(); wake_ended(); owner[n] = 0; n++
#else
                        :: phase[n] == NOTIFIED -> owner[n] = 0; n++
#endif
                        :: atomic { phase[n] != NOTIFIED -> owner[n] = 0 }; n++
                        fi
#endif
                    :: else -> n++
                    fi
                :: else -> break
                od
            :: listed[t] && t >= WAITERS ->
                n = 0;
                do
                :: n < in_use -> atomic { if :: owner[n] != 0 && phase[n] <= ASLEEP -> phase[n] = NOTIFIED :: else fi }; n++
                :: else -> break
                od;
                wake_ended()
            :: else
            fi;
            atomic { settled[t] = true; is_settling = false; t = 0; n = 0 }
        od
    } unless { me == 0 && first_supervisor_gone }
}

active proctype Killer() {
    byte t;
    do
#if SUPERVISOR_MAY_DIE
    /* There are too many states to see all: it is the death of one that has been notified whose settling must not be cut short. */
    :: atomic { deaths < DEATHS && ((owner[0] == 1 && phase[0] == NOTIFIED) || (owner[1] == 1 && phase[1] == NOTIFIED)) ->
        killed[0] = true; deaths++ }
#else
    :: atomic { deaths < DEATHS ->
        /* Waiters are alike. */
        if :: deaths == 0 -> t = 0 :: deaths == 1 -> t = 1 :: t = WAITERS fi; if :: !ended[t] && !killed[t] -> killed[t] = true :: else fi; deaths++ }
#endif
    :: atomic { SUPERVISOR_MAY_DIE && is_settling && !first_supervisor_gone -> first_supervisor_gone = true }
    :: break
    od
}

/* Of the entry of a thread that waits. */
#define phase_of(t) (owner[0] == t + 1 -> phase[0] : phase[1])

/* When nothing moves any more. */
active proctype Judge() {
    timeout -> assert(!(asleep[0] || asleep[1]) || (permits == 0 && (!asleep[0] || phase_of(0) <= ASLEEP) && (!asleep[1] || phase_of(1) <= ASLEEP)))
}

init {
    atomic {
        run Waiter(0); run Waiter(1);
        run Releaser(WAITERS);
#if RELEASERS > 1
        run Releaser(WAITERS + 1);
#endif
        run Supervisor(0);
#if SUPERVISOR_MAY_DIE
        run Supervisor(1)
#endif
    }
}
