/* Blocks of several granules: two processes claim, grow and free them, one of them dies at any step, and its parent reclaims what it held.
 * Mistakes that must be found: BODY_BEFORE_HEAD, HEAD_FREE_FIRST, BODY_BY_STORE, RECLAIM_OWNED_ONLY, GROW_DOWNWARD. */
#define GRANULES 3
#define FREE 0
#define CLAIMED 1      /* + 8 * process */
#define OWNED 2        /* + 8 * process */
#define BODY 3         /* + 8 * head */
#define KIND(w) ((w) & 7)
#define OF(w) ((w) >> 3)

byte word[GRANULES + 1];      /* the last one stands for the end of the arena */
byte user[GRANULES];          /* who has been given it: what must never overlap */
bool killed, ended[2];

inline release_claimed(head) {
    g = head + 1;
    do :: KIND(word[g]) == BODY && OF(word[g]) == head -> g++ :: else -> break od;
    g--;
#ifdef HEAD_FREE_FIRST
    word[head] = FREE;
#endif
    do :: g > head -> word[g] = FREE; g-- :: else -> break od;
    word[head] = FREE
}

inline take(w, new, ok) {
#ifdef BODY_BY_STORE
    ok = (word[w] == FREE); if :: ok -> word[w] = new :: else fi
#else
    atomic { ok = (word[w] == FREE); if :: ok -> word[w] = new :: else fi }
#endif
}

/* Makes the granules from `first` to `last`, one or two, bodies of `head`: both or none. */
inline grow(first, last) {
#ifdef GROW_DOWNWARD
    take(last, BODY + 8 * head, ok);
    if
    :: ok && first != last -> take(first, BODY + 8 * head, ok); if :: !ok -> word[last] = FREE :: else fi
    :: else
    fi;
#else
    take(first, BODY + 8 * head, ok);
    if
    :: ok && first != last -> take(last, BODY + 8 * head, ok); if :: !ok -> word[first] = FREE :: else fi
    :: else
    fi;
#endif
    if
    :: ok ->
        atomic {
            assert(user[first] == 0); user[first] = i + 1;
            if :: first != last -> assert(user[last] == 0); user[last] = i + 1 :: else fi;
            n = last - head + 1
        }
    :: else
    fi
}

proctype Process(byte i) {
    byte head, n, g, h, round;
    bool ok;
    {
        for (round : 1 .. 2) {
            if :: n = 1 :: n = 2 fi;
            /* Wherever there seems to be room. */
            if :: head = 0 :: n < 3 -> head = 1 :: n < 2 -> head = 2 fi;
#ifdef BODY_BEFORE_HEAD
            ok = true;
            if :: n == 2 -> take(head + 1, BODY + 8 * head, ok) :: else fi;
            if :: ok -> take(head, CLAIMED + 8 * i, ok) :: else fi;
#else
            take(head, CLAIMED + 8 * i, ok);
            if
            :: ok && n == 2 ->
                take(head + 1, BODY + 8 * head, ok);
                if :: !ok -> release_claimed(head) :: else fi
            :: else
            fi;
#endif
            if
            :: ok ->
                atomic {
                    word[head] = OWNED + 8 * i;
                    assert(user[head] == 0); user[head] = i + 1;
                    if :: n == 2 -> assert(user[head + 1] == 0); user[head + 1] = i + 1 :: else fi
                }
                /* … used, and grown by one or two granules, as there is room … */
                if
                :: head == 0 && n == 1 -> grow(1, 2)
                :: head + n < GRANULES -> grow(head + n, head + n)
                :: skip
                fi;
                atomic {
                    word[head] = CLAIMED + 8 * i; user[head] = 0;
                    if :: n >= 2 -> user[head + 1] = 0 :: else fi;
                    if :: n == 3 -> user[head + 2] = 0 :: else fi
                }
                release_claimed(head)
            :: else
            fi
        }
    } unless { i == 1 && killed }
    ended[i] = true
}

active proctype Parent() {
    byte i, w, g, h;
    run Process(0); run Process(1);
    if
    :: killed = true
    :: skip
    fi;
    ended[1];
    for (i : 0 .. GRANULES - 1) {
        w = word[i];
        if
        :: w == OWNED + 8 -> atomic { word[i] = CLAIMED + 8; user[i] = 0; if :: i + 1 < GRANULES && word[i + 1] == BODY + 8 * i -> user[i + 1] = 0 :: else fi; if :: i == 0 && word[2] == BODY -> user[2] = 0 :: else fi } release_claimed(i)
#ifndef RECLAIM_OWNED_ONLY
        :: w == CLAIMED + 8 -> release_claimed(i)
#endif
        :: else
        fi
    }
    ended[0];
    /* Nothing is lost. */
    assert(word[0] == FREE && word[1] == FREE && word[2] == FREE)
}
