#include "cb_locks.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cb_clock.h"
#include "cb_waits.h"

static int init_rwlock(pthread_rwlock_t *lock) {
    pthread_rwlockattr_t attributes;
    int error = pthread_rwlockattr_init(&attributes);
    if (error) return error;
    error = pthread_rwlockattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    if (!error) error = pthread_rwlock_init(lock, &attributes);
    pthread_rwlockattr_destroy(&attributes);
    return error;
}

int cb_lock_init(cb_lock *lock, cb_lock_kind kind) {
    lock->word = 0;
    int error = init_rwlock(&lock->rwlock);
    if (error) return error;
    if (sem_init(&lock->semaphore, 1, 1) != 0) return errno;
    pthread_mutexattr_t attributes;
    error = pthread_mutexattr_init(&attributes);
    if (error) return error;
    error = pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    if (!error && kind == CB_LOCK_PTHREAD_ADAPTIVE) error = pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ADAPTIVE_NP);
    if (!error && kind == CB_LOCK_PTHREAD_ROBUST) error = pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    if (!error) error = pthread_mutex_init(&lock->mutex, &attributes);
    pthread_mutexattr_destroy(&attributes);
    return error;
}

// The futex lock. Word: 0 is free, otherwise the owner's thread id, with the top bit once anybody may be asleep.
#define SLEEPERS 0x80000000u
// How often a taker looks before it sleeps, with pauses that double up to the longest: 2239 in all, 10 to 100 µs, well above the time
// that a short critical section takes and about that of a sleep and a wake-up on another processor.
#define LOOKS 40
#define LONGEST_PAUSE 64

static inline void pause_briefly(int turns) {
    for (int i = 0; i < turns; i++) {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        __asm__ volatile("isb");
#endif
    }
}

static inline int take_if_free(uint32_t *word, uint32_t mark) {
    uint32_t expected = 0;
    return __atomic_compare_exchange_n(word, &expected, mark, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static __attribute__((noinline)) void take_slowly(uint32_t *word, uint32_t self) {
    for (int look = 0, turns = 1; look < LOOKS; look++) {
        pause_briefly(turns);
        if (turns < LONGEST_PAUSE) turns *= 2;
        if (__atomic_load_n(word, __ATOMIC_RELAXED) == 0 && take_if_free(word, self)) return;
    }
    for (;;) {
        uint32_t seen = __atomic_load_n(word, __ATOMIC_RELAXED);
        if (seen == 0) {
            // Who has slept cannot know whether others still do, and so keeps the mark.
            if (take_if_free(word, self | SLEEPERS)) return;
            continue;
        }
        uint32_t marked = seen | SLEEPERS;
        if (seen == marked || __atomic_compare_exchange_n(word, &seen, marked, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
            syscall(SYS_futex, word, FUTEX_WAIT, marked, NULL, NULL, 0);
    }
}

static inline void futex_lock(uint32_t *word, uint32_t self) {
    if (!take_if_free(word, self)) take_slowly(word, self);
}

static inline void futex_unlock(uint32_t *word) {
    if (__atomic_exchange_n(word, 0, __ATOMIC_RELEASE) & SLEEPERS) syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static inline void take_permit(sem_t *semaphore) {
    while (sem_wait(semaphore) != 0) {}  // EINTR
}

static inline __attribute__((always_inline)) void increment(
    cb_lock *lock, cb_lock_kind kind, volatile uint64_t *counter, uint64_t operations, uint32_t inside, uint32_t outside) {
    if (kind == CB_LOCK_TID_FUTEX) {
        uint32_t self = (uint32_t)gettid();
        for (uint64_t i = 0; i < operations; i++) {
            futex_lock(&lock->word, self);
            *counter += 1;
            cb_spend(inside);
            futex_unlock(&lock->word);
            cb_spend(outside);
        }
        return;
    }
    if (kind == CB_LOCK_PTHREAD_WRITE) {
        for (uint64_t i = 0; i < operations; i++) {
            pthread_rwlock_wrlock(&lock->rwlock);
            *counter += 1;
            cb_spend(inside);
            pthread_rwlock_unlock(&lock->rwlock);
            cb_spend(outside);
        }
        return;
    }
    if (kind == CB_LOCK_SEMAPHORE) {
        for (uint64_t i = 0; i < operations; i++) {
            take_permit(&lock->semaphore);
            *counter += 1;
            cb_spend(inside);
            sem_post(&lock->semaphore);
            cb_spend(outside);
        }
        return;
    }
    if (kind == CB_LOCK_PTHREAD_READ) {
        for (uint64_t i = 0; i < operations; i++) {
            pthread_rwlock_rdlock(&lock->rwlock);
            cb_spend(inside);
            pthread_rwlock_unlock(&lock->rwlock);
            cb_spend(outside);
        }
        __atomic_fetch_add(counter, operations, __ATOMIC_RELAXED);
        return;
    }
    // A robust mutex answers EOWNERDEAD after a death; no member of a crew dies inside, so the answers need no look here.
    for (uint64_t i = 0; i < operations; i++) {
        pthread_mutex_lock(&lock->mutex);
        *counter += 1;
        cb_spend(inside);
        pthread_mutex_unlock(&lock->mutex);
        cb_spend(outside);
    }
}

void cb_lock_increment(cb_lock *lock, cb_lock_kind kind, volatile uint64_t *counter, uint64_t operations, uint32_t inside, uint32_t outside) {
    // Without work, loops without a trace of it.
    if (inside == 0 && outside == 0) increment(lock, kind, counter, operations, 0, 0);
    else increment(lock, kind, counter, operations, inside, outside);
}

void cb_lock_increment_timed(
    cb_lock *lock, cb_lock_kind kind, volatile uint64_t *counter, uint64_t operations, uint32_t inside, uint32_t outside, uint64_t *waits) {
    uint32_t self = (uint32_t)gettid();
    for (uint64_t i = 0; i < operations; i++) {
        uint64_t asked = cb_now();
        if (kind == CB_LOCK_TID_FUTEX) futex_lock(&lock->word, self);
        else if (kind == CB_LOCK_PTHREAD_WRITE) pthread_rwlock_wrlock(&lock->rwlock);
        else if (kind == CB_LOCK_PTHREAD_READ) pthread_rwlock_rdlock(&lock->rwlock);
        else if (kind == CB_LOCK_SEMAPHORE) take_permit(&lock->semaphore);
        else pthread_mutex_lock(&lock->mutex);
        uint64_t got = cb_now();
        if (kind != CB_LOCK_PTHREAD_READ) *counter += 1;
        cb_spend(inside);
        if (kind == CB_LOCK_TID_FUTEX) futex_unlock(&lock->word);
        else if (kind == CB_LOCK_PTHREAD_WRITE || kind == CB_LOCK_PTHREAD_READ) pthread_rwlock_unlock(&lock->rwlock);
        else if (kind == CB_LOCK_SEMAPHORE) sem_post(&lock->semaphore);
        else pthread_mutex_unlock(&lock->mutex);
        // Not under the lock, where it would make others wait.
        waits[cb_wait_bucket(got - asked)]++;
        cb_spend(outside);
    }
    if (kind == CB_LOCK_PTHREAD_READ) __atomic_fetch_add(counter, operations, __ATOMIC_RELAXED);
}
