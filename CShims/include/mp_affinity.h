// Processor affinity of the calling thread. CPU sets are macros over a size known only at run time, which Swift cannot say.
#ifndef MP_AFFINITY_H
#define MP_AFFINITY_H

#include <stddef.h>

/// Writes the ids of the processors the calling thread may run on, ascending, into `processors`, at most `capacity` of them;
/// `*count` is how many there are, which may be more than were written. Returns 0 or an errno value.
int mp_affinity_get(int *_Nonnull processors, size_t capacity, size_t *_Nonnull count);

/// Lets the calling thread run on exactly these processors. Returns 0 or an errno value: EINVAL where none of them exists
/// and is allowed. The kernel drops, without a word, those which do not: read the mask back.
int mp_affinity_set(const int *_Nonnull processors, size_t count);

#endif
