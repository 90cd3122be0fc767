// What time it is in the stream of trades: which windows have closed, and which trades are dated beyond belief.
//
// Windows go by the trades' own times, so the time that counts is the stream's: the latest time that a trade has
// stated, moved on by the clock while no later one comes. It never runs backwards. A live, a delayed and a replayed
// stream differ only in how far this is behind the wall clock, which therefore plays no part.
#pragma once

#include <algorithm>
#include <cstdint>

namespace fproxy::bars {

// A trade dated further ahead of the stream than this is set aside until others confirm it.
constexpr int64_t kBelievableAheadMs = 10'000;

// A trade dated further behind than this is late for every window there can be: no interval is longer than a minute, and
// no delay. A run of them means that the stream has begun again at an earlier time.
constexpr int64_t kBelievableBehindMs = 180'000;

class StreamClock {
  public:
    enum class Timeliness { kOnTime, kAhead, kBehind };

    static constexpr int64_t kLongAgo = INT64_MIN / 2;

    // After the last trade, the clock alone moves the time on by `silence_ms`, when every window has closed, and no
    // further: after a long silence the trades say again what time it is, not a clock that drifts.
    explicit StreamClock(int64_t silence_ms) : silence_(silence_ms) {}

    // How the date of a trade fits the stream, when it arrives at `now` on the clock.
    Timeliness timeliness(int64_t time, int64_t now) const {
        if (!started()) return Timeliness::kOnTime;
        if (__builtin_expect(time > latest_ + kBelievableAheadMs, 0) && time > at(now) + kBelievableAheadMs) return Timeliness::kAhead;
        return time < reached_ - kBelievableBehindMs ? Timeliness::kBehind : Timeliness::kOnTime;
    }

    // A trade has stated this time; it arrived at `now` on the clock.
    void heard(int64_t time, int64_t now) {
        if (time <= latest_ && started()) return;
        latest_ = time;
        heard_at_ = now;
        if (time > reached_) reached_ = time;
    }

    // The clock has moved on, and no trade has come.
    void elapsed(int64_t now) {
        const int64_t time = std::min(at(now), latest_ + silence_);
        if (started() && time > reached_) reached_ = time;
    }

    // What time it is by the clock alone; long ago before the first trade.
    int64_t at(int64_t now) const {
        return started() ? latest_ + (now > heard_at_ ? now - heard_at_ : 0) : kLongAgo;
    }

    // Begin again at whatever time the next trade states.
    void restart() { latest_ = reached_ = kLongAgo; }

    bool started() const { return latest_ != kLongAgo; }

    // The time that the stream has reached; long ago before its first trade.
    int64_t reached() const { return reached_; }

    // The latest time that a trade has stated.
    int64_t latest() const { return latest_; }

    // When, on the clock, the stream will have reached `time` if no trade comes.
    int64_t clock_at(int64_t time) const { return heard_at_ + (time - latest_); }

  private:
    int64_t silence_;
    int64_t latest_ = kLongAgo;
    int64_t reached_ = kLongAgo;
    int64_t heard_at_ = 0;
};

}  // namespace fproxy::bars
