// What a lock's profile must have at next to no cost: a clock, and which of the profile's entries is this process's.
#ifndef MP_TICKS_H
#define MP_TICKS_H

#include <stdint.h>

#include "mp_sync.h"

/// Which clock `mp_ticks` reads: 1 the processor's counter of constant rate, 0 CLOCK_MONOTONIC in nanoseconds. The same in all processes of a machine.
uint32_t mp_ticks_clock(void);

/// Ticks of that clock. The counter takes a third of the time of `mp_now`, its rate is whatever it is.
static inline uint64_t mp_ticks(uint32_t clock) {
#if defined(__x86_64__)
    if (clock != 0) return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    if (clock != 0) {
        uint64_t ticks;
        __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
        return ticks;
    }
#endif
    return mp_now();
}

/// Which entry of a profile counts for this process, in bytes behind the first; told once, when the process learns who it is.
extern uint32_t mp_profile_entry_storage;
static inline uint32_t mp_profile_entry(void) { return mp_profile_entry_storage; }
static inline void mp_profile_set_entry(uint32_t entry) { mp_profile_entry_storage = entry; }

#endif
