// A barrier for the optimiser, not for the processor: it costs no instruction.
#ifndef MP_BARRIER_H
#define MP_BARRIER_H

// Returns `value`, which the optimiser must from then on take for unknown. A loop that passes its counter through it at every
// turn really counts; without it, at -O, the loop is folded into the number it would have ended at.
// Inline, so that a Swift loop and a C loop which use it compile to the same three instructions. Mark the Swift function that holds the
// loop @inline(never): the optimiser otherwise copies it into thunks of another object file, where this one is a call.
static inline __attribute__((always_inline)) long mp_opaque(long value) {
    __asm__ volatile("" : "+r"(value));
    return value;
}

#endif
