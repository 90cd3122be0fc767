// Decimal numbers as trades state them: read from JSON text, compared, written back in the shortest form.
//
// A number is kept exactly as long as it has no more than 18 significant digits and no more than 18 decimals, which is
// past what a JSON reader that uses doubles can tell apart; what goes beyond is rounded once, half to even. Numbers
// of 10^18 and more, and negative ones, are no amounts that a trade can have.
#pragma once

#include <cstdint>
#include <cstring>

namespace fproxy::bars {

__extension__ typedef unsigned __int128 Wide;

constexpr int kMaxDigits = 18;
constexpr int kMaxScale = 18;

constexpr uint64_t kPowersOfTen[] = {1,
                                     10,
                                     100,
                                     1000,
                                     10000,
                                     100000,
                                     1000000,
                                     10000000,
                                     100000000,
                                     1000000000,
                                     10000000000,
                                     100000000000,
                                     1000000000000,
                                     10000000000000,
                                     100000000000000,
                                     1000000000000000,
                                     10000000000000000,
                                     100000000000000000,
                                     1000000000000000000,
                                     10000000000000000000u};
constexpr uint64_t kTooLarge = kPowersOfTen[kMaxDigits];

constexpr bool is_decimal_digit(char character) { return character >= '0' && character <= '9'; }

// digits / 10^scale, with digits < 10^18 and 0 <= scale <= 18.
struct Decimal {
    uint64_t digits = 0;
    int scale = 0;

    bool operator<(const Decimal &other) const {
        if (__builtin_expect(scale == other.scale, 1)) return digits < other.digits;
        if (scale < other.scale) return Wide{digits} * kPowersOfTen[other.scale - scale] < other.digits;
        return digits < Wide{other.digits} * kPowersOfTen[scale - other.scale];
    }

    // Become the mean of this number and another. False, with any value, when it has too many digits to be kept exactly.
    bool average_with(const Decimal &other, int least_scale) {
        const int common = scale < other.scale ? other.scale : scale;
        if (common == kMaxScale) return false;
        const Wide sum = Wide{digits} * kPowersOfTen[common - scale] + Wide{other.digits} * kPowersOfTen[common - other.scale];
        if (sum >= kTooLarge / 5) return false;
        digits = static_cast<uint64_t>(sum) * 5;  // a half is one decimal more
        scale = common + 1;
        settle(least_scale);
        return true;
    }

    // Give the number `least_scale` if that fits, or the smallest larger scale that holds it: numbers of one kind then
    // nearly always have the same scale, and compare and add up as integers.
    void settle(int least_scale) {
        while (scale > least_scale && digits % 10 == 0) {
            digits /= 10;
            --scale;
        }
        if (scale < least_scale && digits < kTooLarge / kPowersOfTen[least_scale - scale]) {
            digits *= kPowersOfTen[least_scale - scale];
            scale = least_scale;
        }
    }
};

// Read a decimal text of any length and with any exponent; false when the text from `at` to `end` is no unsigned number
// of JSON's grammar or is too large. Leading zeros are let pass.
inline bool parse_any_decimal(const char *at, const char *end, int least_scale, Decimal &found) {
    constexpr int kKept = kMaxDigits + 1;  // with the digit that decides the rounding
    uint64_t kept = 0;                     // the first significant digits
    int count = 0;                         // how many they are, at most kKept
    bool more = false;                     // whether a digit beyond them is not zero
    int64_t point = 0;                     // the value is 0.DIGITS times ten to this power
    const auto take = [&](char character) {
        if (count == 0 && character == '0') return false;
        if (count < kKept) {
            kept = kept * 10 + static_cast<uint64_t>(character - '0');
            ++count;
        } else {
            more |= character != '0';
        }
        return true;
    };

    const char *part = at;
    for (; at != end && is_decimal_digit(*at); ++at) point += take(*at) ? 1 : 0;
    if (at == part) return false;
    if (at != end && *at == '.') {
        for (part = ++at; at != end && is_decimal_digit(*at); ++at) point -= take(*at) || count != 0 ? 0 : 1;
        if (at == part) return false;
    }
    if (at != end && (*at == 'e' || *at == 'E')) {
        ++at;
        const bool negative = at != end && *at == '-';
        if (at != end && (*at == '-' || *at == '+')) ++at;
        int64_t exponent = 0;
        for (part = at; at != end && is_decimal_digit(*at); ++at)
            if (exponent < INT64_C(1) << 40) exponent = exponent * 10 + (*at - '0');
        if (at == part) return false;
        point += negative ? -exponent : exponent;
    }
    if (at != end) return false;

    if (count == 0) {
        found = Decimal{};
        found.settle(least_scale);
        return true;
    }
    if (point > kMaxDigits) return false;
    if (point < -kMaxScale) {
        found = Decimal{};
        found.settle(least_scale);
        return true;
    }
    // Keep at most 18 digits of which at most 18 are decimals, but all of those before the point.
    int keep = static_cast<int>(point) + kMaxScale;
    if (keep > kMaxDigits) keep = kMaxDigits;
    if (keep < count) {
        const uint64_t unit = kPowersOfTen[count - keep];
        const uint64_t rest = kept % unit;
        kept /= unit;
        if (rest > unit / 2 || (rest == unit / 2 && (more || (kept & 1) != 0))) ++kept;
    } else {
        keep = count;
    }
    int scale = keep - static_cast<int>(point);
    if (scale < 0) {
        kept *= kPowersOfTen[-scale];
        scale = 0;
    }
    if (kept >= kTooLarge) {  // rounded up to one digit more
        if (scale == 0) return false;
        kept /= 10;
        --scale;
    }
    found.digits = kept;
    found.scale = scale;
    found.settle(least_scale);
    return true;
}

// Write `value` in decimal digits at `out`; returns the end of what was written.
inline char *write_integer(char *out, Wide value) {
    char reversed[40];
    int length = 0;
    while (value > UINT64_MAX) {
        reversed[length++] = static_cast<char>('0' + static_cast<int>(value % 10));
        value /= 10;
    }
    uint64_t rest = static_cast<uint64_t>(value);
    for (; rest >= 100; rest /= 100) {
        const uint64_t pair = rest % 100;
        reversed[length++] = static_cast<char>('0' + pair % 10);
        reversed[length++] = static_cast<char>('0' + pair / 10);
    }
    reversed[length++] = static_cast<char>('0' + rest % 10);
    if (rest >= 10) reversed[length++] = static_cast<char>('0' + rest / 10);
    while (length != 0) *out++ = reversed[--length];
    return out;
}

// The most that write_decimal writes: 39 digits, or "0." and 36 decimals.
constexpr int kLongestDecimal = 48;

// Write digits / 10^scale, scale <= 36, in the shortest form that is not scientific: no zeros after the last other
// decimal, no point without decimals.
inline char *write_decimal(char *out, Wide digits, int scale) {
    if (digits <= UINT64_MAX) {
        uint64_t small = static_cast<uint64_t>(digits);
        for (; scale > 0 && small % 10 == 0; --scale) small /= 10;
        digits = small;
    } else {
        for (; scale > 0 && digits % 10 == 0; --scale) digits /= 10;
    }
    if (digits == 0) scale = 0;
    char *const end = write_integer(out, digits);
    if (scale == 0) return end;
    const int length = static_cast<int>(end - out);
    if (length > scale) {
        std::memmove(end - scale + 1, end - scale, static_cast<size_t>(scale));
        end[-scale] = '.';
        return end + 1;
    }
    const int zeros = scale - length;
    std::memmove(out + 2 + zeros, out, static_cast<size_t>(length));
    std::memset(out, '0', static_cast<size_t>(2 + zeros));
    out[1] = '.';
    return out + 2 + scale;
}

}  // namespace fproxy::bars
