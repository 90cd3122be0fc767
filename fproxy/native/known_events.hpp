// Events that have come already: what an upstream repeats of them is left out, byte for byte the same as it is. A bar of
// fproxy's own goes by its symbol and window, as there is one of each: when it is built once more, a trade may be in it that
// only the clock had made late.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "event.hpp"
#include "keyed_hash.hpp"
#include "open_table.hpp"

namespace fproxy {

class KnownEvents {
  public:
    KnownEvents() : hashes_(HashOfSlot{}) {}

    // Two different events are taken for the same once in 2^64, and nobody can choose two that are, as the hash has a secret.
    void add(const Events &events) {
        for (const Event &event : events) {
            if (event.kind == EventKind::kStatus) continue;
            const uint64_t hash = hash_of(event);
            if (!contains(hash)) hashes_.insert(Slot{hash});
        }
    }

    bool empty() const { return hashes_.size() == 0; }
    void clear() { hashes_ = Hashes(HashOfSlot{}); }

    // Put the market events of a message that are not known into `rest`, as a message; it is empty when all are known.
    // Returns whether any is.
    bool leave_out(const Events &events, std::string &rest) const {
        bool any = false;
        rest.clear();
        for (const Event &event : events) {
            if (event.kind == EventKind::kStatus) continue;
            if (contains(hash_of(event))) {
                any = true;
                continue;
            }
            rest.push_back(rest.empty() ? '[' : ',');
            rest.append(event.begin, static_cast<size_t>(event.end - event.begin));
        }
        if (!rest.empty()) rest.push_back(']');
        return any;
    }

  private:
    struct Slot {
        uint64_t hash = 0;

        bool is_free() const { return hash == 0; }
    };

    struct HashOfSlot {
        uint64_t operator()(const Slot &slot) const { return slot.hash; }
    };

    using Hashes = OpenTable<Slot, HashOfSlot>;

    Hashes hashes_;

    bool contains(uint64_t hash) const {
        return hashes_.find(hash, [hash](const Slot &slot) { return slot.hash == hash; }) != nullptr;
    }

    static uint64_t hash_of(const Event &event) {
        const std::string_view text(event.begin, static_cast<size_t>(event.end - event.begin));
        uint64_t hash = 0;
        if (event.kind == EventKind::kBar) hash = hash_of_window(text);
        if (hash == 0) hash = hash_of(0, text);
        return hash != 0 ? hash : 1;
    }

    // By what stands before the prices and behind the count; zero when it is no bar as fproxy writes them.
    static uint64_t hash_of_window(std::string_view text) {
        const size_t prices = text.find(",\"o\":"), window = text.rfind(",\"s\":");
        if (prices == text.npos || window == text.npos || window < prices) return 0;
        return hash_of(hash_of(0, text.substr(0, prices)), text.substr(window));
    }

    static uint64_t hash_of(uint64_t before, std::string_view text) {
        const Text part = Text::of(text.data(), text.size());
        const KeyedHash &hash = KeyedHash::of_process();
        return before == 0 ? hash.of(part.key, part.length) : hash.of(before, part.key, part.length);
    }
};

}  // namespace fproxy
