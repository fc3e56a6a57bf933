// Time and place of a measurement. Both sides of a comparison, Swift and C, use these, so that neither has the cheaper clock.
#ifndef CB_CLOCK_H
#define CB_CLOCK_H

#include <stdint.h>
#include <time.h>

// Nanoseconds of CLOCK_MONOTONIC, which all processes of a machine share: an instant may be agreed on in one and met in another.
static inline uint64_t cb_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

// Sleeps until `instant` (of cb_now); returns at once when that is past.
void cb_sleep_until(uint64_t instant);

// Works for `turns` turns of an empty loop that no optimiser removes; touches no memory.
static inline __attribute__((always_inline)) void cb_spend(uint32_t turns) {
    for (; turns != 0; turns--) __asm__ volatile("" : "+r"(turns));
}

// How many turns of `cb_spend` take `nanoseconds` on this processor when nothing disturbs it. Takes some milliseconds.
uint32_t cb_turns(uint32_t nanoseconds);

// Writes the ids of the processors that the calling thread may run on, ascending, at most `capacity` of them.
// Returns how many there are, or -1 with errno.
int cb_affinity(int *processors, int capacity);

// Lets the calling thread run on these processors alone. Returns 0, or -1 with errno.
int cb_set_affinity(const int *processors, int count);

#endif
