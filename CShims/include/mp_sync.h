// Waiting across processes: futexes, the C library's process-shared mutexes, and what a lock must know of the calling thread.
// Functions that can fail return a negative errno value.
#ifndef MP_SYNC_H
#define MP_SYNC_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/// Sleeps while `*word` is `expected`, until woken, at most `nanoseconds` (negative: for ever).
/// Returns 0 when woken (also for no reason), -EAGAIN when the word differs, -ETIMEDOUT, -EINTR.
int mp_futex_wait(const void *word, uint32_t expected, int64_t nanoseconds);
/// Wakes up to `count` sleepers of any process that maps the word. Returns how many.
int mp_futex_wake(const void *word, int count);

/// A store, then a load that must not come before it, on one side; the same on the other side; and one side far rarer than the other. The frequent side
/// puts mp_fence_light between the two, which keeps the compiler from exchanging them and costs nothing; the rare one mp_fence_heavy, which makes the
/// processors of all registered processes complete what they have begun. A process registers before its first light fence.
static inline void mp_fence_light(void) {
    __asm__ volatile("" ::: "memory");
}
/// Takes some 200 ns, more where other processors have to be interrupted. Returns false where the kernel has no such call (before 4.16, or a filter
/// forbids it): then a light fence may have been passed unseen.
bool mp_fence_heavy(void);
/// Registers this process, which its forked children inherit. Done before `main`: the first time in a process of several threads it may take milliseconds.
void mp_fence_register(void);

/// A descriptor (eventfd, close-on-exec, non-blocking) by which one thread wakes another out of `poll`.
int mp_event_create(void);

/// Nanoseconds of CLOCK_MONOTONIC.
static inline uint64_t mp_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/// Tells the core that this is a spinning loop.
static inline void mp_pause(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory");
#endif
}

/// Has the core fetch the cache line of `address` for writing, while it goes on with other things.
static inline void mp_prefetch(const void *address) { __builtin_prefetch(address, 1, 3); }

/// What the locks know of a thread: 0 before its first lock.
/// At a fixed distance from the thread pointer (initial-exec), so that to read them is one instruction and no call.
#define MP_THREAD_LOCAL _Thread_local __attribute__((tls_model("initial-exec")))
extern MP_THREAD_LOCAL uint32_t mp_thread_token_storage;
extern MP_THREAD_LOCAL void *mp_thread_record_storage;
static inline uint32_t mp_thread_token(void) { return mp_thread_token_storage; }
static inline void *mp_thread_record(void) { return mp_thread_record_storage; }
/// Sets both for the calling thread, and has `ended(record)` called when the thread ends (0, NULL: forgets them).
int mp_thread_register(uint32_t token, void *record, void (*ended)(void *record));

/// Starts a detached thread. `name` is at most 15 characters. All signals are blocked in it: they are the user's threads' business.
int mp_thread_start(const char *name, uint64_t stack_bytes, void (*body)(void *context), void *context);

/// The kinds of process-shared pthread mutex.
enum mp_mutex_kind { MP_MUTEX_NORMAL, MP_MUTEX_ADAPTIVE, MP_MUTEX_ROBUST };
/// Bytes and alignment of the memory a mutex takes.
extern const uint32_t mp_mutex_size, mp_mutex_alignment;
int mp_mutex_init(void *mutex, enum mp_mutex_kind kind);
/// 0: locked. -EOWNERDEAD: locked, and its last owner died holding it; the mutex is already consistent again.
int mp_mutex_lock(void *mutex);
/// As `mp_mutex_lock`, or -EBUSY.
int mp_mutex_try_lock(void *mutex);
/// As `mp_mutex_lock`, or -ETIMEDOUT.
int mp_mutex_lock_for(void *mutex, int64_t nanoseconds);
int mp_mutex_unlock(void *mutex);

#endif
