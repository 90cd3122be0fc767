// The time, for whoever passes times in to the core.
#pragma once

#include <cstdint>
#include <ctime>

#ifndef CLOCK_MONOTONIC_COARSE
#define CLOCK_MONOTONIC_COARSE CLOCK_MONOTONIC
#endif

namespace fproxy {

inline int64_t clock_ms(clockid_t clock) {
    timespec now;
    clock_gettime(clock, &now);
    return static_cast<int64_t>(now.tv_sec) * 1000 + now.tv_nsec / 1'000'000;
}

// To the millisecond: what has come since a time that somebody else read off a clock must not be taken for earlier.
inline int64_t unix_ms() { return clock_ms(CLOCK_REALTIME); }

// Of a clock that does not go back, to a few milliseconds: that is cheaper.
inline int64_t coarse_monotonic_ms() { return clock_ms(CLOCK_MONOTONIC_COARSE); }

}  // namespace fproxy
