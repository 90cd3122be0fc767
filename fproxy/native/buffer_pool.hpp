// Memory for the bytes that wait for audiences.
//
// As long as all together have little, everybody keeps what it has: it has grown to the right size. In a burst each gives its
// memory back when it is written, so that a burst takes memory for as long as it lasts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

namespace fproxy {

class BufferPool {
  public:
    // The one of this process. The interpreter's lock guards it.
    static BufferPool &of_process() {
        static BufferPool pool;
        return pool;
    }

    BufferPool() = default;
    BufferPool(const BufferPool &) = delete;
    BufferPool &operator=(const BufferPool &) = delete;
    ~BufferPool() {
        for (char *&first : free_)
            while (first != nullptr) std::free(pop(first));
    }

    // Memory for at least `size` bytes; `capacity` says for how many.
    char *get(size_t size, size_t &capacity) {
        size_t sizes = 0;
        for (capacity = kLeast; capacity < size; capacity *= 2) ++sizes;
        if (sizes < kSizes && free_[sizes] != nullptr) {
            kept_ -= capacity;
            return pop(free_[sizes]);
        }
        char *const bytes = static_cast<char *>(std::malloc(capacity));
        if (bytes == nullptr) throw std::bad_alloc();
        bytes_ += capacity;
        return bytes;
    }

    // Give back what get() gave.
    void give(char *bytes, size_t capacity) noexcept {
        if (bytes == nullptr) return;
        size_t sizes = 0;
        while (kLeast << sizes < capacity) ++sizes;
        if (sizes >= kSizes || kept_ + capacity > kMostKept) {
            bytes_ -= capacity;
            std::free(bytes);
            return;
        }
        std::memcpy(bytes, &free_[sizes], sizeof(char *));
        free_[sizes] = bytes;
        kept_ += capacity;
    }

    // Whether it is so much that nobody should keep what it does not use.
    bool is_much() const { return bytes_ > kCalm; }

    // How much there is, in use and kept for later.
    size_t bytes() const { return bytes_; }

  private:
    static constexpr size_t kLeast = 512;
    static constexpr size_t kSizes = 10;  // up to 256 KiB, each twice the one before
    static constexpr size_t kMostKept = 4 * 1024 * 1024;
    static constexpr size_t kCalm = 16 * 1024 * 1024;

    char *free_[kSizes] = {};  // the first of each size, which leads to the next
    size_t kept_ = 0;
    size_t bytes_ = 0;

    static char *pop(char *&first) {
        char *const bytes = first;
        std::memcpy(&first, bytes, sizeof(char *));
        return bytes;
    }
};

}  // namespace fproxy
