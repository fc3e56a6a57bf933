#include "mp_numa.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <numa.h>
#include <numaif.h>
#include <string.h>

static_assert(
    MP_NUMA_DEFAULT == MPOL_DEFAULT && MP_NUMA_PREFERRED == MPOL_PREFERRED && MP_NUMA_BIND == MPOL_BIND
        && MP_NUMA_INTERLEAVE == MPOL_INTERLEAVE && MP_NUMA_LOCAL == MPOL_LOCAL,
    "the kernel's numbers");

// The plain calls of numaif.h are used, not numa_set_membind and its like: those return nothing and print their errors.

// The kernel refuses masks shorter than its number of nodes (at most 1,024 in any build) and accepts longer ones up to a
// page. A fixed mask on the stack spares a worker an allocation right after a fork.
enum { mask_bits = 4096, word_bits = sizeof(unsigned long) * CHAR_BIT };
struct mask { unsigned long words[mask_bits / word_bits]; };

// The kernel's `maxnode` counts one more than the bits it reads.
static const unsigned long mask_length = mask_bits + 1;

static int fill(struct mask *mask, const int *nodes, size_t count) {
    memset(mask, 0, sizeof *mask);
    for (size_t i = 0; i < count; i++) {
        if (nodes[i] < 0 || nodes[i] >= mask_bits) return EINVAL;
        mask->words[nodes[i] / word_bits] |= 1ul << (nodes[i] % word_bits);
    }
    return 0;
}

static void list(const struct mask *mask, int *nodes, size_t capacity, size_t *count) {
    *count = 0;
    for (int node = 0; node < mask_bits; node++) {
        if ((mask->words[node / word_bits] >> (node % word_bits) & 1) == 0) continue;
        if (*count < capacity) nodes[*count] = node;
        *count += 1;
    }
}

int mp_numa_available(void) { return numa_available() >= 0; }

int mp_numa_allowed(int *nodes, size_t capacity, size_t *count) {
    struct mask mask = {0};
    *count = 0;
    if (get_mempolicy(NULL, mask.words, mask_length, NULL, MPOL_F_MEMS_ALLOWED) != 0) return errno;
    list(&mask, nodes, capacity, count);
    return 0;
}

int mp_numa_set_policy(int mode, const int *nodes, size_t count) {
    struct mask mask;
    if (fill(&mask, nodes, count) != 0) return EINVAL;
    // Policies without nodes want no mask at all.
    if (count == 0) return set_mempolicy(mode, NULL, 0) == 0 ? 0 : errno;
    return set_mempolicy(mode, mask.words, mask_length) == 0 ? 0 : errno;
}

int mp_numa_get_policy(int *mode, int *nodes, size_t capacity, size_t *count) {
    struct mask mask = {0};
    *count = 0;
    if (get_mempolicy(mode, mask.words, mask_length, NULL, 0) != 0) return errno;
    list(&mask, nodes, capacity, count);
    return 0;
}

int mp_numa_bind_range(void *address, size_t length, int mode, const int *nodes, size_t count) {
    struct mask mask;
    if (fill(&mask, nodes, count) != 0) return EINVAL;
    if (count == 0) return mbind(address, length, mode, NULL, 0, 0) == 0 ? 0 : errno;
    return mbind(address, length, mode, mask.words, mask_length, 0) == 0 ? 0 : errno;
}

int mp_numa_get_range_policy(const void *address, int *mode, int *nodes, size_t capacity, size_t *count) {
    struct mask mask = {0};
    *count = 0;
    if (get_mempolicy(mode, mask.words, mask_length, (void *)address, MPOL_F_ADDR) != 0) return errno;
    list(&mask, nodes, capacity, count);
    return 0;
}

int mp_numa_node_of(const void *address, int *node) {
    return get_mempolicy(node, NULL, 0, (void *)address, MPOL_F_NODE | MPOL_F_ADDR) == 0 ? 0 : errno;
}
