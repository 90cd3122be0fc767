// Pieces of memory for bytes that wait to be sent, with counted references.
//
// One copy serves every client that the bytes wait for. A full block is mapped memory, so that what a burst took can go back
// to the system. It does so when it was not needed for a while: pages that are touched for the first time are a quarter of
// what a burst costs, and while clients lag some blocks become free and others are needed all the time.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <vector>

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

    SharedBlocks() { spares_.reserve(kMostSpares); }
    SharedBlocks(const SharedBlocks &) = delete;
    SharedBlocks &operator=(const SharedBlocks &) = delete;
    ~SharedBlocks() {
        give_back(spares_.size());
    }

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
    size_t spare_bytes() const { return spares_.size() * kFullBlock; }

    // Give back so many of those kept ready, as far as there are.
    void give_back(size_t blocks) {
        for (blocks = std::min(blocks, spares_.size()); blocks != 0; --blocks) {
            unmap_memory(spares_.back(), kFullBlock);
            spares_.pop_back();
        }
        fewest_ = std::min(fewest_, spares_.size());
    }

    // To be called now and then: give back what was not needed since the last time, some of it if it is much.
    void tidy() {
        const size_t unused = std::min(fewest_, spares_.size());
        give_back(std::min(unused - std::min(unused, kFewSpares), kTidied));
        fewest_ = spares_.size();
    }

  private:
    static constexpr size_t kSmallBlock = 4 * 1024;
    static constexpr size_t kMediumBlock = 16 * 1024;
    static constexpr size_t kPage = 4 * 1024;
    static constexpr size_t kFewSpares = 16;    // are always kept
    static constexpr size_t kMostSpares = 512;  // 32 MiB
    static constexpr size_t kTidied = 64;       // at a time: half a millisecond

    size_t bytes_ = 0;
    std::vector<char *> spares_;
    size_t fewest_ = 0;  // how many there were at least since they were tidied

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
        if (capacity == kFullBlock && !spares_.empty()) {
            char *const spare = spares_.back();
            spares_.pop_back();
            fewest_ = std::min(fewest_, spares_.size());
            return spare;
        }
        return map_memory(capacity);
    }

    void free(char *bytes, size_t capacity) {
        if (capacity < kFullBlock)
            std::free(bytes);
        else if (capacity == kFullBlock && spares_.size() < kMostSpares)
            spares_.push_back(bytes);
        else
            unmap_memory(bytes, capacity);
    }
};

inline size_t Block::room() const { return std::max(capacity, SharedBlocks::kFullBlock) - size; }

}  // namespace fproxy
