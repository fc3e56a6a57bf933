#include "mp_sync.h"

#include <errno.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int mp_futex_wait(const void *word, uint32_t expected, int64_t nanoseconds) {
    struct timespec limit = {nanoseconds / 1000000000, nanoseconds % 1000000000};
    return syscall(SYS_futex, word, FUTEX_WAIT, expected, nanoseconds < 0 ? NULL : &limit, NULL, 0) < 0 ? -errno : 0;
}

int mp_futex_wake(const void *word, int count) {
    int woken = (int)syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0);
    return woken < 0 ? -errno : woken;
}

bool mp_fence_heavy(void) {
    return syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0) == 0;
}

void mp_fence_register(void) {
    syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0);
}

// While the process is sure to have one thread, for which it is one short system call.
__attribute__((constructor)) static void register_early(void) {
    mp_fence_register();
}

int mp_event_create(void) {
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

MP_THREAD_LOCAL uint32_t mp_thread_token_storage;
MP_THREAD_LOCAL void *mp_thread_record_storage;

static pthread_key_t ended_key;
static pthread_once_t ended_once = PTHREAD_ONCE_INIT;
static int ended_error;
static void (*ended_callback)(void *);

static void thread_ended(void *record) {
    mp_thread_token_storage = 0;
    mp_thread_record_storage = NULL;
    ended_callback(record);
}

static void make_ended_key(void) {
    ended_error = pthread_key_create(&ended_key, thread_ended);
}

int mp_thread_register(uint32_t token, void *record, void (*ended)(void *record)) {
    ended_callback = ended;
    pthread_once(&ended_once, make_ended_key);
    if (ended_error != 0) return -ended_error;
    int error = pthread_setspecific(ended_key, record);
    if (error != 0) return -error;
    mp_thread_token_storage = token;
    mp_thread_record_storage = record;
    return 0;
}

struct thread_start {
    void (*body)(void *);
    void *context;
    char name[16];
};

static void *thread_main(void *argument) {
    struct thread_start start = *(struct thread_start *)argument;
    free(argument);
    prctl(PR_SET_NAME, start.name);
    start.body(start.context);
    return NULL;
}

int mp_thread_start(const char *name, uint64_t stack_bytes, void (*body)(void *), void *context) {
    struct thread_start *start = malloc(sizeof *start);
    if (start == NULL) return -ENOMEM;
    start->body = body;
    start->context = context;
    size_t n = 0;
    for (; n < sizeof start->name - 1 && name[n] != 0; n++) start->name[n] = name[n];
    start->name[n] = 0;

    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, stack_bytes);
    // The new thread inherits the mask, so that no signal can reach it before it blocks them itself.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t thread;
    int error = pthread_create(&thread, &attributes, thread_main, start);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (error != 0) free(start);
    return -error;
}

const uint32_t mp_mutex_size = sizeof(pthread_mutex_t), mp_mutex_alignment = _Alignof(pthread_mutex_t);

int mp_mutex_init(void *mutex, enum mp_mutex_kind kind) {
    pthread_mutexattr_t attributes;
    int error = pthread_mutexattr_init(&attributes);
    if (error != 0) return -error;
    error = pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    if (error == 0 && kind == MP_MUTEX_ADAPTIVE) error = pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ADAPTIVE_NP);
    if (error == 0 && kind == MP_MUTEX_ROBUST) error = pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    if (error == 0) error = pthread_mutex_init(mutex, &attributes);
    pthread_mutexattr_destroy(&attributes);
    return -error;
}

// A robust mutex is handed on unusable for ever unless its new owner calls it consistent: what it protects is the owner's to repair, the mutex is ours.
static int owned(void *mutex, int error) {
    if (error == EOWNERDEAD) pthread_mutex_consistent(mutex);
    return -error;
}

int mp_mutex_lock(void *mutex) {
    return owned(mutex, pthread_mutex_lock(mutex));
}

int mp_mutex_try_lock(void *mutex) {
    return owned(mutex, pthread_mutex_trylock(mutex));
}

int mp_mutex_lock_for(void *mutex, int64_t nanoseconds) {
    struct timespec deadline;
    clock_gettime(CLOCK_MONOTONIC, &deadline);
    int64_t sum = deadline.tv_nsec + nanoseconds % 1000000000;
    deadline.tv_sec += nanoseconds / 1000000000 + sum / 1000000000;
    deadline.tv_nsec = sum % 1000000000;
    return owned(mutex, pthread_mutex_clocklock(mutex, CLOCK_MONOTONIC, &deadline));
}

int mp_mutex_unlock(void *mutex) {
    return -pthread_mutex_unlock(mutex);
}
