// A bounded queue of words as one writes it in C: a ring, a process-shared mutex, and two condition variables.
#ifndef CB_QUEUE_H
#define CB_QUEUE_H

#include <stdint.h>

#include "cb_crew.h"

// The most words there is room for.
#define CB_QUEUE_MOST 1024

// The first `putters` of the crew put `values` words each, from the same instant on; the next `getters` take them all out, each as many. Blocks until that is done.
// *length becomes the ns from the first's beginning to the last's end. putters * values must be a multiple of getters, capacity 1 to CB_QUEUE_MOST.
// Returns 0, or -1 with errno: as all orders, and EILSEQ when other words came out than were put.
int cb_crew_queue(cb_crew *crew, int putters, int getters, uint64_t capacity, uint64_t values, uint64_t *length);

#endif
