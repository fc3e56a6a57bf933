#include "DeathSupport.h"

#include <elf.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
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

// Whether it is the kernel's code for reading the clock.
static bool is_vdso(uint64_t address) {
    uint64_t start = getauxval(AT_SYSINFO_EHDR);
    if (start == 0 || address < start) return false;
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)start;
    const Elf64_Phdr *segments = (const Elf64_Phdr *)(start + header->e_phoff);
    for (int i = 0; i < header->e_phnum; i++)
        if (segments[i].p_type == PT_LOAD && address - start < segments[i].p_memsz) return true;
    return false;
}

// Continues to a breakpoint in the process's own copy of its code, and takes that away.
// Returns 1; 0 at the second stop; negative for anything else.
static int run_to_breakpoint(pid_t pid, uint64_t address) {
    const long trap = 0xcc;
    errno = 0;
    long original = ptrace(PTRACE_PEEKTEXT, pid, (void *)address, NULL);
    if (errno != 0) return -1000 - errno;
    ptrace(PTRACE_POKETEXT, pid, (void *)address, (void *)((original & ~0xffL) | trap));
    ptrace(PTRACE_CONT, pid, NULL, NULL);
    int signal = next_stop(pid);
    if (signal < 0) return signal;
    ptrace(PTRACE_POKETEXT, pid, (void *)address, (void *)original);
    if (signal == SIGSTOP) return 0;
    if (signal != SIGTRAP) return -signal;
    ptrace(PTRACE_POKEUSER, pid, (void *)offsetof(struct user_regs_struct, rip), (void *)address);
    return 1;
}

// Executes one instruction; or the whole call, if it is the first one in the vDSO. That begins anew while the kernel moves the clock's base on, which a stepped
// process is slow enough to meet often, and does nothing that others see. Returns as run_to_breakpoint().
static int step(pid_t pid) {
    if (is_vdso(instruction_pointer(pid))) {
        uint64_t stack = (uint64_t)ptrace(PTRACE_PEEKUSER, pid, (void *)offsetof(struct user_regs_struct, rsp), NULL);
        return run_to_breakpoint(pid, (uint64_t)ptrace(PTRACE_PEEKDATA, pid, (void *)stack, NULL));
    }
    if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) != 0) return -1000 - errno;
    int signal = next_stop(pid);
    return signal == SIGTRAP ? 1 : signal == SIGSTOP ? 0 : signal > 0 ? -signal : signal;
}

// Stepping changes to the process and back at each instruction, which takes several times as long where another processor has to be woken for it.
// Has both run where the caller is; the process stays there. Returns where the caller could run before.
static cpu_set_t move_together(pid_t pid) {
    cpu_set_t before, here;
    sched_getaffinity(0, sizeof before, &before);
    CPU_ZERO(&here);
    CPU_SET(sched_getcpu(), &here);
    sched_setaffinity(0, sizeof here, &here);
    sched_setaffinity(pid, sizeof here, &here);
    return before;
}

static void move_apart(cpu_set_t before) {
    sched_setaffinity(0, sizeof before, &before);
}

static void copy_regions(const struct ds_region *regions, int region_count) {
    for (int i = 0; i < region_count; i++) memcpy(regions[i].copy, regions[i].start, regions[i].length);
}

// As step(). Sets whether others can see that the instruction was executed.
static int watched_step(pid_t pid, const struct ds_region *regions, int region_count, uint8_t *effect) {
    *effect = is_system_call(pid, instruction_pointer(pid));
    int result = step(pid);
    if (result <= 0) return result;
    for (int i = 0; i < region_count; i++) {
        if (memcmp(regions[i].copy, regions[i].start, regions[i].length) == 0) continue;
        memcpy(regions[i].copy, regions[i].start, regions[i].length);
        *effect = 1;
    }
    return 1;
}

long ds_record(pid_t pid, uint64_t *addresses, uint8_t *effects, long capacity, const struct ds_region *regions, int region_count) {
    copy_regions(regions, region_count);
    cpu_set_t before = move_together(pid);
    int result = 1;
    long n = 0;
    for (; n < capacity; n++) {
        addresses[n] = instruction_pointer(pid);
        result = watched_step(pid, regions, region_count, &effects[n]);
        if (result <= 0) break;
    }
    move_apart(before);
    return result < 0 ? result : result == 0 ? n : -2000;
}

int ds_step(pid_t pid, long instructions) {
    cpu_set_t before = move_together(pid);
    int result = 1;
    while (result > 0 && instructions-- > 0) result = step(pid);
    move_apart(before);
    return result;
}

int ds_step_past_effects(pid_t pid, long count, const struct ds_region *regions, int region_count) {
    copy_regions(regions, region_count);
    cpu_set_t before = move_together(pid);
    int result = 1;
    uint8_t effect;
    for (; result > 0 && count > 0; count -= effect) result = watched_step(pid, regions, region_count, &effect);
    move_apart(before);
    return result;
}

// With a breakpoint: stepping all the way would cost some ten microseconds an instruction.
int ds_run_to(pid_t pid, uint64_t address, long occurrence) {
    for (;;) {
        bool is_there = instruction_pointer(pid) == address;
        if (is_there && occurrence-- == 0) return 1;
        int result = is_there ? step(pid) : run_to_breakpoint(pid, address);
        if (result <= 0) return result;
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

int ds_step(pid_t pid, long instructions) {
    (void)pid, (void)instructions;
    return -1000;
}

int ds_step_past_effects(pid_t pid, long count, const struct ds_region *regions, int region_count) {
    (void)pid, (void)count, (void)regions, (void)region_count;
    return -1000;
}

int ds_run_to(pid_t pid, uint64_t address, long occurrence) {
    (void)pid, (void)address, (void)occurrence;
    return -1000;
}

#endif
