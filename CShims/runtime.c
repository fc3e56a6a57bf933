#include "mp_runtime.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// All take and return only pointers and integers, for which the C and the Swift calling convention agree on x86-64 and arm64.
extern void *swift_allocObject(const void *metadata, size_t size, size_t alignment_mask);
extern const void *swift_conformsToProtocol(const void *type, const void *protocol_descriptor);
extern const void *swift_getTypeContextDescriptor(const void *type);
extern char *swift_demangle(const char *name, size_t length, char *buffer, size_t *size, uint32_t flags);

void *mp_runtime_allocate(const void *metadata, size_t size, size_t alignment_mask) {
    return swift_allocObject(metadata, size, alignment_mask);
}

const void *mp_runtime_witness_table(const void *type, const void *protocol_descriptor) {
    return swift_conformsToProtocol(type, protocol_descriptor);
}

const void *mp_runtime_context_descriptor(const void *type) { return swift_getTypeContextDescriptor(type); }

size_t mp_runtime_demangle(const char *name, size_t length, char *buffer, size_t capacity) {
    if (capacity == 0) return 0;
    char *text = swift_demangle(name, length, NULL, NULL, 0);
    if (!text) return 0;
    size_t count = strlen(text);
    if (count >= capacity) count = capacity - 1;
    memcpy(buffer, text, count);
    buffer[count] = '\0';
    free(text);
    return count;
}
