// The bytes waiting for one audience: WebSocket messages under assembly, ready to be written to a server's sockets.
//
// Events are gathered into JSON arrays, each array a text message of one unmasked frame (RFC 6455, section 5.2). The
// header, whose size depends on the payload's, is written into room kept in front of the payload.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>

#include "buffer_pool.hpp"
#include "text.hpp"

namespace fproxy {

class MessageBuffer {
  public:
    MessageBuffer() = default;
    MessageBuffer(const MessageBuffer &) = delete;
    MessageBuffer &operator=(const MessageBuffer &) = delete;
    MessageBuffer(MessageBuffer &&other) noexcept { *this = std::move(other); }
    MessageBuffer &operator=(MessageBuffer &&other) noexcept {
        std::swap(bytes_, other.bytes_);
        std::swap(capacity_, other.capacity_);
        std::swap(begin_, other.begin_);
        std::swap(end_, other.end_);
        std::swap(payload_, other.payload_);
        std::swap(first_, other.first_);
        std::swap(expected_, other.expected_);
        std::swap(events_, other.events_);
        std::swap(notices_, other.notices_);
        return *this;
    }
    ~MessageBuffer() { BufferPool::of_process().give(bytes_, capacity_); }

    bool empty() const { return end_ == 0; }
    size_t size() const { return end_ - begin_; }

    // Count events of what is appended, for finished_events().
    void count_events(size_t events) { events_ += static_cast<uint32_t>(events); }

    // Count notices of what is appended, for finished_notices().
    void count_notices(size_t notices) { notices_ += static_cast<uint32_t>(notices); }

    // How many events, and how many notices, have been counted since this was called last.
    size_t finished_events() { return std::exchange(events_, 0); }
    size_t finished_notices() { return std::exchange(notices_, 0); }

    // Append an event's text, which with what follows it has `readable` bytes. A message holds at most `max_payload` bytes,
    // unless a single event is longer. What is here is read once and written once: the text may be anywhere, for all that
    // the compiler knows, so that it would load every member again behind each piece of it.
    FPROXY_INLINE void append(const char *event, size_t length, size_t readable, size_t max_payload) {
        if (__builtin_expect(end_ + length + kSlack > capacity_, 0)) reserve(end_ + length + kSlack);
        if (__builtin_expect(payload_ != 0 && end_ - payload_ + length + 2 > max_payload, 0)) close_message();
        char *const bytes = bytes_;
        char *to = bytes + end_;
        if (__builtin_expect(payload_ == 0, 0)) {
            first_ = end_ == 0;
            payload_ = end_ + (first_ ? kMaxHeader : kHeaderRoom);
            to = bytes + payload_;
            *to++ = '[';
        } else {
            *to++ = ',';
        }
        end_ = static_cast<size_t>(to - bytes) + length;
        // Events are short: whole pieces, more than asked for, are quicker than a call that looks at the length.
        if (__builtin_expect(length <= kShortEvent && length + kPiece <= readable, 1)) {
            for (size_t i = 0; i < length; i += kPiece) std::memcpy(to + i, event + i, kPiece);
        } else {
            std::memcpy(to, event, length);
        }
    }

    // Append a whole message of its own, as it is.
    void append_message(const char *payload, size_t length) {
        close();
        if (end_ + length + kSlack > capacity_) reserve(end_ + length + kSlack);
        const size_t header = header_size(length);
        write_header(end_, header, length);
        std::memcpy(bytes_ + end_ + header, payload, length);
        end_ += header + length;
    }

    // Finish the message under assembly: what is appended next begins another.
    void close() {
        if (payload_ != 0) close_message();
    }

    // Finish the last message and return the bytes to write; they are valid until the next append.
    std::pair<const char *, size_t> finish() {
        close();
        const std::pair<const char *, size_t> ready{bytes_ + begin_, end_ - begin_};
        expected_ = end_;
        begin_ = end_ = 0;
        return ready;
    }

    // What finish() gave has been written: give the memory back in a burst, unless something waits again.
    void written() {
        if (!BufferPool::of_process().is_much() || !empty()) return;
        BufferPool::of_process().give(bytes_, capacity_);
        bytes_ = nullptr;
        capacity_ = 0;
    }

  private:
    // The first message has room for any header: what is too much of it stays unused in front. Those behind it have room for
    // the header of 126 to 65535 bytes, and are moved if theirs is another.
    static constexpr size_t kMaxHeader = 10;
    static constexpr size_t kHeaderRoom = 4;
    static constexpr size_t kPiece = 32;
    static constexpr size_t kShortEvent = 512;
    static constexpr size_t kSlack = 2 * kMaxHeader + kPiece;  // brackets, commas and headers around one event, and more
    static constexpr size_t kSmallPayload = 125;
    static constexpr size_t kMediumPayload = 65535;
    static constexpr unsigned char kFinalText = 0x81;

    char *bytes_ = nullptr;
    size_t capacity_ = 0;
    size_t begin_ = 0;      // of what is to be written
    size_t end_ = 0;        // of what is there; zero when nothing is
    size_t payload_ = 0;    // of the message under assembly; zero when there is none
    size_t expected_ = 0;   // where the end was when it was finished last
    uint32_t events_ = 0;   // that have been counted
    uint32_t notices_ = 0;  // likewise
    bool first_ = false;    // whether nothing is in front of that message

    // Memory that was given back is taken again as large as it was needed: to grow to that copies all of it once more.
    void reserve(size_t size) {
        size_t capacity = 0;
        if (bytes_ == nullptr) size = std::max(size, expected_);
        char *const bytes = BufferPool::of_process().get(size, capacity);
        if (bytes_ != nullptr) std::memcpy(bytes, bytes_, end_);
        BufferPool::of_process().give(bytes_, capacity_);
        bytes_ = bytes;
        capacity_ = capacity;
    }

    // append() has kept room for the bracket.
    void close_message() {
        bytes_[end_++] = ']';
        const size_t length = end_ - payload_;
        const size_t header = header_size(length);
        size_t header_begin = payload_ - header;
        if (first_) {
            begin_ = header_begin;
        } else if (header != kHeaderRoom) {
            header_begin = payload_ - kHeaderRoom;
            if (header > kHeaderRoom) reserve_more(header - kHeaderRoom);
            std::memmove(bytes_ + header_begin + header, bytes_ + payload_, length);
            end_ = header_begin + header + length;
        }
        write_header(header_begin, header, length);
        payload_ = 0;
    }

    static size_t header_size(size_t length) {
        return length <= kSmallPayload ? 2 : length <= kMediumPayload ? 4 : kMaxHeader;
    }

    void write_header(size_t begin, size_t header, size_t length) {
        unsigned char *const at = reinterpret_cast<unsigned char *>(bytes_ + begin);
        at[0] = kFinalText;
        if (header == 2) {
            at[1] = static_cast<unsigned char>(length);
            return;
        }
        const unsigned length_bytes = static_cast<unsigned>(header - 2);
        at[1] = length_bytes == 2 ? 126 : 127;
        for (unsigned i = 0; i < length_bytes; ++i)
            at[2 + i] = static_cast<unsigned char>(length >> 8 * (length_bytes - 1 - i));
    }

    void reserve_more(size_t more) {
        if (end_ + more > capacity_) reserve(end_ + more);
    }
};

static_assert(sizeof(MessageBuffer) <= 64, "it is one line of the cache");

}  // namespace fproxy
