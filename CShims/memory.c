#include "mp_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

bool mp_file_size_allowed(size_t length) {
    struct rlimit limit;
    return getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY || length <= limit.rlim_cur;
}

int mp_memory_create(const char *label, size_t length) {
    if (!mp_file_size_allowed(length)) return -EFBIG;
    int fd = memfd_create(label, MFD_CLOEXEC);
    if (fd < 0) return -errno;
    if (ftruncate(fd, (off_t)length) != 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

int mp_memory_map(int fd, uintptr_t address, size_t length) {
    void *wanted = (void *)address;
    void *got = mmap(wanted, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | MAP_FIXED_NOREPLACE, fd, 0);
    if (got == MAP_FAILED) return -errno;
    if (got != wanted) {  // a kernel that does not know MAP_FIXED_NOREPLACE takes the address as a hint
        munmap(got, length);
        return -EEXIST;
    }
    return 0;
}

int mp_memory_commit(int fd, size_t offset, size_t length) {
    // Many kernels give up, and back what was taken, at any signal: with a timer that is faster than they are, for ever.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error;
    do {
        error = fallocate(fd, 0, (off_t)offset, (off_t)length) == 0 ? 0 : errno;
    } while (error == EINTR);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -error;
}

uint64_t mp_memory_physical(void) {
    return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}
