#include "cb_payload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cb_clock.h"
#include "crew_orders.h"

#define CONTENT 7

void cb_carry_fill(char *bytes, const order *order) {
    // Made by the first order, and kept: making it is not what is measured. A process of one thread.
    static char *own;
    if (!own) {
        own = malloc(CB_PAYLOAD_MOST);
        if (!own) _exit(4);
        memset(own, CONTENT, CB_PAYLOAD_MOST);
    }
    memcpy(bytes, own, order->operations);
}

// A byte of every page, and the last.
static int as_sent(const char *bytes, size_t size) {
    int wrong = 0;
    for (size_t i = 0; i < size; i += 4096) wrong |= ((const volatile char *)bytes)[i] ^ CONTENT;
    return !(wrong | (bytes[size - 1] ^ CONTENT));
}

int cb_crew_payload(cb_crew *crew, size_t size, int copy_out, uint64_t *length) {
    if (size < 1 || size > CB_PAYLOAD_MOST) {
        errno = EINVAL;
        return -1;
    }
    // Or the bytes of the order before would do.
    crew->bytes[size - 1] = 0;
    cb_share share;
    uint64_t began = cb_now();
    if (cb_crew_post(crew, (order){.kind = ORDER_FILL, .members = 1, .operations = size}) != 0) return -1;
    if (cb_crew_await(crew, &share) != 0) return -1;
    int good;
    if (copy_out) {
        char *copy = malloc(size);
        if (!copy) return -1;
        memcpy(copy, crew->bytes, size);
        // Without this the compiler may see that nobody needs the copy.
        __asm__ volatile("" : : "r"(copy) : "memory");
        good = as_sent(copy, size);
        free(copy);
    } else {
        good = as_sent(crew->bytes, size);
    }
    *length = cb_now() - began;
    if (good) return 0;
    errno = EILSEQ;
    return -1;
}
