#include "cb_pingpong.h"

#include <errno.h>
#include <linux/futex.h>

#include "cb_clock.h"
#include "crew_orders.h"

#define WARM_ROUNDS 100
#define LOOKS 4000

static inline void relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb");
#endif
}

static inline void send(ball *ball, cb_ball_kind kind, uint32_t round) {
    // Sequentially consistent, as is the waiter's announcement: one of the two sees the other.
    __atomic_store_n(&ball->round, round, __ATOMIC_SEQ_CST);
    if (kind == CB_BALL_FUTEX || __atomic_load_n(&ball->sleeping, __ATOMIC_SEQ_CST)) cb_futex(&ball->round, FUTEX_WAKE, 1, NULL);
}

static inline void receive(ball *ball, cb_ball_kind kind, uint32_t round) {
    uint32_t seen;
    if (kind == CB_BALL_HYBRID) {
        for (int look = 0; look < LOOKS; look++) {
            if (__atomic_load_n(&ball->round, __ATOMIC_ACQUIRE) == round) return;
            relax();
        }
        __atomic_store_n(&ball->sleeping, 1, __ATOMIC_SEQ_CST);
    }
    while ((seen = __atomic_load_n(&ball->round, __ATOMIC_SEQ_CST)) != round) cb_futex(&ball->round, FUTEX_WAIT, seen, NULL);
    if (kind == CB_BALL_HYBRID) __atomic_store_n(&ball->sleeping, 0, __ATOMIC_RELAXED);
}

void cb_carry_pingpong(board *board, const order *order) {
    for (uint32_t round = 1; round <= WARM_ROUNDS + order->operations; round++) {
        receive(&board->there, order->ball, round);
        send(&board->back, order->ball, round);
    }
}

// Returns the round that comes next.
static uint32_t throw_and_catch(board *board, cb_ball_kind kind, uint32_t round, uint64_t count) {
    for (; count > 0; count--, round++) {
        send(&board->there, kind, round);
        receive(&board->back, kind, round);
    }
    return round;
}

int cb_crew_pingpong(cb_crew *crew, cb_ball_kind kind, int batches, uint64_t rounds, uint64_t *lengths) {
    if (batches < 1 || rounds < 1 || rounds > (1u << 30) / (uint64_t)batches) {
        errno = EINVAL;
        return -1;
    }
    board *board = crew->board;
    board->there = board->back = (ball){0};
    uint64_t all = (uint64_t)batches * rounds;
    if (cb_crew_post(crew, (order){.kind = ORDER_PINGPONG, .members = 1, .ball = kind, .operations = all}) != 0) return -1;
    uint32_t round = throw_and_catch(board, kind, 1, WARM_ROUNDS);
    for (int i = 0; i < batches; i++) {
        uint64_t began = cb_now();
        round = throw_and_catch(board, kind, round, rounds);
        lengths[i] = cb_now() - began;
    }
    cb_share share;
    return cb_crew_await(crew, &share);
}
