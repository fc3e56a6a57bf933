// The fork server, from start to end of a worker. The host's part is in Sources/WorkerSupervision/README.md, "A worker's life".
//
//   host        server                                 worker
//   start ────▶ exec of the host's image, taken over
//               before main; maps the arena,
//         ◀──── READY, rehearses
//   LEARN ────▶ remembers a function
//   FORK  ────▶ fork ────────────────────────────────▶ is to die with the server; waits at its launch, if that is
//         ◀──── STARTED, with a pidfd                  open: warms up, sleeps on the launch's first word
//   launch given, by a write and a futex wake ───────▶ takes the launch, runs it in Swift, ends by _exit
//         ◀──── ENDED, once reaped                     (withdrawn: ends)
//
// Whatever is said about a worker carries its tag. A worker that waits ignores what Ctrl-C and its like send to all of the terminal's foreground; what comes
// after the launch was given is kept for it, and acts as it would on any process: not a signal is lost on the way.
#include "mp_forkserver.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mp_memory.h"
#include "mp_process.h"
#include "mp_sync.h"

// Descriptors of a taken-over image: fixed, because they must survive exec.
enum { SOCKET_FD = 3, ARENA_FD = 4 };
// How often an image is started anew when something sits where the arena must be: every start draws another address-space layout.
enum { MAP_ATTEMPTS = 16 };
// How often a process is tried to be made when there is no place for one, at intervals of a millisecond.
enum { PLACE_ATTEMPTS = 10 };

#define SERVER_VARIABLE "MP_FORK_SERVER"
#define WORKER_VARIABLE "MP_SPAWNED_WORKER"

static struct mp_arena arena = {0, 0, -1};
static char **saved_argv;

struct mp_arena mp_arena_get(void) {
    return arena;
}

void mp_arena_set(struct mp_arena new_arena) {
    arena = new_arena;
}

// What a taken-over image is told through its environment.
struct takeover {
    pid_t parent;
    uintptr_t base;
    size_t length;
    uint64_t launch;  // of a spawned worker
    uint32_t attempt;
};

static void print_takeover(char *text, size_t capacity, const char *variable, const struct takeover *t) {
    snprintf(text, capacity, "%s=%d:%llx:%llx:%llx:%x", variable, (int)t->parent, (unsigned long long)t->base,
             (unsigned long long)t->length, (unsigned long long)t->launch, t->attempt);
}

static int parse_takeover(const char *text, struct takeover *t) {
    unsigned long long base, length, launch;
    int parent;
    if (sscanf(text, "%d:%llx:%llx:%llx:%x", &parent, &base, &length, &launch, &t->attempt) != 5) return 0;
    t->parent = parent;
    t->base = (uintptr_t)base;
    t->length = (size_t)length;
    t->launch = launch;
    return 1;
}

// The calling image's path: /proc/self/exe survives a rename or removal of the file; where there is no /proc, the path it was started by.
static const char *own_image(void) {
    if (access("/proc/self/exe", X_OK) == 0) return "/proc/self/exe";
    const char *started = (const char *)getauxval(AT_EXECFN);
    return started != NULL ? started : saved_argv[0];
}

// The environment with `assignment` in place of what `variable` says. Only the array is new.
static char **environment_with(const char *variable, char *assignment) {
    size_t count = 0, length = strlen(variable), kept = 0;
    while (environ[count] != NULL) count++;
    char **copy = malloc((count + 2) * sizeof *copy);
    if (copy == NULL) return NULL;
    for (size_t i = 0; i < count; i++)
        if (strncmp(environ[i], variable, length) != 0 || environ[i][length] != '=') copy[kept++] = environ[i];
    copy[kept++] = assignment;
    copy[kept] = NULL;
    return copy;
}

// Maps the arena where the family has it. An image in whose way something lies starts itself anew, and does not return.
static int map_arena(const char *variable, struct takeover t) {
    int error = mp_memory_map(ARENA_FD, t.base, t.length);
    if (error == -EEXIST && t.attempt < MAP_ATTEMPTS) {
        t.attempt++;
        char text[160];
        print_takeover(text, sizeof text, variable, &t);
        char **environment = environment_with(variable, text);
        if (environment != NULL) execve(own_image(), saved_argv, environment);
    }
    if (error == 0) {
        fcntl(ARENA_FD, F_SETFD, FD_CLOEXEC);
        mp_arena_set((struct mp_arena){t.base, t.length, ARENA_FD});
    }
    return error;
}

// MARK: The worker's side

// What Ctrl-C and its like send to everybody in the terminal's foreground.
static const int group_signals[] = {SIGINT, SIGQUIT, SIGHUP, SIGTERM, SIGTSTP};
enum { GROUP_SIGNALS = sizeof group_signals / sizeof *group_signals };

static struct mp_launch *waited_for;
static volatile sig_atomic_t arrived[NSIG];

// In a worker that waits: a signal is meant for it only once it has been given something to do, and then it acts as soon as it can.
static void note_signal(int signal) {
    if (__atomic_load_n(&waited_for->state, __ATOMIC_SEQ_CST) != MP_LAUNCH_OPEN) arrived[signal] = 1;
}

// Called with all signals blocked. Returns with all signals blocked, when there is something to do.
static void wait_for_launch(struct mp_launch *launch, uint64_t offset, bool is_spare) {
    waited_for = launch;
    for (size_t i = 0; i < GROUP_SIGNALS; i++) signal(group_signals[i], note_signal);
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    mp_process_name("mp-spare");
    if (is_spare && mp_worker_warm_up != NULL) mp_worker_warm_up(offset);
    __atomic_store_n(&launch->ready, 1, __ATOMIC_RELEASE);
    while (__atomic_load_n(&launch->state, __ATOMIC_ACQUIRE) == MP_LAUNCH_OPEN) mp_futex_wait(&launch->state, MP_LAUNCH_OPEN, -1);
    sigprocmask(SIG_SETMASK, &all, NULL);
}

// Of the server's dispositions, only those of the signals that it ignores are not the default.
static _Noreturn void run_worker(uint64_t offset, bool is_spare) {
    struct mp_launch *launch = (struct mp_launch *)(arena.base + offset);
    if (__atomic_load_n(&launch->state, __ATOMIC_ACQUIRE) == MP_LAUNCH_OPEN) wait_for_launch(launch, offset, is_spare);
    uint32_t given = MP_LAUNCH_GIVEN;
    if (!__atomic_compare_exchange_n(&launch->state, &given, MP_LAUNCH_TAKEN, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) _exit(0);
    mp_process_is_served();
    mp_process_name("mp-worker");
    for (size_t i = 0; i < GROUP_SIGNALS; i++) signal(group_signals[i], SIG_DFL);
    if (launch->flags & MP_LAUNCH_IGNORES_INTERRUPT) mp_signals_ignore_interrupt();
    mp_signals_unblock();
    for (size_t i = 0; i < GROUP_SIGNALS; i++)
        if (arrived[group_signals[i]]) raise(group_signals[i]);
    if (mp_worker_main != NULL) mp_worker_main(offset);
    _exit(127);
}

// MARK: The server's side

struct child {
    pid_t pid;
    uint64_t tag;
};
static struct child *children;
static size_t child_count, child_capacity;

static int remember(pid_t pid, uint64_t tag) {
    if (child_count == child_capacity) {
        size_t capacity = child_capacity == 0 ? 64 : child_capacity * 2;
        struct child *more = realloc(children, capacity * sizeof *more);
        if (more == NULL) return -ENOMEM;
        children = more;
        child_capacity = capacity;
    }
    children[child_count++] = (struct child){pid, tag};
    return 0;
}

static _Noreturn void end_server(void) {
    // Not reaped yet, so these pids are still theirs.
    for (size_t i = 0; i < child_count; i++) kill(children[i].pid, SIGKILL);
    // Their caretakers too (ending.c), which end by themselves.
    mp_caretakers_hurry();
    while (waitpid(-1, NULL, 0) > 0 || errno == EINTR) {}
    _exit(0);
}

static void send_reply(const struct mp_reply *reply, int pidfd) {
    struct iovec part = {(void *)(uintptr_t)reply, sizeof *reply};
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (pidfd >= 0) {
        message.msg_control = &control;
        message.msg_controllen = sizeof control;
        control.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.header), &pidfd, sizeof pidfd);
    }
    while (sendmsg(SOCKET_FD, &message, MSG_NOSIGNAL) < 0)
        if (errno != EINTR) end_server();
}

// The image of a spawned worker, from the child that the server has forked for it.
static _Noreturn void exec_worker(const struct mp_request *request, pid_t server) {
    struct takeover t = {server, arena.base, arena.length, request->launch, 0};
    char text[160];
    print_takeover(text, sizeof text, WORKER_VARIABLE, &t);
    char **environment = environment_with(WORKER_VARIABLE, text);
    fcntl(ARENA_FD, F_SETFD, 0);
    if (environment != NULL) execve(own_image(), saved_argv, environment);
    _exit(127);
}

// Reports all workers that have ended, and buries their caretakers (ending.c). Returns how many processes there were.
static int reap_workers(void) {
    for (int reaped = 0;; reaped++) {
        siginfo_t info = {.si_pid = 0};
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG) != 0 || info.si_pid == 0) return reaped;
        for (size_t i = 0; i < child_count; i++) {
            if (children[i].pid != info.si_pid) continue;
            struct mp_reply reply = {.kind = MP_REPLY_ENDED, .tag = children[i].tag, .pid = info.si_pid,
                                     .exited = info.si_code == CLD_EXITED, .code = info.si_status};
            children[i] = children[--child_count];
            send_reply(&reply, -1);
            break;
        }
    }
}

static void start_worker(const struct mp_request *request, int signals) {
    struct mp_reply reply = {.kind = MP_REPLY_STARTED, .tag = request->tag};
    // A signal that comes before the worker's own dispositions are in place must wait: the server's would discard it.
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    pid_t server = getpid(), pid = fork();
    if (pid < 0) reply.error = errno;
    // Whoever knows of a process's end may count on its place, though it has not been reaped yet, or its caretaker has not come to an end.
    for (int i = 0; pid < 0 && reply.error == EAGAIN && i < PLACE_ATTEMPTS; i++) {
        if (reap_workers() == 0) poll(NULL, 0, 1);
        if ((pid = fork()) < 0) reply.error = errno; else reply.error = 0;
    }
    if (pid != 0) sigprocmask(SIG_SETMASK, &before, NULL);
    if (pid == 0) {
        mp_die_with_parent(server);
        mp_thread_number_renew(server);
        close(SOCKET_FD);
        close(signals);
        if (request->kind == MP_REQUEST_EXEC) exec_worker(request, server);
        run_worker(request->launch, request->flags & MP_REQUEST_SPARE);
    }
    int pidfd = -1;
    if (pid > 0) {
        pidfd = mp_pidfd_open(pid);
        reply.error = pidfd < 0 ? -pidfd : -remember(pid, request->tag);
        reply.pid = pid;
        if (reply.error != 0) {  // a worker that cannot be watched must not run
            kill(pid, SIGKILL);
            waitpid(pid, NULL, 0);
            if (pidfd >= 0) close(pidfd);
            pidfd = -1;
        }
    }
    send_reply(&reply, pidfd);
    if (pidfd >= 0) close(pidfd);
}

static void kill_worker(uint64_t tag) {
    // Not reaped yet, or it would not be listed.
    for (size_t i = 0; i < child_count; i++)
        if (children[i].tag == tag) kill(children[i].pid, SIGKILL);
}

// A function that cannot be made does no harm here: whoever needs it says so.
static void learn(const struct mp_request *request) {
    if (mp_worker_learn != NULL) mp_worker_learn(request->launch, request->tag);
}

static int server_main(int argc, char **argv, char **envp) {
    (void)argc, (void)argv, (void)envp;
    struct takeover t;
    const char *text = getenv(SERVER_VARIABLE);
    if (text == NULL || !parse_takeover(text, &t)) _exit(127);
    mp_die_with_parent(t.parent);
    mp_signals_default();
    mp_signals_unblock();
    // Ctrl-C and its like reach the whole foreground group: the host decides what they mean, and the server ends with the host.
    for (size_t i = 0; i < GROUP_SIGNALS; i++) signal(group_signals[i], SIG_IGN);
    mp_process_name("mp-forkserver");

    struct mp_reply ready = {.kind = MP_REPLY_READY};
    ready.error = -map_arena(SERVER_VARIABLE, t);  // may start the image anew, so the socket closes on exec only from here on
    fcntl(SOCKET_FD, F_SETFD, FD_CLOEXEC);
    unsetenv(SERVER_VARIABLE);
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    int signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals < 0 && ready.error == 0) ready.error = errno;
    send_reply(&ready, -1);
    if (ready.error != 0) _exit(1);
    if (mp_worker_rehearse != NULL) mp_worker_rehearse();
    mp_process_rehearse_end();

    struct pollfd watched[] = {{.fd = SOCKET_FD, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
    for (;;) {
        if (poll(watched, 2, -1) < 0) continue;
        if (watched[1].revents != 0) {
            struct signalfd_siginfo drained[8];
            while (read(signals, drained, sizeof drained) > 0) {}
            reap_workers();
        }
        if (watched[0].revents != 0) {
            struct mp_request request;
            ssize_t n = recv(SOCKET_FD, &request, sizeof request, 0);
            if (n == sizeof request && request.kind == MP_REQUEST_KILL) kill_worker(request.tag);
            else if (n == sizeof request && request.kind == MP_REQUEST_LEARN) learn(&request);
            else if (n == sizeof request) start_worker(&request, signals);
            else if (n >= 0 || errno != EINTR) end_server();
        }
    }
}

static int spawned_worker_main(int argc, char **argv, char **envp) {
    (void)argc, (void)argv, (void)envp;
    struct takeover t;
    const char *text = getenv(WORKER_VARIABLE);
    if (text == NULL || !parse_takeover(text, &t)) _exit(127);
    mp_die_with_parent(t.parent);
    if (map_arena(WORKER_VARIABLE, t) != 0) _exit(126);
    unsetenv(WORKER_VARIABLE);
    mp_signals_default();
    run_worker(t.launch, false);
}

// MARK: The host's side

int mp_server_start(int *pidfd) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return -errno;
    // Out of the way of the fixed numbers they are given in the new image.
    int socket = fcntl(ends[1], F_DUPFD_CLOEXEC, ARENA_FD + 1);
    int memory = fcntl(arena.fd, F_DUPFD_CLOEXEC, ARENA_FD + 1);
    // EINVAL: the limit on descriptors does not even reach these numbers.
    int error = socket >= 0 && memory >= 0 ? 0 : errno == EINVAL ? EMFILE : errno;
    close(ends[1]);

    struct takeover t = {getpid(), arena.base, arena.length, 0, 0};
    char text[160];
    print_takeover(text, sizeof text, SERVER_VARIABLE, &t);
    char **environment = environment_with(SERVER_VARIABLE, text);
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_adddup2(&files, socket, SOCKET_FD);
    posix_spawn_file_actions_adddup2(&files, memory, ARENA_FD);
    posix_spawn_file_actions_addclosefrom_np(&files, ARENA_FD + 1);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

    pid_t pid = 0;
    if (error == 0 && environment == NULL) error = ENOMEM;
    if (error == 0) error = posix_spawn(&pid, own_image(), &files, &attributes, saved_argv, environment);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    free(environment);
    if (socket >= 0) close(socket);
    if (memory >= 0) close(memory);
    if (error == 0 && (*pidfd = mp_pidfd_open(pid)) < 0) {
        error = -*pidfd;
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    if (error != 0) {
        close(ends[0]);
        return -error;
    }
    return ends[0];
}

int mp_server_request(int socket, const struct mp_request *request) {
    while (send(socket, request, sizeof *request, MSG_NOSIGNAL) < 0)
        if (errno != EINTR) return -errno;
    return 0;
}

int mp_server_receive(int socket, struct mp_reply *reply, int *pidfd) {
    struct iovec part = {reply, sizeof *reply};
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t n;
    while ((n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR) {}
    if (n < 0) return errno == ECONNRESET ? 0 : -errno;
    *pidfd = -1;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header != NULL && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
        memcpy(pidfd, CMSG_DATA(header), sizeof *pidfd);
    if (n == 0) return 0;
    return n == sizeof *reply ? 1 : -EPROTO;
}

// MARK: Taking over

typedef int main_function(int, char **, char **);
typedef int start_function(main_function *, int, char **, void (*)(void), void (*)(void), void (*)(void), void *);

/// Every program's entry code calls this to run its main. Defined here, it comes before the C library's, and hands on to it, with another main where this
/// start of the image is a fork server's or a spawned worker's. Unlike a constructor, it runs main after all initialisers, those of C++ included.
int __libc_start_main(main_function *main, int argc, char **argv, void (*init)(void), void (*fini)(void), void (*rtld_fini)(void), void *stack_end);

int __libc_start_main(main_function *main, int argc, char **argv, void (*init)(void), void (*fini)(void), void (*rtld_fini)(void), void *stack_end) {
    saved_argv = argv;
    for (char **variable = argv + argc + 1; *variable != NULL; variable++) {
        if (strncmp(*variable, SERVER_VARIABLE "=", sizeof SERVER_VARIABLE) == 0) main = server_main;
        if (strncmp(*variable, WORKER_VARIABLE "=", sizeof WORKER_VARIABLE) == 0) main = spawned_worker_main;
    }
    start_function *next = (start_function *)dlsym(RTLD_NEXT, "__libc_start_main");
    if (next == NULL) abort();
    return next(main, argc, argv, init, fini, rtld_fini, stack_end);
}
