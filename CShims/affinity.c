#include "mp_affinity.h"

#include <errno.h>
#include <sched.h>

// The kernel refuses to report into a set smaller than its own (EINVAL) and does not say how large that is. So sets grow
// by doubling from the C library's fixed 1,024; no kernel is built for more than a million processors.
enum { first_size = 1024, last_size = 1 << 20 };

int mp_affinity_get(int *processors, size_t capacity, size_t *count) {
    *count = 0;
    for (int processor_count = first_size; processor_count <= last_size; processor_count *= 2) {
        cpu_set_t *set = CPU_ALLOC(processor_count);
        if (set == NULL) return ENOMEM;
        size_t size = CPU_ALLOC_SIZE(processor_count);
        CPU_ZERO_S(size, set);
        if (sched_getaffinity(0, size, set) == 0) {
            for (int id = 0; id < processor_count; id++) {
                if (!CPU_ISSET_S(id, size, set)) continue;
                if (*count < capacity) processors[*count] = id;
                *count += 1;
            }
            CPU_FREE(set);
            return 0;
        }
        int error = errno;
        CPU_FREE(set);
        if (error != EINVAL) return error;
    }
    return EINVAL;
}

int mp_affinity_set(const int *processors, size_t count) {
    int highest = -1;
    for (size_t i = 0; i < count; i++) {
        // CPU_SET would write nothing for an id outside the set, and the others would still be set.
        if (processors[i] < 0 || processors[i] >= last_size) return EINVAL;
        if (processors[i] > highest) highest = processors[i];
    }
    if (highest < 0) return EINVAL;
    cpu_set_t *set = CPU_ALLOC(highest + 1);
    if (set == NULL) return ENOMEM;
    size_t size = CPU_ALLOC_SIZE(highest + 1);
    CPU_ZERO_S(size, set);
    for (size_t i = 0; i < count; i++) CPU_SET_S(processors[i], size, set);
    int error = sched_setaffinity(0, size, set) == 0 ? 0 : errno;
    CPU_FREE(set);
    return error;
}
