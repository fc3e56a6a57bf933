// What the files of the crew share: the board on which orders are written, and the work that an order stands for. Not for Swift.
#ifndef CB_CREW_ORDERS_H
#define CB_CREW_ORDERS_H

#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "cb_crew.h"
#include "cb_pingpong.h"
#include "cb_queue.h"
#include "cb_waits.h"

typedef enum order_kind {
    ORDER_COUNT,
    ORDER_LOCK_ALONE,
    ORDER_LOCK_CONTENDED,
    ORDER_LOCK_TIMED,
    ORDER_PINGPONG,
    ORDER_FILL,
    ORDER_FORK,
    ORDER_REFORK,
    ORDER_QUEUE,
} order_kind;

typedef struct order {
    order_kind kind;
    int members;
    cb_lock_kind lock;
    cb_ball_kind ball;
    uint64_t operations;  // the limit of a count, or how often to do it
    uint64_t start, length, batch;
    int putters;  // the first of the members; the others get
    uint32_t inside, outside;  // turns of work under the lock, and between two holds
} order;

// One direction of a ping-pong: the number of the round, and whether who waits for it is asleep.
typedef struct ball {
    _Alignas(128) uint32_t round;
    _Alignas(128) uint32_t sleeping;
} ball;

// Where a member's own children, the workers that it kills and replaces, say that they are ready.
typedef struct nest {
    _Alignas(128) uint32_t ready;    // futex: the pid of the worker that is
    _Alignas(128) uint32_t request;  // futex: never comes
} nest;

typedef struct queue {
    _Alignas(128) pthread_mutex_t mutex;
    pthread_cond_t room, some;
    uint64_t put, taken, capacity;
    uint64_t sum;  // of what was taken out
    _Alignas(128) uint64_t words[CB_QUEUE_MOST];
} queue;

// One page range shared by the crew and its maker. What different processes write lies on lines of its own.
typedef struct board {
    _Alignas(128) uint32_t generation;  // futex: a new order is up
    _Alignas(128) uint32_t finished;    // futex: how many members are done with it
    _Alignas(128) order order;
    uint32_t crew;  // how many members there are
    cb_lock lock;
    _Alignas(128) volatile uint64_t counter;
    ball there, back;
    nest nest;
    queue queue;
    struct {
        _Alignas(128) cb_share share;
        uint64_t waits[CB_WAIT_BUCKETS];  // of an ORDER_LOCK_TIMED; no page of it is touched by others
    } members[CB_CREW_MOST];
} board;

struct cb_crew {
    board *board;
    char *bytes;  // CB_PAYLOAD_MOST of them, shared, no memory until they are touched
    int members;
    pid_t children[CB_CREW_MOST];
};

// No PRIVATE flag: these words are shared between processes. Returns as the system call does.
long cb_futex(uint32_t *word, int operation, uint32_t value, const struct timespec *timeout);

// Pins the calling process to a processor, and ends it if that cannot be; a negative one leaves it where it is.
void cb_pin_self(int processor);

// Puts an order up and wakes the crew; waits until every member is done with it. Both return 0, or -1 with errno.
int cb_crew_post(cb_crew *crew, order order);
int cb_crew_await(cb_crew *crew, cb_share *shares);

// The members' side of the orders.
void cb_carry_pingpong(board *board, const order *order);
uint64_t cb_carry_queue(queue *queue, const order *order, int member);  // how many words this member put or took out
void cb_carry_fill(char *bytes, const order *order);
uint64_t cb_carry_fork(const order *order);                       // how many children came and went
uint64_t cb_carry_refork(nest *nest, const order *order, uint64_t *length);  // likewise, and how long it took, in ns

#endif
