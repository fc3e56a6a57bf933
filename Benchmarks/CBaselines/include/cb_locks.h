// The locks that the library's are compared with. The names are those of the baselines in the benchmark's output.
#ifndef CB_LOCKS_H
#define CB_LOCKS_H

#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>

typedef enum cb_lock_kind {
    CB_LOCK_PTHREAD_NORMAL,    // c.pthread-normal: glibc's process-shared mutex
    CB_LOCK_PTHREAD_ADAPTIVE,  // c.pthread-adaptive: the same, spinning before it sleeps
    CB_LOCK_PTHREAD_ROBUST,    // c.pthread-robust: the same, its owner's death is noticed; never spins
    CB_LOCK_TID_FUTEX,         // c.tid-futex: the owner's thread id in a futex word; spins, then sleeps; whoever comes first gets it
    CB_LOCK_PTHREAD_WRITE,     // c.pthread-rwlock: glibc's process-shared read-write lock, to write; prefers readers, never spins
    CB_LOCK_PTHREAD_READ,      // c.pthread-rwlock-read: the same, to read
    CB_LOCK_SEMAPHORE,         // c.semaphore: glibc's process-shared semaphore, of one; never spins
} cb_lock_kind;

// Each part on cache lines of its own, two of them, as adjacent lines are fetched in pairs.
typedef struct cb_lock {
    _Alignas(128) pthread_mutex_t mutex;
    _Alignas(128) uint32_t word;
    _Alignas(128) pthread_rwlock_t rwlock;
    _Alignas(128) sem_t semaphore;
} cb_lock;

// Prepares the lock, in shared memory, for one kind. Returns 0 or an error number.
int cb_lock_init(cb_lock *lock, cb_lock_kind kind);

// Adds `operations` to *counter, one at a time, each under the lock, in the calling process; with so many turns of `cb_spend` under the lock, and after it.
// Under a lock that is shared nothing is added until the end.
void cb_lock_increment(cb_lock *lock, cb_lock_kind kind, volatile uint64_t *counter, uint64_t operations, uint32_t inside, uint32_t outside);

// The same, and counts in `waits` how long each taking took (cb_waits.h).
void cb_lock_increment_timed(
    cb_lock *lock, cb_lock_kind kind, volatile uint64_t *counter, uint64_t operations, uint32_t inside, uint32_t outside, uint64_t *waits);

#endif
