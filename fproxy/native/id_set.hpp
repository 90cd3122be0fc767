// A set of small numbers that is cheap to keep by the ten thousand: four bytes a slot.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "keyed_hash.hpp"
#include "open_table.hpp"

namespace fproxy {

class IdSet {
  public:
    IdSet() : slots_(HashOfSlot{}) {}

    bool contains(uint32_t id) const { return find(id) != nullptr; }
    size_t size() const { return slots_.size(); }

    // Make room for so many: before the numbers of another set are inserted in its order.
    void reserve(size_t size) { slots_.reserve(size); }

    // Returns whether the number is new.
    bool insert(uint32_t id) {
        if (contains(id)) return false;
        slots_.insert(Slot{id});
        return true;
    }

    // Returns whether the number was there.
    bool erase(uint32_t id) {
        const Slot *const found = find(id);
        if (found == nullptr) return false;
        slots_.erase(found);
        return true;
    }

    // Call `visit` with up to so many numbers, those that stand at `place` or behind it. No more than eight times as many places are
    // looked at, of which an eighth are taken, mostly. Returns the place behind them.
    template <class Visit>
    size_t for_each_from(size_t place, size_t most, Visit visit) const {
        const size_t end = std::min(slots_.slots(), place + 8 * most);
        for (; place < end && most != 0; ++place) {
            const Slot *const slot = slots_.at(place);
            if (slot == nullptr) continue;
            visit(slot->id);
            --most;
        }
        return place;
    }

    // How many places there are.
    size_t places() const { return slots_.slots(); }

    template <class Visit>
    void for_each(Visit visit) const {
        slots_.for_each([&visit](const Slot &slot) { visit(slot.id); });
    }

  private:
    struct Slot {
        uint32_t id = ~uint32_t{0};

        bool is_free() const { return id == ~uint32_t{0}; }
    };

    // Clients choose which topics they keep, and so which of the numbers.
    struct HashOfSlot {
        uint64_t operator()(const Slot &slot) const { return KeyedHash::of_process().of(slot.id); }
    };

    OpenTable<Slot, HashOfSlot> slots_;

    const Slot *find(uint32_t id) const {
        return slots_.find(KeyedHash::of_process().of(id), [id](const Slot &slot) { return slot.id == id; });
    }
};

}  // namespace fproxy
