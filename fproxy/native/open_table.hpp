// A hash table by open addressing with linear probing: between an eighth and a half full, whatever has been in it before.
//
// A slot holds what is kept, and tells whether it is free (one that is made without arguments is). A `HashOf` gives the hash
// of a slot that is not; let it have a secret where strangers choose what is kept (keyed_hash.hpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>
#include <vector>

#include "text.hpp"

namespace fproxy {

template <class Slot, class HashOf>
class OpenTable {
  public:
    explicit OpenTable(HashOf hash_of) : hash_of_(std::move(hash_of)) {}

    size_t size() const { return size_; }

    // The memory that it takes.
    size_t bytes() const { return slots_.capacity() * sizeof(Slot); }

    // How much more it takes when one slot more is inserted.
    size_t growth() const {
        if (2 * (size_ + 1) <= slots_.size()) return 0;
        return slots_.empty() ? kFirstSlots * sizeof(Slot) : bytes();
    }

    // Have the memory fetched where the search for a hash begins, for a caller who looks there later.
    FPROXY_INLINE void prefetch(uint64_t hash) const {
        if (!slots_.empty()) __builtin_prefetch(&slots_[home(hash)]);
    }

    // The slot of a hash for which `same` is true; null when there is none. Valid until the next change. Its hash must
    // not be changed.
    template <class Same>
    Slot *find(uint64_t hash, Same same) {
        return const_cast<Slot *>(std::as_const(*this).find(hash, same));
    }

    template <class Same>
    const Slot *find(uint64_t hash, Same same) const {
        return slots_.empty() ? nullptr : find_from(home(hash), same);
    }

    // The same, from where begin() said.
    template <class Same>
    const Slot *find_from(size_t at, Same same) const {
        for (;; at = next(at)) {
            const Slot &slot = slots_[at];
            if (slot.is_free()) return nullptr;
            if (same(slot)) return &slot;
        }
    }

    // Make room for so many, before they are inserted in the order of another table with the same hash: a table that grows
    // meanwhile would have them all in a part of its slots, and each insertion search through the others.
    void reserve(size_t size) {
        size_t slots = slots_.empty() ? kFirstSlots : slots_.size();
        while (2 * size > slots) slots *= 2;
        if (slots > slots_.size()) resize(slots);
    }

    // Insert what is not there. When memory runs out, nothing has changed.
    void insert(Slot slot) {
        if (2 * (size_ + 1) > slots_.size()) resize(slots_.empty() ? kFirstSlots : 2 * slots_.size());
        put(std::move(slot));
        ++size_;
    }

    // Take out the slot that find() gave. Never fails.
    void erase(const Slot *found) {
        size_t hole = static_cast<size_t>(found - slots_.data());
        // Move back what the hole would cut off from its home.
        for (size_t at = next(hole); !slots_[at].is_free(); at = next(at)) {
            const size_t from_home = (at - home(hash_of_(slots_[at]))) & mask();
            if (from_home < ((at - hole) & mask())) continue;
            slots_[hole] = std::move(slots_[at]);
            hole = at;
        }
        slots_[hole] = Slot{};
        --size_;
        if (8 * size_ < slots_.size()) shrink();
    }

    // Call `visit` with every slot that is not free, in no order.
    template <class Visit>
    void for_each(Visit visit) const {
        for (const Slot &slot : slots_)
            if (!slot.is_free()) visit(slot);
    }

    // How many slots are looked at to find this one, at most.
    size_t search_length(const Slot *found) const {
        return ((static_cast<size_t>(found - slots_.data()) - home(hash_of_(*found))) & mask()) + 1;
    }

  private:
    static constexpr size_t kFirstSlots = 8;

    HashOf hash_of_;
    std::vector<Slot> slots_;  // none, or a power of two
    unsigned shift_ = 0;       // 64 less the base-2 logarithm of how many
    size_t size_ = 0;

    size_t mask() const { return slots_.size() - 1; }
    size_t home(uint64_t hash) const { return static_cast<size_t>(hash >> shift_); }
    size_t next(size_t at) const { return (at + 1) & mask(); }

    void put(Slot &&slot) {
        size_t at = home(hash_of_(slot));
        while (!slots_[at].is_free()) at = next(at);
        slots_[at] = std::move(slot);
    }

    void resize(size_t size) {
        std::vector<Slot> old(size);
        old.swap(slots_);
        shift_ = 64 - static_cast<unsigned>(__builtin_ctzll(size));
        for (Slot &slot : old)
            if (!slot.is_free()) put(std::move(slot));
    }

    // Give memory back. That there is none for the smaller table changes nothing.
    void shrink() {
        if (size_ == 0) {
            std::vector<Slot>().swap(slots_);
        } else if (slots_.size() > kFirstSlots) {
            try {
                resize(slots_.size() / 2);
            } catch (const std::bad_alloc &) {
            }
        }
    }
};

}  // namespace fproxy
