// Exact sums of decimal numbers, and their weighted mean.
#pragma once

#include <cstdint>

#include "decimal.hpp"

namespace fproxy::bars {

constexpr Wide kWideMax = ~Wide{0};

// A sum of decimals: exact as long as it fits into 38 digits, decimals included. No sum of real trades comes near that;
// beyond it, the last decimals are rounded away.
struct DecimalSum {
    Wide digits = 0;
    int scale = 0;

    void add(Wide amount, int amount_scale) {
        Wide sum;
        if (__builtin_expect(amount_scale == scale && !__builtin_add_overflow(digits, amount, &sum), 1)) {
            digits = sum;
            return;
        }
        add_unaligned(amount, amount_scale);
    }

  private:
    void drop_decimal() {
        digits = digits / 10 + (digits % 10 >= 5 ? 1 : 0);
        --scale;
    }

    void add_unaligned(Wide amount, int amount_scale) {
        while (scale < amount_scale && digits <= kWideMax / 10) {
            digits *= 10;
            ++scale;
        }
        while (amount_scale < scale) {
            if (amount <= kWideMax / 10) {
                amount *= 10;
                ++amount_scale;
            } else {
                drop_decimal();
            }
        }
        for (; amount_scale > scale; --amount_scale) amount = amount / 10 + (amount % 10 >= 5 ? 1 : 0);
        Wide sum;
        while (__builtin_add_overflow(digits, amount, &sum)) {
            drop_decimal();
            amount = amount / 10 + (amount % 10 >= 5 ? 1 : 0);
        }
        digits = sum;
    }
};

// total / weight with `decimals` decimals, rounded half up: the digits before and after the point as one integer. The
// weight is not zero.
inline Wide weighted_mean(const DecimalSum &total, const DecimalSum &weight, int decimals) {
    Wide numerator = total.digits;
    Wide denominator = weight.digits;
    int shift = decimals + weight.scale - total.scale;  // the quotient is to be multiplied by ten to this power
    if (shift == 0 && numerator <= UINT64_MAX && denominator <= UINT64_MAX) {  // as for most bars
        const uint64_t small = static_cast<uint64_t>(numerator), by = static_cast<uint64_t>(denominator);
        return small / by + (small % by >= by - small % by ? 1 : 0);
    }
    for (; denominator > kWideMax / 10; denominator /= 10) numerator /= 10;
    for (; shift < 0; ++shift) {
        if (denominator <= kWideMax / 100)
            denominator *= 10;
        else
            numerator /= 10;
    }
    Wide mean = numerator / denominator;
    Wide rest = numerator % denominator;
    for (; shift > 0; --shift) {  // long division: one digit at a time
        rest *= 10;
        mean = mean * 10 + rest / denominator;
        rest %= denominator;
    }
    return mean + (rest >= denominator - rest ? 1 : 0);
}

}  // namespace fproxy::bars
