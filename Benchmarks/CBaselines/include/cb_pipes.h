// c.pipes: tasks as messages through pipes, to processes that read them from one and write results into another. What one gets without
// shared memory, and the fastest that a pool could be that sends each task by itself.
#ifndef CB_PIPES_H
#define CB_PIPES_H

#include <stdint.h>

typedef struct cb_pipes cb_pipes;

// Forks `members` workers; worker i is pinned to processors[i], or left where the scheduler wants it if that is negative. They read from the
// same pipe, whoever comes first, and die with the thread that called this. NULL with errno when they could not all be made.
cb_pipes *cb_pipes_start(const int *processors, int members);

// Ends the workers and frees them.
void cb_pipes_stop(cb_pipes *pipes);

// Has the numbers 0 to tasks - 1 squared, in a message of 16 bytes each, at most 1000 of them under way. *length becomes the time in ns,
// *sum what the results add up to (modulo 2^64). Blocks. Returns 0, or -1 with errno; EPIPE when the workers are gone.
int cb_pipes_square(cb_pipes *pipes, uint64_t tasks, uint64_t *length, uint64_t *sum);

#endif
