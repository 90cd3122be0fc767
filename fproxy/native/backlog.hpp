// What waits to be sent to clients that read more slowly than they are written to.
//
// What waits for many members of an audience is kept once: a client's backlog is a list of spans of shared blocks. So five
// hundred clients that stall cost about what one does.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <sys/uio.h>

#include "eviction_order.hpp"
#include "frame_header.hpp"
#include "shared_blocks.hpp"

namespace fproxy {

class Backlog;

// What the backlogs of all clients of a server share.
struct BacklogPool {
    SharedBlocks blocks;
    EvictionOrder<Backlog> order;
    size_t list_bytes = 0;     // of the lists of spans
    size_t held_bytes = 0;     // of what is held back, which the user of this counts
    size_t waiting_bytes = 0;  // added up over all clients
    size_t lagging = 0;        // clients for which something waits

    // The memory that is taken.
    size_t bytes() const { return blocks.bytes() + list_bytes + held_bytes; }
};

// Some bytes of a block that wait for a client.
struct Span {
    Block *block;
    size_t begin;
    size_t end;
    int64_t since;  // when the first of them was written

    size_t size() const { return end - begin; }
};

// Whole WebSocket frames that are being written to one client or to many, one after the other. The first for which they
// have to wait copies them to the pool; the others refer to that copy.
class SharedFrames {
  public:
    SharedFrames() = default;
    SharedFrames(const SharedFrames &) = delete;
    SharedFrames &operator=(const SharedFrames &) = delete;
    ~SharedFrames() { finish(); }

    const char *begin = nullptr;
    size_t size = 0;
    bool sole = true;  // for a single client: what it has been sent need not be copied

    // A number that no other frames have.
    uint64_t number() const { return number_; }

    void start(const char *frames, size_t length, bool for_one) {
        finish();
        number_ = ++started();
        begin = frames;
        size = length;
        sole = for_one;
    }

    // Nobody else gets them.
    void finish() {
        for (unsigned i = 0; i < pieces_; ++i) pool_->blocks.release(kept_[i].block);
        pieces_ = 0;
        pool_ = nullptr;
    }

  private:
    friend class Backlog;
    uint64_t number_ = 0;
    BacklogPool *pool_ = nullptr;  // where they are kept; none while they are not
    Span kept_[2];
    unsigned pieces_ = 0;

    static uint64_t &started() {
        static uint64_t count = 0;
        return count;
    }
};

// One client's. Times are in milliseconds of any clock that does not go back.
class Backlog {
  public:
    // `owner` is whatever the user of this wants to find again.
    explicit Backlog(BacklogPool &pool, void *owner = nullptr) : pool_(pool), number_(pool.order.add(this)), owner_(owner) {}
    Backlog(const Backlog &) = delete;
    Backlog &operator=(const Backlog &) = delete;
    ~Backlog() {
        drop_behind(0);
        pool_.order.remove(number_);
    }

    void *owner() const { return owner_; }

    // Whether it is never to be evicted, from the next time on that it begins to lag.
    void exempt(bool exempt) { exempt_ = exempt; }
    bool evictable() const { return !empty() && !exempt_; }

    bool empty() const { return bytes_ == 0; }
    size_t bytes() const { return bytes_; }

    // When the first byte of what waits was written, or up to kAgeStep before. Not to be called when nothing does.
    int64_t since() const { return spans_[first_].since; }

    // Let frames wait behind all that does; the first `sent` bytes of them were sent, which is only possible when nothing
    // waited.
    void keep(SharedFrames &frames, size_t sent, int64_t now) {
        if (sent == frames.size) return;
        if (empty() && sent != 0) rest_of_frame_ = rest_behind(frames, sent);
        if (frames.pool_ != &pool_) {
            frames.finish();
            const size_t passed_over = frames.sole ? sent : 0;
            frames.pool_ = &pool_;
            frames.pieces_ = store(frames.begin + passed_over, frames.size - passed_over, frames.kept_);
            sent -= passed_over;
        }
        for (unsigned i = 0; i < frames.pieces_; ++i) {
            Span piece = frames.kept_[i];
            const size_t skipped = std::min(sent, piece.size());
            sent -= skipped;
            piece.begin += skipped;
            if (piece.size() != 0) add(piece, now);
        }
        if (frames.sole) frames.finish();
    }

    // Point `vectors` at what waits, from the first byte on, up to about `most_bytes`; returns how many were set.
    size_t gather(iovec *vectors, size_t most_vectors, size_t most_bytes) const {
        size_t count = 0;
        for (size_t i = first_; i < spans_.size() && count < most_vectors && most_bytes != 0; ++i) {
            const Span &span = spans_[i];
            const size_t size = std::min(span.size(), most_bytes);
            vectors[count++] = iovec{span.block->bytes + span.begin, size};
            most_bytes -= size;
        }
        return count;
    }

    // So many bytes were sent.
    void consume(size_t sent) {
        while (sent != 0) {
            if (rest_of_frame_ == 0) rest_of_frame_ = first_frame_size();
            const size_t size = std::min(sent, rest_of_frame_);
            advance(size);
            rest_of_frame_ -= size;
            sent -= size;
        }
    }

    // Give up everything but the rest of a frame that is partly sent: behind it another frame may follow. What is left
    // counts as written now: it had its time.
    void cut(int64_t now) {
        drop_behind(rest_of_frame_);
        renew(now);
    }

    // Count all that waits as written now.
    void renew(int64_t now) {
        for (size_t i = first_; i < spans_.size(); ++i) spans_[i].since = now;
    }

    // Give up everything.
    void clear() {
        drop_behind(0);
        rest_of_frame_ = 0;
    }

  private:
    // Bytes that were written at about the same time are one span, whose age is that of the first.
    static constexpr int64_t kAgeStep = 100;
    static constexpr size_t kKeepSpans = 8;

    BacklogPool &pool_;
    std::vector<Span> spans_;
    size_t first_ = 0;
    size_t bytes_ = 0;
    size_t rest_of_frame_ = 0;  // of a frame that is partly sent, how much still waits
    uint32_t number_;
    void *owner_;
    bool exempt_ = false;

    // Put bytes where the last of what waits is, as far as there is room, and else in a block of their own. Each piece has
    // a reference.
    unsigned store(const char *bytes, size_t size, Span *pieces) {
        unsigned count = 0;
        if (!empty()) {
            const Span &last = spans_.back();
            const size_t fits = last.end == last.block->size ? std::min(size, last.block->room()) : 0;
            if (fits != 0) {
                pool_.blocks.append(last.block, bytes, fits);
                pool_.blocks.hold(last.block);
                pieces[count++] = Span{last.block, last.block->size - fits, last.block->size, 0};
                bytes += fits;
                size -= fits;
            }
        }
        if (size == 0) return count;
        try {
            Block *const block = pool_.blocks.make(bytes, size);
            pieces[count++] = Span{block, 0, size, 0};
        } catch (...) {
            if (count != 0) pool_.blocks.release(pieces[0].block);
            throw;
        }
        return count;
    }

    void add(Span piece, int64_t now) {
        const bool begins = empty();
        if (!begins) {
            Span &last = spans_.back();
            if (last.block == piece.block && last.end == piece.begin && now - last.since < kAgeStep) {
                last.end = piece.end;
                grown(piece.size());
                return;
            }
        }
        piece.since = now;
        const size_t room = spans_.capacity();
        spans_.push_back(piece);
        pool_.list_bytes += (spans_.capacity() - room) * sizeof(Span);
        pool_.blocks.hold(piece.block);
        grown(piece.size());
        if (!begins) return;
        ++pool_.lagging;
        if (!exempt_) pool_.order.lags(number_);
    }

    void grown(size_t size) {
        bytes_ += size;
        pool_.waiting_bytes += size;
    }

    void shrunk(size_t size) {
        bytes_ -= size;
        pool_.waiting_bytes -= size;
        if (bytes_ != 0) return;
        --pool_.lagging;
    }

    // Forget the spans that were sent, and give room back that a long list took.
    void compact() {
        spans_.erase(spans_.begin(), spans_.begin() + static_cast<std::ptrdiff_t>(first_));
        first_ = 0;
        if (!spans_.empty() && (spans_.capacity() <= kKeepSpans || spans_.capacity() / 4 < spans_.size())) return;
        pool_.list_bytes -= spans_.capacity() * sizeof(Span);
        std::vector<Span>(spans_).swap(spans_);
        pool_.list_bytes += spans_.capacity() * sizeof(Span);
    }

    void advance(size_t size) {
        size_t left = size;
        while (left != 0) {
            Span &span = spans_[first_];
            const size_t taken = std::min(left, span.size());
            span.begin += taken;
            left -= taken;
            if (span.size() != 0) break;
            pool_.blocks.release(span.block);
            ++first_;
        }
        shrunk(size);
        if (bytes_ == 0 || (first_ > kKeepSpans && first_ > spans_.size() / 2)) compact();
    }

    // Give up all but the first bytes.
    void drop_behind(size_t kept) {
        if (bytes_ <= kept) return;
        const size_t given_up = bytes_ - kept;
        size_t left = given_up;
        while (left != 0) {
            Span &span = spans_.back();
            const size_t taken = std::min(left, span.size());
            span.end -= taken;
            left -= taken;
            if (span.size() != 0) break;
            pool_.blocks.release(span.block);
            spans_.pop_back();
        }
        shrunk(given_up);
        compact();
    }

    size_t first_frame_size() const {
        char header[kLongestFrameHeader] = {};
        size_t copied = 0;
        for (size_t i = first_; i < spans_.size() && copied < sizeof header; ++i) {
            const size_t size = std::min(spans_[i].size(), sizeof header - copied);
            std::memcpy(header + copied, spans_[i].block->bytes + spans_[i].begin, size);
            copied += size;
        }
        return frame_size(header);
    }

    static size_t rest_behind(const SharedFrames &frames, size_t sent) {
        size_t end = 0;
        while (end < sent && frames.size - end >= 2) end += frame_size(frames.begin + end);
        return std::max(end, sent) - sent;
    }
};

}  // namespace fproxy
