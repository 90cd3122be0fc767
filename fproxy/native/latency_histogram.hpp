// How long things took: counts by duration, for less than it takes to ask for the time.
//
// A duration falls into one of four equal parts of its power of two, so a quantile is read off within an eighth of its
// value; what takes less than a microsecond or more than a quarter of a minute is not told apart.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fproxy {

class LatencyHistogram {
  public:
    static constexpr unsigned kFirstPower = 10;  // 1,024 ns
    static constexpr unsigned kPowers = 24;      // the last part ends at 2^34 ns, 17.2 s
    static constexpr unsigned kParts = 4;
    static constexpr size_t kBuckets = 1 + kPowers * kParts + 1;

    void record(uint64_t nanoseconds) {
        ++counts_[bucket_of(nanoseconds)];
        sum_ += nanoseconds;
    }

    uint64_t count(size_t bucket) const { return counts_[bucket]; }
    uint64_t sum_nanoseconds() const { return sum_; }

    // The first bucket holds what is below 2^kFirstPower, the last what is beyond all parts.
    static size_t bucket_of(uint64_t nanoseconds) {
        if (nanoseconds < uint64_t{1} << kFirstPower) return 0;
        const unsigned power = 63 - static_cast<unsigned>(__builtin_clzll(nanoseconds));
        if (power >= kFirstPower + kPowers) return kBuckets - 1;
        const unsigned part = static_cast<unsigned>(nanoseconds >> (power - 2)) & (kParts - 1);
        return 1 + (power - kFirstPower) * kParts + part;
    }

    // Where a bucket ends, in nanoseconds: the first duration that is not in it; 0 for the last, which has no end.
    static uint64_t end_of(size_t bucket) {
        if (bucket + 1 == kBuckets) return 0;
        const unsigned power = kFirstPower + static_cast<unsigned>(bucket) / kParts;
        return (uint64_t{kParts} + bucket % kParts) << (power - 2);
    }

  private:
    uint64_t counts_[kBuckets] = {};
    uint64_t sum_ = 0;
};

}  // namespace fproxy
