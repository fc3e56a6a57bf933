// Local sockets that keep messages apart (AF_UNIX, SOCK_SEQPACKET) and carry descriptors, and sealed memory to go with them: what is made of macros in C.
// Every function returns a negative errno value on failure. All descriptors are close-on-exec.
#ifndef MP_SOCKET_H
#define MP_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/// The most descriptors that the kernel lets one message carry.
enum { MP_SOCKET_MOST_DESCRIPTORS = 253 };

/// Two sockets that are connected to each other.
int mp_socket_pair(int *first, int *second);

/// An abstract name, which is no file: the kernel keeps it until its last holder closes or dies. `length` bytes, at most MP_SOCKET_MOST_NAME.
enum { MP_SOCKET_MOST_NAME = 107 };
/// Claims a name: -EADDRINUSE when somebody has it. Connections are refused until mp_socket_listen.
int mp_socket_bind(const char *name, size_t length);
int mp_socket_listen(int socket);
/// -ECONNREFUSED: nobody has the name, or does not listen yet.
int mp_socket_connect(const char *name, size_t length);
/// The next who has connected, or -EAGAIN. (The listening socket does not block; the new one does.)
int mp_socket_accept(int listener);
/// Who is at the other end: as it was when it connected, or began to listen.
int mp_socket_peer(int socket, uid_t *user, pid_t *process);

/// Sends one message, whole or not at all: two parts, `padding` bytes that say nothing, and copies of `count` descriptors. Does not block, raises no SIGPIPE.
/// -EAGAIN: there is no room. -EPIPE: nobody is left at the other end.
int mp_socket_send(
    int socket, const void *head, size_t head_length, const void *body, size_t body_length, size_t padding, const int *descriptors, size_t count);

/// Takes the next message. Does not block: -EAGAIN where there is none. `*count` says how many descriptors there is room for, then how many came.
/// Returns the length; 0 when the other end is closed and all has been received. What does not fit in `capacity` is dropped.
/// -EMFILE: this process had no descriptors left for those of the message, which is lost.
ssize_t mp_socket_receive(int socket, void *memory, size_t capacity, int *descriptors, size_t *count);

/// Waits until `socket` can be read from (or written to), or `bell` (-1: none) can be read from, or somebody hangs up.
/// Returns 0 when `milliseconds` (-1: for ever) have passed, bit 0 for the socket, bit 1 for the bell, or -EINTR.
int mp_socket_wait(int socket, bool to_write, int bell, int milliseconds);

/// An anonymous file of `length` bytes, with memory behind all of them.
int mp_sealed_create(const char *label, size_t length);
/// Changes its size, while it is not sealed.
int mp_sealed_resize(int fd, size_t length);
/// From here on nobody can change its size.
int mp_sealed_fix(int fd);
/// Its size in bytes if that is fixed, else -EPERM.
int64_t mp_sealed_length(int fd);

#endif
