// A hash table that grows and shrinks little by little: to move a million entries in one step holds everything else up for
// 15 ms.
//
// When it changes its size there are two tables for a while (open_table.hpp), and each change moves some slots from the one
// before to the present one. What is searched for is mostly in the present one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

#include "open_table.hpp"
#include "text.hpp"

namespace fproxy {

template <class Slot, class HashOf>
class SteadyTable {
  public:
    // How many slots a change moves: so many that all are long before the next change of size.
    static constexpr size_t kMoved = 8;

    size_t size() const { return now_.size() + before_.size(); }

    // The memory that it takes.
    size_t bytes() const { return now_.bytes() + before_.bytes(); }

    // The rest is as of an OpenTable.

    FPROXY_INLINE void prefetch(uint64_t hash) const { now_.prefetch(hash); }

    template <class Same>
    const Slot *find(uint64_t hash, Same same) const {
        const Slot *const found = now_.find(hash, same);
        return found != nullptr || !is_moving() ? found : before_.find(hash, same);
    }

    // For who is in a hurry: a find() in the present table, which has it unless the table is_moving(), and then in the one
    // before.
    template <class Same>
    FPROXY_INLINE const Slot *find_now(uint64_t hash, Same same) const {
        return now_.find(hash, same);
    }

    bool is_moving() const { return before_.size() != 0; }

    template <class Same>
    const Slot *find_before(uint64_t hash, Same same) const {
        return before_.find(hash, same);
    }

    // When memory runs out, nothing has changed.
    void insert(Slot slot) {
        if (!now_.has_room()) begin_to_move(now_.slots() == 0 ? Table::kFirstSlots : 2 * now_.slots());
        now_.insert_in_place(std::move(slot));
        move(kMoved);
    }

    void erase(const Slot *found) {
        if (now_.owns(found))
            now_.erase_in_place(found);
        else
            before_.erase_in_place(found);
        move(kMoved);
        if (size() == 0) {
            now_ = Table();
        } else if (before_.slots() == 0 && now_.is_too_large() && now_.slots() > Table::kFirstSlots) {
            try {
                begin_to_move(now_.slots() / 2);
            } catch (const std::bad_alloc &) {  // for the smaller one: this one does as well
            }
        }
    }

    template <class Visit>
    void for_each(Visit visit) const {
        now_.for_each(visit);
        before_.for_each(visit);
    }

    size_t search_length(const Slot *found) const {
        return now_.owns(found) ? now_.search_length(found) : before_.search_length(found);
    }

    // How many slots of the size before are still to be moved.
    size_t to_move() const { return before_.size(); }

  private:
    using Table = OpenTable<Slot, HashOf>;

    Table now_;
    Table before_;     // none, most of the time
    size_t next_ = 0;  // of its slots, the first that may not be free

    void begin_to_move(size_t slots) {
        Table made;
        made.resize(slots);
        move(before_.size());  // there are none, unless kMoved is too small
        before_ = std::move(now_);
        now_ = std::move(made);
        next_ = 0;
    }

    void move(size_t most) {
        if (before_.slots() == 0) return;
        // Slots that are free take little time, but there may be very many of them.
        for (size_t looks = 16 * most; most != 0 && before_.size() != 0 && looks != 0; --looks) {
            const Slot *const found = before_.at(next_);
            if (found == nullptr) {
                ++next_;
                continue;
            }
            Slot slot = *found;
            before_.erase_in_place(found);  // which may bring another there
            now_.insert_in_place(std::move(slot));
            --most;
        }
        if (before_.size() == 0) before_ = Table();
    }
};

}  // namespace fproxy
