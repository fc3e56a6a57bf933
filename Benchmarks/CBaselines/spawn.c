#include "cb_spawn.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cb_clock.h"
#include "crew_orders.h"

static void reap(pid_t child) {
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {}
}

uint64_t cb_carry_fork(const order *order) {
    for (uint64_t done = 0; done < order->operations; done++) {
        pid_t child = fork();
        if (child == 0) _exit(0);
        if (child < 0) return done;
        reap(child);
    }
    return order->operations;
}

// A worker that has nothing to do, ever.
static pid_t start_worker(nest *nest) {
    pid_t child = fork();
    if (child != 0) return child;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    __atomic_store_n(&nest->ready, (uint32_t)getpid(), __ATOMIC_SEQ_CST);
    cb_futex(&nest->ready, FUTEX_WAKE, 1, NULL);
    for (;;) cb_futex(&nest->request, FUTEX_WAIT, 0, NULL);
}

static void wait_until_ready(nest *nest, pid_t child) {
    uint32_t seen;
    while ((seen = __atomic_load_n(&nest->ready, __ATOMIC_SEQ_CST)) != (uint32_t)child) cb_futex(&nest->ready, FUTEX_WAIT, seen, NULL);
}

uint64_t cb_carry_refork(nest *nest, const order *order, uint64_t *length) {
    *length = 0;
    pid_t worker = start_worker(nest);
    if (worker < 0) return 0;
    wait_until_ready(nest, worker);
    uint64_t done = 0;
    while (done < order->operations) {
        // Untimed: the worker falls asleep, as one that a pool has had for a while.
        cb_sleep_until(cb_now() + 1000000);
        int descriptor = (int)syscall(SYS_pidfd_open, worker, 0);
        if (descriptor < 0) break;
        uint64_t began = cb_now();
        kill(worker, SIGKILL);
        struct pollfd end = {descriptor, POLLIN, 0};
        while (poll(&end, 1, -1) < 0 && errno == EINTR) {}
        reap(worker);
        worker = start_worker(nest);
        if (worker > 0) wait_until_ready(nest, worker);
        *length += cb_now() - began;
        close(descriptor);
        if (worker < 0) return done;
        done++;
    }
    kill(worker, SIGKILL);
    reap(worker);
    return done;
}

static int carried(cb_crew *crew, order_kind kind, uint64_t times, uint64_t *length) {
    cb_share share;
    if (cb_crew_post(crew, (order){.kind = kind, .members = 1, .operations = times}) != 0) return -1;
    if (cb_crew_await(crew, &share) != 0) return -1;
    *length = share.ended - share.began;
    if (share.operations == times) return 0;
    errno = EAGAIN;
    return -1;
}

int cb_crew_fork(cb_crew *crew, uint64_t times, uint64_t *length) { return carried(crew, ORDER_FORK, times, length); }

int cb_crew_refork(cb_crew *crew, uint64_t times, uint64_t *length) { return carried(crew, ORDER_REFORK, times, length); }
