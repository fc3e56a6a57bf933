// Functions of the Swift runtime, which the Swift compiler does not let Swift code name. They belong to the runtime's stable ABI: the compiler
// calls them from every binary.
#ifndef MP_RUNTIME_H
#define MP_RUNTIME_H

#include <stddef.h>

// A new object of `size` bytes, with one reference to it, whose words behind the header are not initialised.
void *_Nonnull mp_runtime_allocate(const void *_Nonnull metadata, size_t size, size_t alignment_mask);

// The witness table of a type for a protocol; NULL when the type does not conform.
const void *_Nullable mp_runtime_witness_table(const void *_Nonnull type, const void *_Nonnull protocol_descriptor);

// The static description of a nominal type; NULL for all other types.
const void *_Nullable mp_runtime_context_descriptor(const void *_Nonnull type);

// Copies the readable form of a mangled name to `buffer`, cut off at `capacity`, with a zero at its end. Returns its length; 0 for what is no mangled name.
size_t mp_runtime_demangle(const char *_Nonnull name, size_t length, char *_Nonnull buffer, size_t capacity);

#endif
