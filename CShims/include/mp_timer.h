// A timer that a thread in `poll` sees, and that any thread sets without waking that one.
#ifndef MP_TIMER_H
#define MP_TIMER_H

#include <stdint.h>

/// A descriptor (timerfd, close-on-exec, non-blocking), readable once the time has come. Returns a negative errno value on failure.
int mp_timer_create(void);
/// Sets it to go off once, so many nanoseconds from now, in place of what it was set to. 0: not at all.
void mp_timer_set(int timer, int64_t nanoseconds);

#endif
