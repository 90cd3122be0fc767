// A set of small numbers that is cheap to keep by the ten thousand: four bytes a place.
#pragma once

#include <cstddef>
#include <cstdint>

#include "keyed_hash.hpp"
#include "open_table.hpp"

namespace fproxy {

class IdSet {
  public:
    IdSet() : places_(HashOfPlace{}) {}

    bool contains(uint32_t id) const { return find(id) != nullptr; }
    size_t size() const { return places_.size(); }

    // Make room for so many: before the numbers of another set are inserted in its order.
    void reserve(size_t size) { places_.reserve(size); }

    // Returns whether the number is new.
    bool insert(uint32_t id) {
        if (contains(id)) return false;
        places_.insert(Place{id});
        return true;
    }

    // Returns whether the number was there.
    bool erase(uint32_t id) {
        const Place *const found = find(id);
        if (found == nullptr) return false;
        places_.erase(found);
        return true;
    }

    template <class Visit>
    void for_each(Visit visit) const {
        places_.for_each([&visit](const Place &place) { visit(place.id); });
    }

  private:
    struct Place {
        uint32_t id = ~uint32_t{0};

        bool is_free() const { return id == ~uint32_t{0}; }
    };

    // Clients choose which topics they keep, and so which of the numbers.
    struct HashOfPlace {
        uint64_t operator()(const Place &place) const { return KeyedHash::of_process().of(place.id); }
    };

    OpenTable<Place, HashOfPlace> places_;

    const Place *find(uint32_t id) const {
        return places_.find(KeyedHash::of_process().of(id), [id](const Place &place) { return place.id == id; });
    }
};

}  // namespace fproxy
