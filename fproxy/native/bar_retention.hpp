// The trades of the last while, in order of arrival: what a window is built from when somebody begins to want it after its
// first trades have come, or after it has closed.
//
// One queue for all symbols, so that its memory has one bound however the trades fall. Each trade leads to the one before it
// of the same symbol, so that what one symbol needs costs its own trades, not those of all.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <utility>

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
        if (count_ == most_) forget_oldest();
        // More than one for each that comes: after a rush the memory goes back.
        for (int i = 0; i < 2 && count_ != 0 && oldest().stream_time < stream_time - span_; ++i) forget_oldest();
        if (skipped_ + count_ == blocks_.size() * kBlock) add_block();
        Entry &entry = at(skipped_ + count_++);
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
        blocks_.clear();
        spare_.reset();
        forgotten_ += count_;
        skipped_ = count_ = 0;
        complete_from_ = INT64_MIN;
    }

    size_t size() const { return count_; }

    // Trades of this time and later are all still here, as far as they came at all.
    int64_t complete_from() const { return complete_from_; }

    // Whether the trade of a number is still here. None has the number zero.
    bool has(uint64_t number) const { return number > forgotten_ && number <= forgotten_ + count_; }

    // A trade that is still here.
    const Entry &operator[](uint64_t number) const { return at(skipped_ + static_cast<size_t>(number - forgotten_ - 1)); }

    // The number of the trade before it of the same symbol; zero when that is not known any more.
    uint64_t previous(uint64_t number) const {
        const uint32_t back = (*this)[number].back;
        return back == 0 ? 0 : number - back;
    }

  private:
    static constexpr size_t kLeast = 1024;
    static constexpr size_t kMost = UINT32_MAX;
    static constexpr size_t kBlock = 1024;  // trades

    using Block = std::unique_ptr<Entry[]>;

    std::deque<Block> blocks_;  // so that growing copies nothing
    Block spare_;
    size_t most_;
    int64_t span_;
    size_t skipped_ = 0;  // places at the front of the first block whose trades are forgotten
    size_t count_ = 0;
    uint64_t forgotten_ = 0;  // how many trades came before the oldest one here
    int64_t complete_from_ = INT64_MIN;

    const Entry &at(size_t place) const { return blocks_[place / kBlock][place % kBlock]; }
    Entry &at(size_t place) { return blocks_[place / kBlock][place % kBlock]; }
    const Entry &oldest() const { return at(skipped_); }

    void add_block() { blocks_.push_back(spare_ != nullptr ? std::move(spare_) : Block(new Entry[kBlock])); }

    void forget_oldest() {
        complete_from_ = std::max(complete_from_, oldest().stream_time + 1);
        --count_;
        ++forgotten_;
        if (++skipped_ < kBlock) return;
        skipped_ = 0;
        spare_ = std::move(blocks_.front());
        blocks_.pop_front();
    }
};

}  // namespace fproxy::bars
