// NUMA memory policies, by libnuma. Node sets are bit masks whose length the kernel checks, so they are built here from ids.
#ifndef MP_NUMA_H
#define MP_NUMA_H

#include <stddef.h>

/// The kernel's memory policies (MPOL_…).
enum { MP_NUMA_DEFAULT = 0, MP_NUMA_PREFERRED = 1, MP_NUMA_BIND = 2, MP_NUMA_INTERLEAVE = 3, MP_NUMA_LOCAL = 4 };

/// 1 if this process may use NUMA calls, 0 if the kernel has none or a sandbox forbids them.
int mp_numa_available(void);

/// Writes the ids of the nodes this process may take memory from, ascending, into `nodes`, at most `capacity` of them;
/// `*count` is how many there are, which may be more. Returns 0 or an errno value, as all functions below do.
int mp_numa_allowed(int *_Nonnull nodes, size_t capacity, size_t *_Nonnull count);

/// Sets the calling thread's policy; new threads and forked processes inherit it. EINVAL for a node that does not exist or
/// is not allowed. `count` is 0 for MP_NUMA_DEFAULT and MP_NUMA_LOCAL.
int mp_numa_set_policy(int mode, const int *_Nullable nodes, size_t count);

/// The calling thread's policy and, as above, its nodes.
int mp_numa_get_policy(int *_Nonnull mode, int *_Nonnull nodes, size_t capacity, size_t *_Nonnull count);

/// Sets the policy of a range of memory, which decides where its pages go when they are first touched, whoever touches
/// them if the mapping is shared. `address` is a multiple of the page size; pages already there stay where they are.
int mp_numa_bind_range(void *_Nonnull address, size_t length, int mode, const int *_Nullable nodes, size_t count);

/// The policy of the range that holds `address` and, as above, its nodes.
int mp_numa_get_range_policy(
    const void *_Nonnull address, int *_Nonnull mode, int *_Nonnull nodes, size_t capacity, size_t *_Nonnull count);

/// The node of the page at `address`; a page not yet there is made.
int mp_numa_node_of(const void *_Nonnull address, int *_Nonnull node);

#endif
