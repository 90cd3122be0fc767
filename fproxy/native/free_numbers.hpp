// Numbers that are free again, the lowest of which is used first: so what is in use stays at the beginning.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

namespace fproxy {

class FreeNumbers {
  public:
    // How many there are, among them those that forget_from() has still to forget.
    size_t size() const { return heap_.size(); }

    void add(uint32_t number) {
        heap_.push_back(number);
        std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
    }

    // Take the lowest into `number`, if it is below `end`; else there is none, and those that there are are forgotten.
    bool take_below(uint32_t end, uint32_t &number) {
        if (heap_.empty() || heap_.front() >= end) {
            heap_.clear();
            return false;
        }
        std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
        number = heap_.back();
        heap_.pop_back();
        return true;
    }

    // Forget those that are not below `end`.
    void forget_from(uint32_t end) {
        heap_.erase(std::remove_if(heap_.begin(), heap_.end(), [end](uint32_t number) { return number >= end; }), heap_.end());
        heap_.shrink_to_fit();
        std::make_heap(heap_.begin(), heap_.end(), std::greater<>());
    }

  private:
    std::vector<uint32_t> heap_;
};

}  // namespace fproxy
