// Bars of any interval from a stream of trades.
//
// Every trade goes into one window of each interval that is wanted of its symbol (bar_wants.hpp), if all trades of that
// window have been seen (bar_coverage.hpp), and the window becomes a bar when it closes (bar_windows.hpp).
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bar_clock.hpp"
#include "bar_coverage.hpp"
#include "bar_limits.hpp"
#include "bar_rebuilding.hpp"
#include "bar_retention.hpp"
#include "bar_symbols.hpp"
#include "bar_wants.hpp"
#include "bar_windows.hpp"
#include "scan.hpp"
#include "scanned_message.hpp"
#include "trade_scan.hpp"

namespace fproxy::bars {

class BarBuilder {
  public:
    BarBuilder(const BarLimits &limits, const BarSource &source)
        : limits_(limits),
          source_(source),
          reader_(source_),
          symbols_(source_.separators),
          clock_(kLongestIntervalMs + limits.delay_ms),
          retained_(limits.retained_trades, limits.retained_ms()),
          windows_(limits, source_.has_volume(), clock_, symbols_, counts_),
          coverage_(limits, clock_, symbols_, windows_, counts_),
          wants_(limits, clock_, symbols_, coverage_, windows_, retained_) {}

    BarBuilder(const BarBuilder &) = delete;
    BarBuilder &operator=(const BarBuilder &) = delete;

    // Somebody more wants bars of this interval of a symbol, or of all symbols. Nothing has changed when that is not granted.
    Wish want(int32_t interval_ms, std::string_view symbol) {
        return symbol == kWildcard ? wants_.want_all(interval_ms) : wants_.want_one(interval_ms, text_of(symbol));
    }

    // Somebody does not want them any more. False when nobody did.
    bool unwant(int32_t interval_ms, std::string_view symbol) {
        return symbol == kWildcard ? wants_.unwant_all(interval_ms, Removed{*this})
                                   : wants_.unwant_one(interval_ms, text_of(symbol), Removed{*this});
    }

    // From now on, every trade of a symbol (or of all) comes.
    void trades_started(std::string_view name) {
        if (name == kWildcard) return coverage_.all_started();
        if (!coverage_.started(text_of(name))) return;
        const uint32_t index = symbols_.find(text_of(name));
        if (index != SymbolTable::kAbsent)
            coverage_.await_stream(*symbols_[index]);
        else
            wants_.add_flowing(text_of(name));
    }

    // From now on, trades of a symbol (or of all those for which trades_started() was not called by name) may be missed.
    void trades_stopped(std::string_view name) {
        rebuild();
        if (name == kWildcard)
            coverage_.all_stopped();
        else
            coverage_.stopped(text_of(name));
    }

    // The stream has broken off: no trades flow until they are said to have started again.
    void gap() {
        rebuild();
        coverage_.nothing_flows();
        contradict_dates();
        retained_.clear();
    }

    // Take in a message; false, with nothing changed, when it is not sound JSON: then failure() says what and where.
    bool feed(const char *begin, const char *end, int64_t now) {
        const uint64_t exact_before = scanner_.exact_messages();
        if (!scanner_.scan(begin, end, events_)) return false;
        feed(ScannedMessage{begin, end, &events_, scanner_.exact_messages() == exact_before}, now);
        return true;
    }

    // The same of a message that has been scanned, with the secrets of this module.
    void feed(const ScannedMessage &message, int64_t now) {
        rebuild();
        const Event *fetched = message.events->begin();
        for (const Event &event : *message.events) {
            if (&event == fetched && symbols_.is_large()) fetched = fetch(fetched, message.events->end());
            if (!source_.takes(event)) continue;
            const uint32_t index = symbols_.find(event.symbol);
            const bool wanted =
                index == SymbolTable::kAbsent ? coverage_.takes_any_symbol() : symbols_[index]->is_followed();
            if (!wanted && !coverage_.awaits_stream()) continue;
            Trade trade;
            if (!(message.is_compact ? reader_.read_compact(event, message.end, trade) : reader_.read(event, trade))) {
                ++counts_.unusable;
                continue;
            }
            counts_.unknown_conditions += wanted ? trade.unknown_conditions : 0u;
            if (wanted)
                take(event.symbol, index, trade, now);
            else
                pass_over(trade, now);
        }
        if (limits_.keeps_all) wants_.sweep(message.events->size(), Removed{*this});
    }

    const ScanFailure &failure() const { return scanner_.failure(); }

    // The clock has moved on to `now`, and whatever came before has been fed.
    void advance(int64_t now) {
        rebuild();
        if (!held_.empty() && (now - held_since_ >= kHoldMs || clock_.timeliness(held_.front().trade.time, now) != Timeliness::kAhead))
            release_held(now);
        clock_.elapsed(now);
        windows_.close();
        if (limits_.keeps_all) wants_.sweep(kSwept, Removed{*this});
    }

    // When, on the clock, advance() will have something to do: false when it depends on trades alone.
    bool next_advance(int64_t *at) const {
        bool known = false;
        if (windows_.next_close() != kNever) {
            *at = clock_.clock_at(windows_.next_close());
            known = true;
        }
        if (!held_.empty()) {
            const int64_t release = held_since_ + kHoldMs;
            *at = known ? std::min(*at, release) : release;
            known = true;
        }
        return known;
    }

    // The bars of an interval and a symbol that end at a time or later and had closed when somebody began to want them. Empty
    // and not complete when nobody does.
    RebuiltBars rebuild(int32_t interval_ms, std::string_view name, int64_t from_end) {
        rebuild();
        const uint32_t index = symbols_.find(text_of(name));
        const Interval *const interval = wants_.find(interval_ms);
        const Series *const series =
            index == SymbolTable::kAbsent || interval == nullptr ? nullptr : symbols_[index]->find(interval);
        if (series == nullptr) return {};
        return rebuild_closed(limits_, source_.has_volume(), retained_, *symbols_[index], *series, from_end);
    }

    // The names of the symbols that are followed, as topics spell them.
    std::vector<std::string> symbol_names() const {
        std::vector<std::string> names;
        names.reserve(symbols_.size());
        for (uint32_t index = 0; index < symbols_.bound(); ++index)
            if (symbols_[index] != nullptr) names.push_back(source_.separators.topic_name(symbols_[index]->name));
        return names;
    }

    // Nothing is missing of symbols that are not among them since this time; kNever when that is not so at any time.
    int64_t others_whole_from() const { return std::max(coverage_.all_whole_from(), retained_.complete_from()); }

    // Every window that ends at this time or earlier has closed; long ago before the first trade.
    int64_t closed_until() const { return clock_.reached() - limits_.delay_ms; }

    // The bars closed since the last call, as messages.
    std::vector<std::string> collect() { return windows_.collect(); }

    const BarCounts &counts() const { return counts_; }
    size_t symbol_count() const { return symbols_.size(); }
    size_t open_windows() const { return windows_.size(); }
    size_t window_bytes() const { return windows_.bytes(); }
    size_t retained_trades() const { return retained_.size(); }

  private:
    using Timeliness = StreamClock::Timeliness;

    // What has to be done when a symbol is removed.
    struct Removed {
        BarBuilder &builder;
        void operator()(uint32_t index) const { builder.forget_held(index); }
    };

    struct HeldTrade {
        uint32_t symbol;
        Trade trade;
    };

    static constexpr std::string_view kWildcard = "*";
    static constexpr size_t kFetched = 32;       // trades at once
    static constexpr size_t kSwept = 64;         // as many symbols are looked at when the clock has moved on
    static constexpr size_t kConfirmations = 4;  // as many trades in a row dated far ahead are right
    static constexpr int64_t kHoldMs = 1'000;    // and so are fewer that nothing has contradicted for this long
    static constexpr int kRestartAfter = 16;     // as many trades in a row dated far behind are a stream begun again

    const BarLimits limits_;
    const BarSource source_;
    const TradeReader reader_;
    Scanner scanner_;
    Events events_;

    BarCounts counts_;
    SymbolTable symbols_;
    StreamClock clock_;
    RetainedTrades retained_;
    BarWindows windows_;
    TradeCoverage coverage_;
    BarWants wants_;

    std::vector<HeldTrade> held_;  // dated far ahead, and not confirmed yet
    int64_t held_since_ = 0;
    int behind_in_a_row_ = 0;

    // Have the memory fetched that some trades need, step by step, so that it comes for all of them at once. Returns where the
    // next ones begin.
    const Event *fetch(const Event *event, const Event *end) const {
        const Event *trades[kFetched];
        uint32_t symbols[kFetched];
        size_t count = 0;
        for (; event != end && count < kFetched; ++event) {
            if (!source_.takes(*event)) continue;
            trades[count++] = event;
            symbols_.fetch_slot(event->symbol);
        }
        size_t known = 0;
        for (size_t i = 0; i < count; ++i) {
            symbols[known] = symbols_.fetch_symbol(trades[i]->symbol);
            known += symbols[known] != SymbolTable::kAbsent;
        }
        for (size_t i = 0; i < known; ++i) symbols_.fetch_whole(symbols[i]);
        for (size_t i = 0; i < known; ++i) symbols_.fetch_series(symbols[i]);
        return event;
    }

    static Text text_of(std::string_view name) { return Text::of(name.data(), name.size()); }

    // A trade has come that nobody wants: it tells what time it is in the stream, no more. That it may move the time only
    // if it is the first of all keeps bars independent of what else an upstream happens to send.
    void pass_over(const Trade &trade, int64_t now) {
        if (clock_.timeliness(trade.time, now) != Timeliness::kOnTime) return;
        if (!clock_.started()) clock_.heard(trade.time, now);
        coverage_.join_stream(trade.time);
    }

    // Decide whether the date of a trade is to be believed.
    void take(const Text &name, uint32_t index, const Trade &trade, int64_t now) {
        switch (clock_.timeliness(trade.time, now)) {
            case Timeliness::kOnTime:
                contradict_dates();
                return count(name, index, trade, now);
            case Timeliness::kAhead:
                if (index == SymbolTable::kAbsent) index = wants_.add_symbol(name);
                if (held_.empty()) held_since_ = now;
                held_.push_back({index, trade});
                if (held_.size() >= kConfirmations) release_held(now);
                return;
            case Timeliness::kBehind:
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

    void forget_held(uint32_t index) {
        const auto is_of = [index](const HeldTrade &held) { return held.symbol == index; };
        held_.erase(std::remove_if(held_.begin(), held_.end(), is_of), held_.end());
    }

    // The stream has begun again at an earlier time.
    void restart() {
        ++counts_.restarts;
        contradict_dates();
        coverage_.restart();
        retained_.clear();
        clock_.restart();
    }

    // A trade has come at a time that is to be believed: move the time on and count it in its windows.
    void count(const Text &name, uint32_t index, const Trade &trade, int64_t now) {
        clock_.heard(trade.time, now);
        if (__builtin_expect(coverage_.awaits_stream(), 0)) coverage_.join_stream(trade.time);
        windows_.close();
        if (index == SymbolTable::kAbsent) index = wants_.add_symbol(name);
        Symbol &symbol = *symbols_[index];
        if (trade.effect == 0) return;
        const uint64_t arrival = symbol.last_trade = retained_.add(trade, clock_.reached(), symbol.last_trade);
        const Wide notional = Wide{trade.price.digits} * trade.size.digits;
        bool counted = false, late = false;
        for (Series &series : symbol.series) {
            Window *window = series.newest;
            if (__builtin_expect(trade.time < series.start || trade.time >= series.end, 0)) {
                window = windows_.at(index, series, trade.time, arrival, late);
                if (window == nullptr) continue;
            }
            window->count(trade, notional);
            counted = true;
        }
        counts_.trades += counted;
        counts_.late += late;
    }

    // Build windows that are wanted after their first trades have come.
    void rebuild() {
        std::vector<uint32_t> &to_rebuild = wants_.to_rebuild();
        if (__builtin_expect(to_rebuild.empty(), 1)) return;
        for (uint32_t index : to_rebuild) {
            Symbol *const symbol = index < symbols_.bound() ? symbols_[index] : nullptr;
            if (symbol != nullptr && symbol->to_rebuild) rebuild(index, *symbol);
        }
        to_rebuild.clear();
    }

    void rebuild(uint32_t index, Symbol &symbol) {
        int64_t from = kNever;  // where the first window that is needed begins
        for (const Series &series : symbol.series) {
            if (!series.to_rebuild || series.whole_from == kNever) continue;
            const int64_t closed = clock_.reached() - limits_.delay_ms - series.interval->length_ms;
            from = std::min(from, std::max(series.whole_from, closed));
        }
        std::vector<uint64_t> numbers;  // of its trades that are needed, the last first
        if (from != kNever) {
            for (uint64_t number = symbol.last_trade; retained_.has(number); number = retained_.previous(number)) {
                if (retained_[number].stream_time < from) break;  // none before it is of a later time
                numbers.push_back(number);
            }
        }
        for (auto number = numbers.rbegin(); number != numbers.rend(); ++number) {
            const RetainedTrades::Entry &entry = retained_[*number];
            if (entry.time < from) continue;
            const Trade trade = entry.trade();
            const Wide notional = Wide{trade.price.digits} * trade.size.digits;
            bool late = false;
            for (Series &series : symbol.series) {
                if (!series.to_rebuild) continue;
                Window *const window = windows_.at(index, series, trade.time, *number, late);
                if (window != nullptr) window->count(trade, notional);
            }
        }
        symbol.to_rebuild = false;
        for (Series &series : symbol.series) series.to_rebuild = false;
    }
};

}  // namespace fproxy::bars
