// The end of a process that somebody waits for.
//
// Of the 150 µs that it takes to end a process in which a Swift program is mapped, nearly all go to giving back its memory, page by page and mapping by
// mapping, and only then does the kernel say that it has ended. But memory is given back by the last process that has it. So a process that ends makes another
// one just before, which shares its memory and nothing else, and which ends when it has: the first is gone at once, and the second clears up, while
// whoever waited goes on.
//
//   worker       closes all descriptors ─▶ clone ─▶ exit ─▶ its locks and children go, its end is seen
//   caretaker                                └─▶ sleeps for some milliseconds, until the worker has let go at least ─▶ exit, and with it the memory
//
// It sleeps so as not to take the processor from whoever has waited, just when that one goes on, perhaps with the next process.
//
// What others may wait for is over when the end is seen: files are closed (with their locks, ports and pipes) before, by the worker itself, since the
// caretaker shares the table, and everything else but the memory is undone by the kernel in the worker's exit. Only files that are mapped stay open with the
// memory; and since somebody may count on the memory, no process that has much does this. Nothing of it is promised: where the kernel refuses, or a
// second thread may use the descriptors, the process ends as any other. Whichever of the two is killed, the memory goes with the last.
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "mp_forkserver.h"
#include "mp_process.h"
#include "mp_sync.h"

// False once there has been a second thread. The C library has it since 2.32.
extern char __libc_single_threaded __attribute__((weak));

// Caretakers sleep on the arena's first word, which never changes. The server wakes them when it ends.
static const uint32_t *bell_word(void) {
    return (const uint32_t *)mp_arena_get().base;
}

void mp_caretakers_hurry(void) {
    mp_futex_wake(bell_word(), INT_MAX);
}

// The process whose parent reaps also what it has not forked itself.
static pid_t served_process;

void mp_process_is_served(void) {
    served_process = getpid();
}

// No process of more than this, in KiB, what it shares with others included, leaves its memory to a caretaker.
enum { MOST_MEMORY = 64 << 10 };
// How long a caretaker leaves the processors to others, in nanoseconds.
enum { PAUSE = 5000000 };

static bool may_leave_memory(void) {
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 && usage.ru_maxrss <= MOST_MEMORY && served_process == getpid()
        && &__libc_single_threaded != NULL && __libc_single_threaded;
}

// Runs in the caretaker, on a stack of its own, with everything else of the worker's: system calls are all that it may do.
static int take_care(void *word) {
    const uint32_t *alive = word, *bell = bell_word();
    const struct timespec pause = {0, PAUSE};
    syscall(SYS_futex, bell, FUTEX_WAIT, *bell, &pause, NULL, 0);
    // The kernel clears this word, and wakes who sleeps on it, when the worker lets go of the memory.
    while (__atomic_load_n(alive, __ATOMIC_ACQUIRE) != 0) syscall(SYS_futex, alive, FUTEX_WAIT, 1, NULL, NULL, 0);
    return 0;
}

// Their addresses are found when the image is loaded.
static void (*const volatile end_process)(int) = _exit;
static int (*const volatile clone_process)(int (*)(void *), void *, int, void *, ...) = clone;

// Whoever calls a function first has the dynamic linker look for it in all libraries, and touches a page or more of each.
void mp_process_rehearse_end(void) {
    sigset_t all;
    sigfillset(&all);
    may_leave_memory();
    if (chdir(".") == 0) syscall(SYS_getpid);
}

void mp_process_end(int code) {
    struct {
        _Alignas(16) char stack[1024];
        _Alignas(64) uint32_t alive;
    } caretaker;
    if (may_leave_memory()) {
        // No handler must find the descriptors closed.
        sigset_t all;
        sigfillset(&all);
        sigprocmask(SIG_SETMASK, &all, NULL);
        // What it works in would be in use for as long as the caretaker is there.
        if (chdir("/") == 0 && syscall(SYS_close_range, 0, ~0u, 0) == 0) {
            caretaker.alive = 1;
            syscall(SYS_set_tid_address, &caretaker.alive);
            clone_process(take_care, caretaker.stack + sizeof caretaker.stack,
                          CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_PARENT, &caretaker.alive);
        }
    }
    end_process(code);
    __builtin_unreachable();
}
