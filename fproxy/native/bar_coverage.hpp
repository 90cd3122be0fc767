// Which trades are seen, and since when: what makes a window whole.
//
// A window is whole when the trades of its symbol have been seen since before it began. How that is known: when a
// symbol's trades begin to flow, all trades that were missed are older than the next trade that comes, of whatever symbol,
// give or take the disorder that the delay allows for. So what begins more than the delay after that trade is whole.
// Windows that are not whole are neither built nor sent.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "bar_clock.hpp"
#include "bar_limits.hpp"
#include "bar_symbols.hpp"
#include "bar_windows.hpp"
#include "text_set.hpp"

namespace fproxy::bars {

class TradeCoverage {
  public:
    TradeCoverage(const BarLimits &limits, const StreamClock &clock, SymbolTable &symbols, BarWindows &windows,
                  BarCounts &counts)
        : delay_(limits.delay_ms), clock_(clock), symbols_(symbols), windows_(windows), counts_(counts) {}

    // Whether the trades of a symbol flow.
    bool flows(const Symbol &symbol) const { return all_flow_ || flowing_.contains(symbol.text()); }

    // Whether a symbol that is not there yet is wanted, because all are.
    bool takes_any_symbol() const { return all_await_stream_ || all_whole_from_ != kNever; }

    // From when on all trades of the symbols are seen that have not traded yet, while all are wanted; kNever for never.
    int64_t all_whole_from() const { return all_whole_from_; }

    // Whether the next trade, of whatever symbol, tells something.
    bool awaits_stream() const { return all_await_stream_ || !awaiting_.empty(); }

    // The trades of all symbols flow from now on.
    void all_started() {
        if (all_flow_) return;
        all_flow_ = true;
        if (wants_all_) all_await_stream_ = true;
        for (uint32_t index = 0; index < symbols_.bound(); ++index)
            if (symbols_[index] != nullptr) await_stream(*symbols_[index]);
    }

    // Those of one symbol do; returns whether they have not until now.
    bool started(const Text &name) { return flowing_.insert(name); }

    // From now on, trades of all symbols may be missed for which started() was not called by name.
    void all_stopped() {
        all_flow_ = all_await_stream_ = false;
        all_whole_from_ = kNever;
        for (uint32_t index = 0; index < symbols_.bound(); ++index)
            if (symbols_[index] != nullptr && !flows(*symbols_[index])) miss_trades(*symbols_[index]);
    }

    // Those of one symbol may be missed.
    void stopped(const Text &name) {
        flowing_.erase(name);
        const uint32_t index = symbols_.find(name);
        if (index != SymbolTable::kAbsent && !all_flow_) miss_trades(*symbols_[index]);
    }

    // No trades flow any more.
    void nothing_flows() {
        flowing_.clear();
        all_stopped();
    }

    // Somebody wants all symbols, or nobody does any more.
    void want_all() {
        wants_all_ = true;
        all_await_stream_ = all_flow_;
    }
    void unwant_all() {
        wants_all_ = all_await_stream_ = false;
        all_whole_from_ = kNever;
    }

    // Call `visit` with the name of each symbol whose trades flow by name.
    template <class Visit>
    void for_each_flowing(Visit visit) const {
        flowing_.for_each(visit);
    }

    // A symbol has been added, because it is wanted.
    void added(Symbol &symbol) {
        if (all_whole_from_ != kNever)
            symbol.whole_from = all_whole_from_;  // it has not traded since, or it would have been added then
        else if (flows(symbol))
            await_stream(symbol);
    }

    void await_stream(Symbol &symbol) {
        if (symbol.whole_from != kNever || symbol.awaits_stream()) return;
        symbol.awaiting_at = static_cast<uint32_t>(awaiting_.size());
        awaiting_.push_back(&symbol);
    }

    void await_no_stream(Symbol &symbol) {
        if (!symbol.awaits_stream()) return;
        awaiting_.back()->awaiting_at = symbol.awaiting_at;
        awaiting_[symbol.awaiting_at] = awaiting_.back();
        awaiting_.pop_back();
        symbol.awaiting_at = Symbol::kNotAwaiting;
    }

    // A trade has come, which tells for those symbols whose trades began to flow before it from when on they are complete.
    void join_stream(int64_t time) {
        const int64_t whole_from = std::max(time, clock_.latest()) + delay_ + 1;
        if (std::exchange(all_await_stream_, false)) all_whole_from_ = whole_from;
        for (Symbol *symbol : std::exchange(awaiting_, {})) {
            symbol->awaiting_at = Symbol::kNotAwaiting;
            symbol->whole_from = whole_from;
            for (Series &series : symbol->series) make_whole(series, whole_from);
        }
    }

    // The stream has begun again at an earlier time. What was open ended with the stream before, and misses its end.
    void restart() {
        for (uint32_t index = 0; index < symbols_.bound(); ++index) {
            if (symbols_[index] == nullptr) continue;
            miss_trades(*symbols_[index]);
            for (Series &series : symbols_[index]->series) {  // what they know is of another time
                series.missed_from = kNever;
                series.wanted_at = INT64_MIN;
            }
            symbols_[index]->given_up.clear();
            if (flows(*symbols_[index])) await_stream(*symbols_[index]);
        }
        all_whole_from_ = kNever;
        all_await_stream_ = all_flow_ && wants_all_;
    }

  private:
    const int64_t delay_;
    const StreamClock &clock_;
    SymbolTable &symbols_;
    BarWindows &windows_;
    BarCounts &counts_;
    TextSet flowing_;  // by name
    bool all_flow_ = false;
    bool wants_all_ = false;
    bool all_await_stream_ = false;
    int64_t all_whole_from_ = kNever;  // for symbols that have not traded yet; kept up only while all are wanted
    std::vector<Symbol *> awaiting_;   // the symbols whose trades have begun to flow: the next trade says at what time

    void miss_trades(Symbol &symbol) {
        await_no_stream(symbol);
        symbol.whole_from = kNever;
        for (Series &series : symbol.series) {
            if (series.whole_from != kNever) start_to_miss(series);
            series.whole_from = kNever;
            windows_.give_up(series, true);
        }
    }

    // Windows of a series are missed from now on. Those that are open count as lost when they are given up; how many
    // follow is known once the series is whole again.
    void start_to_miss(Series &series) {
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
};

}  // namespace fproxy::bars
