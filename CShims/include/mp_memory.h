// Shared memory without a name, at an address of the caller's choice. Every function returns a negative errno value on failure.
#ifndef MP_MEMORY_H
#define MP_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// Whether a file may be so long, by RLIMIT_FSIZE. To ask for more than that is not only an error: the process gets SIGXFSZ, which ends it.
bool mp_file_size_allowed(size_t length);
/// An anonymous file (close-on-exec) of `length` bytes that take memory only where they are written to.
int mp_memory_create(const char *label, size_t length);
/// Maps all of `fd`, shared and writable, at exactly `address`: -EEXIST when anything is there already.
int mp_memory_map(int fd, uintptr_t address, size_t length);
/// Takes the memory for a range of the file now, so that using it later cannot fail.
int mp_memory_commit(int fd, size_t offset, size_t length);
/// The machine's memory in bytes.
uint64_t mp_memory_physical(void);

#endif
