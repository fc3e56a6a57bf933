/* OwnerLock and ThreadRecords: threads of several processes take a lock, die at any step, and a supervisor settles each death. No time-outs: the 50 ms after
 * which a sleeper looks by itself are not in the model, nor that it then takes the lock though another has asked for it; so what holds here holds without them.
 *
 * Letting go is a plain store, which its processor may keep to itself for a while: `letting_go` is such a store, and Memory makes it seen at some time.
 * A heavy fence, and an atomic instruction or a system call of the thread itself, wait for that.
 *
 * Run with one death and a supervisor that may die too, with two deaths and one that lives, with threads that give up at their deadlines (GIVE_UP), with one that
 * waits for an asynchronous function (ASYNC), and with nobody who asks (PATIENT), which leaves fewer states. */
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
#define LEFT 8
#define DIED 16
#define TOKEN 7

byte word;                /* the lock's word: token, LEFT, DIED */
bool announced;           /* the word behind it: somebody may sleep; */
byte asker;               /* and the token of who has asked */
bool letting_go[THREADS]; /* has stored 0 to `word`; others do not see it yet */
bool listed[THREADS];     /* the lock is in the thread's record */
bool killed[THREADS];
bool ended[THREADS];      /* takes no step any more */
byte settler[THREADS];    /* which supervisor settles its end, + 1 */
bool settled[THREADS];
bool asleep[THREADS];     /* in the kernel's queue for `announced` */
bool dozing[THREADS];     /* in its queue for `word` */
byte deaths, inside;
bool first_supervisor_gone;
#ifdef ASYNC
#ifndef CANCELS
#define CANCELS 0
#endif
bool cancelled;           /* the tasks that wait */
bool lost;                /* a task died between its thread's seeing the lock free and its own attempt, or after that: sleepers then find that by themselves */
#define woken(flag) (!flag || lost)
#define is_for(t) (asker == 0 || asker == t || lost)
#else
#define woken(flag) (!flag)
#define is_for(t) (asker == 0 || asker == t)
#endif

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

inline wake_dozing() { d_step { dozing[0] = false; dozing[1] = false; dozing[2] = false } }

/* Makes the store of thread t seen, if there is one. */
inline drain(t) { if :: letting_go[t] -> letting_go[t] = false; word = 0 :: else fi }

#ifdef NO_HEAVY_FENCE
#define heavy_fence() skip
#else
#define heavy_fence() drain(0); drain(1); drain(2)
#endif

/* What is no longer needed is 0, which makes for fewer states. */
inline forget() { current = 0; seen_asker = 0; seen = false; called = false }

/* Lets go of the lock: a store, a look at the announcement, and callNext. */
inline let_go(i) {
    atomic { letting_go[i] = true; inside--; forget() }
    atomic { seen = announced; seen_asker = asker }
    call_next(i)
}

/* The announcement has been read to `seen` and `seen_asker`. */
inline call_next(i) {
    do
    :: atomic { seen_asker != 0 ->
#ifndef CALL_WHO_SLEEPS
        /* If another has been faster, that one does the same when it lets go. */
        drain(i);
        if :: word == 0 -> word = LEFT; called = true :: else fi }
        if :: called -> wake_dozing() :: else fi;
#else
        skip }
        wake_one();
#endif
        break
    :: atomic { seen_asker == 0 && seen ->
        drain(i);
        if
        :: announced && asker == 0 -> announced = false; called = true
        :: else -> seen = announced; seen_asker = asker
        fi }
        if :: called -> wake_one(); break :: else fi
    :: seen_asker == 0 && !seen -> break
    od
}

/* Whoever learns of a thread's end learns of it after all its stores. */
inline end_of_thread(i) {
    drain(i);
    ended[i] = true;
    asleep[i] = false;
    dozing[i] = false;
    forget();
    if :: !killed[i] -> settled[i] = true :: else fi
}

proctype Thread(byte i) {
    byte current, turns, seen_asker;
    bool has_slept, seen, is_last, called;
    {
        turns = 0;
again:  skip;
#ifndef ENTER_AFTER_TAKING
        listed[i] = true;
#endif
        /* An atomic instruction waits until the thread's own stores are seen. */
        atomic { drain(i); if :: word == 0 -> word = i + 1; inside++; goto taken :: else fi }
slow:   skip;
#ifndef NO_SPINNING
        /* one look stands for any number */
        current = word;
        if
        :: (current & TOKEN) == 0 ->
            if
            :: is_for(i + 1) ->
#ifndef NO_ANNOUNCING_AFTER_SLEEP
                if :: has_slept -> announced = true :: else fi;
#endif
                atomic { if :: word == current -> word = i + 1; inside++; goto slowly_taken :: else fi }
            :: else
            fi
        :: else
        fi;
#endif
#ifdef GIVE_UP
        if
        :: atomic { has_slept -> is_last = true;
#ifdef GIVE_UP_SILENTLY
            listed[i] = false; goto gone
#elif !defined(WITHDRAW_LATE)
            if :: asker == i + 1 -> asker = 0 :: else fi
#endif
            }
        :: !has_slept ->
            current = word;
            atomic {
                if
                :: (current & TOKEN) == 0 && word == current -> word = i + 1; inside++; goto slowly_taken
                :: else -> forget(); listed[i] = false; goto gone
                fi
            }
        :: skip
        fi;
#endif
#ifdef LOOK_BEFORE_ANNOUNCING
        current = word;
#endif
        atomic {
            announced = true;
#ifndef PATIENT
            if
            :: has_slept && !is_last && asker == 0 -> asker = i + 1
            :: skip
            fi;
#endif
            seen_asker = asker
        }
#ifndef LOOK_BEFORE_ANNOUNCING
        atomic { heavy_fence() }
        current = word;
#endif
        if
        :: (current & TOKEN) == 0 && (is_last || is_for(i + 1)) ->
            /* announced it has */
            atomic { if :: word == current -> word = i + 1; inside++; goto slowly_taken :: else -> forget(); goto slow fi }
        :: else
        fi;
#ifdef GIVE_UP
        if
        :: atomic { is_last ->
#ifdef WITHDRAW_LATE
            if :: asker == i + 1 -> asker = 0 :: else fi;
#endif
            forget(); listed[i] = false; goto gone }
        :: else
        fi;
#endif
        atomic {
            has_slept = true;
            if
            :: seen_asker == i + 1 ->
                /* The word may be the same again, as its owner may: but `asker` has stood all the while. */
                if :: word == current -> dozing[i] = true :: else -> forget(); goto slow fi
            :: else ->
#ifdef SLEEP_ON_WORD
                if :: word == current -> asleep[i] = true :: else -> forget(); goto slow fi
#else
                if :: announced && asker == seen_asker -> asleep[i] = true :: else -> forget(); goto slow fi
#endif
            fi;
            forget()
        }
        atomic { woken(asleep[i]) && woken(dozing[i]) -> asleep[i] = false; dozing[i] = false; goto slow }
slowly_taken:
        atomic {
#ifndef TAKE_AND_GO_ON_ASKING
            if :: asker == i + 1 -> asker = 0 :: else fi;
#endif
            has_slept = false; is_last = false
        }
taken:
#ifdef ENTER_AFTER_TAKING
        listed[i] = true;
#endif
        /* Nobody but the owner writes the word of a lock that is held. */
        assert(inside == 1 && word == i + 1);
        let_go(i);
        atomic { forget(); listed[i] = false; turns++; if :: turns < TURNS -> goto again :: else fi }
gone:   skip
    } unless { killed[i] }
    atomic { end_of_thread(i); has_slept = false; is_last = false; turns = 0 }
}

#ifdef ASYNC
/* A task: a thread of its process (here the same) waits until the lock is free, and asks for it; that stands until the task itself is about to try the lock. */
proctype Task(byte i) {
    byte current, seen_asker;
    bool seen, called, is_between, has_asked, is_last, has_slept;
    {
        skip;
try:    atomic {
            is_between = false;
            if
            :: is_for(i + 1) || is_last ->
                listed[i] = true;
                if
                :: asker == i + 1 ->
                    has_asked = true
#ifndef TAKE_AND_GO_ON_ASKING
                    ; asker = 0
#endif
                :: else
                fi
            :: else -> goto failed
            fi }
        current = word;
        atomic { drain(i); if :: (current & TOKEN) == 0 && word == current -> word = i + 1; inside++; goto taken :: else -> forget() fi };
        /* Who has seen, some time ago, that it had asked may have called it, and nobody else, just now. */
        atomic { listed[i] = false; is_between = has_asked && !is_last }
failed: skip;
#ifdef GIVE_UP
        if :: is_last -> goto gone :: else fi;
#endif
#ifndef WATCH_UNLISTED
        atomic { listed[i] = true; is_between = false }
#endif
wait:   skip;
        if
        :: cancelled ->
            atomic {
                is_last = true
#ifndef CANCEL_AND_GO_ON_ASKING
                ; if :: asker == i + 1 -> asker = 0 :: else fi
#endif
            }
#ifdef GIVE_UP
        :: atomic { is_last = true; if :: asker == i + 1 -> asker = 0 :: else fi }
#endif
        :: !cancelled
        fi;
        atomic {
            announced = true;
#ifndef PATIENT
            if
            :: has_slept && !is_last && asker == 0 -> asker = i + 1
            :: skip
            fi;
#endif
            seen_asker = asker
        }
        atomic { heavy_fence() }
        current = word;
        if
        :: cancelled && is_last ->
#ifndef CANCEL_SILENTLY
            if
            :: (current & TOKEN) == 0 ->
                atomic { forget(); seen = announced; seen_asker = asker }
                call_next(i)
            :: else
            fi;
#endif
            atomic { forget(); listed[i] = false; goto gone }
        :: is_last && !cancelled -> atomic { is_between = ((current & TOKEN) == 0); forget(); listed[i] = false; goto try }
        :: !is_last && (current & TOKEN) == 0 && is_for(i + 1) -> atomic { forget(); is_between = true; listed[i] = false; goto try }
        :: else
        fi;
        atomic {
            has_slept = true;
            if
            :: seen_asker == i + 1 -> if :: word == current -> dozing[i] = true :: else -> forget(); goto wait fi
            :: else -> if :: announced && asker == seen_asker -> asleep[i] = true :: else -> forget(); goto wait fi
            fi;
            forget()
        }
        atomic { (woken(asleep[i]) && woken(dozing[i])) || cancelled -> asleep[i] = false; dozing[i] = false; goto wait }
taken:  assert(inside == 1 && word == i + 1);
        atomic { letting_go[i] = true; inside--; forget() }
        atomic { seen = announced; seen_asker = asker }
        call_next(i);
        atomic { forget(); listed[i] = false }
gone:   skip
    } unless { killed[i] }
    atomic {
        if :: killed[i] && is_between -> lost = true :: else fi;
        end_of_thread(i);
        is_between = false;
        has_asked = false;
        is_last = false;
        has_slept = false
    }
}
#endif

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
#ifndef GO_ON_ASKING_WHEN_DEAD
                atomic { if :: asker == i + 1 -> asker = 0 :: else fi }
#endif
                /* It may have released the lock and not woken anybody yet, or have been woken and not taken it. */
#ifndef SETTLE_WITHOUT_CLEARING
                announced = false;
#endif
#ifndef NO_WAKE_AFTER_DEATH
                wake_one();
#endif
#ifndef NO_CALL_AFTER_DEATH
                if :: asker != 0 -> atomic { if :: word == 0 -> word = LEFT :: else fi } :: else fi;
                wake_dozing();
#endif
                skip
            :: else
            fi;
            atomic { settled[i] = true; settler[i] = 0; listed[i] = false; i = 0 }
        od
    } unless { me == 0 && first_supervisor_gone }
}

/* It may stop at any time, so that what only another death would free counts as stuck. */
active proctype Killer() {
    do
#ifdef ASYNC
    /* Which of them it is does matter. */
    :: atomic { deaths < DEATHS && !killed[0] && !ended[0] -> killed[0] = true; deaths++ }
    :: atomic { deaths < DEATHS && !killed[1] && !ended[1] -> killed[1] = true; deaths++ }
    :: atomic { deaths < DEATHS && !killed[2] && !ended[2] -> killed[2] = true; deaths++ }
    :: atomic { CANCELS && !cancelled -> cancelled = true }
#else
    :: atomic { deaths < DEATHS && !ended[deaths] -> killed[deaths] = true; deaths++ }     /* which of them does not matter: they are all alike */
#endif
    :: atomic { SUPERVISOR_MAY_DIE && !first_supervisor_gone -> first_supervisor_gone = true }
    :: break
    od
}

init {
    atomic {
        run Thread(0);
#if defined(ASYNC) && ASYNC > 1
        run Task(1);
#else
        run Thread(1);
#endif
#ifdef ASYNC
        run Task(2);
#else
        run Thread(2);
#endif
        run Memory(); run Supervisor(0); run Supervisor(1)
    }
}
