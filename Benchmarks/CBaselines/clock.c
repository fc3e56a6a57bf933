#include "cb_clock.h"

#include <errno.h>
#include <sched.h>

void cb_sleep_until(uint64_t instant) {
    struct timespec until = {(time_t)(instant / 1000000000u), (long)(instant % 1000000000u)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {}
}

uint32_t cb_turns(uint32_t nanoseconds) {
    const uint32_t turns = 100000;
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < 20; i++) {
        uint64_t began = cb_now();
        cb_spend(turns);
        uint64_t took = cb_now() - began;
        if (took < least) least = took;
    }
    return (uint32_t)((uint64_t)nanoseconds * turns / (least ? least : 1));
}

int cb_affinity(int *processors, int capacity) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return -1;
    int found = 0;
    for (int id = 0; id < CPU_SETSIZE; id++) {
        if (!CPU_ISSET(id, &set)) continue;
        if (found < capacity) processors[found] = id;
        found++;
    }
    return found;
}

int cb_set_affinity(const int *processors, int count) {
    cpu_set_t set;
    CPU_ZERO(&set);
    for (int i = 0; i < count; i++) CPU_SET((size_t)processors[i], &set);
    return sched_setaffinity(0, sizeof set, &set);
}
