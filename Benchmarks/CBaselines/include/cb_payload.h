// Bytes that come back from a member of the crew: what the memory allows.
#ifndef CB_PAYLOAD_H
#define CB_PAYLOAD_H

#include <stddef.h>
#include <stdint.h>

#include "cb_crew.h"

// The most bytes that a member can hand over.
#define CB_PAYLOAD_MOST ((size_t)64 << 20)

// Has the first member copy `size` bytes of its own, made before, into a mapping that is shared with the caller and used again and again
// (c.memcpy-reused); the caller then reads a byte of every page. With `copy_out` the caller copies them into fresh memory from `malloc`
// instead, and frees that (c.copy-out). *length becomes the time of it all, the order and the waiting included, in ns. Blocks.
// Returns 0, or -1 with errno: EINVAL for too many bytes, EILSEQ when others came than were sent, ENOMEM.
int cb_crew_payload(cb_crew *crew, size_t size, int copy_out, uint64_t *length);

#endif
