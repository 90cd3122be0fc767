// The last event of a stream: kept for the moment when the stream is interrupted and somebody asks for its time.
//
// A copy a message, of its last event only: reading the time of every event would cost the hot path, and nobody asks
// for it while all is well.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>

#include "event.hpp"

namespace fproxy {

class LastEvent {
  public:
    // Keep the last market event of a message, and return whether it has any. A very long one is not kept: the time of the
    // one before it is as good.
    bool keep(const Events &events) {
        bool any = false;
        for (size_t i = events.size(); i-- != 0;) {
            const Event &event = events[i];
            if (event.kind == EventKind::kStatus) continue;
            any = true;
            const size_t length = static_cast<size_t>(event.end - event.begin);
            if (length > kMostBytes) continue;
            if (bytes_ == nullptr) bytes_.reset(new char[kMostBytes]);
            std::memcpy(bytes_.get(), event.begin, length);
            length_ = length;
            break;
        }
        return any;
    }

    const char *begin() const { return bytes_.get(); }
    const char *end() const { return bytes_.get() + length_; }

  private:
    static constexpr size_t kMostBytes = 1024;

    std::unique_ptr<char[]> bytes_;
    size_t length_ = 0;
};

}  // namespace fproxy
