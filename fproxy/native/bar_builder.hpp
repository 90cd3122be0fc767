// Bars of any interval from a stream of trades.
//
// Every trade goes into one window of each interval that is wanted of its symbol. Windows of one interval that end
// together are a group, whatever their symbols: groups close in order of their end, so that moving the time on costs
// nothing but what closes. See StreamClock for what time it is.
//
// A window is whole when the trades of its symbol have been seen since before it began. How that is known: when a
// symbol's trades begin to flow, all trades that were missed are older than the next trade that comes, of whatever symbol,
// give or take the disorder that the delay allows for. So what begins more than the delay after that trade is whole.
// Windows that are not whole are neither built nor sent.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "bar_clock.hpp"
#include "bar_history.hpp"
#include "bar_retention.hpp"
#include "bar_symbols.hpp"
#include "scan.hpp"
#include "trade_scan.hpp"

namespace fproxy::bars {

constexpr int64_t kLongestIntervalMs = 60'000;

struct BarLimits {
    int64_t delay_ms;         // how long after its end a window waits for late trades
    int64_t history_ms;       // how long closed bars are kept
    size_t history_bytes;     // and how many bytes of them
    size_t retained_trades;   // how many trades are kept for windows that are wanted later
    size_t message_bytes;     // the longest message
    size_t intervals;         // the most intervals wanted of one symbol, those of all symbols included
};

struct BarCounts {
    uint64_t trades = 0;      // trades that went into at least one window
    uint64_t late = 0;        // trades too late for at least one window
    uint64_t misdated = 0;    // trades passed over because they were dated far ahead of the stream
    uint64_t unusable = 0;    // trades without a price, a size or a time that a trade can have
    uint64_t bars = 0;        // bars built
    uint64_t lost = 0;        // windows without a bar because trades of them were missed, or may have been
    uint64_t restarts = 0;    // how often the stream began again at an earlier time
};

class BarBuilder {
  public:
    BarBuilder(const BarLimits &limits, const ConditionEffects &effects)
        : limits_(limits),
          effects_(effects),
          reader_(effects_),
          clock_(kLongestIntervalMs + limits.delay_ms),
          retained_(limits.retained_trades, kLongestIntervalMs + limits.delay_ms),
          history_(limits.history_bytes, limits.history_ms),
          messages_(limits.message_bytes) {}

    BarBuilder(const BarBuilder &) = delete;
    BarBuilder &operator=(const BarBuilder &) = delete;

    // Somebody more wants bars of this interval of a symbol, or of all symbols. False, with nothing changed, when that
    // would be too many intervals.
    bool want(int32_t interval_ms, std::string_view symbol) {
        Interval &interval = interval_of(interval_ms);
        return symbol == kWildcard ? want_all(interval) : want_one(interval, symbol);
    }

    // Somebody does not want them any more. False when nobody did.
    bool unwant(int32_t interval_ms, std::string_view symbol) {
        Interval &interval = interval_of(interval_ms);
        return symbol == kWildcard ? unwant_all(interval) : unwant_one(interval, symbol);
    }

    // From now on, every trade of a symbol (or of all) comes.
    void trades_started(std::string_view name) {
        if (name == kWildcard) {
            if (all_flow_) return;
            all_flow_ = true;
            if (!wildcards_.empty()) all_await_stream_ = true;
            for (uint32_t index = 0; index < symbols_.bound(); ++index)
                if (symbols_[index] != nullptr) await_stream(*symbols_[index]);
        } else if (flowing_.emplace(name).second) {
            const uint32_t index = symbols_.find(text_of(name));
            if (index != SymbolTable::kAbsent)
                await_stream(*symbols_[index]);
            else if (!wildcards_.empty())
                add_symbol(text_of(name));
        }
    }

    // From now on, trades of a symbol (or of all those for which trades_started() was not called by name) may be missed.
    void trades_stopped(std::string_view name) {
        rebuild();
        if (name == kWildcard) {
            all_flow_ = all_await_stream_ = false;
            all_whole_from_ = kNever;
            for (uint32_t index = 0; index < symbols_.bound(); ++index)
                if (symbols_[index] != nullptr && !flows(symbols_[index]->name)) miss_trades(*symbols_[index]);
        } else {
            flowing_.erase(std::string(name));
            const uint32_t index = symbols_.find(text_of(name));
            if (index != SymbolTable::kAbsent && !all_flow_) miss_trades(*symbols_[index]);
        }
    }

    // The stream has broken off: no trades flow until they are said to have started again.
    void gap() {
        flowing_.clear();
        trades_stopped(kWildcard);
        contradict_dates();
        retained_.clear();
    }

    // Take in a message; false, with nothing changed, when it is not sound JSON: then failed_at() says where.
    bool feed(const char *begin, const char *end, int64_t now) {
        const uint64_t exact_before = scanner_.exact_messages();
        if (!scanner_.scan(begin, end, events_)) return false;
        const bool is_compact = scanner_.exact_messages() == exact_before;
        rebuild();
        for (const Event &event : events_) {
            if (event.type.length != 1 || event.type.key != packed("T") || !event.symbol.present()) continue;
            const uint32_t index = symbols_.find(event.symbol);
            const bool wanted = index == SymbolTable::kAbsent ? takes_any_symbol() : symbols_[index]->is_followed();
            if (!wanted && !awaits_stream()) continue;
            Trade trade;
            if (!(is_compact ? reader_.read_compact(event, end, trade) : reader_.read(event, trade))) {
                ++counts_.unusable;
                continue;
            }
            if (wanted)
                place(event.symbol, index, trade, now);
            else
                pass_over(trade, now);
        }
        return true;
    }

    size_t failed_at() const { return scanner_.failed_at(); }

    // The clock has moved on to `now`, and whatever came before has been fed.
    void advance(int64_t now) {
        rebuild();
        if (!held_.empty() && (now - held_since_ >= kHoldMs || clock_.place(held_.front().trade.time, now) != Place::kAhead))
            release_held(now);
        clock_.elapsed(now);
        if (clock_.reached() >= next_close_) close_windows();
        history_.forget_before(clock_.at(now));
    }

    // When, on the clock, advance() will have something to do: false when it depends on trades alone.
    bool next_advance(int64_t *at) const {
        bool known = false;
        if (next_close_ != kNever) {
            *at = clock_.clock_at(next_close_);
            known = true;
        }
        if (!held_.empty()) {
            const int64_t release = held_since_ + kHoldMs;
            *at = known ? std::min(*at, release) : release;
            known = true;
        }
        return known;
    }

    // The bars closed since the last call, as messages.
    std::vector<std::string> collect() { return messages_.take(); }

    // The bars of an interval, of one symbol or all, that ended after `since` and are still kept, as messages. When those
    // are much more than `most_bytes`, only the first of them: then `is_all` is false, and `since` says where to go on.
    std::vector<std::string> history(int32_t interval_ms, std::string_view symbol, int64_t &since, size_t most_bytes,
                                     bool &is_all) const {
        const auto found = intervals_.find(interval_ms);
        BarMessages messages(limits_.message_bytes);
        is_all = true;
        if (found == intervals_.end()) return {};
        const Interval &interval = *found->second;
        size_t bytes = 0;
        const auto take = [&messages, &bytes, most_bytes](std::string_view bar) {
            messages.add(bar);
            bytes += bar.size();
            return bytes < most_bytes;
        };
        if (symbol == kWildcard) {
            if (interval.wildcard_wants != 0)
                is_all = history_.replay(interval_ms, since, interval.wildcard_position, nullptr, {}, take);
        } else {
            const Symbol asked(text_of(symbol));
            const std::string opening = interval.opening + asked.json + "\"";
            is_all = history_.replay(interval_ms, since, 0, &asked.key, opening, take);
        }
        return messages.take();
    }

    const BarCounts &counts() const { return counts_; }
    size_t symbol_count() const { return symbols_.size(); }
    size_t open_windows() const { return open_windows_; }
    size_t retained_trades() const { return retained_.size(); }
    size_t history_bytes() const { return history_.bytes(); }

  private:
    using Place = StreamClock::Place;

    // The windows of one interval that end together, in order of their first trades.
    using Group = std::vector<Window *>;

    struct HeldTrade {
        uint32_t symbol;
        Trade trade;
    };

    static constexpr std::string_view kWildcard = "*";
    static constexpr size_t kConfirmations = 4;  // as many trades in a row dated far ahead are right
    static constexpr int64_t kHoldMs = 1'000;    // and so are fewer that nothing has contradicted for this long
    static constexpr int kRestartAfter = 16;     // as many trades in a row dated far behind are a stream begun again

    const BarLimits limits_;
    const ConditionEffects effects_;
    const TradeReader reader_;
    Scanner scanner_;
    Events events_;

    std::unordered_map<int32_t, std::unique_ptr<Interval>> intervals_;  // never removed: there are at most 60,000
    std::vector<Interval *> wildcards_;                                 // those wanted of all symbols
    SymbolTable symbols_;

    // Which trades flow, and since when.
    std::unordered_set<std::string> flowing_;  // by name
    bool all_flow_ = false;
    bool all_await_stream_ = false;
    int64_t all_whole_from_ = kNever;  // for symbols that have not traded yet; kept up only while wildcards are wanted
    size_t awaiting_ = 0;              // how many symbols do for which trades have begun to flow

    StreamClock clock_;
    std::vector<HeldTrade> held_;  // dated far ahead, and not confirmed yet
    int64_t held_since_ = 0;
    int behind_in_a_row_ = 0;

    std::map<std::pair<int64_t, int32_t>, Group> groups_;  // by end and interval
    int64_t next_close_ = kNever;                          // the time at which the first of them closes
    WindowPool pool_;
    size_t open_windows_ = 0;

    RetainedTrades retained_;
    std::vector<uint32_t> to_rebuild_;
    BarHistory history_;
    BarMessages messages_;
    BarCounts counts_;

    static Text text_of(std::string_view name) { return Text::of(name.data(), name.size()); }

    // ---- Who wants what

    Interval &interval_of(int32_t length_ms) {
        std::unique_ptr<Interval> &interval = intervals_[length_ms];
        if (interval == nullptr) interval = std::make_unique<Interval>(length_ms);
        return *interval;
    }

    bool want_one(Interval &interval, std::string_view name) {
        const Text text = text_of(name);
        uint32_t index = symbols_.find(text);
        Series *series = index == SymbolTable::kAbsent ? nullptr : symbols_[index]->find(&interval);
        if (series == nullptr) {
            const size_t others = index == SymbolTable::kAbsent ? wildcards_.size() : symbols_[index]->series.size();
            if (others >= limits_.intervals && interval.wildcard_wants == 0) return false;
            if (index == SymbolTable::kAbsent) index = add_symbol(text);
            series = symbols_[index]->find(&interval);
            if (series == nullptr) series = &add_series(index, interval);
        }
        ++series->wants;
        return true;
    }

    bool want_all(Interval &interval) {
        if (interval.wildcard_wants == 0) {
            if (wildcards_.size() >= limits_.intervals) return false;
            interval.wildcard_position = history_.position();
            wildcards_.push_back(&interval);
            if (wildcards_.size() == 1) {
                all_await_stream_ = all_flow_;
                for (const std::string &name : flowing_)
                    if (symbols_.find(text_of(name)) == SymbolTable::kAbsent) add_symbol(text_of(name));
            }
            for (uint32_t index = 0; index < symbols_.bound(); ++index)
                if (symbols_[index] != nullptr && symbols_[index]->find(&interval) == nullptr) add_series(index, interval);
        }
        ++interval.wildcard_wants;
        return true;
    }

    bool unwant_one(Interval &interval, std::string_view name) {
        const uint32_t index = symbols_.find(text_of(name));
        Series *const series = index == SymbolTable::kAbsent ? nullptr : symbols_[index]->find(&interval);
        if (series == nullptr || series->wants == 0) return false;
        if (--series->wants == 0 && interval.wildcard_wants == 0) remove_series(index, series);
        return true;
    }

    bool unwant_all(Interval &interval) {
        if (interval.wildcard_wants == 0) return false;
        if (--interval.wildcard_wants != 0) return true;
        wildcards_.erase(std::find(wildcards_.begin(), wildcards_.end(), &interval));
        if (wildcards_.empty()) {
            all_await_stream_ = false;
            all_whole_from_ = kNever;
        }
        for (uint32_t index = 0; index < symbols_.bound(); ++index) {
            Series *const series = symbols_[index] == nullptr ? nullptr : symbols_[index]->find(&interval);
            if (series != nullptr && series->wants == 0) remove_series(index, series);
        }
        return true;
    }

    // Add a symbol, with the intervals that are wanted of all symbols.
    uint32_t add_symbol(const Text &name) {
        const uint32_t index = symbols_.add(name);
        Symbol &symbol = *symbols_[index];
        if (all_whole_from_ != kNever)
            symbol.whole_from = all_whole_from_;  // it has not traded since, or it would have been added then
        else if (flows(symbol.name))
            await_stream(symbol);
        symbol.series.reserve(wildcards_.size());
        for (Interval *interval : wildcards_) {
            symbol.series.emplace_back(interval);
            symbol.series.back().whole_from = symbol.whole_from;
        }
        return index;
    }

    Series &add_series(uint32_t index, Interval &interval) {
        Symbol &symbol = *symbols_[index];
        Series &series = symbol.series.emplace_back(&interval);
        if (symbol.whole_from != kNever) {
            series.whole_from = std::max(symbol.whole_from, retained_.complete_from());
            series.to_rebuild = true;
            if (!std::exchange(symbol.to_rebuild, true)) to_rebuild_.push_back(index);
        }
        return series;
    }

    void remove_series(uint32_t index, Series *series) {
        Symbol &symbol = *symbols_[index];
        give_up_windows(*series, false);
        symbol.series.erase(symbol.series.begin() + (series - symbol.series.data()));
        if (!symbol.series.empty()) return;
        held_.erase(std::remove_if(held_.begin(), held_.end(), [index](const HeldTrade &held) { return held.symbol == index; }),
                    held_.end());
        await_no_stream(symbol);
        symbols_.remove(index);
    }

    // ---- Which trades are seen

    bool flows(const std::string &name) const { return all_flow_ || flowing_.count(name) != 0; }

    // Whether a symbol that is not there yet is wanted, because all are.
    bool takes_any_symbol() const { return all_await_stream_ || all_whole_from_ != kNever; }

    // Whether the next trade, of whatever symbol, tells something.
    bool awaits_stream() const { return all_await_stream_ || awaiting_ != 0; }

    void await_stream(Symbol &symbol) {
        if (symbol.whole_from == kNever && !std::exchange(symbol.awaits_stream, true)) ++awaiting_;
    }

    void await_no_stream(Symbol &symbol) {
        if (std::exchange(symbol.awaits_stream, false)) --awaiting_;
    }

    void miss_trades(Symbol &symbol) {
        await_no_stream(symbol);
        symbol.whole_from = kNever;
        for (Series &series : symbol.series) {
            if (series.whole_from != kNever) begin_to_miss(series);
            series.whole_from = kNever;
            give_up_windows(series, true);
        }
    }

    // Windows of a series are missed from now on. Those that are open count as lost when they are given up; how many
    // follow is known once the series is whole again.
    void begin_to_miss(Series &series) {
        if (!clock_.started()) return;
        const int64_t length = series.interval->length_ms;
        const int64_t now = std::max(clock_.latest(), series.whole_from);
        series.missed_from = std::max(now - now % length, series.end);
    }

    void make_whole(Series &series, int64_t whole_from) {
        series.whole_from = whole_from;
        const int64_t missed_from = std::exchange(series.missed_from, kNever);
        if (missed_from >= whole_from) return;
        const int64_t length = series.interval->length_ms;
        counts_.lost += static_cast<uint64_t>((whole_from - missed_from + length - 1) / length);
    }

    // A trade has come that nobody wants: it tells what time it is in the stream, no more. That it may move the time only
    // if it is the first of all keeps bars independent of what else an upstream happens to send.
    void pass_over(const Trade &trade, int64_t now) {
        if (clock_.place(trade.time, now) != Place::kOnTime) return;
        if (!clock_.started()) clock_.heard(trade.time, now);
        join_stream(trade.time);
    }

    // A trade has come, which tells for those symbols whose trades began to flow before it from when on they are complete.
    void join_stream(int64_t time) {
        const int64_t whole_from = std::max(time, clock_.latest()) + limits_.delay_ms + 1;
        awaiting_ = 0;
        if (std::exchange(all_await_stream_, false)) all_whole_from_ = whole_from;
        for (uint32_t index = 0; index < symbols_.bound(); ++index) {
            Symbol *const symbol = symbols_[index];
            if (symbol == nullptr || !std::exchange(symbol->awaits_stream, false)) continue;
            symbol->whole_from = whole_from;
            for (Series &series : symbol->series) make_whole(series, whole_from);
        }
    }

    // ---- Trades

    // Decide whether the date of a trade is to be believed.
    void place(const Text &name, uint32_t index, const Trade &trade, int64_t now) {
        switch (clock_.place(trade.time, now)) {
            case Place::kOnTime:
                contradict_dates();
                return count(name, index, trade, now);
            case Place::kAhead:
                if (index == SymbolTable::kAbsent) index = add_symbol(name);
                if (held_.empty()) held_since_ = now;
                held_.push_back({index, trade});
                if (held_.size() >= kConfirmations) release_held(now);
                return;
            case Place::kBehind:
                if (++behind_in_a_row_ < kRestartAfter) {
                    ++counts_.late;
                    return;
                }
                restart();
                return count(name, index, trade, now);
        }
    }

    // A trade has come that is dated as others before it: so those that were not are wrong.
    void contradict_dates() {
        behind_in_a_row_ = 0;
        if (held_.empty()) return;
        counts_.misdated += held_.size();
        held_.clear();
    }

    void release_held(int64_t now) {
        for (const HeldTrade &held : std::exchange(held_, {})) count(Text{}, held.symbol, held.trade, now);
    }

    // The stream has begun again at an earlier time. What was open ended with the stream before, and misses its end.
    void restart() {
        ++counts_.restarts;
        contradict_dates();
        for (uint32_t index = 0; index < symbols_.bound(); ++index) {
            if (symbols_[index] == nullptr) continue;
            miss_trades(*symbols_[index]);
            for (Series &series : symbols_[index]->series) series.missed_from = kNever;  // of another time
            if (flows(symbols_[index]->name)) await_stream(*symbols_[index]);
        }
        all_whole_from_ = kNever;
        all_await_stream_ = all_flow_ && !wildcards_.empty();
        retained_.clear();
        history_.clear();
        clock_.restart();
    }

    // A trade has come at a time that is to be believed: move the time on and count it in its windows.
    void count(const Text &name, uint32_t index, const Trade &trade, int64_t now) {
        clock_.heard(trade.time, now);
        if (__builtin_expect(awaits_stream(), 0)) join_stream(trade.time);
        if (clock_.reached() >= next_close_) close_windows();
        if (index == SymbolTable::kAbsent) index = add_symbol(name);
        Symbol &symbol = *symbols_[index];
        if (trade.effect == 0) return;
        const uint64_t arrival = retained_.add(index, trade, clock_.reached());
        const Wide notional = Wide{trade.price.digits} * trade.size.digits;
        bool counted = false, late = false;
        for (Series &series : symbol.series) {
            Window *window = series.newest;
            if (__builtin_expect(trade.time < series.start || trade.time >= series.end, 0)) {
                window = window_at(index, series, trade.time, arrival, late);
                if (window == nullptr) continue;
            }
            window->count(trade, notional);
            counted = true;
        }
        counts_.trades += counted;
        counts_.late += late;
    }

    // ---- Windows

    // The open window that a time is in; null when it has closed (which is `late`) or is not whole.
    Window *window_at(uint32_t index, Series &series, int64_t time, uint64_t arrival, bool &late) {
        const int32_t length = series.interval->length_ms;
        const int64_t start = time - time % length;
        if (start < series.whole_from) return nullptr;
        if (start + length + limits_.delay_ms <= clock_.reached()) {
            late = true;
            return nullptr;
        }
        Window *newer = nullptr;
        Window *older = series.newest;
        for (; older != nullptr && older->start > start; older = older->older) newer = older;
        if (older != nullptr && older->start == start) return older;

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
        groups_[{start + length, length}].push_back(window);
        next_close_ = std::min(next_close_, start + length + limits_.delay_ms);
        ++open_windows_;
        return window;
    }

    // Nobody will have the open windows of a series. Their groups free them when they close.
    void give_up_windows(Series &series, bool lost) {
        for (Window *window = series.newest; window != nullptr; window = window->older) {
            window->symbol = Window::kNoSymbol;
            if (lost && window->has_price) ++counts_.lost;
        }
        series.newest = nullptr;
        series.start = series.end = 0;
    }

    // Close every window whose time has come.
    void close_windows() {
        while (!groups_.empty()) {
            const auto first = groups_.begin();
            if (first->first.first + limits_.delay_ms > clock_.reached()) break;
            close_group(first->first.second, first->first.first, first->second);
            groups_.erase(first);
        }
        next_close_ = groups_.empty() ? kNever : groups_.begin()->first.first + limits_.delay_ms;
    }

    void close_group(int32_t length, int64_t end, Group &group) {
        // Windows that were wanted half way have joined out of order.
        const auto sooner = [](const Window *one, const Window *other) { return one->first_trade < other->first_trade; };
        if (!std::is_sorted(group.begin(), group.end(), sooner)) std::sort(group.begin(), group.end(), sooner);
        const Interval &interval = *intervals_.find(length)->second;
        const std::string ending =
            ",\"s\":" + std::to_string(end - length) + ",\"e\":" + std::to_string(end) + "}";
        ClosedBars closed{length, end, {}, {}};
        for (Window *window : group) {
            if (window->symbol != Window::kNoSymbol) close_window(interval, *window, ending, closed);
            pool_.free(window);
        }
        open_windows_ -= group.size();
        if (closed.bars.empty()) return;
        counts_.bars += closed.bars.size();
        for (size_t i = 0; i < closed.bars.size(); ++i) messages_.add(closed.bar(i));
        closed.text.shrink_to_fit();
        closed.bars.shrink_to_fit();
        history_.add(std::move(closed));
    }

    void close_window(const Interval &interval, Window &window, const std::string &ending, ClosedBars &closed) {
        Symbol &symbol = *symbols_[window.symbol];
        if (window.newer != nullptr) {
            window.newer->older = nullptr;  // it closes as the oldest of its series
        } else {
            Series &series = *symbol.find(&interval);
            series.newest = nullptr;
            series.start = series.end = 0;
        }
        if (!window.has_price) return;
        std::string &text = closed.text;
        closed.bars.push_back({symbol.key, static_cast<uint32_t>(text.size())});
        text += interval.opening;
        text += symbol.json;
        text += "\",\"T\":\"b\",\"S\":\"";
        text += symbol.json;
        text += "\",";
        window.write(text);
        text += ending;
    }

    // ---- Windows that are wanted after their first trades have come

    void rebuild() {
        if (__builtin_expect(to_rebuild_.empty(), 1)) return;
        int64_t from = kNever;  // where the first window that is needed begins
        for (uint32_t index : to_rebuild_) {
            if (!is_to_rebuild(index)) continue;
            for (const Series &series : symbols_[index]->series) {
                if (!series.to_rebuild || series.whole_from == kNever) continue;
                const int64_t closed = clock_.reached() - limits_.delay_ms - series.interval->length_ms;
                from = std::min(from, std::max(series.whole_from, closed));
            }
        }
        for (size_t i = from == kNever ? retained_.size() : retained_.first_from(from); i < retained_.size(); ++i) {
            const RetainedTrades::Entry &entry = retained_[i];
            if (entry.time < from || !is_to_rebuild(entry.symbol)) continue;
            const Trade trade = entry.trade();
            const Wide notional = Wide{trade.price.digits} * trade.size.digits;
            bool late = false;
            for (Series &series : symbols_[entry.symbol]->series) {
                if (!series.to_rebuild) continue;
                Window *const window = window_at(entry.symbol, series, trade.time, retained_.arrival(i), late);
                if (window != nullptr) window->count(trade, notional);
            }
        }
        for (uint32_t index : to_rebuild_) {
            if (!is_to_rebuild(index)) continue;
            symbols_[index]->to_rebuild = false;
            for (Series &series : symbols_[index]->series) series.to_rebuild = false;
        }
        to_rebuild_.clear();
    }

    bool is_to_rebuild(uint32_t index) const {
        return index < symbols_.bound() && symbols_[index] != nullptr && symbols_[index]->to_rebuild;
    }
};

}  // namespace fproxy::bars
