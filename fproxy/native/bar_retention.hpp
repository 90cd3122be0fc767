// The trades of the last minute, in order of arrival: what a window is built from when somebody begins to want it after
// its first trades have come.
//
// One ring for all symbols, so that its memory has one bound however the trades fall. Each trade leads to the one before it
// of the same symbol, so that what one symbol needs costs its own trades, not those of all.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "trade_scan.hpp"

namespace fproxy::bars {

class RetainedTrades {
  public:
    struct Entry {
        int64_t time;
        int64_t stream_time;  // what the stream had reached when the trade came: never less than the time of it or any before
        uint64_t price, size;
        uint32_t back;  // how many trades ago the one before it of its symbol came; zero when that is not known
        uint8_t price_scale, size_scale, effect;

        Trade trade() const {
            Trade found;
            found.time = time;
            found.price.digits = price;
            found.price.scale = price_scale;
            found.size.digits = size;
            found.size.scale = size_scale;
            found.effect = effect;
            return found;
        }
    };

    // Keep at most `most` trades (some billions at the most), and none that is more than `span_ms` behind without need.
    RetainedTrades(size_t most, int64_t span_ms) : most_(std::clamp(most, kLeast, kMost)), span_(span_ms) {}

    // Keep a trade, where `previous` is the number of the one before it of its symbol, or zero; returns its number, in order of
    // arrival.
    uint64_t add(const Trade &trade, int64_t stream_time, uint64_t previous) {
        if (count_ == ring_.size() && !make_room(stream_time)) forget_oldest();
        Entry &entry = ring_[place(count_++)];
        entry.time = trade.time;
        entry.stream_time = stream_time;
        entry.price = trade.price.digits;
        entry.size = trade.size.digits;
        entry.price_scale = static_cast<uint8_t>(trade.price.scale);
        entry.size_scale = static_cast<uint8_t>(trade.size.scale);
        entry.effect = trade.effect;
        const uint64_t number = forgotten_ + count_;
        entry.back = has(previous) ? static_cast<uint32_t>(number - previous) : 0;
        return number;
    }

    // Forget all, and give the memory back.
    void clear() {
        std::vector<Entry>().swap(ring_);
        forgotten_ += count_;
        oldest_ = count_ = 0;
        complete_from_ = INT64_MIN;
    }

    size_t size() const { return count_; }

    // Trades of this time and later are all still here, as far as they came at all.
    int64_t complete_from() const { return complete_from_; }

    // Whether the trade of a number is still here. None has the number zero.
    bool has(uint64_t number) const { return number > forgotten_ && number <= forgotten_ + count_; }

    // A trade that is still here.
    const Entry &operator[](uint64_t number) const { return ring_[place(static_cast<size_t>(number - forgotten_ - 1))]; }

    // The number of the trade before it of the same symbol; zero when that is not known any more.
    uint64_t previous(uint64_t number) const {
        const uint32_t back = (*this)[number].back;
        return back == 0 ? 0 : number - back;
    }

  private:
    static constexpr size_t kLeast = 1024;
    static constexpr size_t kMost = UINT32_MAX;

    std::vector<Entry> ring_;
    size_t most_;
    int64_t span_;
    size_t oldest_ = 0;
    size_t count_ = 0;
    uint64_t forgotten_ = 0;  // how many trades came before the oldest one here
    int64_t complete_from_ = INT64_MIN;

    size_t place(size_t i) const {
        const size_t at = oldest_ + i;
        return at < ring_.size() ? at : at - ring_.size();
    }

    void forget_oldest() {
        complete_from_ = ring_[oldest_].stream_time + 1;
        oldest_ = place(1);
        --count_;
        ++forgotten_;
    }

    // Grow, unless the bound is reached or the oldest trade is not needed any more.
    bool make_room(int64_t stream_time) {
        if (ring_.size() >= most_ || (count_ != 0 && ring_[oldest_].stream_time < stream_time - span_)) return false;
        std::vector<Entry> larger(ring_.size() * 2 < kLeast ? kLeast : ring_.size() * 2 > most_ ? most_ : ring_.size() * 2);
        for (size_t i = 0; i < count_; ++i) larger[i] = ring_[place(i)];
        ring_.swap(larger);
        oldest_ = 0;
        return true;
    }
};

}  // namespace fproxy::bars
