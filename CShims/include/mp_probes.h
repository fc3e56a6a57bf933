// Static probes (USDT) of the locks, provider `multiprocessing`: places in the program that perf, bpftrace, systemtap and gdb find by name and can stop at
// or count. Until one of them does, a probe is one instruction that does nothing.
//
//     bpftrace -e 'usdt:./program:multiprocessing:lock_acquired { @waited = hist(arg1); }'
//
// A lock is named by the address of its word, which is the same in all processes of a family. Times are nanoseconds.
#ifndef MP_PROBES_H
#define MP_PROBES_H

#include <stdbool.h>
#include <stdint.h>

/// A lock was held by another, so the caller begins to wait.
void mp_probe_lock_contended(const void *lock);
/// Such a wait has ended with the lock taken: how long it was, and how often the caller slept meanwhile (0: it spun; not known of the C library's locks).
void mp_probe_lock_acquired(const void *lock, uint64_t wait_ns, uint64_t slept);
/// A lock with a profile was released after a hold that was timed.
void mp_probe_lock_released(const void *lock, uint64_t hold_ns);
/// A lock was taken from an owner that has died: its process, 0 where that is not known.
void mp_probe_lock_owner_died(const void *lock, int64_t pid);
/// A sleeper is about to be woken.
void mp_probe_lock_wake(const void *lock);

/// How many tools look at `lock_acquired` and `lock_released`; the kernel counts them here. What costs time to find out is found out only for them.
extern unsigned short mp_probe_acquired_semaphore, mp_probe_released_semaphore;
static inline bool mp_probe_wants_acquired(void) { return *(volatile unsigned short *)&mp_probe_acquired_semaphore != 0; }
static inline bool mp_probe_wants_released(void) { return *(volatile unsigned short *)&mp_probe_released_semaphore != 0; }

#endif
