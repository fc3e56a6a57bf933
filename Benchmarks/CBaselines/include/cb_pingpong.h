// Round trips between the caller and a member of the crew: the least that a call of a worker can take.
#ifndef CB_PINGPONG_H
#define CB_PINGPONG_H

#include <stdint.h>

#include "cb_crew.h"

typedef enum cb_ball_kind {
    CB_BALL_HYBRID,  // c.hybrid: looks at most 4000 times with a pause each, then sleeps in a futex; who sends wakes only a sleeper
    CB_BALL_FUTEX,   // c.futex: always sleeps in a futex, always wakes
} cb_ball_kind;

// Throws the ball to the first member and waits for its return, `batches` times `rounds` times (together at most 2^30), after a hundred
// that do not count. lengths[i] becomes the time of batch i, in ns. Blocks. Returns 0, or -1 with errno. A member killed meanwhile is
// waited for for ever: a look at the clock in each wait would be in the figure.
int cb_crew_pingpong(cb_crew *crew, cb_ball_kind kind, int batches, uint64_t rounds, uint64_t *lengths);

#endif
