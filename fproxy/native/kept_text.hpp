// A text that is kept: in place when it is short, as the symbols of all known markets are, so that comparing it touches no
// other memory.
#pragma once

#include <cstdint>
#include <cstring>
#include <utility>

#include "text.hpp"

namespace fproxy {

class KeptText {
  public:
    static constexpr uint32_t kInPlace = 24;

    KeptText() = default;
    explicit KeptText(const Text &text) : length_(text.length) {
        char *at = bytes_;
        if (length_ > kInPlace) {
            at = new char[length_];
            std::memcpy(bytes_, &at, sizeof at);
        }
        if (length_ != 0) std::memcpy(at, text.data, length_);
    }

    KeptText(const KeptText &) = delete;
    KeptText &operator=(const KeptText &) = delete;
    KeptText(KeptText &&other) noexcept { *this = std::move(other); }
    KeptText &operator=(KeptText &&other) noexcept {
        std::swap(bytes_, other.bytes_);
        std::swap(length_, other.length_);
        return *this;
    }
    ~KeptText() {
        if (length_ > kInPlace) delete[] elsewhere();
    }

    const char *data() const { return length_ > kInPlace ? elsewhere() : bytes_; }
    uint32_t length() const { return length_; }
    Text text() const { return Text::of(data(), length_); }

    // Whether it is that text, of which the key alone decides when it is short.
    bool operator==(const Text &text) const {
        if (length_ != text.length) return false;
        if (length_ <= Text::kPackedLength) return load8(bytes_) == text.key;
        if (__builtin_expect(length_ > kInPlace, 0)) return std::memcmp(elsewhere(), text.data, length_) == 0;
        // The first eight bytes, the last, and what may be between: they overlap.
        const uint32_t last = length_ - 8, middle = length_ > 16 ? 8 : last;
        return ((load8(bytes_) ^ load8(text.data)) | (load8(bytes_ + middle) ^ load8(text.data + middle)) |
                (load8(bytes_ + last) ^ load8(text.data + last))) == 0;
    }

  private:
    alignas(8) char bytes_[kInPlace] = {};  // the text, followed by zeros; of a longer one, where it is
    uint32_t length_ = 0;

    char *elsewhere() const {
        char *at;
        std::memcpy(&at, bytes_, sizeof at);
        return at;
    }
};

}  // namespace fproxy
