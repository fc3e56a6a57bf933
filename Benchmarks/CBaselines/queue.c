#include "cb_queue.h"

#include <errno.h>
#include <pthread.h>

#include "cb_clock.h"
#include "crew_orders.h"

static int shared_condition(pthread_cond_t *condition) {
    pthread_condattr_t attributes;
    int error = pthread_condattr_init(&attributes);
    if (error) return error;
    error = pthread_condattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    if (!error) error = pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
    return error;
}

// Nobody uses the queue of the order before any more.
static int prepare(queue *queue, uint64_t capacity) {
    queue->put = queue->taken = queue->sum = 0;
    queue->capacity = capacity;
    pthread_mutexattr_t attributes;
    int error = pthread_mutexattr_init(&attributes);
    if (error) return error;
    error = pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    if (!error) error = pthread_mutex_init(&queue->mutex, &attributes);
    pthread_mutexattr_destroy(&attributes);
    if (!error) error = shared_condition(&queue->room);
    return error ? error : shared_condition(&queue->some);
}

static void put(queue *queue, uint64_t word) {
    pthread_mutex_lock(&queue->mutex);
    while (queue->put - queue->taken == queue->capacity) pthread_cond_wait(&queue->room, &queue->mutex);
    queue->words[queue->put++ % queue->capacity] = word;
    pthread_mutex_unlock(&queue->mutex);
    // Where nobody waits this is a look at a word.
    pthread_cond_signal(&queue->some);
}

static uint64_t get(queue *queue) {
    pthread_mutex_lock(&queue->mutex);
    while (queue->put == queue->taken) pthread_cond_wait(&queue->some, &queue->mutex);
    uint64_t word = queue->words[queue->taken++ % queue->capacity];
    pthread_mutex_unlock(&queue->mutex);
    pthread_cond_signal(&queue->room);
    return word;
}

uint64_t cb_carry_queue(queue *queue, const order *order, int member) {
    if (member < order->putters) {
        for (uint64_t word = 1; word <= order->operations; word++) put(queue, word);
        return order->operations;
    }
    uint64_t share = order->operations * (uint64_t)order->putters / (uint64_t)(order->members - order->putters), sum = 0;
    for (uint64_t i = 0; i < share; i++) sum += get(queue);
    __atomic_add_fetch(&queue->sum, sum, __ATOMIC_RELAXED);
    return share;
}

int cb_crew_queue(cb_crew *crew, int putters, int getters, uint64_t capacity, uint64_t values, uint64_t *length) {
    if (putters < 1 || getters < 1 || capacity < 1 || capacity > CB_QUEUE_MOST || (uint64_t)putters * values % (uint64_t)getters != 0) {
        errno = EINVAL;
        return -1;
    }
    queue *queue = &crew->board->queue;
    int error = prepare(queue, capacity);
    if (error) {
        errno = error;
        return -1;
    }
    cb_share shares[CB_CREW_MOST];
    order exchange = {
        .kind = ORDER_QUEUE, .members = putters + getters, .putters = putters, .operations = values, .start = cb_now() + 5000000};
    if (cb_crew_post(crew, exchange) != 0 || cb_crew_await(crew, shares) != 0) return -1;
    if (queue->sum != (uint64_t)putters * (values * (values + 1) / 2)) {
        errno = EILSEQ;
        return -1;
    }
    uint64_t began = shares[0].began, ended = shares[0].ended;
    for (int i = 1; i < putters + getters; i++) {
        if (shares[i].began < began) began = shares[i].began;
        if (shares[i].ended > ended) ended = shares[i].ended;
    }
    *length = ended - began;
    return 0;
}
