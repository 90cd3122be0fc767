// Reading what bars are built of from one upstream message: price, size, time, and what the conditions let each change.
//
// The message is scanned and found sound by scan.hpp; only the events that bars are built of are read further. Numbers are
// taken from their text, so that no digit is lost in a double.
#pragma once

#include <cstdint>

#include "bar_source.hpp"
#include "compact_scan.hpp"
#include "decimal.hpp"
#include "event.hpp"
#include "text.hpp"
#include "trade_keys.hpp"

namespace fproxy::bars {

constexpr int kPriceScale = 4;  // the vendor's prices have up to four decimals,
constexpr int kSizeScale = 6;   // and its decimal sizes six

// Later times (in the year 5138) are nanoseconds or worse in the place of milliseconds.
constexpr uint64_t kLatestTime = 100'000'000'000'000;

// A trade, or what stands for one where there are none: a quote, or a value. These have no size.
struct Trade {
    int64_t time = 0;  // Unix milliseconds
    Decimal price;
    Decimal size;
    uint8_t effect = kEverything;
    uint8_t unknown_conditions = 0;  // how many of its conditions have no rule, up to 255
};

// Walks the members of one event that is known to be sound JSON; so it looks for no end but the closing brace.
class TradeReader {
  public:
    explicit TradeReader(const BarSource &source) : source_(source) {}

    // Read an event. False when it lacks a price, a size or a time that a trade can have. Of a repeated key the last value
    // counts.
    bool read(const Event &event, Trade &trade) const {
        return with_shape([&](auto shape) { return read_exact(shape, event, trade); });
    }

    // The same for an event that the compact scanner has vouched for, in a message that ends at `message_end`: nothing behind
    // that is read.
    bool read_compact(const Event &event, const char *message_end, Trade &trade) const {
        return with_shape([&](auto shape) { return read_keys(shape, event.begin, event.end, message_end, trade); });
    }

  private:
    enum class Field { kOther, kPrice, kSecondPrice, kSize, kDecimalSize, kTime, kConditions };

    // Which key is which, by the name, or by the eight characters that end with the colon behind it.
    struct TradeKeys {
        static constexpr bool kHasSize = true, kIsMean = false;

        static Field field_of(const char *name, size_t length) {
            if (length == 1) {
                switch (*name) {
                    case 'p': return Field::kPrice;
                    case 's': return Field::kSize;
                    case 't': return Field::kTime;
                    case 'c': return Field::kConditions;
                    default: return Field::kOther;
                }
            }
            return length == 2 && name[0] == 'd' && name[1] == 's' ? Field::kDecimalSize : Field::kOther;
        }

        FPROXY_INLINE static Field field_before(uint64_t word) {
            switch (word >> 32) {
                case packed("\"p\":"): return Field::kPrice;
                case packed("\"s\":"): return Field::kSize;
                case packed("\"t\":"): return Field::kTime;
                case packed("\"c\":"): return Field::kConditions;
                case packed("ds\":"): return (word >> 24 & 0xFF) == '"' ? Field::kDecimalSize : Field::kOther;
                default: return Field::kOther;
            }
        }
    };

    struct ValueKeys {
        static constexpr bool kHasSize = false, kIsMean = false;

        static Field field_of(const char *name, size_t length) {
            if (length == 1 && *name == 't') return Field::kTime;
            return length == 3 && std::memcmp(name, "val", 3) == 0 ? Field::kPrice : Field::kOther;
        }

        FPROXY_INLINE static Field field_before(uint64_t word) {
            if (word >> 32 == packed("\"t\":")) return Field::kTime;
            return word >> 16 == packed("\"val\":") ? Field::kPrice : Field::kOther;
        }
    };

    struct QuoteKeys {
        static constexpr bool kHasSize = false, kIsMean = true;

        static Field field_of(const char *name, size_t length) {
            if (length != 1) return Field::kOther;
            switch (*name) {
                case 'a': return Field::kPrice;
                case 'b': return Field::kSecondPrice;
                case 't': return Field::kTime;
                default: return Field::kOther;
            }
        }

        FPROXY_INLINE static Field field_before(uint64_t word) {
            switch (word >> 32) {
                case packed("\"a\":"): return Field::kPrice;
                case packed("\"b\":"): return Field::kSecondPrice;
                case packed("\"t\":"): return Field::kTime;
                default: return Field::kOther;
            }
        }
    };

    // What has been found of a trade so far.
    struct Reading {
        bool has_price = false, has_second_price = false, has_size = false, has_decimal_size = false, has_time = false;
        Decimal second_price, decimal_size;
    };

    const BarSource &source_;

    template <class Read>
    FPROXY_INLINE bool with_shape(Read read) const {
        switch (source_.shape) {
            case BarShape::kValues: return read(ValueKeys{});
            case BarShape::kQuotes: return read(QuoteKeys{});
            default: return read(TradeKeys{});
        }
    }

    template <class Keys>
    bool read_exact(Keys keys, const Event &event, Trade &trade) const {
        const char *at = event.begin + 1;
        Reading reading;
        reset(trade);
        skip_space(at);
        while (*at != '}') {
            const Field field = key(keys, at);
            skip_space(at);
            ++at;  // the colon
            skip_space(at);
            if (field == Field::kOther)
                skip_value(at);
            else
                take(field, at, trade, reading);
            skip_space(at);
            if (*at != ',') break;
            ++at;
            skip_space(at);
        }
        return finish(keys, trade, reading);
    }

    template <class Keys>
    bool read_keys(Keys keys, const char *begin_at, const char *end, const char *message_end, Trade &trade) const {
        Reading reading;
        reset(trade);
        for_each_key(begin_at, end, message_end, [&](const char *colon) {
            // The eight characters that end with the colon; no key here is so near the beginning that it has fewer,
            // except the first characters of the shortest, such as {"p":
            const ptrdiff_t before = colon - begin_at;
            const uint64_t word =
                before >= 7 ? load8(colon - 7) : load8_before(begin_at, message_end) << (8 * (7 - before));
            const Field field = Keys::field_before(word);
            const char *at = colon + 1;
            if (field != Field::kOther) take(field, at, trade, reading);
        });
        return finish(keys, trade, reading);
    }

    static void reset(Trade &trade) {
        trade.effect = kEverything;
        trade.unknown_conditions = 0;
    }

    // Read the value of a key, and move past it.
    FPROXY_INLINE void take(Field field, const char *&at, Trade &trade, Reading &reading) const {
        switch (field) {
            case Field::kPrice: reading.has_price = number(at, kPriceScale, trade.price); break;
            case Field::kSecondPrice: reading.has_second_price = number(at, kPriceScale, reading.second_price); break;
            case Field::kSize: reading.has_size = number(at, kSizeScale, trade.size); break;
            case Field::kDecimalSize: reading.has_decimal_size = number_or_text(at, kSizeScale, reading.decimal_size); break;
            case Field::kTime: reading.has_time = time(at, trade.time); break;
            case Field::kConditions: conditions(at, trade); break;
            case Field::kOther: break;
        }
    }

    // Put together what was read; false when something lacks.
    template <class Keys>
    FPROXY_INLINE static bool finish(Keys, Trade &trade, const Reading &reading) {
        if (reading.has_decimal_size) trade.size = reading.decimal_size;
        if (!reading.has_price || !reading.has_time) return false;
        if (Keys::kHasSize) return reading.has_size || reading.has_decimal_size;
        return !Keys::kIsMean || (reading.has_second_price && trade.price.average_with(reading.second_price, kPriceScale));
    }

    static void skip_space(const char *&at) {
        while (__builtin_expect(static_cast<unsigned char>(*at) <= ' ', 0)) ++at;
    }

    template <class Keys>
    static Field key(Keys, const char *&at) {
        const char *const begin = ++at;
        while (*at != '"') {
            if (__builtin_expect(*at == '\\', 0)) {
                char plain[kLongestText];
                at = begin;
                const size_t length = decode(at, plain);
                return Keys::field_of(plain, length);
            }
            ++at;
        }
        const size_t length = static_cast<size_t>(at++ - begin);
        return Keys::field_of(begin, length);
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

    // Note what all conditions together allow: an array of numbers, or one number alone. What is no such number allows all.
    void conditions(const char *&at, Trade &trade) const {
        trade.effect = kEverything;
        trade.unknown_conditions = 0;
        if (*at != '[') return condition(at, trade);
        ++at;
        for (skip_space(at); *at != ']'; skip_space(at)) {
            condition(at, trade);
            skip_space(at);
            if (*at == ',') ++at;
        }
        ++at;
    }

    void condition(const char *&at, Trade &trade) const {
        Decimal found;
        const bool is_code = number(at, 0, found) && found.scale == 0;
        const auto [effect, unknown] = source_.effects.of(is_code ? found.digits : UINT64_MAX);
        trade.effect &= effect;
        if (__builtin_expect(unknown && trade.unknown_conditions != UINT8_MAX, 0)) ++trade.unknown_conditions;
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
