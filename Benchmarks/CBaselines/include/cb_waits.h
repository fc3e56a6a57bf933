// How long takers waited, counted. Both sides of a comparison, Swift and C, count with this, as both read the same clock.
#ifndef CB_WAITS_H
#define CB_WAITS_H

#include <stdint.h>

// The layout of the library's DurationBuckets, by which quantiles are read (a test compares the two): below 16 a bucket for each nanosecond,
// then 16 for each doubling, up to 2^40 ns; what is longer is in the last.
#define CB_WAIT_BUCKETS 592

static inline __attribute__((always_inline)) uint32_t cb_wait_bucket(uint64_t nanoseconds) {
    if (nanoseconds < 16) return (uint32_t)nanoseconds;
    uint32_t exponent = 63 - (uint32_t)__builtin_clzll(nanoseconds);
    if (exponent >= 40) return CB_WAIT_BUCKETS - 1;
    return (exponent - 3) * 16 + (uint32_t)((nanoseconds >> (exponent - 4)) & 15);
}

#endif
