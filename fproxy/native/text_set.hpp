// A set of texts that strangers choose.
#pragma once

#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "keyed_hash.hpp"
#include "open_table.hpp"
#include "text.hpp"

namespace fproxy {

class TextSet {
  public:
    TextSet() : slots_(HashOfSlot{}) {}

    bool contains(const Text &text) const { return find(text) != nullptr; }
    size_t size() const { return slots_.size(); }

    // Returns whether the text is new.
    bool insert(const Text &text) {
        if (contains(text)) return false;
        slots_.insert(Slot{std::string(text.data, text.length), text.key, true});
        return true;
    }

    // Returns whether the text was there.
    bool erase(const Text &text) {
        const Slot *const found = find(text);
        if (found == nullptr) return false;
        slots_.erase(found);
        return true;
    }

    void clear() { slots_ = Slots(HashOfSlot{}); }

    template <class Visit>
    void for_each(Visit visit) const {
        slots_.for_each([&visit](const Slot &slot) { visit(std::string_view(slot.text)); });
    }

  private:
    struct Slot {
        std::string text;
        uint64_t key = 0;
        bool is_used = false;

        bool is_free() const { return !is_used; }
    };

    struct HashOfSlot {
        uint64_t operator()(const Slot &slot) const {
            return KeyedHash::of_process().of(slot.key, static_cast<uint32_t>(slot.text.size()));
        }
    };

    using Slots = OpenTable<Slot, HashOfSlot>;

    Slots slots_;

    const Slot *find(const Text &text) const {
        return slots_.find(KeyedHash::of_process().of(text.key, text.length), [&text](const Slot &slot) {
            return slot.key == text.key && slot.text.size() == text.length &&
                   std::memcmp(slot.text.data(), text.data, text.length) == 0;
        });
    }
};

}  // namespace fproxy
