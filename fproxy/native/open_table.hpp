// A hash table by open addressing with linear probing: between an eighth and a half full, whatever has been in it before.
//
// A slot holds what is kept, and tells whether it is free (one that is made without arguments is). A `HashOf` gives the hash
// of a slot that is not; let it have a secret where strangers choose what is kept (keyed_hash.hpp). It grows in one step: where
// there may be hundreds of thousands, a table that does so in many is steady_table.hpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include "text.hpp"

namespace fproxy {

// Whether zero bytes are a free slot, as a slot says with `kFreeIsZero`.
template <class Slot, class = void>
struct FreeIsZero : std::false_type {};
template <class Slot>
struct FreeIsZero<Slot, std::enable_if_t<Slot::kFreeIsZero>> : std::true_type {};

template <class Slot, class HashOf>
class OpenTable : private HashOf {
  public:
    OpenTable() = default;
    explicit OpenTable(HashOf hash_of) : HashOf(std::move(hash_of)) {}
    OpenTable(OpenTable &&other) noexcept : HashOf(other) { swap(other); }
    OpenTable &operator=(OpenTable &&other) noexcept {
        static_cast<HashOf &>(*this) = other;
        swap(other);
        return *this;
    }

    size_t size() const { return size_; }

    // The memory that it takes.
    size_t bytes() const { return slots() * sizeof(Slot); }

    // How much more it takes when one slot more is inserted.
    size_t growth() const {
        if (2 * (size_ + 1) <= slots()) return 0;
        return slots_ == nullptr ? kFirstSlots * sizeof(Slot) : bytes();
    }

    // Have the memory fetched where the search for a hash begins, for a caller who looks there later.
    FPROXY_INLINE void prefetch(uint64_t hash) const {
        if (slots_ != nullptr) __builtin_prefetch(&slots_[home(hash)]);
    }

    // The slot of a hash for which `same` is true; null when there is none. Valid until the next change. Its hash must
    // not be changed.
    template <class Same>
    Slot *find(uint64_t hash, Same same) {
        return const_cast<Slot *>(std::as_const(*this).find(hash, same));
    }

    template <class Same>
    const Slot *find(uint64_t hash, Same same) const {
        return slots_ == nullptr ? nullptr : find_from(home(hash), same);
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
        size_t wanted = slots_ == nullptr ? kFirstSlots : slots();
        while (2 * size > wanted) wanted *= 2;
        if (wanted > slots()) resize(wanted);
    }

    // Insert what is not there. When memory runs out, nothing has changed.
    void insert(Slot slot) {
        if (!has_room()) resize(slots_ == nullptr ? kFirstSlots : 2 * slots());
        insert_in_place(std::move(slot));
    }

    // Take out the slot that find() gave. Never fails.
    void erase(const Slot *found) {
        erase_in_place(found);
        if (is_too_large()) shrink();
    }

    // The same without growing, for which there must be room, or shrinking.
    void insert_in_place(Slot &&slot) {
        put(std::move(slot));
        ++size_;
    }

    void erase_in_place(const Slot *found) {
        size_t hole = static_cast<size_t>(found - slots_.get());
        // Move back what the hole would cut off from its home.
        for (size_t at = next(hole); !slots_[at].is_free(); at = next(at)) {
            const size_t from_home = (at - home(hash_of(slots_[at]))) & mask_;
            if (from_home < ((at - hole) & mask_)) continue;
            slots_[hole] = std::move(slots_[at]);
            hole = at;
        }
        slots_[hole] = Slot{};
        --size_;
    }

    // How many slots there are.
    size_t slots() const { return slots_ == nullptr ? 0 : mask_ + 1; }

    // Whether one more may be inserted without growing.
    bool has_room() const { return 2 * (size_ + 1) <= slots(); }

    // Whether it should shrink.
    bool is_too_large() const { return 8 * size_ < slots(); }

    // The slot at a place; null when it is free. Places begin at zero.
    const Slot *at(size_t place) const { return slots_[place].is_free() ? nullptr : &slots_[place]; }

    // Whether a slot is one of this table's.
    bool owns(const Slot *slot) const { return slots_ != nullptr && slot >= slots_.get() && slot <= slots_.get() + mask_; }

    // Call `visit` with every slot that is not free, in no order.
    template <class Visit>
    void for_each(Visit visit) const {
        for (size_t at = 0; at < slots(); ++at)
            if (!slots_[at].is_free()) visit(slots_[at]);
    }

    // How many slots are looked at to find this one, at most.
    size_t search_length(const Slot *found) const {
        return ((static_cast<size_t>(found - slots_.get()) - home(hash_of(*found))) & mask_) + 1;
    }

    // Have so many slots, a power of two, which must be enough for those that are not free.
    void resize(size_t size) {
        Slots old = make_slots(size);
        old.swap(slots_);
        const size_t before = old == nullptr ? 0 : mask_ + 1;
        mask_ = size - 1;
        shift_ = 64 - static_cast<unsigned>(__builtin_ctzll(size));
        for (size_t at = 0; at < before; ++at)
            if (!old[at].is_free()) put(std::move(old[at]));
    }

    static constexpr size_t kFirstSlots = 8;

  private:
    // Fresh memory is zero without being written to, which takes milliseconds for megabytes.
    struct Free {
        void operator()(Slot *slots) const {
            if constexpr (FreeIsZero<Slot>::value)
                std::free(slots);
            else
                delete[] slots;
        }
    };
    using Slots = std::unique_ptr<Slot[], Free>;

    Slots slots_;  // none, or a power of two
    size_t mask_ = 0;                // how many, less one
    size_t size_ = 0;
    unsigned shift_ = 0;  // 64 less the base-2 logarithm of how many

    uint64_t hash_of(const Slot &slot) const { return static_cast<const HashOf &>(*this)(slot); }
    size_t home(uint64_t hash) const { return static_cast<size_t>(hash >> shift_); }
    size_t next(size_t at) const { return (at + 1) & mask_; }

    void swap(OpenTable &other) noexcept {
        slots_.swap(other.slots_);
        std::swap(mask_, other.mask_);
        std::swap(size_, other.size_);
        std::swap(shift_, other.shift_);
    }

    void put(Slot &&slot) {
        size_t at = home(hash_of(slot));
        while (!slots_[at].is_free()) at = next(at);
        slots_[at] = std::move(slot);
    }

    static Slots make_slots(size_t size) {
        if constexpr (FreeIsZero<Slot>::value) {
            static_assert(std::is_trivially_copyable_v<Slot>);
            Slots slots(static_cast<Slot *>(std::calloc(size, sizeof(Slot))));
            if (slots == nullptr) throw std::bad_alloc();
            return slots;
        } else {
            return Slots(new Slot[size]);
        }
    }

    // Give memory back. That there is none for the smaller table changes nothing.
    void shrink() {
        if (size_ == 0) {
            slots_.reset();
        } else if (slots() > kFirstSlots) {
            try {
                resize(slots() / 2);
            } catch (const std::bad_alloc &) {
            }
        }
    }
};

}  // namespace fproxy
