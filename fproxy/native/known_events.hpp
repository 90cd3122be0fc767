// Events that have come already: what an upstream repeats of them is left out, byte for byte the same as it is.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_set>

#include "event.hpp"

namespace fproxy {

class KnownEvents {
  public:
    // Two different events are taken for the same once in 2^64: nobody chooses what is hashed to harm but the upstream itself.
    void add(const Events &events) {
        for (const Event &event : events)
            if (event.kind != EventKind::kStatus) hashes_.insert(hash_of(event));
    }

    bool empty() const { return hashes_.empty(); }
    void clear() { hashes_.clear(); }

    // Put the market events of a message that are not known into `rest`, as a message; it is empty when all are known.
    // Returns whether any is.
    bool leave_out(const Events &events, std::string &rest) const {
        bool any = false;
        rest.clear();
        for (const Event &event : events) {
            if (event.kind == EventKind::kStatus) continue;
            if (hashes_.count(hash_of(event)) != 0) {
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
    std::unordered_set<uint64_t> hashes_;

    static uint64_t hash_of(const Event &event) {
        return std::hash<std::string_view>{}({event.begin, static_cast<size_t>(event.end - event.begin)});
    }
};

}  // namespace fproxy
