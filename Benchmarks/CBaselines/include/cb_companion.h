// A program that runs beside this one and is spoken to over a socket: the interpreter of another language, with that language's pools.
#ifndef CB_COMPANION_H
#define CB_COMPANION_H

#include <sys/types.h>

// Starts `arguments` (the program, looked for in PATH, first; NULL last) in a process group of its own, with one end of a socket as its
// standard input and output. It is sent SIGUSR1 when the thread that called this ends. Returns our end and sets *process, or -1 with errno.
// A program that there is not shows as one that ends with 127.
int cb_companion_start(char *const arguments[], pid_t *process);

// Kills the whole group, reaps the process and closes the socket. Returns how it had ended, as waitpid does; SIGKILL if it had not.
int cb_companion_stop(int socket, pid_t process);

// Sends all bytes. Returns 0, or -1 with errno: EPIPE, without a signal, when the program is gone.
int cb_companion_send(int socket, const char *bytes, size_t size);

// Waits at most `timeout` ms for bytes and reads them. Returns how many came, 0 when the program is gone, -1 with errno: ETIMEDOUT.
ssize_t cb_companion_receive(int socket, char *bytes, size_t size, int timeout);

#endif
