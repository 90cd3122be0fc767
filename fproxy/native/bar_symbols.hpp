// The symbols whose trades are wanted, each with the intervals that are wanted of it.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bar_window.hpp"
#include "keyed_hash.hpp"
#include "open_table.hpp"
#include "text.hpp"

namespace fproxy::bars {

// A time that no window begins at: nothing is whole.
constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

// One interval, with the windows of all symbols that are open.
struct Interval {
    int32_t length_ms;
    uint32_t wildcard_wants = 0;
    std::string opening;             // what its bars begin with, up to the symbol

    explicit Interval(int32_t length)
        : length_ms(length), opening("{\"ev\":\"" + std::to_string(length) + "Ms\",\"sym\":\"") {}
};

// One symbol at one interval.
struct Series {
    Interval *interval;
    int64_t start = 0, end = 0;    // of the newest open window; no time is in it when there is none
    Window *newest = nullptr;      // the newest open window
    int64_t whole_from = kNever;   // windows that begin sooner miss trades
    int64_t missed_from = kNever;  // windows from this one on have been missed and are not counted as lost yet
    uint32_t wants = 0;            // how many want it of this symbol, apart from those that want it of all
    int64_t wanted_at = INT64_MIN; // what the stream had reached when it was wanted: what had closed by then was not built
    bool was_wanted = false;       // it was built and given up before, not long ago
    bool to_rebuild = false;       // its first windows are still to be built from retained trades

    explicit Series(Interval *of) : interval(of) {}
};

struct Symbol {
    std::string name;  // as events spell it
    std::string json;  // as topics do, as it stands in a JSON string
    uint64_t key;      // see Text::key
    int64_t whole_from = kNever;  // all trades of this time and later have been seen
    uint32_t awaiting_at = kNotAwaiting;  // its place among those that await the stream
    uint64_t last_trade = 0;              // the number of its last retained trade; see RetainedTrades
    bool to_rebuild = false;      // a series of it is
    std::vector<Series> series;
    std::vector<std::pair<int32_t, int64_t>> given_up;  // the intervals that were wanted, and what the stream had reached at the end

    Symbol(const Text &text, const Separators &separators)
        : name(text.data, text.length), json(json_text(separators.topic_name(name))), key(text.key) {}

    static constexpr uint32_t kNotAwaiting = UINT32_MAX;

    Text text() const { return Text{name.data(), static_cast<uint32_t>(name.size()), key}; }

    // Whether its trades have begun to flow, and the next trade will say at what time.
    bool awaits_stream() const { return awaiting_at != kNotAwaiting; }

    // Whether its trades flow.
    bool is_followed() const { return whole_from != kNever || awaits_stream(); }

    Series *find(const Interval *interval) {
        for (Series &one : series)
            if (one.interval == interval) return &one;
        return nullptr;
    }

  private:
    // Escape what has to be: quotes, backslashes, control characters, and surrogates (three bytes from ED A0 on), which
    // only a "\ud800" brings and which are no UTF-8.
    static std::string json_text(const std::string &name) {
        static constexpr char kHex[] = "0123456789abcdef";
        std::string json;
        const auto escape = [&json](unsigned code) {
            json += "\\u";
            for (int shift = 12; shift >= 0; shift -= 4) json.push_back(kHex[code >> shift & 15]);
        };
        for (size_t i = 0; i < name.size(); ++i) {
            const unsigned char byte = static_cast<unsigned char>(name[i]);
            if (byte == '"' || byte == '\\') {
                json.push_back('\\');
                json.push_back(name[i]);
            } else if (byte < ' ') {
                escape(byte);
            } else if (byte == 0xED && i + 2 < name.size() && static_cast<unsigned char>(name[i + 1]) >= 0xA0) {
                escape(0xD000u | (static_cast<unsigned>(name[i + 1]) & 0x3F) << 6 | (static_cast<unsigned>(name[i + 2]) & 0x3F));
                i += 2;
            } else {
                json.push_back(name[i]);
            }
        }
        return json;
    }
};

// Symbols by number and by name.
class SymbolTable {
  public:
    static constexpr uint32_t kAbsent = Window::kNoSymbol;

    explicit SymbolTable(const Separators &separators) : separators_(separators), slots_(HashOfSlot{}) {}

    uint32_t find(const Text &name) const {
        const Slot *const found = slots_.find(KeyedHash::of_process().of(name.key, name.length), [&](const Slot &slot) {
            return slot.key == name.key && same(*symbols_[slot.index], name);
        });
        return found == nullptr ? kAbsent : found->index;
    }

    // Whether there are more than caches hold: then what trades of them need is worth fetching beforehand, for many at once.
    bool is_large() const { return slots_.size() > kCachedSymbols; }

    // Have memory fetched, step by step, each for several symbols before the next: what find() looks at, what that leads to (and the
    // number, as far as the key tells), the symbol itself, its series.
    FPROXY_INLINE void fetch_slot(const Text &name) const { slots_.prefetch(KeyedHash::of_process().of(name.key, name.length)); }
    uint32_t fetch_symbol(const Text &name) const {
        const Slot *const found = slots_.find(KeyedHash::of_process().of(name.key, name.length), [&](const Slot &slot) {
            return slot.key == name.key && slot.length == name.length;
        });
        if (found == nullptr) return kAbsent;
        fetch_place(found->index);
        return found->index;
    }
    FPROXY_INLINE void fetch_place(uint32_t index) const { __builtin_prefetch(&symbols_[index]); }
    FPROXY_INLINE void fetch_whole(uint32_t index) const {
        const char *const symbol = reinterpret_cast<const char *>(symbols_[index].get());
        for (size_t at = 0; at < sizeof(Symbol); at += 64) __builtin_prefetch(symbol + at);
    }
    FPROXY_INLINE void fetch_series(uint32_t index) const { __builtin_prefetch(symbols_[index]->series.data()); }

    // Add a symbol that is not there.
    uint32_t add(const Text &name) {
        uint32_t index;
        if (free_.empty()) {
            index = static_cast<uint32_t>(symbols_.size());
            symbols_.push_back(std::make_unique<Symbol>(name, separators_));
        } else {
            index = free_.back();
            symbols_[index] = std::make_unique<Symbol>(name, separators_);
            free_.pop_back();
        }
        slots_.insert(Slot{name.key, name.length, index});
        return index;
    }

    void remove(uint32_t index) {
        const uint64_t hash = KeyedHash::of_process().of(symbols_[index]->key, static_cast<uint32_t>(symbols_[index]->name.size()));
        slots_.erase(slots_.find(hash, [index](const Slot &slot) { return slot.index == index; }));
        symbols_[index].reset();
        free_.push_back(index);
    }

    size_t size() const { return slots_.size(); }

    // Every number below this one may be a symbol's.
    uint32_t bound() const { return static_cast<uint32_t>(symbols_.size()); }

    // Null for a number that is nobody's.
    Symbol *operator[](uint32_t index) const { return symbols_[index].get(); }

  private:
    struct Slot {
        uint64_t key = 0;
        uint32_t length = 0;
        uint32_t index = kAbsent;

        bool is_free() const { return index == kAbsent; }
    };

    struct HashOfSlot {
        uint64_t operator()(const Slot &slot) const { return KeyedHash::of_process().of(slot.key, slot.length); }
    };

    static constexpr size_t kCachedSymbols = 4 * 1024;

    const Separators separators_;
    OpenTable<Slot, HashOfSlot> slots_;
    std::vector<std::unique_ptr<Symbol>> symbols_;
    std::vector<uint32_t> free_;

    static bool same(const Symbol &symbol, const Text &name) {
        return symbol.name.size() == name.length &&
               (name.length <= Text::kPackedLength || std::memcmp(symbol.name.data(), name.data, name.length) == 0);
    }
};

}  // namespace fproxy::bars
