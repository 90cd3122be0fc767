// An array that grows without its elements being moved: its pages are, by the system. To copy what is known of a million
// topics would hold everything else up for 30 ms.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <type_traits>
#include <utility>

#if defined(__linux__)
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace fproxy {

// Elements are moved by their bytes: none may hold a pointer into itself. Nobody may keep a pointer to one across a
// change of the size.
template <class Element>
class GrowingArray {
  public:
    GrowingArray() = default;
    GrowingArray(const GrowingArray &) = delete;
    GrowingArray &operator=(const GrowingArray &) = delete;
    ~GrowingArray() {
        while (size_ != 0) pop_back();
        release(elements_, capacity_);
    }

    size_t size() const { return size_; }

    // The memory that it takes, at most: its addresses are more, behind which there is none.
    size_t bytes() const {
        const size_t all = capacity_ * sizeof(Element);
        return is_mapped(capacity_) ? std::min(all, size_ * sizeof(Element) + 2 * kPiece) : all;
    }

    Element &operator[](size_t at) { return elements_[at]; }
    const Element &operator[](size_t at) const { return elements_[at]; }
    Element &back() { return elements_[size_ - 1]; }

    // When memory runs out, nothing has changed.
    void emplace_back() {
        if (size_ == capacity_) resize(capacity_ == 0 ? kFirst : 2 * capacity_);
        new (&elements_[size_]) Element();
        ++size_;
    }

    // Memory goes back little by little, once a quarter is in use.
    void pop_back() {
        elements_[--size_].~Element();
        if (is_mapped(capacity_)) {
            give_pages_back();
        } else if (capacity_ > kFirst && size_ < capacity_ / 4) {
            try {
                resize(capacity_ / 2);
            } catch (const std::bad_alloc &) {  // for the smaller one: this one does as well
            }
        }
    }

  private:
    static constexpr size_t kFirst = 16;
    static constexpr size_t kMappedFrom = 256 * 1024;  // bytes
    static constexpr size_t kPiece = 64 * 1024;        // bytes that go back at once
    static_assert(kPiece % sizeof(Element) == 0 && (sizeof(Element) & (sizeof(Element) - 1)) == 0);

    Element *elements_ = nullptr;
    size_t size_ = 0;
    size_t capacity_ = 0;

#if defined(__linux__)
    static bool is_mapped(size_t capacity) { return capacity * sizeof(Element) >= kMappedFrom; }
#else
    static bool is_mapped(size_t) { return false; }
#endif

    static Element *allocate(size_t capacity) {
#if defined(__linux__)
        if (is_mapped(capacity)) {
            void *const memory = mmap(nullptr, capacity * sizeof(Element), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            if (memory == MAP_FAILED) throw std::bad_alloc();
            return static_cast<Element *>(memory);
        }
#endif
        return static_cast<Element *>(::operator new(capacity * sizeof(Element), std::align_val_t(alignof(Element))));
    }

    static void release(Element *elements, size_t capacity) {
#if defined(__linux__)
        if (is_mapped(capacity)) {
            munmap(static_cast<void *>(elements), capacity * sizeof(Element));
            return;
        }
#endif
        ::operator delete(elements, std::align_val_t(alignof(Element)));
    }

    void resize(size_t capacity) {
#if defined(__linux__)
        if (is_mapped(capacity_) && is_mapped(capacity)) {
            void *const memory = mremap(static_cast<void *>(elements_), capacity_ * sizeof(Element), capacity * sizeof(Element), MREMAP_MAYMOVE);
            if (memory == MAP_FAILED) throw std::bad_alloc();
            elements_ = static_cast<Element *>(memory);
            capacity_ = capacity;
            return;
        }
#endif
        Element *const made = allocate(capacity);
        if (size_ != 0) std::memcpy(static_cast<void *>(made), static_cast<void *>(elements_), size_ * sizeof(Element));
        release(elements_, capacity_);
        elements_ = made;
        capacity_ = capacity;
    }

    // Give back the pages behind the end, a piece whenever that falls by one, so that as many as a piece stay ready; and most
    // addresses, when none of their memory is left.
    void give_pages_back() {
#if defined(__linux__)
        if (size_ * sizeof(Element) % kPiece != 0) return;
        const size_t end = size_ * sizeof(Element) + kPiece;
        if (size_ < capacity_ / 8 && capacity_ * sizeof(Element) > kMappedFrom) {
            try {
                resize(capacity_ / 2);  // behind the middle nothing is in use, or has been for long
            } catch (const std::bad_alloc &) {
            }
        }
        if (end + kPiece <= capacity_ * sizeof(Element))
            madvise(reinterpret_cast<char *>(elements_) + end, kPiece, MADV_DONTNEED);
#endif
    }
};

}  // namespace fproxy
