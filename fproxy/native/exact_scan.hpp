// The exact scanner: any JSON text, one character at a time.
//
// Takes every message that the compact scanner does not vouch for: escapes, white space, nested values, characters
// outside ASCII, exponents, literals, and all that is not sound JSON. It accepts the grammar of RFC 8259 and nothing
// else, numbers of any length, UTF-8 as RFC 3629 defines it, nesting to a fixed depth. Where an object repeats a key
// the last value counts, as it does for the JSON libraries of Python, JavaScript and Go.
#pragma once

#include <cstdint>
#include <deque>
#include <string>

#include "event.hpp"

namespace fproxy {

constexpr int kMaxNesting = 512;

class ExactScanner {
  public:
    // Append the events of a message to `events`. Returns false, with `events` in any state, when the text is not
    // sound JSON or is neither an object nor an array. Elements of the array that are no objects are passed over.
    // Decoded texts stay valid until the next call.
    bool scan(const char *begin, const char *end, Events &events) {
        at_ = begin;
        end_ = end;
        decoded_.clear();
        skip_space();
        if (at_ == end_) return false;
        if (*at_ == '{') {
            if (!event(events)) return false;
        } else if (*at_ != '[' || !event_array(events)) {
            return false;
        }
        skip_space();
        return at_ == end_;
    }

    // Where scan() stopped: the offending character when it returned false.
    const char *position() const { return at_; }

    // The interval in milliseconds of a bar that was scanned before: its `interval` or `i`, else `e` less `s`; zero
    // when the event has neither, and a number outside any interval (-1) when what it has is not a whole number of
    // milliseconds.
    int64_t bar_interval(const char *begin, const char *end) {
        at_ = begin;
        end_ = end;
        Number interval, short_interval, window_start, window_end;
        Number *const wanted[] = {&interval, &short_interval, &window_start, &window_end};
        members([&](const Text &key) -> bool {
            Number *number = nullptr;
            if (key.length == 8 && key.key == packed("interval")) number = wanted[0];
            if (key.length == 1 && key.key == packed("i")) number = wanted[1];
            if (key.length == 1 && key.key == packed("s")) number = wanted[2];
            if (key.length == 1 && key.key == packed("e")) number = wanted[3];
            const char *const value_begin = at_;
            if (!value(kMaxNesting - 2)) return false;
            if (number != nullptr) *number = Number::of(value_begin, at_);
            return true;
        });
        for (const Number &number : {interval, short_interval})
            if (number.present) return number.whole ? number.value : -1;
        if (!window_start.present || !window_end.present) return 0;
        if (!window_start.whole || !window_end.whole || window_end.value <= window_start.value) return -1;
        return window_end.value - window_start.value;
    }

    // An event's own time in Unix milliseconds: a bar's `e`, or its `s` when it has no `e`; any other event's `t`.
    // Zero when it has none, or none that is a whole number. The event was scanned before.
    //
    // The unit is told by the size of the number, because the vendor's own samples give the same key in milliseconds,
    // microseconds and nanoseconds: milliseconds reach 10^14 in the year 5138, microseconds and nanoseconds reached
    // 10^14 and 10^17 in 1973.
    int64_t event_time(const char *begin, const char *end, bool is_bar) {
        at_ = begin;
        end_ = end;
        Number time, window_start, window_end;
        members([&](const Text &key) -> bool {
            const char *const value_begin = at_;
            if (!value(kMaxNesting - 2)) return false;
            if (key.length == 1 && key.key == packed("t")) time = Number::of(value_begin, at_);
            if (key.length == 1 && key.key == packed("s")) window_start = Number::of(value_begin, at_);
            if (key.length == 1 && key.key == packed("e")) window_end = Number::of(value_begin, at_);
            return true;
        });
        const Number &found = !is_bar ? time : window_end.present ? window_end : window_start;
        if (!found.present || !found.whole || found.value <= 0) return 0;
        if (found.value >= 100'000'000'000'000'000) return found.value / 1'000'000;
        if (found.value >= 100'000'000'000'000) return found.value / 1'000;
        return found.value;
    }

  private:
    const char *at_ = nullptr;
    const char *end_ = nullptr;
    std::deque<std::string> decoded_;  // a deque: texts point into its strings while it grows

    struct Number {
        bool present = false;
        bool whole = false;
        int64_t value = 0;

        static Number of(const char *begin, const char *end) {
            Number number;
            if (end - begin >= 2 && *begin == '"') ++begin, --end;  // some aggregators quote it
            if (begin == end || !is_digit(*begin)) return number;
            number.present = true;
            for (; begin != end && is_digit(*begin); ++begin) {
                if (number.value > INT64_MAX / 10 - 1) return number;
                number.value = number.value * 10 + (*begin - '0');
            }
            if (begin != end && *begin == '.')  // 100.0 is whole too
                for (++begin; begin != end && *begin == '0';) ++begin;
            number.whole = begin == end;
            return number;
        }
    };

    void skip_space() {
        while (at_ != end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\r' || *at_ == '\t')) ++at_;
    }

    bool take(char character) {
        if (at_ == end_ || *at_ != character) return false;
        ++at_;
        return true;
    }

    bool event_array(Events &events) {
        ++at_;
        skip_space();
        if (take(']')) return true;
        for (;;) {
            skip_space();
            if (at_ == end_) return false;
            if (*at_ == '{' ? !event(events) : !value(kMaxNesting - 1)) return false;
            skip_space();
            if (take(']')) return true;
            if (!take(',')) return false;
        }
    }

    bool event(Events &events) {
        const char *const begin = at_;
        RoutingKeys keys;
        const bool sound = members([&](const Text &key) -> bool {
            const int routing_key = routing_key_of(key);
            if (routing_key < 0) return value(kMaxNesting - 2);
            if (at_ == end_ || *at_ != '"') return value(kMaxNesting - 2);
            return text(&keys.values[routing_key]);
        });
        if (!sound) return false;
        Event &found = events.append();
        found.begin = begin;
        found.end = at_;
        resolve(keys, found);
        return true;
    }

    static int routing_key_of(const Text &key) {
        if (key.length == 2 && key.key == packed("ev")) return kEv;
        if (key.length == 3 && key.key == packed("sym")) return kSym;
        if (key.length == 4 && key.key == packed("pair")) return kPair;
        if (key.length != 1) return -1;
        if (key.key == packed("T")) return kUpperT;
        if (key.key == packed("S")) return kUpperS;
        if (key.key == packed("p")) return kLowerP;
        return -1;
    }

    // Walk the members of the object at the cursor. `take_value` gets each key and moves past its value.
    template <class TakeValue>
    bool members(TakeValue take_value) {
        ++at_;
        skip_space();
        if (take('}')) return true;
        for (;;) {
            skip_space();
            Text key;
            if (!text(&key)) return false;
            skip_space();
            if (!take(':')) return false;
            skip_space();
            if (!take_value(key)) return false;
            skip_space();
            if (take('}')) return true;
            if (!take(',')) return false;
        }
    }

    bool value(int nesting_left) {
        if (at_ == end_) return false;
        switch (*at_) {
            case '"':
                return text(nullptr);
            case '{':
                if (nesting_left == 0) return false;
                return members([&](const Text &) { return value(nesting_left - 1); });
            case '[':
                return nesting_left != 0 && array(nesting_left - 1);
            case 't':
                return literal("true", 4);
            case 'f':
                return literal("false", 5);
            case 'n':
                return literal("null", 4);
            default:
                return number();
        }
    }

    bool array(int nesting_left) {
        ++at_;
        skip_space();
        if (take(']')) return true;
        for (;;) {
            skip_space();
            if (!value(nesting_left)) return false;
            skip_space();
            if (take(']')) return true;
            if (!take(',')) return false;
        }
    }

    bool literal(const char *word, int length) {
        if (end_ - at_ < length || std::memcmp(at_, word, static_cast<size_t>(length)) != 0) return false;
        at_ += length;
        return true;
    }

    bool digits() {
        if (at_ == end_ || !is_digit(*at_)) return false;
        while (at_ != end_ && is_digit(*at_)) ++at_;
        return true;
    }

    bool number() {
        take('-');
        if (!take('0') && !digits()) return false;
        if (take('.') && !digits()) return false;
        if (at_ != end_ && (*at_ == 'e' || *at_ == 'E')) {
            ++at_;
            if (at_ != end_ && (*at_ == '+' || *at_ == '-')) ++at_;
            return digits();
        }
        return true;
    }

    // Move past the string at the cursor; `found`, when wanted, gets its decoded text.
    bool text(Text *found) {
        if (!take('"')) return false;
        const char *const begin = at_;
        bool escaped = false;
        while (at_ != end_) {
            const unsigned char byte = static_cast<unsigned char>(*at_);
            if (byte == '"') {
                if (found != nullptr) *found = escaped ? decode(begin, at_) : Text::of(begin, static_cast<size_t>(at_ - begin));
                ++at_;
                return true;
            }
            if (byte < 0x20) return false;
            if (byte == '\\') {
                escaped = true;
                if (!escape()) return false;
            } else if (byte < 0x80) {
                ++at_;
            } else if (!utf8_sequence(byte)) {
                return false;
            }
        }
        return false;
    }

    bool escape() {
        ++at_;
        if (at_ == end_) return false;
        switch (*at_++) {
            case '"': case '\\': case '/': case 'b': case 'f': case 'n': case 'r': case 't':
                return true;
            case 'u':
                for (int i = 0; i < 4; ++i, ++at_)
                    if (at_ == end_ || hex_digit(*at_) < 0) return false;
                return true;
            default:
                return false;
        }
    }

    // RFC 3629, section 4: no overlong forms, no surrogates, nothing past U+10FFFF.
    bool utf8_sequence(unsigned char lead) {
        int length = 0;
        unsigned char low = 0x80, high = 0xBF;
        if (lead >= 0xC2 && lead <= 0xDF) {
            length = 2;
        } else if (lead >= 0xE0 && lead <= 0xEF) {
            length = 3;
            if (lead == 0xE0) low = 0xA0;
            if (lead == 0xED) high = 0x9F;
        } else if (lead >= 0xF0 && lead <= 0xF4) {
            length = 4;
            if (lead == 0xF0) low = 0x90;
            if (lead == 0xF4) high = 0x8F;
        } else {
            return false;
        }
        if (end_ - at_ < length) return false;
        for (int i = 1; i < length; ++i, low = 0x80, high = 0xBF) {
            const unsigned char byte = static_cast<unsigned char>(at_[i]);
            if (byte < low || byte > high) return false;
        }
        at_ += length;
        return true;
    }

    static int hex_digit(char character) {
        if (is_digit(character)) return character - '0';
        if (character >= 'a' && character <= 'f') return character - 'a' + 10;
        if (character >= 'A' && character <= 'F') return character - 'A' + 10;
        return -1;
    }

    static uint32_t hex4(const char *at) {
        uint32_t code = 0;
        for (int i = 0; i < 4; ++i) code = code * 16 + static_cast<uint32_t>(hex_digit(at[i]));
        return code;
    }

    // Decode a string that text() has found sound. A lone surrogate is kept as three bytes, so that it equals itself.
    Text decode(const char *begin, const char *end) {
        std::string &plain = decoded_.emplace_back();
        for (const char *at = begin; at != end;) {
            if (*at != '\\') {
                plain.push_back(*at++);
                continue;
            }
            ++at;
            const char kind = *at++;
            switch (kind) {
                case 'b': plain.push_back('\b'); break;
                case 'f': plain.push_back('\f'); break;
                case 'n': plain.push_back('\n'); break;
                case 'r': plain.push_back('\r'); break;
                case 't': plain.push_back('\t'); break;
                case 'u': {
                    uint32_t code = hex4(at);
                    at += 4;
                    if (code >= 0xD800 && code < 0xDC00 && end - at >= 6 && at[0] == '\\' && at[1] == 'u') {
                        const uint32_t low = hex4(at + 2);
                        if (low >= 0xDC00 && low < 0xE000) {
                            code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
                            at += 6;
                        }
                    }
                    append_utf8(plain, code);
                    break;
                }
                default: plain.push_back(kind);
            }
        }
        return Text::of(plain.data(), plain.size());
    }

    static void append_utf8(std::string &plain, uint32_t code) {
        if (code < 0x80) {
            plain.push_back(static_cast<char>(code));
            return;
        }
        if (code < 0x800) {
            plain.push_back(static_cast<char>(0xC0 | (code >> 6)));
        } else {
            if (code < 0x10000) {
                plain.push_back(static_cast<char>(0xE0 | (code >> 12)));
            } else {
                plain.push_back(static_cast<char>(0xF0 | (code >> 18)));
                plain.push_back(static_cast<char>(0x80 | ((code >> 12) & 0x3F)));
            }
            plain.push_back(static_cast<char>(0x80 | ((code >> 6) & 0x3F)));
        }
        plain.push_back(static_cast<char>(0x80 | (code & 0x3F)));
    }
};

}  // namespace fproxy
