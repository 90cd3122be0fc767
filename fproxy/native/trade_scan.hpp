// Reading the trades of one upstream message: price, size, time, and what the conditions let each of them change.
//
// The message is scanned and found sound by scan.hpp; only events of type T are read further. Numbers are taken from
// their text, so that no digit is lost in a double.
#pragma once

#include <cstdint>
#include <vector>

#include "decimal.hpp"
#include "event.hpp"
#include "text.hpp"
#include "trade_keys.hpp"

namespace fproxy::bars {

// What a trade may change in a bar: bits of Trade::effect.
enum Effect : uint8_t { kHighLow = 1, kOpenClose = 2, kVolume = 4, kEverything = 7 };

constexpr int kPriceScale = 4;  // the vendor's prices have up to four decimals,
constexpr int kSizeScale = 6;   // and its decimal sizes six

// Later times (in the year 5138) are nanoseconds or worse in the place of milliseconds.
constexpr uint64_t kLatestTime = 100'000'000'000'000;

struct Trade {
    int64_t time = 0;  // Unix milliseconds
    Decimal price;
    Decimal size;
    uint8_t effect = kEverything;
};

// What each condition allows. A condition without an entry allows everything.
class ConditionEffects {
  public:
    void set(uint32_t condition, uint8_t effect) {
        if (condition >= effects_.size()) effects_.resize(condition + 1, kEverything);
        effects_[condition] = effect;
    }

    uint8_t of(uint64_t condition) const { return condition < effects_.size() ? effects_[condition] : uint8_t{kEverything}; }

  private:
    std::vector<uint8_t> effects_;
};

// Walks the members of one event that is known to be sound JSON; so it looks for no end but the closing brace.
class TradeReader {
  public:
    explicit TradeReader(const ConditionEffects &effects) : effects_(effects) {}

    // Read the trade in an event of type T. False when it lacks a price, a size or a time that a trade can have. Of a
    // repeated key the last value counts.
    bool read(const Event &event, Trade &trade) const {
        const char *at = event.begin + 1;
        bool has_price = false, has_size = false, has_decimal_size = false, has_time = false;
        Decimal size, decimal_size;
        trade.effect = kEverything;
        skip_space(at);
        while (*at != '}') {
            const Field field = key(at);
            skip_space(at);
            ++at;  // the colon
            skip_space(at);
            switch (field) {
                case kPrice: has_price = number(at, kPriceScale, trade.price); break;
                case kSize: has_size = number(at, kSizeScale, size); break;
                case kDecimalSize: has_decimal_size = number_or_text(at, kSizeScale, decimal_size); break;
                case kTime: has_time = time(at, trade.time); break;
                case kConditions: trade.effect = conditions(at); break;
                case kOther: skip_value(at); break;
            }
            skip_space(at);
            if (*at != ',') break;
            ++at;
            skip_space(at);
        }
        trade.size = has_decimal_size ? decimal_size : size;
        return has_price && has_time && (has_size || has_decimal_size);
    }

    // The same for an event that the compact scanner has vouched for, in a message that ends at `message_end`.
    bool read_compact(const Event &event, const char *message_end, Trade &trade) const {
        const size_t length = static_cast<size_t>(event.end - event.begin);
        if (message_end - event.end >= kPadding) return read_padded(event.begin, event.end, trade);
        if (length > kMostCopied) return read(event, trade);
        char copy[kMostCopied + kPadding] = {};
        std::memcpy(copy, event.begin, length);
        return read_padded(copy, copy + length, trade);
    }

  private:
    static constexpr ptrdiff_t kPadding = 65;  // what for_each_key reads past the end
    static constexpr size_t kMostCopied = 512;

    bool read_padded(const char *begin, const char *end, Trade &trade) const {
        bool has_price = false, has_size = false, has_decimal_size = false, has_time = false;
        Decimal decimal_size;
        trade.effect = kEverything;
        for_each_key(begin, end, [&](const char *colon) {
            // The eight characters that end with the colon; no key here is so near the beginning that it has fewer,
            // except the first two characters of the shortest: {"p":
            const uint64_t word = colon - begin >= 7 ? load8(colon - 7) : load8(begin) << (8 * (7 - (colon - begin)));
            const char *at = colon + 1;
            switch (word >> 32) {
                case packed("\"p\":"): has_price = number(at, kPriceScale, trade.price); break;
                case packed("\"s\":"): has_size = number(at, kSizeScale, trade.size); break;
                case packed("\"t\":"): has_time = time(at, trade.time); break;
                case packed("\"c\":"): trade.effect = conditions(at); break;
                case packed("ds\":"):
                    if ((word >> 24 & 0xFF) == '"') has_decimal_size = number_or_text(at, kSizeScale, decimal_size);
                    break;
            }
        });
        if (has_decimal_size) trade.size = decimal_size;
        return has_price && has_time && (has_size || has_decimal_size);
    }

    enum Field { kOther, kPrice, kSize, kDecimalSize, kTime, kConditions };

    const ConditionEffects &effects_;

    static void skip_space(const char *&at) {
        while (__builtin_expect(static_cast<unsigned char>(*at) <= ' ', 0)) ++at;
    }

    static Field field_of(const char *name, size_t length) {
        if (length == 1) {
            switch (*name) {
                case 'p': return kPrice;
                case 's': return kSize;
                case 't': return kTime;
                case 'c': return kConditions;
                default: return kOther;
            }
        }
        return length == 2 && name[0] == 'd' && name[1] == 's' ? kDecimalSize : kOther;
    }

    static Field key(const char *&at) {
        const char *const begin = ++at;
        while (*at != '"') {
            if (__builtin_expect(*at == '\\', 0)) {
                char plain[kLongestText];
                at = begin;
                const size_t length = decode(at, plain);
                return field_of(plain, length);
            }
            ++at;
        }
        const size_t length = static_cast<size_t>(at++ - begin);
        return field_of(begin, length);
    }

    // The longest text that is looked at when it holds escapes: numbers in strings are shorter.
    static constexpr size_t kLongestText = 64;

    // Decode a string from its first character on, for comparing with ASCII only: other characters become a 0xFF.
    // Moves past the closing quote. Returns the length, or zero when the text is longer than the buffer.
    static size_t decode(const char *&at, char *plain) {
        size_t length = 0;
        while (*at != '"') {
            char character = *at++;
            if (character == '\\') {
                character = *at++;
                switch (character) {
                    case 'b': character = '\b'; break;
                    case 'f': character = '\f'; break;
                    case 'n': character = '\n'; break;
                    case 'r': character = '\r'; break;
                    case 't': character = '\t'; break;
                    case 'u': {
                        unsigned code = 0;
                        for (int i = 0; i < 4; ++i, ++at)
                            code = code * 16 + static_cast<unsigned>(is_decimal_digit(*at) ? *at - '0' : (*at | 32) - 'a' + 10);
                        character = static_cast<char>(code < 0x80 ? code : 0xFF);
                        break;
                    }
                    default: break;
                }
            }
            if (length < kLongestText) plain[length] = character;
            ++length;
        }
        ++at;
        return length <= kLongestText ? length : 0;
    }

    // Read a number at the cursor and move past it; any other value is moved past and is none.
    static bool number(const char *&at, int least_scale, Decimal &found) {
        const char *const begin = at;
        const char *const end = short_number(at, found);
        if (__builtin_expect(end != nullptr && ends_value(*end), 1)) {
            at = end;
            found.settle(least_scale);
            return true;
        }
        skip_value(at);
        return parse_any_decimal(begin, at, least_scale, found);
    }

    static bool time(const char *&at, int64_t &milliseconds) {
        Decimal found;
        if (!number(at, 0, found) || found.scale != 0 || found.digits >= kLatestTime) return false;
        milliseconds = static_cast<int64_t>(found.digits);
        return true;
    }

    static bool number_or_text(const char *&at, int least_scale, Decimal &found) {
        if (*at != '"') return number(at, least_scale, found);
        const char *const begin = at + 1;
        const char *const end = short_number(begin, found);
        if (__builtin_expect(end != nullptr && *end == '"', 1)) {
            at = end + 1;
            found.settle(least_scale);
            return true;
        }
        skip_value(at);
        char plain[kLongestText];
        const char *text = begin;
        const size_t length = decode(text, plain);
        return parse_any_decimal(plain, plain + length, least_scale, found);
    }

    // Read digits, with or without a point between them, up to 18 in all. Returns their end, or null when it is
    // something else.
    static const char *short_number(const char *at, Decimal &found) {
        const char *const begin = at;
        uint64_t digits = 0;
        unsigned digit;
        while ((digit = static_cast<unsigned char>(*at) - unsigned{'0'}) <= 9) {
            digits = digits * 10 + digit;
            ++at;
        }
        if (at == begin) return nullptr;
        int scale = 0;
        if (*at == '.') {
            const char *const fraction = ++at;
            while ((digit = static_cast<unsigned char>(*at) - unsigned{'0'}) <= 9) {
                digits = digits * 10 + digit;
                ++at;
            }
            if (at == fraction) return nullptr;
            if (at - begin > kMaxDigits + 1) return nullptr;
            scale = static_cast<int>(at - fraction);
        } else if (at - begin > kMaxDigits) {
            return nullptr;
        }
        found.digits = digits;
        found.scale = scale;
        return at;
    }

    static bool ends_value(char character) {
        return character == ',' || character == '}' || character == ']' || static_cast<unsigned char>(character) <= ' ';
    }

    // What all conditions together allow: an array of numbers, or one number alone. What is no such number allows all.
    uint8_t conditions(const char *&at) const {
        if (*at != '[') return condition(at);
        ++at;
        uint8_t effect = kEverything;
        for (skip_space(at); *at != ']'; skip_space(at)) {
            effect &= condition(at);
            skip_space(at);
            if (*at == ',') ++at;
        }
        ++at;
        return effect;
    }

    uint8_t condition(const char *&at) const {
        Decimal number_found;
        if (!number(at, 0, number_found) || number_found.scale != 0) return kEverything;
        return effects_.of(number_found.digits);
    }

    static void skip_string(const char *&at) {
        for (++at; *at != '"'; ++at)
            if (*at == '\\') ++at;
        ++at;
    }

    static void skip_value(const char *&at) {
        if (*at == '"') {
            skip_string(at);
        } else if (*at == '[' || *at == '{') {
            int depth = 0;
            do {
                if (*at == '"') {
                    skip_string(at);
                    continue;
                }
                if (*at == '[' || *at == '{') ++depth;
                if (*at == ']' || *at == '}') --depth;
                ++at;
            } while (depth != 0);
        } else {
            while (!ends_value(*at)) ++at;
        }
    }
};

}  // namespace fproxy::bars
