// Whose backlog is the oldest: who goes first when memory is short, or when something has waited for too long.
//
// A heap whose entries may be out of date: what waits only grows younger, so an entry that is too old is put right when it
// comes up. A client that lags costs one entry, and one that drains and lags again costs nothing more.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace fproxy {

// `Member` has `bool evictable() const`, which is true while it lags, and then `int64_t since() const`, which never goes back.
template <typename Member>
class EvictionOrder {
  public:
    // A number for a member, which must stay where it is until it is removed.
    uint32_t add(Member *member) {
        if (free_.empty()) {
            free_.push_back(static_cast<uint32_t>(slots_.size()));
            slots_.push_back(Slot{nullptr, false});
        }
        const uint32_t number = free_.back();
        free_.pop_back();
        slots_[number].member = member;
        return number;
    }

    void remove(uint32_t number) {
        slots_[number].member = nullptr;
        if (!slots_[number].queued) free_.push_back(number);
    }

    // A member has begun to lag.
    void lags(uint32_t number) {
        Slot &slot = slots_[number];
        if (slot.queued) return;
        heap_.push_back(Entry{slot.member->since(), number});
        std::push_heap(heap_.begin(), heap_.end());
        slot.queued = true;
    }

    // The member whose backlog is the oldest; nullptr when nobody lags.
    Member *oldest() {
        while (!heap_.empty()) {
            Slot &slot = slots_[heap_.front().number];
            if (slot.member != nullptr && slot.member->evictable() && slot.member->since() <= heap_.front().since)
                return slot.member;
            std::pop_heap(heap_.begin(), heap_.end());
            if (slot.member != nullptr && slot.member->evictable()) {
                heap_.back().since = slot.member->since();
                std::push_heap(heap_.begin(), heap_.end());
                continue;
            }
            slot.queued = false;
            if (slot.member == nullptr) free_.push_back(heap_.back().number);
            heap_.pop_back();
        }
        return nullptr;
    }

  private:
    struct Slot {
        Member *member;
        bool queued;
    };

    struct Entry {
        int64_t since;
        uint32_t number;

        // For a heap of std, whose front is the greatest: the oldest is.
        bool operator<(const Entry &other) const { return since > other.since; }
    };

    std::vector<Slot> slots_;
    std::vector<uint32_t> free_;
    std::vector<Entry> heap_;
};

}  // namespace fproxy
