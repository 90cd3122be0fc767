// The bars of windows that had closed before anybody wanted them, from the trades that are retained.
//
// A retained trade knows what the stream had reached when it came, so it is late for a window that is built now exactly if it
// was late then: the bars are, byte for byte, those that would have been sent.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "bar_limits.hpp"
#include "bar_messages.hpp"
#include "bar_retention.hpp"
#include "bar_symbols.hpp"
#include "bar_text.hpp"

namespace fproxy::bars {

struct RebuiltBars {
    std::vector<std::string> messages;  // in order of the bars' ends
    size_t bars = 0;
    bool complete = false;  // every window asked for is there or follows, or was built when it closed
    int64_t next_end = kNever;  // ask again for those that end at this time or later; kNever when there are no more
};

constexpr int64_t kBarsOfPiece = 1000;  // as many at the most are built in one go

// Build the bars of a series that end at a time or later and had closed when it was wanted.
inline RebuiltBars rebuild_closed(const BarLimits &limits, bool has_volume, const RetainedTrades &retained,
                                  const Symbol &symbol, const Series &series, int64_t from_end) {
    const int64_t length = series.interval->length_ms;
    RebuiltBars rebuilt;
    // The first window asked for; those that begin before `whole_from` may lack trades.
    const int64_t first = std::max<int64_t>((from_end - 1) / length * length, 0);
    const bool was_closed = first + length + limits.delay_ms <= series.wanted_at;
    const int64_t whole_from = std::max(series.whole_from, retained.complete_from());
    rebuilt.complete = first >= series.whole_from && (!was_closed || (!series.was_wanted && first >= whole_from));
    if (!was_closed || series.was_wanted || whole_from == kNever) return rebuilt;

    const int64_t from = std::max(first, whole_from);
    std::vector<uint64_t> numbers;  // of its trades that are needed, the last first
    int64_t begin = kNever;         // where the first window with one begins
    for (uint64_t number = symbol.last_trade; retained.has(number); number = retained.previous(number)) {
        const RetainedTrades::Entry &entry = retained[number];
        if (entry.stream_time < from) break;  // none before it is of a later time
        const int64_t start = entry.time - entry.time % length;
        const int64_t closes = start + length + limits.delay_ms;
        if (start < from || closes > series.wanted_at || closes <= entry.stream_time) continue;
        numbers.push_back(number);
        begin = std::min(begin, start);
    }
    if (numbers.empty()) return rebuilt;
    const int64_t end = begin + kBarsOfPiece * length;
    std::map<int64_t, Window> windows;
    for (auto number = numbers.rbegin(); number != numbers.rend(); ++number) {
        const Trade trade = retained[*number].trade();
        const int64_t start = trade.time - trade.time % length;
        if (start >= end) {
            rebuilt.next_end = end + length;
            continue;
        }
        auto window = windows.try_emplace(windows.end(), start, start, Window::kNoSymbol, *number);
        window->second.count(trade, Wide{trade.price.digits} * trade.size.digits);
    }
    BarMessages messages(limits.message_bytes);
    std::string text;
    for (const auto &[start, window] : windows) {
        if (!window.has_price) continue;
        write_bar(text, *series.interval, symbol, window, has_volume, bar_ending(*series.interval, start + length));
        messages.add(text);
        ++rebuilt.bars;
    }
    rebuilt.messages = messages.collect();
    return rebuilt;
}

}  // namespace fproxy::bars
