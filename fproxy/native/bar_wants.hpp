// Who wants bars of which interval, of one symbol or of all.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "bar_coverage.hpp"
#include "bar_limits.hpp"
#include "bar_retention.hpp"
#include "bar_symbols.hpp"
#include "bar_windows.hpp"

namespace fproxy::bars {

class BarWants {
  public:
    BarWants(const BarLimits &limits, const StreamClock &clock, SymbolTable &symbols, TradeCoverage &coverage,
             BarWindows &windows, RetainedTrades &retained)
        : limits_(limits), clock_(clock), symbols_(symbols), coverage_(coverage), windows_(windows), retained_(retained) {
        if (limits_.keeps_all) coverage_.want_all();
    }

    // An interval; null when nobody has ever wanted it.
    const Interval *find(int32_t length_ms) const {
        const auto found = intervals_.find(length_ms);
        return found == intervals_.end() ? nullptr : found->second.get();
    }

    // Somebody more wants an interval of one symbol. Nothing has changed when that is not granted.
    Wish want_one(int32_t length_ms, const Text &name) {
        Interval &interval = interval_of(length_ms);
        uint32_t index = symbols_.find(name);
        Series *series = index == SymbolTable::kAbsent ? nullptr : symbols_[index]->find(&interval);
        if (series == nullptr) {
            const size_t others = index == SymbolTable::kAbsent ? wildcards_.size() : symbols_[index]->series.size();
            if (others >= limits_.intervals && interval.wildcard_wants == 0) return Wish::kTooManyIntervals;
            if (!windows_.have_room(1)) return Wish::kTooManyWindows;
            if (index == SymbolTable::kAbsent) index = add_symbol(name);
            series = symbols_[index]->find(&interval);
            if (series == nullptr) series = &add_series(index, interval);
        }
        ++series->wants;
        return Wish::kGranted;
    }

    // The same of all symbols.
    Wish want_all(int32_t length_ms) {
        Interval &interval = interval_of(length_ms);
        if (interval.wildcard_wants == 0) {
            if (wildcards_.size() >= limits_.wildcards) return Wish::kTooManyIntervals;
            if (!windows_.have_room(symbols_.size() + 1)) return Wish::kTooManyWindows;
            wildcards_.push_back(&interval);
            if (wildcards_.size() == 1) {
                if (!limits_.keeps_all) coverage_.want_all();
                coverage_.for_each_flowing([this](std::string_view name) { add_flowing(Text::of(name.data(), name.size())); });
            }
            for (uint32_t index = 0; index < symbols_.bound(); ++index)
                if (symbols_[index] != nullptr && symbols_[index]->find(&interval) == nullptr) add_series(index, interval);
        }
        ++interval.wildcard_wants;
        return Wish::kGranted;
    }

    // Somebody does not want an interval of one symbol any more: false when nobody did. `removed` is called with the number
    // of a symbol of which nobody wants anything now.
    template <class Removed>
    bool unwant_one(int32_t length_ms, const Text &name, Removed removed) {
        Interval &interval = interval_of(length_ms);
        const uint32_t index = symbols_.find(name);
        Series *const series = index == SymbolTable::kAbsent ? nullptr : symbols_[index]->find(&interval);
        if (series == nullptr || series->wants == 0) return false;
        if (--series->wants == 0 && interval.wildcard_wants == 0) remove_series(index, series, removed);
        return true;
    }

    // The same of all symbols.
    template <class Removed>
    bool unwant_all(int32_t length_ms, Removed removed) {
        Interval &interval = interval_of(length_ms);
        if (interval.wildcard_wants == 0) return false;
        if (--interval.wildcard_wants != 0) return true;
        wildcards_.erase(std::find(wildcards_.begin(), wildcards_.end(), &interval));
        if (wildcards_.empty() && !limits_.keeps_all) coverage_.unwant_all();
        for (uint32_t index = 0; index < symbols_.bound(); ++index) {
            Series *const series = symbols_[index] == nullptr ? nullptr : symbols_[index]->find(&interval);
            if (series != nullptr && series->wants == 0) remove_series(index, series, removed);
        }
        return true;
    }

    // A symbol's trades have begun to flow: it is wanted if all are.
    void add_flowing(const Text &name) {
        if (!wildcards_.empty() && symbols_.find(name) == SymbolTable::kAbsent) add_symbol(name);
    }

    // Add a symbol, with the intervals that are wanted of all symbols.
    uint32_t add_symbol(const Text &name) {
        const uint32_t index = symbols_.add(name);
        Symbol &symbol = *symbols_[index];
        coverage_.added(symbol);
        symbol.series.reserve(wildcards_.size());
        for (Interval *interval : wildcards_) {
            symbol.series.emplace_back(interval);
            symbol.series.back().whole_from = symbol.whole_from;
        }
        return index;
    }

    // Forget some of the symbols that nobody wants and that have not traded for long: as many are looked at as is said.
    template <class Removed>
    void sweep(size_t count, Removed removed) {
        const uint32_t bound = symbols_.bound();
        for (count = std::min<size_t>(count, bound); count != 0; --count) {
            if (++swept_ >= bound) swept_ = 0;
            const Symbol *const symbol = symbols_[swept_];
            if (symbol != nullptr && symbol->series.empty() && !retained_.has(symbol->last_trade)) remove(swept_, removed);
        }
    }

    // The symbols of which windows are still to be built from retained trades; some may not be there any more.
    std::vector<uint32_t> &to_rebuild() { return to_rebuild_; }

  private:
    const BarLimits limits_;
    const StreamClock &clock_;
    SymbolTable &symbols_;
    TradeCoverage &coverage_;
    BarWindows &windows_;
    RetainedTrades &retained_;
    std::map<int32_t, std::unique_ptr<Interval>> intervals_;  // never removed: there are at most 60,000
    std::vector<Interval *> wildcards_;                       // those wanted of all symbols
    std::vector<uint32_t> to_rebuild_;
    uint32_t swept_ = 0;  // the symbol that sweep() looked at last

    Interval &interval_of(int32_t length_ms) {
        std::unique_ptr<Interval> &interval = intervals_[length_ms];
        if (interval == nullptr) interval = std::make_unique<Interval>(length_ms);
        return *interval;
    }

    Series &add_series(uint32_t index, Interval &interval) {
        Symbol &symbol = *symbols_[index];
        Series &series = symbol.series.emplace_back(&interval);
        series.wanted_at = clock_.reached();
        const auto is_of = [&interval](const auto &gone) { return gone.first == interval.length_ms; };
        const auto gone = std::find_if(symbol.given_up.begin(), symbol.given_up.end(), is_of);
        if (gone != symbol.given_up.end()) {
            series.was_wanted = gone->second + limits_.retained_ms() >= clock_.reached();
            symbol.given_up.erase(gone);
        }
        if (symbol.whole_from != kNever) {
            series.whole_from = std::max(symbol.whole_from, retained_.complete_from());
            series.to_rebuild = true;
            if (!std::exchange(symbol.to_rebuild, true)) to_rebuild_.push_back(index);
        }
        return series;
    }

    template <class Removed>
    void remove_series(uint32_t index, Series *series, Removed removed) {
        Symbol &symbol = *symbols_[index];
        windows_.give_up(*series, false);
        symbol.given_up.emplace_back(series->interval->length_ms, clock_.reached());
        symbol.series.erase(symbol.series.begin() + (series - symbol.series.data()));
        if (symbol.series.empty() && !(limits_.keeps_all && retained_.has(symbol.last_trade))) remove(index, removed);
    }

    template <class Removed>
    void remove(uint32_t index, Removed removed) {
        removed(index);
        coverage_.await_no_stream(*symbols_[index]);
        symbols_.remove(index);
    }
};

}  // namespace fproxy::bars
