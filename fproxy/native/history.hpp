// The upstream messages of the last while, whole: a ring of blocks that readers go through by number.
//
// One copy a message, past the cache, and no work an event: whoever reads scans again, which is rare. Bounded by age and by
// bytes, whichever is reached first; blocks that are not needed go back to the system.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <new>
#include <utility>

#include "mapped_memory.hpp"
#include "streaming_copy.hpp"

namespace fproxy {

class History {
  public:
    struct Message {
        const char *begin;
        const char *end;
        int64_t received;  // in Unix milliseconds
        unsigned source;
        bool was_live;  // whether it was given out when it came
    };

    // Keep at most `most_bytes`, what is needed to find them included, of messages no older than `span_ms`.
    History(size_t most_bytes, int64_t span_ms)
        : most_bytes_(most_bytes),
          span_(span_ms),
          block_bytes_(std::min(kLongestBlock, std::max(kShortestBlock, most_bytes / 16))) {}

    // Keep a message, which gets the number next(). What it pushes out is forgotten; a message that has no room at all
    // leaves nothing before it either: readers must not take what is left for all there was.
    void append(unsigned source, const char *begin, const char *end, int64_t now, bool is_live = true) {
        const size_t size = static_cast<size_t>(end - begin);
        forget_before(now - span_);
        if (blocks_.empty() || !blocks_.back().takes(size)) {
            if (!add_block(std::max(block_bytes_, whole_lines(size)))) {
                ++first_;
                complete_from_ = now + 1;
                return;
            }
        }
        Block &block = blocks_.back();
        char *const at = block.data.get() + block.used;
        streaming_copy(at, begin, size);
        block.used += whole_lines(size);
        ++block.messages;
        entries_.push_back(Entry{at, now, static_cast<uint32_t>(size), source, is_live});
    }

    // Forget what is too old.
    void trim(int64_t now) { forget_before(now - span_); }

    // The number of the oldest message that is kept, and of the next one to come.
    uint64_t first() const { return first_; }
    uint64_t next() const { return first_ + entries_.size(); }

    // A message that is kept; valid until the next call that is not const.
    Message operator[](uint64_t number) const {
        const Entry &entry = entries_[static_cast<size_t>(number - first_)];
        return Message{entry.begin, entry.begin + entry.size, entry.received, entry.source, entry.was_live != 0};
    }

    // The number of the first message that was received at a time or later.
    uint64_t received_from(int64_t time) const {
        const auto earlier = [time](const Entry &entry) { return entry.received < time; };
        return first_ + static_cast<uint64_t>(std::partition_point(entries_.begin(), entries_.end(), earlier) - entries_.begin());
    }

    // Everything received at this time or later is kept, in Unix milliseconds: zero when nothing has been forgotten.
    int64_t complete_from() const { return complete_from_; }

    size_t bytes() const { return allocated_ + entries_.size() * sizeof(Entry); }

  private:
    static constexpr size_t kShortestBlock = 16 * 1024;
    static constexpr size_t kLongestBlock = 1024 * 1024;
    static constexpr size_t kMapped = 64 * 1024;

    struct Entry {
        const char *begin;
        int64_t received;
        uint32_t size;
        uint32_t source : 31;
        uint32_t was_live : 1;
    };

    // Messages begin at lines of the cache, which are written whole. What is long is mapped: as allocated memory its pages would
    // be touched one by one, which is most of what the first messages cost.
    struct FreeLines {
        size_t room;  // of the data

        void operator()(char *data) const {
            if (room < kMapped)
                ::operator delete[](data, std::align_val_t{kCacheLine});
            else
                unmap_memory(data, room);
        }
    };

    struct Block {
        std::unique_ptr<char[], FreeLines> data;
        size_t room = 0;
        size_t used = 0;
        size_t messages = 0;  // that are in it and not forgotten

        // Very short messages take more room to be found again than for themselves: that is bounded too.
        bool takes(size_t size) const { return room - used >= whole_lines(size) && messages * sizeof(Entry) <= room; }

        static Block of(size_t room) {
            Block block;
            char *const data = room < kMapped ? new (std::align_val_t{kCacheLine}) char[room] : map_memory(room);
            block.data = std::unique_ptr<char[], FreeLines>(data, FreeLines{room});
            block.room = room;
            return block;
        }
    };

    size_t most_bytes_;
    int64_t span_;
    size_t block_bytes_;
    uint64_t first_ = 0;
    int64_t complete_from_ = 0;
    std::deque<Entry> entries_;
    std::deque<Block> blocks_;
    Block spare_;             // the block that was emptied last, to be filled again without new pages
    size_t allocated_ = 0;    // for blocks, the spare one included

    // False, with everything forgotten, when there is no room for so much. The spare block makes room itself: to forget more
    // than that would free it, and touch new pages for each block.
    bool add_block(size_t room) {
        while (!entries_.empty() && bytes() - spare_.room + room > most_bytes_) forget_oldest();
        if (spare_.room < room) free_block(std::exchange(spare_, Block{}));
        if (spare_.room == 0) {
            if (bytes() + room > most_bytes_) return false;
            spare_ = Block::of(room);
            allocated_ += room;
        }
        blocks_.push_back(std::exchange(spare_, Block{}));
        return true;
    }

    void free_block(Block &&block) { allocated_ -= Block{std::move(block)}.room; }

    void forget_before(int64_t time) {
        while (!entries_.empty() && entries_.front().received < time) forget_oldest();
    }

    void forget_oldest() {
        complete_from_ = std::max(complete_from_, entries_.front().received + 1);
        entries_.pop_front();
        ++first_;
        if (--blocks_.front().messages != 0) return;
        Block block = std::move(blocks_.front());
        blocks_.pop_front();
        block.used = 0;
        if (block.room == block_bytes_ && spare_.room == 0)
            spare_ = std::move(block);
        else
            free_block(std::move(block));
    }
};

}  // namespace fproxy
