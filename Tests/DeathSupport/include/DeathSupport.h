// Steps a process through its instructions and stops it before any one of them. Only the thread that forked the process may do so.
#ifndef DEATH_SUPPORT_H
#define DEATH_SUPPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/// Memory that is shared with the stepped process, and room for a copy of it.
struct ds_region {
    const void *start;
    size_t length;
    void *copy;
};

/// In the process to be stepped: from here on its parent's thread traces it, and it stops. To be called again at the end of what is stepped.
void ds_be_traced(void);
void ds_stop(void);

/// Waits for the first stop. Returns 0, or the negative number of the signal that came instead; -1000 - status when the process ended.
int ds_await_stop(pid_t pid);

/// Steps from the first stop to the next one. Writes down where each instruction is, and whether executing it changed the memory of `regions` or was a system call.
/// Returns the number of instructions; negative as `ds_await_stop`; -2000 when they are more than `capacity`.
long ds_record(pid_t pid, uint64_t *addresses, uint8_t *effects, long capacity, const struct ds_region *regions, int region_count);

/// Steps from the first stop through so many instructions; or until `count` of them were such as `ds_record` marks.
/// Return 1, or 0 when the process came to its second stop before that; negative as `ds_await_stop`.
int ds_step(pid_t pid, long instructions);
int ds_step_past_effects(pid_t pid, long count, const struct ds_region *regions, int region_count);

/// Runs from the first stop to just before the instruction at `address` would be executed for the `occurrence`th time (counted from 0).
/// Returns 1, or 0 when the process came to its second stop before that; negative as `ds_await_stop`.
int ds_run_to(pid_t pid, uint64_t address, long occurrence);

/// Runs from the first stop to the second. Returns 0, or negative as `ds_await_stop`.
int ds_finish(pid_t pid);

/// Kills the process, wherever it is, and reaps it.
void ds_kill(pid_t pid);

/// Whether this machine and this system let a process be stepped.
bool ds_is_supported(void);

#endif
