#include "cb_companion.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

int cb_companion_start(char *const arguments[], pid_t *process) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return -1;
    pid_t maker = getpid();
    pid_t child = fork();
    if (child == 0) {
        // Its children are in the group too, so that one signal ends them all; and Ctrl-C, meant for us, does not reach it.
        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGUSR1);
        if (getppid() != maker) _exit(0);
        if (dup2(ends[1], 0) == 0 && dup2(ends[1], 1) == 1) execvp(arguments[0], arguments);
        _exit(127);
    }
    int error = errno;
    close(ends[1]);
    if (child < 0) {
        close(ends[0]);
        errno = error;
        return -1;
    }
    setpgid(child, child);  // here too: whoever comes first
    *process = child;
    return ends[0];
}

int cb_companion_stop(int socket, pid_t process) {
    // While the process is not reaped its number, and so the group's, belongs to nobody else.
    kill(-process, SIGKILL);
    int status = 0;
    while (waitpid(process, &status, 0) < 0 && errno == EINTR) {}
    close(socket);
    return status;
}

int cb_companion_send(int socket, const char *bytes, size_t size) {
    while (size > 0) {
        ssize_t sent = send(socket, bytes, size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0) return -1;
        bytes += sent;
        size -= (size_t)sent;
    }
    return 0;
}

ssize_t cb_companion_receive(int socket, char *bytes, size_t size, int timeout) {
    struct pollfd waiting = {socket, POLLIN, 0};
    int ready;
    while ((ready = poll(&waiting, 1, timeout)) < 0 && errno == EINTR) {}
    if (ready == 0) errno = ETIMEDOUT;
    if (ready <= 0) return -1;
    ssize_t received;
    while ((received = recv(socket, bytes, size, 0)) < 0 && errno == EINTR) {}
    // What a program leaves behind that was killed with bytes unread.
    return received < 0 && errno == ECONNRESET ? 0 : received;
}
