// The fork server: the program's own image, started anew and taken over before its main, that forks workers on request.
//
// It stays single-threaded, and runs no code of the user's, so that what it forks is clean: no lock held by a thread that is not there, no state of the host's.
// What it runs of Swift is one rehearsal of what every worker does, and looking up functions, for the workers to inherit what the runtime has found
// (Rehearsal.swift): alone in its process, without threads or concurrency, never in the middle of a fork. It ends, and its workers with it, when the host's
// end of the socket closes or the host's thread that started it is gone.
#ifndef MP_FORKSERVER_H
#define MP_FORKSERVER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/// The arena as this process knows it: from `mp_arena_set` in a host, from its server in a worker. `base` 0: there is none.
struct mp_arena {
    uintptr_t base;
    size_t length;
    int32_t fd;
};
struct mp_arena mp_arena_get(void);
void mp_arena_set(struct mp_arena arena);

/// What a worker is to do lies at an offset of the arena, and begins with this. A worker can be there before it is known what for: it waits.
struct mp_launch {
    uint32_t state;  ///< an mp_launch_state, on which the worker sleeps
    uint32_t flags;  ///< written before `state` says so
    uint32_t ready;  ///< set by a worker that waits, once it has warmed up
};
enum mp_launch_state {
    MP_LAUNCH_OPEN = 0,       ///< the host has not said what to do: the worker waits
    MP_LAUNCH_GIVEN = 1,      ///< by the host: go
    MP_LAUNCH_TAKEN = 2,      ///< by the worker: it has begun. Its end is that of the work from here on
    MP_LAUNCH_WITHDRAWN = 3,  ///< by the host: not needed any more
};
enum { MP_LAUNCH_IGNORES_INTERRUPT = 1 };

enum mp_request_kind {
    MP_REQUEST_FORK = 1,  ///< a worker forked from the server
    MP_REQUEST_EXEC = 2,  ///< a worker that starts the image anew
    MP_REQUEST_KILL = 3,  ///< SIGKILL for the worker `tag`, by who can be sure of its pid
    MP_REQUEST_LEARN = 4, ///< workers forked later are to know the function that is described at `launch`, in `tag` bytes
};
enum { MP_REQUEST_SPARE = 1 };  ///< nobody waits for this worker yet: it has the time to rehearse

struct mp_request {
    uint32_t kind;
    uint32_t flags;
    uint64_t tag;     ///< comes back in every reply about this worker
    uint64_t launch;  ///< where its `struct mp_launch` lies in the arena; given to mp_worker_main
};

enum mp_reply_kind {
    MP_REPLY_READY = 1,    ///< the server is up (error 0) or cannot be (error)
    MP_REPLY_STARTED = 2,  ///< a worker runs: pid, and its pidfd beside the message; or error
    MP_REPLY_ENDED = 3,    ///< a worker has ended and been reaped
};

struct mp_reply {
    uint32_t kind;
    int32_t error;   ///< an errno value, or 0
    uint64_t tag;
    int32_t pid;
    int32_t exited;  ///< of MP_REPLY_ENDED: 1 exited, 0 killed by a signal
    int32_t code;    ///< the exit code or the signal
    int32_t unused;
};

/// Starts a fork server for the calling process and its arena. Returns the host's end of its socket, with the server's pidfd, or a negative errno value.
/// Call it from a thread that lives as long as the process: the server dies with that thread. The first reply is MP_REPLY_READY.
int mp_server_start(int *pidfd);
/// Sends a request. Any thread may. Returns 0, or a negative errno value (-EPIPE: the server is gone).
int mp_server_request(int socket, const struct mp_request *request);
/// Waits for the next reply; `pidfd` is -1 where none came with it. Returns 1, or 0 when the server is gone, or a negative errno value.
int mp_server_receive(int socket, struct mp_reply *reply, int *pidfd);

/// Where a worker begins; defined in Swift by the room WorkerSupervision. Weak, so that a program without that room links.
__attribute__((weak)) void mp_worker_main(uint64_t launch);
/// Defined there too: looks up what every worker needs and remembers it, in the server, for the workers to inherit; touches what it will need, in a
/// worker that waits; and remembers a function.
__attribute__((weak)) void mp_worker_rehearse(void);
__attribute__((weak)) void mp_worker_warm_up(uint64_t launch);
__attribute__((weak)) void mp_worker_learn(uint64_t function, uint64_t bytes);

#endif
