/* OwnerLock and ThreadRecords: threads of several processes take a lock, die at any step, and a supervisor settles each death. No time-outs: the 50 ms after
 * which a sleeper looks by itself are not in the model, so what holds here holds without them.
 *
 * Letting go is a plain store, which its processor may keep to itself for a while: `letting_go` is such a store, and Memory makes it seen at some time.
 * A heavy fence, and an atomic instruction or a system call of the thread itself, wait for that.
 *
 * Run with one death and a supervisor that may die too, with two deaths and one that lives, and with threads that give up at their deadlines (GIVE_UP).
 * Mistakes that must be found: ENTER_AFTER_TAKING, NO_WAKE_AFTER_DEATH, NO_ANNOUNCING_AFTER_SLEEP, NO_HEAVY_FENCE, LOOK_BEFORE_ANNOUNCING, SLEEP_ON_WORD,
 * SETTLE_WITHOUT_CLEARING; GIVE_UP_SILENTLY with TURNS=2 and GIVE_UP. */
#define THREADS 3
#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef SUPERVISOR_MAY_DIE
#define SUPERVISOR_MAY_DIE 1
#endif
#ifndef TURNS
#define TURNS 1
#endif
#define DIED 16
#define TOKEN 7

byte word;                /* the lock's word: token, DIED */
bool announced;           /* the word behind it */
bool letting_go[THREADS]; /* has stored 0 to `word`; others do not see it yet */
bool listed[THREADS];     /* the lock is in the thread's record */
bool killed[THREADS];
bool ended[THREADS];      /* takes no step any more */
byte settler[THREADS];    /* which supervisor settles its end, + 1 */
bool settled[THREADS];
bool asleep[THREADS];     /* in the kernel's queue for `announced` */
byte deaths, inside;
bool first_supervisor_gone;

inline wake_one() {
    /* Any one sleeper, a dead one included: the kernel takes the dead off its queue, but may just have picked one that then dies. */
    atomic {
        if
        :: asleep[0] && !ended[0] -> asleep[0] = false
        :: asleep[1] && !ended[1] -> asleep[1] = false
        :: asleep[2] && !ended[2] -> asleep[2] = false
        :: else
        fi
    }
}

/* Makes the store of thread t seen, if there is one. */
inline drain(t) { if :: letting_go[t] -> letting_go[t] = false; word = 0 :: else fi }

proctype Thread(byte i) {
    byte current;
    byte turns;
    bool has_slept, seen;
    {
        turns = 0;
again:  skip;
#ifndef ENTER_AFTER_TAKING
        listed[i] = true;
#endif
        has_slept = false;
        /* An atomic instruction waits until the thread's own stores are seen. */
        atomic { drain(i); if :: word == 0 -> word = i + 1; inside++; goto taken :: else fi }
slow:   skip;
#ifndef NO_SPINNING
        /* one look stands for any number */
        current = word;
        if
        :: (current & TOKEN) == 0 ->
#ifndef NO_ANNOUNCING_AFTER_SLEEP
            if :: has_slept -> announced = true :: else fi;
#endif
            atomic { if :: word == current -> word = i + 1; inside++; goto taken :: else fi }
        :: else
        fi;
#endif
#ifdef GIVE_UP
#ifdef GIVE_UP_SILENTLY
        if :: listed[i] = false; goto gone :: skip fi;
#else
        if :: !has_slept -> listed[i] = false; goto gone :: skip fi;
#endif
#endif
#ifdef LOOK_BEFORE_ANNOUNCING
        current = word;
        announced = true;
#else
        announced = true;
#ifndef NO_HEAVY_FENCE
        atomic { drain(0); drain(1); drain(2) }
#endif
        current = word;
#endif
        if
        :: (current & TOKEN) == 0 ->
            atomic { if :: word == current -> word = i + 1; inside++; goto taken :: else -> goto slow fi }     /* announced it has */
        :: else
        fi;
#ifdef GIVE_UP
        if :: listed[i] = false; goto gone :: skip fi;
#endif
#ifdef SLEEP_ON_WORD
        atomic { if :: word == current -> asleep[i] = true :: else -> has_slept = true; goto slow fi }
#else
        atomic { if :: announced -> asleep[i] = true :: else -> has_slept = true; goto slow fi }
#endif
        !asleep[i];
        has_slept = true;
        goto slow;
taken:
#ifdef ENTER_AFTER_TAKING
        listed[i] = true;
#endif
        assert(inside == 1);
        /* Nobody but the owner writes the word of a lock that is held. */
        assert(word == i + 1);
        atomic { letting_go[i] = true; inside-- }
        seen = announced;
        if
        :: seen ->
            atomic { drain(i); announced = false }
            wake_one()
        :: else
        fi;
        listed[i] = false;
        turns++;
        if :: turns < TURNS -> goto again :: else fi;
gone:   skip
    } unless { killed[i] }
    /* Whoever learns of a thread's end learns of it after all its stores. */
    atomic { drain(i); ended[i] = true; if :: !killed[i] -> settled[i] = true :: else fi }
}

/* A processor's stores are seen at some time. */
proctype Memory() {
end:
    do
    :: atomic { letting_go[0] -> drain(0) }
    :: atomic { letting_go[1] -> drain(1) }
    :: atomic { letting_go[2] -> drain(2) }
    od
}

#define may_settle(t) (ended[t] && !settled[t] && (settler[t] == 0 || settler[t] == me + 1 || first_supervisor_gone))

/* Settles the deaths, each by one supervisor at a time. The first of the two may itself end at any step: the other then takes over what it had begun. */
proctype Supervisor(byte me) {
    byte i;
    {
        do
        :: atomic {
            if
            :: may_settle(0) -> i = 0
            :: may_settle(1) -> i = 1
            :: may_settle(2) -> i = 2
            :: settled[0] && settled[1] && settled[2] -> break
            fi;
            settler[i] = me + 1 }
            if
            :: listed[i] ->
                atomic { if :: word == i + 1 -> word = DIED; inside-- :: else fi }
                /* It may have released the lock and not woken anybody yet, or have been woken and not taken it. */
#ifndef SETTLE_WITHOUT_CLEARING
                announced = false;
#endif
#ifndef NO_WAKE_AFTER_DEATH
                wake_one()
#endif
                skip
            :: else
            fi;
            settled[i] = true
        od
    } unless { me == 0 && first_supervisor_gone }
}

/* It may stop at any time, so that what only another death would free counts as stuck. */
active proctype Killer() {
    do
    :: atomic { deaths < DEATHS -> killed[deaths] = true; deaths++ }     /* which of them does not matter: they are all alike */
    :: atomic { SUPERVISOR_MAY_DIE && !first_supervisor_gone -> first_supervisor_gone = true }
    :: break
    od
}

init { atomic { run Thread(0); run Thread(1); run Thread(2); run Memory(); run Supervisor(0); run Supervisor(1) } }
