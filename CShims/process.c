#include "mp_process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

pid_t mp_process_fork(int *pidfd) {
    pid_t parent = getpid();
    // The child waits at a gate until its descriptor is open: it could end, and be reaped by a wait for any child, before that.
    int gate[2];
    if (pipe2(gate, O_CLOEXEC) != 0) return -errno;
    // What is buffered now would be printed by both.
    mp_flush_standard();
    pid_t thread = (pid_t)syscall(SYS_gettid), pid = fork();
    if (pid == 0) {
        mp_die_with_parent(parent);
        mp_thread_number_renew(thread);
        close(gate[1]);
        char pass;
        ssize_t n;
        while ((n = read(gate[0], &pass, 1)) < 0 && errno == EINTR) {}
        if (n != 1) _exit(1);
        close(gate[0]);
        mp_signals_default();
        mp_signals_unblock();
        return 0;
    }
    int error = pid < 0 ? -errno : 0;
    if (pid > 0) {
        *pidfd = mp_pidfd_open(pid);
        if (*pidfd < 0) error = *pidfd;
        while (error == 0 && write(gate[1], "", 1) < 0)
            if (errno != EINTR) error = -errno;
    }
    close(gate[0]);
    close(gate[1]);
    // A child that cannot be watched must not run: without a pass it ends.
    if (error != 0 && pid > 0) waitpid(pid, NULL, 0);
    return error != 0 ? error : pid;
}

int mp_pidfd_open(pid_t pid) {
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    return fd < 0 ? -errno : fd;
}

int mp_pidfd_signal(int pidfd, int signal) {
    return syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) < 0 ? -errno : 0;
}

int mp_pidfd_reap(int pidfd, bool wait, struct mp_ending *ending) {
    siginfo_t info;
    for (;;) {
        info.si_pid = 0;
        if (waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info, WEXITED | (wait ? 0 : WNOHANG)) == 0) break;
        if (errno != EINTR) return -errno;
    }
    if (info.si_pid == 0) return 0;
    ending->exited = info.si_code == CLD_EXITED;
    ending->code = info.si_status;
    return 1;
}

// Signals of a crash, which the Swift backtracer handles where it has been asked for.
static bool is_backtraced(int signal) {
    return signal == SIGSEGV || signal == SIGBUS || signal == SIGILL || signal == SIGTRAP || signal == SIGABRT || signal == SIGFPE
        || signal == SIGQUIT;
}

void mp_signals_default(void) {
    // A backtrace takes seconds and pages, for a crash that the host reports anyway.
    bool backtraces = getenv("SWIFT_BACKTRACE") != NULL;
    // Real-time signals 32 and 33 belong to the C library, which refuses them: the result does not matter.
    for (int s = 1; s < NSIG; s++)
        if (s != SIGKILL && s != SIGSTOP && !(backtraces && is_backtraced(s))) signal(s, SIG_DFL);
}

void mp_signals_unblock(void) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

void mp_signals_ignore_interrupt(void) {
    signal(SIGINT, SIG_IGN);
}

void mp_die_with_parent(pid_t parent) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
}

void mp_process_name(const char *name) {
    prctl(PR_SET_NAME, name);
}

void mp_flush_standard(void) {
    // Not all streams at once: that waits for a thread that is blocked reading one.
    mp_flush_output();
    if (__fpending(stderr) != 0) fflush(stderr);
}

void mp_flush_output(void) {
    if (__fpending(stdout) != 0) fflush(stdout);
}

// The value of a "Name:   123 kB" line of /proc/self/status, in bytes.
static int64_t status_bytes(const char *name) {
    FILE *file = fopen("/proc/self/status", "re");
    if (file == NULL) return -errno;
    char line[128];
    long long kib = -1;
    size_t length = strlen(name);
    while (kib < 0 && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, name, length) == 0 && line[length] == ':') kib = strtoll(line + length + 1, NULL, 10);
    fclose(file);
    return kib < 0 ? -ENOENT : kib * 1024;
}

int mp_limit_private_memory(uint64_t bytes) {
    int64_t used = status_bytes("VmData");
    if (used < 0) return (int)used;
    struct rlimit limit;
    if (getrlimit(RLIMIT_DATA, &limit) != 0) return -errno;
    rlim_t wanted = (rlim_t)used + bytes;
    if (limit.rlim_max != RLIM_INFINITY && wanted > limit.rlim_max) wanted = limit.rlim_max;
    limit.rlim_cur = limit.rlim_max = wanted;
    return setrlimit(RLIMIT_DATA, &limit) != 0 ? -errno : 0;
}

int64_t mp_private_memory(void) {
    return status_bytes("RssAnon");
}
