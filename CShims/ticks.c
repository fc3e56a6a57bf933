#include "mp_ticks.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

uint32_t mp_profile_entry_storage;

uint32_t mp_ticks_clock(void) {
#if defined(__x86_64__)
    // Bit 8 of EDX, "invariant TSC": counts at one rate in every state of the processor (Intel SDM 3B, 19.17.1).
    unsigned a, b, c, d;
    return __get_cpuid(0x80000007, &a, &b, &c, &d) && (d & (1u << 8)) != 0;
#elif defined(__aarch64__)
    // The generic timer's count has a constant rate by its architecture.
    return 1;
#else
    return 0;
#endif
}
