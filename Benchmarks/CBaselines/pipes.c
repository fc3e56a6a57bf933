#include "cb_pipes.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cb_clock.h"
#include "crew_orders.h"

// 16,000 bytes under way: no more than a pipe holds, so that neither side can block the other.
#define MOST_UNDER_WAY 1000
#define READ_AT_ONCE 64

typedef struct message {
    uint64_t number, square;
} message;

struct cb_pipes {
    int tasks[2], results[2];  // of each the end to read from, then the end to write to
    int members;
    pid_t children[CB_CREW_MOST];
};

static void close_pipe(int *ends) {
    if (ends[0] >= 0) close(ends[0]);
    if (ends[1] >= 0) close(ends[1]);
}

static _Noreturn void live(int tasks, int results, int processor, pid_t maker) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != maker) _exit(0);
    // What is kept goes to 3 and 4; the maker's other descriptors must not stay open here.
    int from = fcntl(tasks, F_DUPFD, 5), to = fcntl(results, F_DUPFD, 5);
    if (from < 0 || to < 0 || dup2(from, 3) != 3 || dup2(to, 4) != 4) _exit(4);
    syscall(SYS_close_range, 5u, ~0u, 0u);
    cb_pin_self(processor);
    message message;
    // A pipe hands out whole messages: all of them are of one size, and smaller than what it writes at once.
    while (read(3, &message, sizeof message) == sizeof message) {
        message.square = message.number * message.number;
        if (write(4, &message, sizeof message) != sizeof message) _exit(4);
    }
    _exit(0);
}

cb_pipes *cb_pipes_start(const int *processors, int members) {
    if (members < 1 || members > CB_CREW_MOST) {
        errno = EINVAL;
        return NULL;
    }
    cb_pipes *pipes = calloc(1, sizeof *pipes);
    if (!pipes) return NULL;
    pipes->tasks[0] = pipes->tasks[1] = pipes->results[0] = pipes->results[1] = -1;
    int failed = pipe2(pipes->tasks, O_CLOEXEC) != 0 || pipe2(pipes->results, O_CLOEXEC) != 0;
    pid_t maker = getpid();
    for (int i = 0; !failed && i < members; i++) {
        pid_t child = fork();
        if (child == 0) live(pipes->tasks[0], pipes->results[1], processors[i], maker);
        if (child > 0) pipes->children[pipes->members++] = child;
        failed = child < 0;
    }
    if (failed) {
        int error = errno;
        cb_pipes_stop(pipes);
        errno = error;
        return NULL;
    }
    // Without them here, the end of the workers is the end of the results. The end to read tasks from stays: writing must fail by no signal.
    close(pipes->results[1]);
    pipes->results[1] = -1;
    return pipes;
}

void cb_pipes_stop(cb_pipes *pipes) {
    for (int i = 0; i < pipes->members; i++) kill(pipes->children[i], SIGKILL);
    for (int i = 0; i < pipes->members; i++)
        while (waitpid(pipes->children[i], NULL, 0) < 0 && errno == EINTR) {}
    close_pipe(pipes->tasks);
    close_pipe(pipes->results);
    free(pipes);
}

int cb_pipes_square(cb_pipes *pipes, uint64_t tasks, uint64_t *length, uint64_t *sum) {
    uint64_t sent = 0, received = 0, total = 0;
    message results[READ_AT_ONCE];
    uint64_t began = cb_now();
    while (received < tasks) {
        for (; sent < tasks && sent - received < MOST_UNDER_WAY; sent++) {
            message task = {sent, 0};
            if (write(pipes->tasks[1], &task, sizeof task) != sizeof task) return -1;
        }
        ssize_t size = read(pipes->results[0], results, sizeof results);
        if (size <= 0) {
            if (size == 0) errno = EPIPE;
            return -1;
        }
        uint64_t count = (uint64_t)size / sizeof(message);
        for (uint64_t i = 0; i < count; i++) total += results[i].square;
        received += count;
    }
    *length = cb_now() - began;
    *sum = total;
    return 0;
}
