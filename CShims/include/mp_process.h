// Processes: made, watched and signalled without a race on their pid. Every function returns a negative errno value on failure.
#ifndef MP_PROCESS_H
#define MP_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/// fork(), after which the child has no signal blocked and every handler back at its default, and dies when the calling *thread* ends.
/// Returns 0 in the child; else sets `pidfd` to a descriptor (close-on-exec) for it. A child whose parent has died meanwhile never returns.
pid_t mp_process_fork(int *pidfd);

/// A descriptor (close-on-exec) for the process `pid`. Only safe while nobody else can reap that process.
int mp_pidfd_open(pid_t pid);
int mp_pidfd_signal(int pidfd, int signal);

/// How a child of the calling process ended.
struct mp_ending {
    int32_t exited;  ///< 1: it exited, 0: a signal killed it
    int32_t code;    ///< the exit code or the signal
};

/// Reaps the child behind `pidfd`. Returns 1 when it had ended, 0 when it still runs and `wait` is false, -ECHILD when somebody else reaped it.
int mp_pidfd_reap(int pidfd, bool wait, struct mp_ending *ending);

/// Puts every handler back at its default. Unblock signals only after that: one that came before then finds what is right for it.
void mp_signals_default(void);
void mp_signals_unblock(void);
/// Ignores SIGINT: a pool's worker leaves Ctrl-C to its host.
void mp_signals_ignore_interrupt(void);

/// Has the kernel kill this process when its parent's thread ends; ends it at once if `parent` is no longer its parent.
void mp_die_with_parent(pid_t parent);

/// In a child that has just been forked by the thread `old`: has Swift's runtime take its thread for itself, and not for `old`.
void mp_thread_number_renew(pid_t old);

/// The name that `ps` and `top` show, 15 characters at most.
void mp_process_name(const char *name);

/// Writes out what the C library has buffered for stdout and stderr. `mp_flush_output` looks at stdout only. Where nothing is, they cost nothing.
void mp_flush_standard(void);
void mp_flush_output(void);

/// _exit, without a look-up by the dynamic linker, which would touch a page of every library in a process that is about to give them all back.
///
/// In a process that has said so, and is of one thread, its end is seen before its memory has been given back: see ending.c.
_Noreturn void mp_process_end(int code);
/// Says that the parent of this process reaps whatever ends, and does not mind a child more that this one makes when it ends.
void mp_process_is_served(void);
/// Finds what the end of a process needs, once for all that are forked from this one.
void mp_process_rehearse_end(void);
/// Has all that give back the memory of ended processes of this family do so at once. One that has just been made may not hear.
void mp_caretakers_hurry(void);

/// Caps private writable memory (RLIMIT_DATA) at what is used now plus `bytes`.
int mp_limit_private_memory(uint64_t bytes);
/// Private memory in use now (resident, anonymous), in bytes, or a negative errno value.
int64_t mp_private_memory(void);

#endif
