#include "cb_crew.h"

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cb_clock.h"
#include "cb_payload.h"
#include "crew_orders.h"
#include "mp_barrier.h"

long cb_futex(uint32_t *word, int operation, uint32_t value, const struct timespec *timeout) {
    return syscall(SYS_futex, word, operation, value, timeout, NULL, 0);
}

void cb_pin_self(int processor) {
    if (processor < 0) return;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)processor, &set);
    // A baseline on another processor than it claims would be no baseline.
    if (sched_setaffinity(0, sizeof set, &set) != 0) _exit(3);
}

static __attribute__((noinline)) long count_to(long limit) {
    long counter = 0;
    while (counter < limit) counter = mp_opaque(counter + 1);
    return counter;
}

static void carry_out(board *board, char *bytes, int member) {
    order order = board->order;
    cb_share share = {0};
    if (order.kind == ORDER_LOCK_TIMED) memset(board->members[member].waits, 0, sizeof board->members[member].waits);
    if (order.start) cb_sleep_until(order.start);
    share.began = cb_now();
    switch (order.kind) {
        case ORDER_COUNT:
            share.operations = (uint64_t)count_to((long)order.operations);
            break;
        case ORDER_LOCK_ALONE:
            cb_lock_increment(&board->lock, order.lock, &board->counter, order.operations, 0, 0);
            share.operations = order.operations;
            break;
        case ORDER_LOCK_CONTENDED:
            do {
                cb_lock_increment(&board->lock, order.lock, &board->counter, order.batch, order.inside, order.outside);
                share.operations += order.batch;
            } while (cb_now() < order.start + order.length);
            break;
        case ORDER_LOCK_TIMED:
            do {
                cb_lock_increment_timed(
                    &board->lock, order.lock, &board->counter, order.batch, order.inside, order.outside, board->members[member].waits);
                share.operations += order.batch;
            } while (cb_now() < order.start + order.length);
            break;
        case ORDER_PINGPONG:
            cb_carry_pingpong(board, &order);
            share.operations = order.operations;
            break;
        case ORDER_FILL:
            cb_carry_fill(bytes, &order);
            share.operations = order.operations;
            break;
        case ORDER_QUEUE:
            share.operations = cb_carry_queue(&board->queue, &order, member);
            break;
        case ORDER_FORK:
            share.operations = cb_carry_fork(&order);
            break;
        case ORDER_REFORK: {
            // Only parts of it are timed.
            uint64_t length;
            share.operations = cb_carry_refork(&board->nest, &order, &length);
            share.began = cb_now() - length;
            break;
        }
    }
    share.ended = cb_now();
    board->members[member].share = share;
}

static _Noreturn void live(board *board, char *bytes, int member, int processor, pid_t maker) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != maker) _exit(0);  // it died before the line above
    // The maker's sockets and pipes must not stay open in a process that knows nothing of them.
    syscall(SYS_close_range, 3u, ~0u, 0u);
    cb_pin_self(processor);
    uint32_t done = 0;
    for (;;) {
        uint32_t generation;
        while ((generation = __atomic_load_n(&board->generation, __ATOMIC_ACQUIRE)) == done)
            cb_futex(&board->generation, FUTEX_WAIT, done, NULL);
        done = generation;
        // Members that the order leaves out answer too: one that did not could wake late, into the middle of the next order.
        if (member < board->order.members) carry_out(board, bytes, member);
        if (__atomic_add_fetch(&board->finished, 1, __ATOMIC_ACQ_REL) == board->crew) cb_futex(&board->finished, FUTEX_WAKE, 1, NULL);
    }
}

static void unmap(cb_crew *crew) {
    if (crew->board != MAP_FAILED) munmap(crew->board, sizeof *crew->board);
    if (crew->bytes != MAP_FAILED) munmap(crew->bytes, CB_PAYLOAD_MOST);
}

cb_crew *cb_crew_start(const int *processors, int members) {
    if (members < 1 || members > CB_CREW_MOST) {
        errno = EINVAL;
        return NULL;
    }
    cb_crew *crew = calloc(1, sizeof *crew);
    if (!crew) return NULL;
    crew->board = mmap(NULL, sizeof *crew->board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    crew->bytes = mmap(NULL, CB_PAYLOAD_MOST, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (crew->board == MAP_FAILED || crew->bytes == MAP_FAILED) {
        int error = errno;
        unmap(crew);
        free(crew);
        errno = error;
        return NULL;
    }
    crew->board->crew = (uint32_t)members;
    pid_t maker = getpid();
    for (int i = 0; i < members; i++) {
        pid_t child = fork();
        if (child == 0) live(crew->board, crew->bytes, i, processors[i], maker);
        if (child < 0) {
            int error = errno;
            cb_crew_stop(crew);
            errno = error;
            return NULL;
        }
        crew->children[crew->members++] = child;
    }
    return crew;
}

void cb_crew_stop(cb_crew *crew) {
    for (int i = 0; i < crew->members; i++)
        if (crew->children[i] > 0) kill(crew->children[i], SIGKILL);
    for (int i = 0; i < crew->members; i++)
        while (crew->children[i] > 0 && waitpid(crew->children[i], NULL, 0) < 0 && errno == EINTR) {}
    unmap(crew);
    free(crew);
}

// Whether a member has ended, which none does by itself.
static int any_dead(cb_crew *crew) {
    int dead = 0;
    for (int i = 0; i < crew->members; i++) {
        if (crew->children[i] > 0 && waitpid(crew->children[i], NULL, WNOHANG) == crew->children[i]) crew->children[i] = 0;
        dead |= crew->children[i] == 0;
    }
    return dead;
}

int cb_crew_post(cb_crew *crew, order order) {
    if (order.members < 1 || order.members > crew->members) {
        errno = EINVAL;
        return -1;
    }
    board *board = crew->board;
    board->order = order;
    __atomic_store_n(&board->finished, 0, __ATOMIC_RELAXED);
    __atomic_add_fetch(&board->generation, 1, __ATOMIC_RELEASE);
    cb_futex(&board->generation, FUTEX_WAKE, INT32_MAX, NULL);
    return 0;
}

int cb_crew_await(cb_crew *crew, cb_share *shares) {
    board *board = crew->board;
    uint32_t finished;
    while ((finished = __atomic_load_n(&board->finished, __ATOMIC_ACQUIRE)) < board->crew) {
        // Wakes up now and then for the one case in which nobody would wake it.
        struct timespec while_long = {1, 0};
        if (cb_futex(&board->finished, FUTEX_WAIT, finished, &while_long) != 0 && errno == ETIMEDOUT && any_dead(crew)) {
            errno = ESRCH;
            return -1;
        }
    }
    for (int i = 0; i < board->order.members; i++) shares[i] = board->members[i].share;
    return 0;
}

static int give(cb_crew *crew, order order, cb_share *shares) {
    return cb_crew_post(crew, order) != 0 ? -1 : cb_crew_await(crew, shares);
}

// Counts what the members claim and compares it with what the lock guarded.
static int checked(cb_crew *crew, int members, const cb_share *shares) {
    uint64_t claimed = 0;
    for (int i = 0; i < members; i++) claimed += shares[i].operations;
    if (claimed == crew->board->counter) return 0;
    errno = EILSEQ;
    return -1;
}

static int fresh_lock(cb_crew *crew, cb_lock_kind kind) {
    crew->board->counter = 0;
    int error = cb_lock_init(&crew->board->lock, kind);
    if (error) errno = error;
    return error ? -1 : 0;
}

int cb_crew_count(cb_crew *crew, int members, long limit, cb_share *shares) {
    return give(crew, (order){.kind = ORDER_COUNT, .members = members, .operations = (uint64_t)limit}, shares);
}

int cb_crew_lock_alone(cb_crew *crew, cb_lock_kind kind, uint64_t operations, cb_share *share) {
    if (fresh_lock(crew, kind) != 0) return -1;
    order alone = {.kind = ORDER_LOCK_ALONE, .members = 1, .lock = kind, .operations = operations};
    return give(crew, alone, share) != 0 ? -1 : checked(crew, 1, share);
}

int cb_crew_lock_contended(
    cb_crew *crew, int members, cb_lock_kind kind, uint64_t start, uint64_t length, uint64_t batch, uint32_t inside, uint32_t outside,
    cb_share *shares) {
    if (fresh_lock(crew, kind) != 0) return -1;
    order contended = {
        .kind = ORDER_LOCK_CONTENDED, .members = members, .lock = kind, .start = start, .length = length, .batch = batch,
        .inside = inside, .outside = outside};
    return give(crew, contended, shares) != 0 ? -1 : checked(crew, members, shares);
}

int cb_crew_lock_timed(
    cb_crew *crew, int members, cb_lock_kind kind, uint64_t start, uint64_t length, uint64_t batch, uint32_t inside, uint32_t outside,
    cb_share *shares, uint64_t *waits) {
    if (fresh_lock(crew, kind) != 0) return -1;
    order timed = {
        .kind = ORDER_LOCK_TIMED, .members = members, .lock = kind, .start = start, .length = length, .batch = batch,
        .inside = inside, .outside = outside};
    if (give(crew, timed, shares) != 0 || checked(crew, members, shares) != 0) return -1;
    memset(waits, 0, CB_WAIT_BUCKETS * sizeof *waits);
    for (int i = 0; i < members; i++)
        for (int bucket = 0; bucket < CB_WAIT_BUCKETS; bucket++) waits[bucket] += crew->board->members[i].waits[bucket];
    return 0;
}
