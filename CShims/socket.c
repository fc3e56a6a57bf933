#include "mp_socket.h"

#include "mp_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

int mp_socket_pair(int *first, int *second) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return -errno;
    // What Linux has by default, which it doubles, but whatever the administrator has set: a message of 64 KiB has to fit. A failure leaves what was set.
    int bytes = 106496;
    for (int i = 0; i < 2; i++) setsockopt(ends[i], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    *first = ends[0];
    *second = ends[1];
    return 0;
}

// An abstract name begins with a zero byte, and its length counts.
static socklen_t make_address(struct sockaddr_un *address, const char *name, size_t length) {
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    if (length > MP_SOCKET_MOST_NAME) return 0;
    memcpy(address->sun_path + 1, name, length);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length);
}

typedef int use_address(int, const struct sockaddr *, socklen_t);

static int named_socket(int type, const char *name, size_t length, use_address *use) {
    struct sockaddr_un address;
    socklen_t size = make_address(&address, name, length);
    if (size == 0) return -ENAMETOOLONG;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | type, 0);
    if (fd < 0) return -errno;
    while (use(fd, (const struct sockaddr *)&address, size) != 0) {
        if (errno == EINTR) continue;
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

int mp_socket_bind(const char *name, size_t length) {
    return named_socket(SOCK_NONBLOCK, name, length, bind);
}

int mp_socket_listen(int socket) {
    return listen(socket, SOMAXCONN) != 0 ? -errno : 0;
}

int mp_socket_connect(const char *name, size_t length) {
    return named_socket(0, name, length, connect);
}

int mp_socket_accept(int listener) {
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0) return fd;
        if (errno != EINTR && errno != ECONNABORTED) return -errno;
    }
}

int mp_socket_peer(int socket, uid_t *user, pid_t *process) {
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return -errno;
    *user = peer.uid;
    *process = peer.pid;
    return 0;
}

// Aligned as a cmsghdr has to be.
union control {
    struct cmsghdr header;
    char room[CMSG_SPACE(sizeof(int) * MP_SOCKET_MOST_DESCRIPTORS)];
};

int mp_socket_send(
    int socket, const void *head, size_t head_length, const void *body, size_t body_length, size_t padding, const int *descriptors, size_t count) {
    static const char nothing[64 << 10];
    if (padding > sizeof nothing || count > MP_SOCKET_MOST_DESCRIPTORS) return -EINVAL;
    struct iovec parts[3] = {{(void *)(uintptr_t)head, head_length}, {(void *)(uintptr_t)body, body_length}, {(void *)(uintptr_t)nothing, padding}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 3};
    union control control;
    if (count > 0) {
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int) * count);
        memcpy(CMSG_DATA(header), descriptors, sizeof(int) * count);
    }
    while (sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        if (errno != EINTR) return -errno;
    return 0;
}

ssize_t mp_socket_receive(int socket, void *memory, size_t capacity, int *descriptors, size_t *count) {
    struct iovec part = {memory, capacity};
    union control control;
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    size_t room = *count;
    *count = 0;
    ssize_t length;
    for (;;) {
        length = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
        if (length >= 0) break;
        // The other end was closed with messages of this one unread, which is said once: what it has sent can be received all the same.
        if (errno != EINTR && errno != ECONNRESET) return -errno;
        message.msg_controllen = sizeof control;
    }
    bool is_complete = (message.msg_flags & MSG_CTRUNC) == 0;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header != NULL; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
        size_t n = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof fd);
            if (*count < room) {
                descriptors[(*count)++] = fd;
            } else {
                close(fd);
                is_complete = false;
            }
        }
    }
    if (is_complete) return length;
    while (*count > 0) close(descriptors[--*count]);
    return -EMFILE;
}

int mp_socket_wait(int socket, bool to_write, int bell, int milliseconds) {
    struct pollfd watched[2] = {{.fd = socket, .events = to_write ? POLLOUT : POLLIN}, {.fd = bell, .events = POLLIN}};
    int n = poll(watched, 2, milliseconds);
    if (n < 0) return -errno;
    return (watched[0].revents != 0 ? 1 : 0) | (watched[1].revents != 0 ? 2 : 0);
}

int mp_sealed_create(const char *label, size_t length) {
    int fd = memfd_create(label, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) return -errno;
    int error = mp_sealed_resize(fd, length);
    if (error == 0) return fd;
    close(fd);
    return error;
}

int mp_sealed_resize(int fd, size_t length) {
    struct stat file;
    if (fstat(fd, &file) != 0) return -errno;
    if ((size_t)file.st_size < length && !mp_file_size_allowed(length)) return -EFBIG;
    if ((size_t)file.st_size >= length) return ftruncate(fd, (off_t)length) != 0 ? -errno : 0;
    // Taken now, so that a lack of memory is an error here and no SIGBUS later. An attempt that fails gives back what it had taken.
    return mp_memory_commit(fd, (size_t)file.st_size, length - (size_t)file.st_size);
}

int mp_sealed_fix(int fd) {
    return fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0 ? -errno : 0;
}

int64_t mp_sealed_length(int fd) {
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0) return -errno;
    if ((seals & (F_SEAL_SHRINK | F_SEAL_GROW)) != (F_SEAL_SHRINK | F_SEAL_GROW)) return -EPERM;
    struct stat file;
    return fstat(fd, &file) != 0 ? -errno : file.st_size;
}
