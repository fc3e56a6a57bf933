#include "mp_probes.h"

// A note of type 3, name "stapsdt", in .note.stapsdt: the address of the probe, of .stapsdt.base and of the semaphore; then provider, name and where the
// arguments are, as SIZE@OPERAND in the assembler's own words. The format is documented in systemtap's wiki, "UserSpaceProbeImplementation"; systemtap's
// <sys/sdt.h> would write the same, and is not everywhere.
//
// .stapsdt.base lets a tool see by how much a prelinker has moved the program. Marked R (retain), as only notes refer to it, which do not keep a section.
#define NOTE(name, semaphore, arguments)                                   \
    "990: nop\n"                                                           \
    ".pushsection .note.stapsdt, \"\", \"note\"\n"                         \
    ".balign 4\n"                                                          \
    ".4byte 992f - 991f, 994f - 993f, 3\n"                                 \
    "991: .asciz \"stapsdt\"\n"                                            \
    "992: .balign 4\n"                                                     \
    "993: .8byte 990b\n"                                                   \
    ".8byte _.stapsdt.base\n"                                              \
    ".8byte " semaphore "\n"                                               \
    ".asciz \"multiprocessing\"\n"                                         \
    ".asciz \"" name "\"\n"                                                \
    ".asciz \"" arguments "\"\n"                                           \
    "994: .balign 4\n"                                                     \
    ".popsection\n"                                                        \
    ".ifndef _.stapsdt.base\n"                                             \
    ".pushsection .stapsdt.base, \"aGR\", \"progbits\", .stapsdt.base, comdat\n" \
    ".weak _.stapsdt.base\n"                                               \
    ".hidden _.stapsdt.base\n"                                             \
    "_.stapsdt.base: .space 1\n"                                           \
    ".size _.stapsdt.base, 1\n"                                            \
    ".popsection\n"                                                        \
    ".endif\n"

// Tools add to these, in every process that runs the program, while they look.
#define SEMAPHORE __attribute__((section(".probes"), used))
unsigned short mp_probe_acquired_semaphore SEMAPHORE;
unsigned short mp_probe_released_semaphore SEMAPHORE;

#if defined(__x86_64__) || defined(__aarch64__)

void mp_probe_lock_contended(const void *lock) {
    __asm__ volatile(NOTE("lock_contended", "0", "8@%[lock]")::[lock] "r"(lock));
}

void mp_probe_lock_acquired(const void *lock, uint64_t wait_ns, uint64_t slept) {
    __asm__ volatile(NOTE("lock_acquired", "mp_probe_acquired_semaphore", "8@%[lock] 8@%[wait] 8@%[slept]")
                     ::[lock] "r"(lock), [wait] "r"(wait_ns), [slept] "r"(slept));
}

void mp_probe_lock_released(const void *lock, uint64_t hold_ns) {
    __asm__ volatile(NOTE("lock_released", "mp_probe_released_semaphore", "8@%[lock] 8@%[hold]")
                     ::[lock] "r"(lock), [hold] "r"(hold_ns));
}

void mp_probe_lock_owner_died(const void *lock, int64_t pid) {
    __asm__ volatile(NOTE("owner_died", "0", "8@%[lock] -8@%[pid]")::[lock] "r"(lock), [pid] "r"(pid));
}

void mp_probe_lock_wake(const void *lock) {
    __asm__ volatile(NOTE("lock_wake", "0", "8@%[lock]")::[lock] "r"(lock));
}

#else

// Where the assembler's words for registers are not known to the tools, there are no probes.
void mp_probe_lock_contended(const void *lock) { (void)lock; }
void mp_probe_lock_acquired(const void *lock, uint64_t wait_ns, uint64_t slept) { (void)lock, (void)wait_ns, (void)slept; }
void mp_probe_lock_released(const void *lock, uint64_t hold_ns) { (void)lock, (void)hold_ns; }
void mp_probe_lock_owner_died(const void *lock, int64_t pid) { (void)lock, (void)pid; }
void mp_probe_lock_wake(const void *lock) { (void)lock; }

#endif
