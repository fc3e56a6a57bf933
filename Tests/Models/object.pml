/* Shared objects: who holds one is a bit for each process, in several words. Process 0 gives it to 1 and then lets go, process 2 lets go of its own accord; each
 * may die at any step. Whoever removes the last bit frees the block, which may then become anybody's memory.
 * Mistakes that must be found: NO_VERSION, CLEAR_UNSEEN, LET_GO_EARLY, RECLAIM_HOLDERS_ONLY. */
#define OBJECT(v) (1 + 2 * (v))
#define IS_OBJECT(w) ((w) & 1)

byte word = OBJECT(0);       /* kind and version */
bool holder[3];              /* a word each */
bool holds[3];               /* uses it */
bool killed[3], ended[3], settled[3];
bool given, received;
byte deaths, frees;
bool reused;                 /* the memory has become something else: nobody may write it as an object */

inline free_unless_held() {
    do
    :: state = word;
        if :: !IS_OBJECT(state) -> break :: else fi;
        /* The receiver's word comes before the giver's, which is the order that can miss both. */
        if :: holder[1] -> break :: else fi;
        if :: holder[0] -> break :: else fi;
        if :: holder[2] -> break :: else fi;
        atomic {
            if
            :: word == state ->
                assert(!(holds[0] && !killed[0]) && !(holds[1] && !killed[1]) && !(holds[2] && !killed[2]));
                word = state + 1; frees++; assert(frees == 1); break
            :: else
            fi
        }
    od;
    state = 0
}

inline clear(i) { atomic { assert(!reused); holder[i] = false } }

proctype Process(byte i) {
    byte state;
    {
        if
        :: i == 0 ->
            given = true;
#ifdef LET_GO_EARLY
            holds[0] = false;
#else
            /* The receiver has it, or its end has been settled. */
            received || settled[1];
            holds[0] = false;
#endif
            clear(0);
            free_unless_held()
        :: i == 1 ->
            if :: given :: settled[0] && !given -> goto nothing fi;
            atomic { assert(!reused); holder[1] = true }
#ifndef NO_VERSION
            atomic { assert(!reused); word = word + 2 }
#endif
            holds[1] = true;
            received = true;
            holds[1] = false;
            clear(1);
            free_unless_held()
        :: i == 2 ->
            holds[2] = false;
            clear(2);
            free_unless_held()
        fi;
nothing: skip
    } unless { killed[i] }
    atomic { holds[i] = false; if :: killed[i] -> ended[i] = true :: else -> settled[i] = true fi }
}

/* Reclaims what a process that has ended held, as its parent does. */
active proctype Parent() {
    byte i, state, now;
    bool is_holder;
    atomic { holder[0] = true; holder[2] = true; holds[0] = true; holds[2] = true; run Process(0); run Process(1); run Process(2) }
    do
    :: atomic {
        if
        :: ended[0] && !settled[0] && (!given || received || settled[1]) -> i = 0      /* a message of the dead is taken over first */
        :: ended[1] && !settled[1] -> i = 1
        :: ended[2] && !settled[2] -> i = 2
        :: settled[0] && settled[1] && settled[2] -> break
        fi }
        state = word;
        do
        :: !IS_OBJECT(state) -> break
        :: IS_OBJECT(state) ->
            is_holder = holder[i];
            now = word;
            if
#ifdef CLEAR_UNSEEN
            :: true -> clear(i); free_unless_held(); break
#else
            :: now == state ->
                if :: is_holder -> clear(i) :: else fi;
#ifdef RECLAIM_HOLDERS_ONLY
                if :: is_holder -> free_unless_held() :: else fi;
#else
                free_unless_held();
#endif
                break
            :: now != state -> state = now
#endif
            fi
        od;
        atomic { settled[i] = true; i = 0; state = 0; now = 0; is_holder = false }
    od;
    assert(frees == 1)
}

active proctype Reuser() {
end: atomic { frees == 1 -> reused = true; holder[0] = true; holder[1] = true; holder[2] = true }
}

active proctype Killer() {
    do
    :: atomic { deaths < 2 -> deaths++; if :: killed[0] = true :: killed[1] = true :: killed[2] = true fi }
    :: break
    od
}
