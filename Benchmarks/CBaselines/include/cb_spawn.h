// Processes made, and lost, by a member of the crew: it is a copy of the caller, so its own children cost what the caller's would, and the
// caller's memory is not made copy-on-write again and again while the library is measured in it.
#ifndef CB_SPAWN_H
#define CB_SPAWN_H

#include <stdint.h>

#include "cb_crew.h"

// c.fork: the first member forks a child that ends at once, and waits for its end, `times` times. *length becomes their time in ns. Blocks.
// Returns 0, or -1 with errno: EAGAIN when a fork failed.
int cb_crew_fork(cb_crew *crew, uint64_t times, uint64_t *length);

// c.refork: the first member kills a worker of its own that sleeps in a futex, learns of it through a pidfd, reaps it, forks another and
// waits until that says that it is ready, `times` times. As cb_crew_fork.
int cb_crew_refork(cb_crew *crew, uint64_t times, uint64_t *length);

#endif
