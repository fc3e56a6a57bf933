/* Publishers that wait for a free slot, and the low-water rule by which they are called: not at every end, but when few tasks are left in the queue.
 *
 * Two publishers with marks of their own, two workers of which one may die and is not replaced. Tasks are counted, not told apart (ring.pml shows that none is
 * lost, and that workers find them); bodies end by themselves. Of everything a publisher may look at before it sleeps, this one looks at the least.
 * Mistakes that must be found: see README.md. */
#ifndef SLOTS
#define SLOTS 2
#endif
#ifndef FIRST
#define FIRST 3           /* tasks of the first publisher */
#endif
#ifndef SECOND
#define SECOND 1
#endif
#ifndef MARK
#define MARK 1            /* of the first; the second's is 0 */
#endif
#ifndef CANCELS
#define CANCELS 0
#endif
#ifndef DEATHS
#define DEATHS 1
#endif

byte used;                          /* slots that are not free */
byte head, tail;
byte reserved[2];                   /* entries put by and not taken yet */
byte finished[2];                   /* slots whose result nobody has taken out yet, by worker */
bool busy[2], killed[2], ended[2];
byte mark, waiting;
bool changed[2];                    /* `space`, since the publisher has read it */
bool asleep[2];                     /* publishers */
byte cancelled;                     /* entries, in the queue or put by, whose task has been given up */
byte cancels;
#define CALL atomic { h = 0; changed[0] = true; changed[1] = true; asleep[0] = false; asleep[1] = false }
#define REAL (tail - head + reserved[0] + reserved[1] - cancelled)
byte deaths;

/* Whoever has moved a word or the head calls publishers, if the queue is low. What is read of the queue may be old. */
inline announce_space(h) {
    if
    :: waiting ->
        h = head;
        if
#ifdef NEVER_LOW
        :: tail < h + mark -> CALL
#else
        :: tail <= h + mark -> CALL
#endif
        :: else -> h = 0
        fi
    :: else
    fi
}

proctype Worker(byte i) {
    byte h;
    {
end:    do
        :: atomic { !reserved[i] && head < tail ->
                if :: reserved[i] = 1 :: tail - head > 1 -> reserved[i] = 2 fi;
                head = head + reserved[i] }
#ifndef SILENT_RESERVATION
            announce_space(h)
#endif
        /* What it has put by itself first, then what the other has. */
        :: atomic { REAL > 0 && (reserved[i] || (head == tail && reserved[1 - i])) ->
                if :: reserved[i] -> reserved[i]-- :: else -> reserved[1 - i]-- fi;
                busy[i] = true }
            atomic { finished[i]++; busy[i] = false }
#ifndef SILENT_FINISH
            announce_space(h)
#endif
        :: atomic { cancelled && (reserved[i] || (head == tail && reserved[1 - i])) ->
                if :: reserved[i] -> reserved[i]-- :: else -> reserved[1 - i]-- fi;
                cancelled-- }
        od
    } unless { killed[i] }
    atomic { ended[i] = true; h = 0 }
}

proctype Publisher(byte p; byte n) {
    byte h;
    bool x;
    do
    :: n == 0 -> break
    :: n > 0 ->
        do
        :: atomic { used < SLOTS -> used++; break }
        :: used == SLOTS ->
            if
            :: atomic { finished[0] -> finished[0]--; used-- } announce_space(h)
            :: atomic { finished[1] -> finished[1]--; used-- } announce_space(h)
            :: atomic { !finished[0] && !finished[1] }
#ifdef LOOK_BEFORE_ANNOUNCING
                atomic { x = (used == SLOTS); if :: tail - head <= (p == 0 -> MARK : 0) && (finished[0] || finished[1]) -> x = false :: else fi }
#endif
                mark = (p == 0 -> MARK : 0);
                waiting++;
#ifndef SPACE_SEEN_LATE
                changed[p] = false;
#endif
#ifndef LOOK_BEFORE_ANNOUNCING
                x = (used == SLOTS);
                if
                :: x ->
                    h = head;
                    if
                    :: tail - h <= (p == 0 -> MARK : 0) -> x = !(finished[0] || finished[1])
                    :: else
                    fi;
                    h = 0
                :: else
                fi;
#endif
#ifdef SPACE_SEEN_LATE
                changed[p] = false;
#endif
                if
                :: x -> atomic { x = false; asleep[p] = !changed[p] }
                    !asleep[p]
                :: else
                fi;
                waiting--
            fi
        od;
        atomic { tail++; n-- }
    od
}

active proctype Supervisor() {
    byte i, h;
    atomic { run Worker(0); run Worker(1); run Publisher(0, FIRST); run Publisher(1, SECOND) }
end:
    do
    :: atomic {
        if
        :: ended[0] -> ended[0] = false; i = 0
        :: ended[1] -> ended[1] = false; i = 1
        fi }
        do
        :: atomic { busy[i] -> busy[i] = false; used-- } announce_space(h)
        :: atomic { finished[i] -> finished[i]--; used-- } announce_space(h)
        :: atomic { !busy[i] && !finished[i] -> break }
        od;
#ifndef NO_CALL_AFTER_DEATH
        /* In place of the dead one, which may have moved the head and called nobody. */
        if :: waiting -> CALL :: else fi;
#endif
        i = 0
    od
}

/* Stuck before it has acted is not seen: that is what DEATHS=0 is for. */
active proctype Killer() {
end:
    do
    :: atomic { deaths < DEATHS -> deaths++; if :: killed[0] = true :: killed[1] = true fi }
    od
}

#if CANCELS
/* A thread of the host that gives tasks up before they are taken. */
active proctype Canceller() {
    byte h;
end:
    do
    :: atomic { cancels < CANCELS && REAL > 0 -> cancels++; cancelled++; used-- } announce_space(h)
    od
}
#endif
