#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "mp_process.h"

// Swift's runtime keeps each thread's number in a thread-local word, and puts it into the lock of a lazy global, and of a Mutex, for the kernel to know the owner. The
// first thread of a forked process is a copy of the one that forked, and has that one's number there: as soon as it and another thread meet at such a lock, the kernel
// refuses both, and both try for ever. The word has no name that a program could use, but its place is among a few: the thread-local words of the runtime's libraries.

struct renewal {
    uint32_t old, new;
    bool is_found;    // the runtime, in a library
    bool is_program;  // look at the program itself
};

static int renew(struct dl_phdr_info *module, size_t size, void *context) {
    struct renewal *r = context;
    if (strstr(module->dlpi_name, "/libswift") != NULL) r->is_found = true;
    else if (!r->is_program || module->dlpi_name[0] != 0) return 0;
    if (size < offsetof(struct dl_phdr_info, dlpi_tls_data) + sizeof module->dlpi_tls_data || module->dlpi_tls_data == NULL) return 0;
    uint32_t *words = module->dlpi_tls_data;
    for (int i = 0; i < module->dlpi_phnum; i++) {
        if (module->dlpi_phdr[i].p_type != PT_TLS) continue;
        for (size_t n = 0; n < module->dlpi_phdr[i].p_memsz / 4; n++) {
            // The upper half of a pointer can look like a number.
            bool is_upper = ((uintptr_t)(words + n) & 4) != 0 && n > 0 && words[n - 1] != 0 && r->old >= 0x5000 && r->old < 0x8000;
            if (words[n] == r->old && !is_upper) words[n] = r->new;
        }
    }
    return 0;
}

void mp_thread_number_renew(pid_t old) {
    struct renewal r = {.old = (uint32_t)old, .new = (uint32_t)syscall(SYS_gettid)};
    dl_iterate_phdr(renew, &r);
    // A program that the runtime has been linked into has these words, too.
    r.is_program = true;
    if (!r.is_found) dl_iterate_phdr(renew, &r);
}
