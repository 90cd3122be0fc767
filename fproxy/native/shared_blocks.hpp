// Pieces of memory for bytes that wait to be sent, with counted references.
//
// One copy serves every client that the bytes wait for. A full block is mapped memory, so that what a burst took can go back
// to the system. It does so when it was not needed for a while, however much it is: to map pages, to touch them for the first
// time and to unmap them is a third of what lagging clients cost, and while they lag some blocks become free and others are
// needed all the time.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

#include "mapped_memory.hpp"

namespace fproxy {

struct Block {
    char *bytes;
    size_t size;
    size_t capacity;
    uint32_t references;

    // How much can still be appended, when it is let grow to a full block.
    size_t room() const;
};

class SharedBlocks {
  public:
    static constexpr size_t kFullBlock = 64 * 1024;

    SharedBlocks() = default;
    SharedBlocks(const SharedBlocks &) = delete;
    SharedBlocks &operator=(const SharedBlocks &) = delete;
    ~SharedBlocks() { give_back(spare_count_); }

    // A block with these bytes and one reference.
    Block *make(const char *bytes, size_t size) {
        const size_t capacity = capacity_for(size);
        Block *const block = new Block{nullptr, 0, 0, 1};
        try {
            block->bytes = allocate(capacity);
        } catch (...) {
            delete block;
            throw;
        }
        block->capacity = capacity;
        bytes_ += capacity + sizeof(Block);
        std::memcpy(block->bytes, bytes, size);
        block->size = size;
        return block;
    }

    // Put bytes behind those of a block, which has room for them.
    void append(Block *block, const char *bytes, size_t size) {
        if (block->size + size > block->capacity) {
            const size_t capacity = capacity_for(block->size + size);
            char *const grown = allocate(capacity);
            std::memcpy(grown, block->bytes, block->size);
            free(block->bytes, block->capacity);
            bytes_ += capacity - block->capacity;
            block->bytes = grown;
            block->capacity = capacity;
        }
        std::memcpy(block->bytes + block->size, bytes, size);
        block->size += size;
    }

    void hold(Block *block) { ++block->references; }

    void release(Block *block) {
        if (--block->references != 0) return;
        bytes_ -= block->capacity + sizeof(Block);
        free(block->bytes, block->capacity);
        delete block;
    }

    // The memory that all blocks take; those kept ready not included.
    size_t bytes() const { return bytes_; }

    // The memory of those kept ready.
    size_t spare_bytes() const { return spare_count_ * kFullBlock; }

    // Give back so many of those kept ready, as far as there are.
    void give_back(size_t blocks) {
        for (blocks = std::min(blocks, spare_count_); blocks != 0; --blocks) unmap_memory(take_spare(), kFullBlock);
    }

    // To be called now and then: see which of those kept ready were not needed since the last time. They are to go back.
    void look_at_use() {
        unused_ = beyond_few(fewest_);
        fewest_ = spare_count_;
    }

    // Give back some of what is to go; returns whether there is more.
    bool tidy() {
        const size_t some = std::min(unused_, kTidied);
        unused_ -= some;
        give_back(some);
        return unused_ != 0;
    }

  private:
    static constexpr size_t kSmallBlock = 4 * 1024;
    static constexpr size_t kMediumBlock = 16 * 1024;
    static constexpr size_t kPage = 4 * 1024;
    static constexpr size_t kFewSpares = 16;  // are always kept
    static constexpr size_t kTidied = 64;     // at a time: half a millisecond

    // A block that is kept ready has the address of the next one in its first bytes.
    struct Spare {
        Spare *next;
    };

    size_t bytes_ = 0;
    Spare *spares_ = nullptr;
    size_t spare_count_ = 0;
    size_t fewest_ = 0;  // how many were kept ready at least since somebody looked
    size_t unused_ = 0;  // how many of them are to go back

    static size_t beyond_few(size_t count) { return count - std::min(count, kFewSpares); }

    void add_spare(char *bytes) {
        spares_ = new (bytes) Spare{spares_};
        ++spare_count_;
    }

    char *take_spare() {
        Spare *const spare = spares_;
        spares_ = spare->next;
        --spare_count_;
        fewest_ = std::min(fewest_, spare_count_);
        unused_ = std::min(unused_, beyond_few(spare_count_));
        return reinterpret_cast<char *>(spare);
    }

    static size_t capacity_for(size_t size) {
        if (size <= kSmallBlock) return kSmallBlock;
        if (size <= kMediumBlock) return kMediumBlock;
        if (size <= kFullBlock) return kFullBlock;
        return (size + kPage - 1) / kPage * kPage;
    }

    char *allocate(size_t capacity) {
        if (capacity < kFullBlock) {
            void *const bytes = std::malloc(capacity);
            if (bytes == nullptr) throw std::bad_alloc();
            return static_cast<char *>(bytes);
        }
        if (capacity == kFullBlock && spare_count_ != 0) return take_spare();
        return map_memory(capacity);
    }

    void free(char *bytes, size_t capacity) {
        if (capacity < kFullBlock)
            std::free(bytes);
        else if (capacity == kFullBlock)
            add_spare(bytes);
        else
            unmap_memory(bytes, capacity);
    }
};

inline size_t Block::room() const { return std::max(capacity, SharedBlocks::kFullBlock) - size; }

}  // namespace fproxy
