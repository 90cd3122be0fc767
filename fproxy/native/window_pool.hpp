// Memory for windows, which come and go all the time: used again, and given back when a burst of them is over.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <type_traits>
#include <utility>
#include <vector>

#include "bar_window.hpp"

namespace fproxy::bars {

class WindowPool {
  public:
    WindowPool() = default;
    WindowPool(const WindowPool &) = delete;
    WindowPool &operator=(const WindowPool &) = delete;
    ~WindowPool() {
        for (Chunk *chunk : chunks_) delete chunk;
    }

    Window *make(int64_t start, uint32_t symbol, uint64_t arrival) {
        if (first_with_room_ == chunks_.size()) grow();
        Chunk &chunk = *chunks_[first_with_room_];
        Place *const place = chunk.free;
        chunk.free = place->next_free;
        if (++chunk.used == kPlaces) ++first_with_room_;
        return new (place) Window(start, symbol, arrival);
    }

    void free(Window *window) {
        static_assert(std::is_trivially_destructible_v<Window>);
        Place *const place = reinterpret_cast<Place *>(window);
        Chunk &chunk = *reinterpret_cast<Chunk *>(reinterpret_cast<uintptr_t>(window) & ~(uintptr_t{kChunkBytes} - 1));
        place->next_free = chunk.free;
        chunk.free = place;
        if (chunk.used-- == kPlaces) move(chunk, --first_with_room_);
        if (chunk.used == 0) keep_one_empty(chunk);
    }

    size_t bytes() const { return chunks_.size() * kChunkBytes; }

  private:
    static constexpr size_t kChunkBytes = 64 * 1024;  // where a chunk begins can be told from where a window of it is

    union Place {
        Place *next_free;
        alignas(Window) unsigned char bytes[sizeof(Window)];
    };

    struct Head {
        size_t at = 0;  // in `chunks_`
        size_t used = 0;
        Place *free = nullptr;
    };
    static constexpr size_t kSlack = 128;  // left to the allocator: else nothing fits between two chunks, and much is lost there
    static constexpr size_t kPlaces = (kChunkBytes - kSlack - sizeof(Head) - alignof(Place)) / sizeof(Place);

    struct Chunk : Head {
        Place places[kPlaces];

        Chunk() {
            for (size_t i = kPlaces; i != 0; --i) {
                places[i - 1].next_free = free;
                free = &places[i - 1];
            }
        }

        static void *operator new(size_t size) { return ::operator new(size, std::align_val_t{kChunkBytes}); }
        static void operator delete(void *chunk) { ::operator delete(chunk, std::align_val_t{kChunkBytes}); }
    };
    static_assert(sizeof(Chunk) <= kChunkBytes - kSlack);

    std::vector<Chunk *> chunks_;  // those that are full come first
    size_t first_with_room_ = 0;
    Chunk *empty_ = nullptr;  // one that is, kept for what comes next

    void grow() {
        chunks_.reserve(chunks_.size() + 1);
        Chunk *const chunk = new Chunk;
        chunk->at = chunks_.size();
        chunks_.push_back(chunk);
    }

    // Exchange a chunk with the one that is at a place.
    void move(Chunk &chunk, size_t to) {
        std::swap(chunks_[chunk.at], chunks_[to]);
        chunks_[chunk.at]->at = chunk.at;
        chunk.at = to;
    }

    void keep_one_empty(Chunk &chunk) {
        if (empty_ == nullptr || empty_ == &chunk || empty_->used != 0) {
            empty_ = &chunk;
            return;
        }
        move(chunk, chunks_.size() - 1);
        chunks_.pop_back();
        delete &chunk;
    }
};

}  // namespace fproxy::bars
