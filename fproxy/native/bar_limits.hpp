// What a builder of bars is told, and what it counts.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fproxy::bars {

constexpr int64_t kLongestIntervalMs = 60'000;

struct BarLimits {
    int64_t delay_ms;         // how long after its end a window waits for late trades
    size_t retained_trades;   // how many trades are kept for windows that are wanted later
    int64_t rebuilt_ms;       // for how long windows that have closed can be built when they are wanted then
    bool keeps_all;           // keep the trades of all symbols whose trades flow, whoever wants them
    size_t message_bytes;     // the longest message
    size_t intervals;         // the most intervals wanted of one symbol, those of all symbols included
    size_t wildcards;         // the most intervals wanted of all symbols
    size_t windows;           // the most windows that are open at once

    // How long a trade may be needed: a window of the longest interval, and what it waits for, and what is asked for later.
    int64_t retained_ms() const { return kLongestIntervalMs + delay_ms + rebuilt_ms; }
};

// What becomes of a wish for bars.
enum class Wish { kGranted, kTooManyIntervals, kTooManyWindows };

struct BarCounts {
    uint64_t trades = 0;      // trades that went into at least one window
    uint64_t late = 0;        // trades too late for at least one window
    uint64_t misdated = 0;    // trades passed over because they were dated far ahead of the stream
    uint64_t unusable = 0;    // trades without a price, a size or a time that a trade can have
    uint64_t unknown_conditions = 0;  // conditions of wanted trades without a rule
    uint64_t bars = 0;        // bars built
    uint64_t lost = 0;        // windows without a bar because trades of them were missed, or may have been
    uint64_t refused = 0;     // those of them for which too many others were open
    uint64_t restarts = 0;    // how often the stream began again at an earlier time
};

}  // namespace fproxy::bars
