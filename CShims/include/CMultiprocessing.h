// The C layer of Multiprocessing: only what Swift cannot say, and no policy. One header for each subject.
#ifndef MP_CMULTIPROCESSING_H
#define MP_CMULTIPROCESSING_H

#include "mp_affinity.h"
#include "mp_barrier.h"
#include "mp_forkserver.h"
#include "mp_image.h"
#include "mp_memory.h"
#include "mp_numa.h"
#include "mp_probes.h"
#include "mp_process.h"
#include "mp_runtime.h"
#include "mp_socket.h"
#include "mp_sync.h"
#include "mp_ticks.h"
#include "mp_timer.h"

#endif
