/* Publishers that wait: for a free slot, or until the queue is short and something has ended; and the low-water rule by which workers tell them. One announcement
 * for all of them, which whoever wakes them takes. Nobody's sleep is bounded here.
 *
 * A run publishes and collects what it has published (TaskRun), another thread publishes single tasks and takes out whatever has ended (WorkerPool.takeSlot). Two
 * workers, of which one may die and is not replaced. Tasks are counted, not told apart (ring.pml shows that none is lost, and that workers find them: what a
 * worker has reserved, any worker may claim); bodies end by themselves.
 * Mistakes that must be found: see README.md. */
#ifndef SLOTS
#define SLOTS 3
#endif
#ifndef WINDOW
#define WINDOW 2          /* how many tasks of the run are in flight at most */
#endif
#ifndef RUN
#define RUN 3             /* tasks of the run */
#endif
#ifndef SINGLES
#define SINGLES 2
#endif
#ifndef MARK
#define MARK 1            /* with how many entries left in the queue publishers are told: callBelow */
#endif
#ifndef CANCELS
#define CANCELS 0
#endif
#ifndef DEATHS
#define DEATHS 1
#endif

/* Of the run, 0, and of single tasks, 1. */
byte ready[2], claimed[4], finished[4];   /* the latter two by owner * 2 + worker */
byte strays;                        /* of the run, ended or taken out by others */
byte used;                          /* slots that are not free */
byte length, reserved;              /* entries in the queue, and put by; of which so many are of tasks that are no longer there */
bool killed[2], ended[2];
bool waiting;                       /* publishersWaiting */
bool changed[2];                    /* `space`, since the publisher has read it */
bool asleep[2];                     /* publishers */
byte cancels, deaths;

#define WAKE_ALL atomic { changed[0] = true; changed[1] = true; asleep[0] = false; asleep[1] = false }
#define SOME_FINISHED (finished[0] || finished[1] || finished[2] || finished[3])

/* Takes the announcement, and then tells everybody. */
inline wake_publishers(x) {
    if
#ifdef TELL_BEFORE_TAKING
    :: waiting -> WAKE_ALL; waiting = false
#else
    :: atomic { waiting -> waiting = false; x = true } atomic { x = false; WAKE_ALL }
#endif
    :: else
    fi
}

/* What a worker does that has ended a task, or shortened the queue. */
inline announce_progress(x) {
    if
    :: waiting ->
        if
#ifdef NEVER_LOW
        :: length < MARK -> wake_publishers(x)
#else
        :: length <= MARK -> wake_publishers(x)
#endif
        :: else
        fi
    :: else
    fi
}

proctype Worker(byte i) {
    bool x;
    {
end:    do
        :: atomic { length ->
                if :: length--; reserved++ :: length > 1 -> length = length - 2; reserved = reserved + 2 fi }
#ifndef SILENT_RESERVATION
            announce_progress(x)
#endif
        :: atomic { reserved && ready[0] -> reserved--; ready[0]--; claimed[i]++ }
            atomic { claimed[i]--; finished[i]++ }
#ifndef SILENT_FINISH
            announce_progress(x)
#endif
        :: atomic { reserved && ready[1] -> reserved--; ready[1]--; claimed[2 + i]++ }
            atomic { claimed[2 + i]--; finished[2 + i]++ }
#ifndef SILENT_FINISH
            announce_progress(x)
#endif
        /* Its task is no longer there. */
        :: atomic { reserved > ready[0] + ready[1] -> reserved-- }
        od
    } unless { killed[i] }
    atomic { ended[i] = true; x = false }
}

/* Sleeps if `needed` is false after announcing. */
#ifdef LOOK_BEFORE_ANNOUNCING
#define WAIT(p, is_there) x = (is_there); changed[p] = false; waiting = true; \
    if :: atomic { x -> x = false } :: atomic { !x -> asleep[p] = !changed[p] } !asleep[p] fi
#elif defined(SPACE_SEEN_LATE)
#define WAIT(p, is_there) waiting = true; changed[p] = false; \
    if :: (is_there) :: !(is_there) -> atomic { asleep[p] = !changed[p] } !asleep[p] fi
#else
#define WAIT(p, is_there) changed[p] = false; waiting = true; \
    if :: (is_there) :: !(is_there) -> atomic { asleep[p] = !changed[p] } !asleep[p] fi
#endif

/* Takes out a finished result; of the run's the other thread makes a stray. */
inline drain(o, x) {
    atomic {
        if
        :: finished[0] -> finished[0]--; strays++
        :: finished[1] -> finished[1]--; strays++
        :: finished[2] -> finished[2]--
        :: finished[3] -> finished[3]--
        fi;
        used--
    }
    wake_publishers(x)
}

/* It publishes up to its window, and then collects until it may publish more. */
active proctype Run() {
    byte n, live;
    bool x;
    do
    :: n == RUN && live == 0 -> break
    :: n < RUN && live < WINDOW ->
        if
        :: atomic { used < SLOTS -> used++; length++; ready[0]++; n++; live++ }
        :: used == SLOTS ->
            if
            :: drain(0, x)
            :: atomic { !SOME_FINISHED }
                WAIT(0, used < SLOTS || SOME_FINISHED)
            fi
        fi
    :: live && (n == RUN || live == WINDOW) ->
        if
        :: atomic { strays -> strays--; live-- }
        :: atomic { finished[0] -> finished[0]--; used--; live-- } wake_publishers(x)
        :: atomic { finished[1] -> finished[1]--; used--; live-- } wake_publishers(x)
        :: atomic { !finished[0] && !finished[1] && !strays }
            WAIT(0, length <= MARK && (finished[0] || finished[1] || strays))
        fi
    od
}

active proctype Singles() {
    byte n;
    bool x;
    do
    :: n == SINGLES -> break
    :: n < SINGLES ->
        if
        :: atomic { used < SLOTS -> used++; length++; ready[1]++; n++ }
        :: used == SLOTS ->
            if
            :: drain(1, x)
            :: atomic { !SOME_FINISHED }
                WAIT(1, used < SLOTS || SOME_FINISHED)
            fi
        fi
    od
}

active proctype Supervisor() {
    byte i;
    bool x;
    atomic { run Worker(0); run Worker(1) }
end:
    do
    :: atomic {
        if
        :: ended[0] -> ended[0] = false; i = 0
        :: ended[1] -> ended[1] = false; i = 1
        fi }
        do
        :: atomic { claimed[i] -> claimed[i]--; strays++; used-- } wake_publishers(x)
        :: atomic { claimed[2 + i] -> claimed[2 + i]--; used-- } wake_publishers(x)
        :: atomic { finished[i] -> finished[i]--; strays++; used-- } wake_publishers(x)
        :: atomic { finished[2 + i] -> finished[2 + i]--; used-- } wake_publishers(x)
        :: atomic { !claimed[i] && !claimed[2 + i] && !finished[i] && !finished[2 + i] -> break }
        od;
#ifdef CALL_IF_ANNOUNCED
        wake_publishers(x);
#elif !defined(NO_CALL_AFTER_DEATH)
        /* The dead one may have shortened the queue, or have taken the announcement, and told nobody. */
        WAKE_ALL;
#endif
        i = 0
    od
}

#if DEATHS
/* Stuck before it has acted is not seen: that is what DEATHS=0 is for. */
active proctype Killer() {
end:
    do
    :: atomic { deaths < DEATHS -> deaths++; if :: killed[0] = true :: killed[1] = true fi }
    od
}
#endif

#if CANCELS
/* A thread of the host that gives tasks up before they are taken. */
active proctype Canceller() {
    bool x;
end:
    do
    :: atomic { cancels < CANCELS && ready[0] -> cancels++; ready[0]--; strays++; used-- } wake_publishers(x)
    :: atomic { cancels < CANCELS && ready[1] -> cancels++; ready[1]--; used-- } wake_publishers(x)
    od
}
#endif
