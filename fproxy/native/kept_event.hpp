// What a snapshot keeps of a topic: its last event, with the message that brought it, in one line of the cache.
//
// The event lies in a block of memory, behind the type and the symbol where those are longer than their keys.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "event.hpp"
#include "topic_types.hpp"

namespace fproxy {

struct alignas(64) KeptEvent {
    char *block = nullptr;  // null when the entry is free
    uint64_t type_key;
    uint64_t symbol_key;
    uint64_t number;    // of the message that brought the event
    int64_t received;   // when it came
    uint32_t tag;       // so much of the hash as the index has
    uint32_t capacity;  // of the block
    uint32_t length;    // of the event
    uint32_t symbol_length;
    uint32_t type_length : 23;
    uint32_t was_live : 1;
    EventKind kind : 8;
    TopicId row;        // the topic's in the topic table, when an event was matched last

    static size_t text_bytes(size_t length) { return length > Text::kPackedLength ? length : 0; }
    size_t texts_bytes() const { return text_bytes(type_length) + text_bytes(symbol_length); }
    const char *event() const { return block + texts_bytes(); }

    Text type() const { return text(block, type_length, type_key); }
    Text symbol() const { return text(block + text_bytes(type_length), symbol_length, symbol_key); }

    bool has_texts(const Text &other_type, const Text &other_symbol) const {
        return type() == other_type && symbol() == other_symbol;
    }
    bool symbol_starts_with(const Text &prefix) const {
        if (symbol_length < prefix.length) return false;
        if (symbol_length <= Text::kPackedLength) return (symbol_key & low_bytes(prefix.length)) == prefix.key;
        return std::memcmp(symbol().data, prefix.data, prefix.length) == 0;
    }
    bool is_of(const Event &other) const { return block != nullptr && has_texts(other.type, other.symbol); }

  private:
    static Text text(const char *at, size_t length, uint64_t key) {
        Text text;
        text.data = at;
        text.length = static_cast<uint32_t>(length);
        text.key = key;
        return text;
    }
};
static_assert(sizeof(KeptEvent) == 64);

}  // namespace fproxy
