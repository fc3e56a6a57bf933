/* A shared object in a message of a connection: its sender (0) has the depot, in the family's first process, hold it while the message is in a socket, where no process has it; its
 * receiver (1) decodes it. Both may die at any step. How long the depot holds is said by a descriptor (`end`), of which the sender, the message and the receiver have a copy each.
 * Freeing is one step here: object.pml has what it is made of.
 * Mistakes that must be found: NO_PIN, LET_GO_UNANSWERED, CLOSE_BEFORE_HOLDING, KEEP_OWN_END. */
#define OPEN (own_end || message || received_end)

bool holder[3];                            /* of sender, receiver, depot */
bool freed;
bool killed[2], ended[2], settled[2];
bool live = true, pinned;                  /* the sender's entry in the process table */
bool own_end, message, received_end;
bool asked, answered, refused;
bool closed;                               /* nobody can receive any more */
byte deaths;

inline hold(i) { atomic { assert(!freed); holder[i] = true } }
inline let_go(i) {
    atomic {
        holder[i] = false;
        if :: !holder[0] && !holder[1] && !holder[2] -> assert(!freed); freed = true :: else fi
    }
}

proctype Sender() {
    {
        own_end = true;
        asked = true;
#ifndef LET_GO_UNANSWERED
        answered || refused;
        assert(!refused);
#endif
        /* The kernel puts it into the socket, or says that nobody is there. */
        atomic { if :: !closed -> message = true :: closed fi }
#ifndef KEEP_OWN_END
        own_end = false;
#endif
        let_go(0)
    } unless { killed[0] }
    /* The kernel closes what it had. */
    atomic { if :: killed[0] -> own_end = false; ended[0] = true :: else -> settled[0] = true fi }
}

proctype Receiver() {
    {
        if
        :: atomic { message -> message = false; received_end = true }
#ifdef CLOSE_BEFORE_HOLDING
            received_end = false;
#endif
            hold(1);
            received_end = false;
            assert(!freed);
            let_go(1)
        :: true    /* closes without having received */
        fi
    } unless { killed[1] }
    atomic {
        received_end = false; closed = true; message = false;
        if :: killed[1] -> ended[1] = true :: else -> settled[1] = true fi
    }
}

/* A thread of the family's first process, which outlives all others. */
active proctype Depot() {
    if
    :: asked ->
        if
        :: atomic { live -> pinned = true }
#ifdef NO_PIN
            pinned = false;
#endif
            hold(2);
            pinned = false;
            answered = true;
            !OPEN;
            let_go(2)
        :: !live -> refused = true
        fi
    :: settled[0] && !asked
    fi;
    settled[0] && settled[1];
    assert(freed && !OPEN)
}

/* Reclaims what a process that has ended held, as its parent does. */
active proctype Parent() {
    atomic { holder[0] = true; run Sender(); run Receiver() }
    do
    :: ended[0] && !settled[0] ->
        atomic { !pinned -> live = false }
        if :: holder[0] -> let_go(0) :: else fi;
        settled[0] = true
    :: ended[1] && !settled[1] ->
        if :: holder[1] -> let_go(1) :: else fi;
        settled[1] = true
    :: settled[0] && settled[1] -> break
    od
}

active proctype Killer() {
    do
    :: atomic { deaths < 2 -> deaths++; if :: killed[0] = true :: killed[1] = true fi }
    :: break
    od
}
