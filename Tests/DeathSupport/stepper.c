#include "DeathSupport.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

// A process that hangs, or waits for a lock that nobody frees, ends by itself and is reported as killed by SIGALRM.
enum { WATCHDOG_SECONDS = 120 };

void ds_be_traced(void) {
    alarm(WATCHDOG_SECONDS);
    ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    ds_stop();
}

// The call itself, not raise(): what is stepped should be the operation, not the C library's signal masks.
void ds_stop(void) {
    kill(getpid(), SIGSTOP);
}

// The signal that stopped the process.
static int next_stop(pid_t pid) {
    int status;
    while (waitpid(pid, &status, __WALL) < 0)
        if (errno != EINTR) return -1000 - errno;
    return WIFSTOPPED(status) ? WSTOPSIG(status) : -1000 - status;
}

int ds_await_stop(pid_t pid) {
    int signal = next_stop(pid);
    if (signal != SIGSTOP) return signal > 0 ? -signal : signal;
    // Should this process die first, nothing stopped is left behind.
    ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_EXITKILL);
    return 0;
}

int ds_finish(pid_t pid) {
    if (ptrace(PTRACE_CONT, pid, NULL, NULL) != 0) return -1000 - errno;
    int signal = next_stop(pid);
    return signal == SIGSTOP ? 0 : signal > 0 ? -signal : signal;
}

void ds_kill(pid_t pid) {
    int status;
    kill(pid, SIGKILL);
    while (waitpid(pid, &status, __WALL) >= 0 ? !WIFSIGNALED(status) && !WIFEXITED(status) : errno == EINTR) {}
}

#if defined(__x86_64__)

bool ds_is_supported(void) {
    pid_t pid = fork();
    if (pid < 0) return false;
    if (pid == 0) {
        ds_be_traced();
        _exit(0);
    }
    bool works = ds_await_stop(pid) == 0 && ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == 0 && next_stop(pid) == SIGTRAP;
    ds_kill(pid);
    return works;
}

static uint64_t instruction_pointer(pid_t pid) {
    return (uint64_t)ptrace(PTRACE_PEEKUSER, pid, (void *)offsetof(struct user_regs_struct, rip), NULL);
}

static bool is_system_call(pid_t pid, uint64_t address) {
    return (ptrace(PTRACE_PEEKTEXT, pid, (void *)address, NULL) & 0xffff) == 0x050f;
}

// Executes one instruction. Returns 1; 0 at the second stop; negative for anything else.
static int step(pid_t pid) {
    if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) != 0) return -1000 - errno;
    int signal = next_stop(pid);
    return signal == SIGTRAP ? 1 : signal == SIGSTOP ? 0 : signal > 0 ? -signal : signal;
}

long ds_record(pid_t pid, uint64_t *addresses, uint8_t *effects, long capacity, const struct ds_region *regions, int region_count) {
    for (int i = 0; i < region_count; i++) memcpy(regions[i].copy, regions[i].start, regions[i].length);
    for (long n = 0; n < capacity; n++) {
        addresses[n] = instruction_pointer(pid);
        effects[n] = is_system_call(pid, addresses[n]);
        int result = step(pid);
        if (result <= 0) return result < 0 ? result : n;
        for (int i = 0; i < region_count; i++) {
            if (memcmp(regions[i].copy, regions[i].start, regions[i].length) == 0) continue;
            memcpy(regions[i].copy, regions[i].start, regions[i].length);
            effects[n] = 1;
        }
    }
    return -2000;
}

// A breakpoint, in the process's own copy of its code. Stepping all the way would cost some ten microseconds an instruction.
int ds_run_to(pid_t pid, uint64_t address, long occurrence) {
    const long trap = 0xcc;
    if (instruction_pointer(pid) == address && occurrence-- == 0) return 1;
    errno = 0;
    long original = ptrace(PTRACE_PEEKTEXT, pid, (void *)address, NULL);
    if (errno != 0) return -1000 - errno;
    for (;;) {
        // Past the place itself first: the process may be standing on it.
        int result = step(pid);
        if (result <= 0) return result;
        if (instruction_pointer(pid) == address) {
            if (occurrence-- == 0) return 1;
            continue;
        }
        ptrace(PTRACE_POKETEXT, pid, (void *)address, (void *)((original & ~0xffL) | trap));
        ptrace(PTRACE_CONT, pid, NULL, NULL);
        int signal = next_stop(pid);
        if (signal < 0) return signal;
        ptrace(PTRACE_POKETEXT, pid, (void *)address, (void *)original);
        if (signal == SIGSTOP) return 0;
        if (signal != SIGTRAP) return -signal;
        ptrace(PTRACE_POKEUSER, pid, (void *)offsetof(struct user_regs_struct, rip), (void *)address);
        if (occurrence-- == 0) return 1;
    }
}

#else

// Elsewhere a single step breaks load-linked/store-conditional pairs, which then never succeed.
bool ds_is_supported(void) {
    return false;
}

long ds_record(pid_t pid, uint64_t *addresses, uint8_t *effects, long capacity, const struct ds_region *regions, int region_count) {
    (void)pid, (void)addresses, (void)effects, (void)capacity, (void)regions, (void)region_count;
    return -2000;
}

int ds_run_to(pid_t pid, uint64_t address, long occurrence) {
    (void)pid, (void)address, (void)occurrence;
    return -1000;
}

#endif
