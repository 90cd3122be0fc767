// The time to a few milliseconds: much cheaper than to the nanosecond. For whoever passes times in to the core.
#pragma once

#include <cstdint>
#include <ctime>

#ifndef CLOCK_REALTIME_COARSE
#define CLOCK_REALTIME_COARSE CLOCK_REALTIME
#endif
#ifndef CLOCK_MONOTONIC_COARSE
#define CLOCK_MONOTONIC_COARSE CLOCK_MONOTONIC
#endif

namespace fproxy {

inline int64_t coarse_ms(clockid_t clock) {
    timespec now;
    clock_gettime(clock, &now);
    return static_cast<int64_t>(now.tv_sec) * 1000 + now.tv_nsec / 1'000'000;
}

inline int64_t coarse_unix_ms() { return coarse_ms(CLOCK_REALTIME_COARSE); }

// Of a clock that does not go back.
inline int64_t coarse_monotonic_ms() { return coarse_ms(CLOCK_MONOTONIC_COARSE); }

}  // namespace fproxy
