// Closed bars: cut into messages for those who listen, and kept for a while for those who come back.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fproxy::bars {

// Joins bars into JSON arrays, none of them longer than a limit unless one bar alone is.
class BarMessages {
  public:
    explicit BarMessages(size_t limit) : limit_(limit) {}

    void add(std::string_view bar) {
        if (open_ && messages_.back().size() + bar.size() + 2 > limit_) finish();
        if (open_) {
            messages_.back().push_back(',');
        } else {
            messages_.emplace_back(1, '[');
            open_ = true;
        }
        messages_.back().append(bar);
    }

    bool empty() const { return messages_.empty(); }

    // Hand over the messages, and begin anew.
    std::vector<std::string> take() {
        if (open_) finish();
        return std::exchange(messages_, {});
    }

  private:
    size_t limit_;
    bool open_ = false;  // the last message still lacks its closing bracket
    std::vector<std::string> messages_;

    void finish() {
        messages_.back().push_back(']');
        open_ = false;
    }
};

// The bars of all windows that closed together: one interval, one end, in the order of their first trades.
struct ClosedBars {
    struct Bar {
        uint64_t symbol_key;  // see Text::key
        uint32_t begin;       // where the bar begins in the text; it ends where the next one begins
    };

    int32_t interval;
    int64_t end;
    std::string text;  // the bars one after the other, nothing between them
    std::vector<Bar> bars;

    std::string_view bar(size_t i) const {
        const size_t begin = bars[i].begin;
        return std::string_view(text).substr(begin, (i + 1 < bars.size() ? bars[i + 1].begin : text.size()) - begin);
    }
    size_t memory() const { return sizeof(ClosedBars) + text.capacity() + bars.capacity() * sizeof(Bar); }
};

// The bars of the last minute, as far as a bound on memory allows: the oldest go first.
class BarHistory {
  public:
    BarHistory(size_t most_bytes, int64_t span_ms) : most_bytes_(most_bytes), span_(span_ms) {}

    void add(ClosedBars &&closed) {
        bytes_ += closed.memory();
        of_interval_[closed.interval].push_back(first_ + kept_.size());
        kept_.push_back(std::move(closed));
        while (bytes_ > most_bytes_ && !kept_.empty()) forget_oldest();
    }

    // Forget the bars that ended a while before the time which the stream has reached.
    void forget_before(int64_t stream_time) {
        while (!kept_.empty() && kept_.front().end < stream_time - span_) forget_oldest();
    }

    void clear() {
        first_ += kept_.size();
        kept_.clear();
        of_interval_.clear();
        bytes_ = 0;
    }

    // A number that all bars closed from now on are not below.
    uint64_t position() const { return first_ + kept_.size(); }

    // Hand to `take` the text of each bar of an interval that ended after `since` and was closed at `position` or
    // later: all of them, or those of one symbol. `opening` is what such a symbol's bar begins with. Between windows,
    // stop once `take` returns false. Returns whether it did not stop; if it did, `since` says where to go on.
    template <class Take>
    bool replay(int32_t interval, int64_t &since, uint64_t position, const uint64_t *symbol_key, std::string_view opening,
                Take take) const {
        const auto found = of_interval_.find(interval);
        if (found == of_interval_.end()) return true;
        const std::deque<uint64_t> &numbers = found->second;
        const auto passed = [&](uint64_t number) { return kept_[number - first_].end <= since || number < position; };
        for (auto number = std::partition_point(numbers.begin(), numbers.end(), passed); number != numbers.end(); ++number) {
            const ClosedBars &closed = kept_[*number - first_];
            bool wants_more = true;
            for (size_t i = 0; i < closed.bars.size(); ++i) {
                if (symbol_key != nullptr && closed.bars[i].symbol_key != *symbol_key) continue;
                const std::string_view bar = closed.bar(i);
                if (symbol_key == nullptr || bar.substr(0, opening.size()) == opening) wants_more = take(bar);
            }
            if (!wants_more) {
                since = closed.end;
                return false;
            }
        }
        return true;
    }

    size_t bytes() const { return bytes_; }

  private:
    size_t most_bytes_;
    int64_t span_;
    size_t bytes_ = 0;
    uint64_t first_ = 0;  // the number of kept_[0]
    std::deque<ClosedBars> kept_;
    std::map<int32_t, std::deque<uint64_t>> of_interval_;  // numbers of kept bars

    void forget_oldest() {
        const ClosedBars &oldest = kept_.front();
        bytes_ -= oldest.memory();
        const auto found = of_interval_.find(oldest.interval);
        found->second.pop_front();
        if (found->second.empty()) of_interval_.erase(found);
        kept_.pop_front();
        ++first_;
    }
};

}  // namespace fproxy::bars
