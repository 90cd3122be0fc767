// A set of small numbers that is cheap to keep by the ten thousand: open addressing, four bytes a place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace fproxy {

class IdSet {
  public:
    bool contains(uint32_t id) const { return !places_.empty() && places_[find(id)] == id; }
    size_t size() const { return size_; }

    // Returns whether the number is new.
    bool insert(uint32_t id) {
        if (2 * (size_ + 1) > places_.size()) grow();
        const size_t place = find(id);
        if (places_[place] == id) return false;
        places_[place] = id;
        ++size_;
        return true;
    }

    // Returns whether the number was there.
    bool erase(uint32_t id) {
        if (places_.empty()) return false;
        size_t hole = find(id);
        if (places_[hole] != id) return false;
        const size_t mask = places_.size() - 1;
        for (size_t i = (hole + 1) & mask; places_[i] != kEmpty; i = (i + 1) & mask) {
            if (((i - home(places_[i])) & mask) >= ((i - hole) & mask)) {
                places_[hole] = places_[i];
                hole = i;
            }
        }
        places_[hole] = kEmpty;
        --size_;
        return true;
    }

    template <class Visit>
    void for_each(Visit visit) const {
        for (uint32_t id : places_)
            if (id != kEmpty) visit(id);
    }

  private:
    static constexpr uint32_t kEmpty = ~uint32_t{0};

    std::vector<uint32_t> places_;  // a power of two, or none
    size_t size_ = 0;

    size_t home(uint32_t id) const { return (id * 0x9E3779B1u >> 7) & (places_.size() - 1); }

    // The place of a number, or the empty place where it belongs.
    size_t find(uint32_t id) const {
        const size_t mask = places_.size() - 1;
        size_t place = home(id);
        while (places_[place] != kEmpty && places_[place] != id) place = (place + 1) & mask;
        return place;
    }

    void grow() {
        std::vector<uint32_t> old(places_.empty() ? 8 : 2 * places_.size(), kEmpty);
        old.swap(places_);
        for (uint32_t id : old)
            if (id != kEmpty) places_[find(id)] = id;
    }
};

}  // namespace fproxy
