/* OwnerLock and ThreadRecords: threads of several processes take a lock, die at any step, and a supervisor settles each death. No time-outs: the 50 ms after
 * which a sleeper looks by itself are not in the model, so what holds here holds without them.
 *
 * Run with one death and a supervisor that may die too, and with two deaths and one that lives.
 * Mistakes that must be found: ENTER_AFTER_TAKING, NO_WAKE_AFTER_DEATH, NO_BIT_AFTER_SLEEP, HAND_ON_SILENTLY. */
#define THREADS 3
#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef SUPERVISOR_MAY_DIE
#define SUPERVISOR_MAY_DIE 1
#endif
#define WAITERS 8
#define DIED 16
#define TOKEN 7

byte word;                /* the lock's word: token, WAITERS, DIED */
bool listed[THREADS];     /* the lock is in the thread's record */
bool killed[THREADS];
bool ended[THREADS];      /* takes no step any more */
bool settled[THREADS];
bool asleep[THREADS];     /* in the kernel's queue for the word */
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

proctype Thread(byte i) {
    byte current;
    bool owner_died, told;
    {
#ifndef ENTER_AFTER_TAKING
        listed[i] = true;
#endif
        atomic { if :: word == 0 -> word = i + 1; inside++; goto taken :: else fi }
#ifndef NO_SPINNING
        /* spinning: one look stands for any number */
        current = word;
        if
        :: (current & TOKEN) == 0 ->
            atomic { if :: word == current -> word = (i + 1) | (current & WAITERS); inside++; goto taken :: else fi }
        :: else
        fi;
#endif
slow:   current = word;
        if
        :: (current & TOKEN) == 0 ->
            atomic {
                if
                :: word == current ->
#ifdef NO_BIT_AFTER_SLEEP
                    word = i + 1;
#else
                    word = (i + 1) | WAITERS;
#endif
                    inside++; goto taken
                :: else
                fi
            }
            goto slow
        :: else
        fi;
        atomic { if :: word == current -> word = current | WAITERS; current = current | WAITERS :: word != current -> goto slow fi }
        atomic { if :: word == current -> asleep[i] = true :: else -> goto slow fi }
        !asleep[i];
        goto slow;
taken:
#ifdef ENTER_AFTER_TAKING
        listed[i] = true;
#endif
        assert(inside == 1);
        atomic { current = word; word = 0; inside-- }
        if :: current & WAITERS -> wake_one() :: else fi;
        listed[i] = false
    } unless { killed[i] }
    atomic { ended[i] = true; if :: !killed[i] -> settled[i] = true :: else fi }
}

/* Settles the deaths. The first of the two may itself end at any step: the other then takes over what it had begun. */
proctype Supervisor(byte me) {
    byte i;
    byte current;
    {
                do
        :: atomic {
            if
            :: ended[0] && !settled[0] -> i = 0
            :: ended[1] && !settled[1] -> i = 1
            :: ended[2] && !settled[2] -> i = 2
            :: settled[0] && settled[1] && settled[2] -> break
            fi }
            if
            :: listed[i] ->
again:          current = word;
                if
                :: (current & TOKEN) == i + 1 ->
                    atomic { if :: word == current -> word = DIED | (current & WAITERS); inside-- :: else -> goto again fi }
#ifndef HAND_ON_SILENTLY
                    if :: current & WAITERS -> wake_one() :: else fi
#endif
                :: else ->
#ifndef NO_WAKE_AFTER_DEATH
                    /* It may have released the lock and not woken anybody yet, or have been woken and not taken it. */
                    wake_one()
#endif
                    skip
                fi
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

init { atomic { run Thread(0); run Thread(1); run Thread(2); run Supervisor(0); run Supervisor(1) } }
