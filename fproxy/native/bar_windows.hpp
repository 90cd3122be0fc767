// The open windows of all symbols, and the bars that they become when they close.
//
// Windows of one interval that end together are a group, whatever their symbols: groups close in order of their end, so
// that moving the time on costs nothing but what closes. See StreamClock for what time it is.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bar_clock.hpp"
#include "bar_messages.hpp"
#include "bar_limits.hpp"
#include "bar_symbols.hpp"
#include "bar_text.hpp"
#include "window_pool.hpp"

namespace fproxy::bars {

class BarWindows {
  public:
    // `has_volume` says whether bars state one.
    BarWindows(const BarLimits &limits, bool has_volume, const StreamClock &clock, SymbolTable &symbols, BarCounts &counts)
        : delay_(limits.delay_ms),
          most_(limits.windows),
          has_volume_(has_volume),
          clock_(clock),
          symbols_(symbols),
          counts_(counts),
          messages_(limits.message_bytes) {}

    // The open window that a time is in, for a trade with this number; null when it has closed (which is `late`), is not
    // whole, or is one more than may be open.
    Window *at(uint32_t index, Series &series, int64_t time, uint64_t arrival, bool &late) {
        const int32_t length = series.interval->length_ms;
        const int64_t start = time - time % length;
        Window *newer = nullptr;
        Window *older = series.newest;
        for (; older != nullptr && older->start > start; older = older->older) newer = older;
        if (older != nullptr && older->start == start) return older;

        if (start < series.whole_from) return nullptr;
        if (start + length + delay_ <= clock_.reached()) {
            late = true;
            return nullptr;
        }
        if (open_ >= most_) {
            // It lacks this trade, so none that comes may begin it. Those that are open are whole.
            series.whole_from = start + length;
            ++counts_.lost;
            ++counts_.refused;
            return nullptr;
        }
        Window *const window = pool_.make(start, index, arrival);
        window->newer = newer;
        window->older = older;
        if (older != nullptr) older->newer = window;
        if (newer != nullptr) {
            newer->older = window;
        } else {
            series.newest = window;
            series.start = start;
            series.end = start + length;
        }
        Group &group = groups_[{start + length, length}];
        group.interval = series.interval;
        group.windows.push_back(window);
        next_close_ = std::min(next_close_, start + length + delay_);
        ++open_;
        return window;
    }

    // Nobody will have the open windows of a series. Their groups free them when they close.
    void give_up(Series &series, bool lost) {
        for (Window *window = series.newest; window != nullptr; window = window->older) {
            window->symbol = Window::kNoSymbol;
            if (lost && window->has_price) ++counts_.lost;
        }
        series.newest = nullptr;
        series.start = series.end = 0;
    }

    // Close every window whose time has come.
    void close() {
        if (clock_.reached() < next_close_) return;
        while (!groups_.empty()) {
            const auto first = groups_.begin();
            if (first->first.first + delay_ > clock_.reached()) break;
            close_group(first->first.first, first->second);
            groups_.erase(first);
        }
        next_close_ = groups_.empty() ? kNever : groups_.begin()->first.first + delay_;
    }

    // The time at which the first of them closes.
    int64_t next_close() const { return next_close_; }

    // How many are open.
    size_t size() const { return open_; }

    // Whether there is room for so many more.
    bool have_room(size_t more) const { return open_ + more <= most_; }

    // The memory that those that are open take, and that is kept for those to come.
    size_t bytes() const { return pool_.bytes(); }

    // The bars of the windows that have closed since the last call, as messages.
    std::vector<std::string> collect() { return messages_.collect(); }

  private:
    // The windows of one interval that end together, in order of their first trades.
    struct Group {
        const Interval *interval = nullptr;
        std::vector<Window *> windows;
    };

    static constexpr size_t kAhead = 4;

    const int64_t delay_;
    const size_t most_;
    const bool has_volume_;
    const StreamClock &clock_;
    SymbolTable &symbols_;
    BarCounts &counts_;
    std::map<std::pair<int64_t, int32_t>, Group> groups_;  // by end and interval
    int64_t next_close_ = kNever;
    WindowPool pool_;
    size_t open_ = 0;
    BarMessages messages_;
    std::string bar_;  // the one that is being written

    void close_group(int64_t end, Group &group) {
        // Windows that were wanted half way have joined out of order.
        const auto sooner = [](const Window *one, const Window *other) { return one->first_trade < other->first_trade; };
        std::vector<Window *> &windows = group.windows;
        if (!std::is_sorted(windows.begin(), windows.end(), sooner)) std::sort(windows.begin(), windows.end(), sooner);
        const Interval &interval = *group.interval;
        const std::string ending = bar_ending(interval, end);
        const bool is_large = symbols_.is_large();
        for (size_t i = 0; i < windows.size(); ++i) {
            if (is_large) fetch(windows, i);
            Window *const window = windows[i];
            if (window->symbol != Window::kNoSymbol) close_window(interval, *window, ending);
            pool_.free(window);
        }
        open_ -= windows.size();
    }

    // Have the memory fetched that windows behind one need which is about to close: the more it takes, the longer before.
    void fetch(const std::vector<Window *> &windows, size_t at) const {
        const auto symbol_of = [&](size_t ahead) { return at + ahead < windows.size() ? windows[at + ahead]->symbol : Window::kNoSymbol; };
        if (at + 4 * kAhead < windows.size()) __builtin_prefetch(windows[at + 4 * kAhead]);
        if (const uint32_t symbol = symbol_of(3 * kAhead); symbol != Window::kNoSymbol) symbols_.fetch_place(symbol);
        if (const uint32_t symbol = symbol_of(2 * kAhead); symbol != Window::kNoSymbol) symbols_.fetch_whole(symbol);
        if (const uint32_t symbol = symbol_of(kAhead); symbol != Window::kNoSymbol) symbols_.fetch_series(symbol);
    }

    void close_window(const Interval &interval, Window &window, const std::string &ending) {
        Symbol &symbol = *symbols_[window.symbol];
        if (window.newer != nullptr) {
            window.newer->older = nullptr;  // it closes as the oldest of its series
        } else {
            Series &series = *symbol.find(&interval);
            series.newest = nullptr;
            series.start = series.end = 0;
        }
        if (!window.has_price) return;
        write_bar(bar_, interval, symbol, window, has_volume_, ending);
        ++counts_.bars;
        messages_.add(bar_);
    }
};

}  // namespace fproxy::bars
