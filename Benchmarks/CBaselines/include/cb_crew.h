// A crew: child processes forked once and pinned, which sleep in a futex between orders. What a pool of workers is in the library.
#ifndef CB_CREW_H
#define CB_CREW_H

#include <stdint.h>
#include <sys/types.h>

#include "cb_locks.h"

#define CB_CREW_MOST 256

typedef struct cb_crew cb_crew;

// What one member of the crew says of an order.
typedef struct cb_share {
    uint64_t operations;  // done by this member
    uint64_t began;       // cb_now when the work began, after any waiting for the agreed instant
    uint64_t ended;       // cb_now when it was done
} cb_share;

// Forks `members` children. Member i is pinned to processors[i], or left where the scheduler wants it if that is negative.
// Returns NULL with errno when the crew could not be made whole; then nothing of it is left.
// They die with the thread that called this, and hold none of the caller's descriptors above 2.
cb_crew *cb_crew_start(const int *processors, int members);

// Ends the members and frees the crew.
void cb_crew_stop(cb_crew *crew);

// Every order runs on the first `members` of the crew and blocks until all of these are done.
// shares[i] becomes member i's. Returns 0, or -1 with errno: ESRCH when a member has died, EINVAL for more members than there are.

// Counts to `limit` in every member, in the loop of the tutorial.
int cb_crew_count(cb_crew *crew, int members, long limit, cb_share *shares);

// Locks, increments and unlocks `operations` times in the first member alone.
int cb_crew_lock_alone(cb_crew *crew, cb_lock_kind kind, uint64_t operations, cb_share *share);

// The same back to back in every member, from the instant `start` (of cb_now) for `length` ns, the clock read every `batch` turns,
// with so many turns of `cb_spend` under the lock, and after it.
// -1 with errno EILSEQ when the counter under the lock ends at another number than was counted: the lock let two in.
int cb_crew_lock_contended(
    cb_crew *crew, int members, cb_lock_kind kind, uint64_t start, uint64_t length, uint64_t batch, uint32_t inside, uint32_t outside,
    cb_share *shares);

// The same with each taking timed, from the asking to the having: waits[b] becomes how many waits of the whole crew fell into bucket b
// (cb_wait_bucket) of CB_WAIT_BUCKETS. The two looks at the clock are in the turns, one of them under the lock: no rates are taken from this.
int cb_crew_lock_timed(
    cb_crew *crew, int members, cb_lock_kind kind, uint64_t start, uint64_t length, uint64_t batch, uint32_t inside, uint32_t outside,
    cb_share *shares, uint64_t *waits);

#endif
