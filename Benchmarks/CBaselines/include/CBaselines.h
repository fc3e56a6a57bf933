// What the library is measured against: the same work in plain C, in forked and pinned processes. One header for each subject.
// Nothing of the library is used here but the counting loop's barrier; otherwise a slow part of it would slow its own baseline.
#ifndef CB_CBASELINES_H
#define CB_CBASELINES_H

#include "cb_clock.h"
#include "cb_companion.h"
#include "cb_crew.h"
#include "cb_locks.h"
#include "cb_payload.h"
#include "cb_pingpong.h"
#include "cb_pipes.h"
#include "cb_queue.h"
#include "cb_spawn.h"
#include "cb_waits.h"

#endif
