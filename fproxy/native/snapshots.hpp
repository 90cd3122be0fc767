// The last event of each topic, for clients that ask how things stand: an index of type and symbol with bytes of its own,
// which outlives subscriptions.
//
// Memory is bounded: what was updated longest ago is evicted for what is new. An event costs one look-up, one copy and a
// change of the order of updates. What is kept has a number, and knows by which number its topic goes in the topic table: so an
// event that is kept and matched is looked up once.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include "event.hpp"
#include "kept_event.hpp"
#include "keyed_hash.hpp"
#include "message_buffer.hpp"
#include "open_table.hpp"
#include "scan.hpp"

namespace fproxy {

class Snapshots {
  public:
    using Number = uint32_t;

    static constexpr Number kNone = ~Number{0};

    // Which events a reader has no need of: those of messages from the number `before` on that were live, and those that a
    // replay has brought, which are of messages from the number `replayed_from` up to `before` and, by their own time, of
    // `replayed_since` (in Unix milliseconds) or later.
    struct Passed {
        uint64_t before;
        uint64_t replayed_from = ~uint64_t{0};
        int64_t replayed_since = 0;
    };

    // `seed` is that of the topic table which hashes the events.
    Snapshots(size_t most_bytes, uint64_t seed) : most_bytes_(most_bytes), hash_(seed), index_(HashOfSlot{}) {}
    Snapshots(const Snapshots &) = delete;
    Snapshots &operator=(const Snapshots &) = delete;
    ~Snapshots() {
        for (uint32_t id = newest_; id != kNone; id = links(id).older) std::free(entry(id).block);
    }

    // Start a message, which gets the number next(): its events follow. `received` is in Unix milliseconds. One that is
    // not live is given to nobody when it comes.
    void start_message(int64_t received, bool is_live) {
        ++next_;
        received_ = received;
        is_live_ = is_live;
    }

    // Whether there is more than caches hold: then more events are worth keeping at once.
    bool is_large() const { return index_.size() > kCachedTopics; }

    // Events of the message are kept in steps, so that a caller with many of them can let memory work on several at once:
    // fetch_slot(), find(), fetch() and keep(), each for all of them before the next. `hash` is that of type and symbol.

    FPROXY_INLINE void fetch_slot(uint64_t hash) const { index_.prefetch(hash); }

    // The number of what is kept of a topic, as far as the hash tells; kNone when nothing is.
    Number find(uint64_t hash) const {
        const Slot *const slot = index_.find(hash, [tag = tag_of(hash)](const Slot &slot) { return slot.tag == tag; });
        if (slot == nullptr) return kNone;
        __builtin_prefetch(&entry(slot->entry), 1);
        __builtin_prefetch(&links(slot->entry), 1);
        return slot->entry;
    }

    // Have the memory fetched that keep() needs. Returns the topic's row, as far as it is noted; see keep().
    FPROXY_INLINE TopicId fetch(Number found) const {
        if (found == kNone) return kNone;
        const Links &linked = links(found);
        if (linked.newer != kNone) __builtin_prefetch(&links(linked.newer), 1);
        if (linked.older != kNone) __builtin_prefetch(&links(linked.older), 1);
        const char *const block = entry(found).block;
        const size_t bytes = std::min<size_t>(entry(found).capacity, kPrefetched);
        for (size_t at = 0; at < bytes; at += kLine) __builtin_prefetch(block + at, 1);
        return entry(found).row;
    }

    // Keep an event in place of the one before it of the same topic; one without a type or a symbol has no topic, and is passed
    // over. `found` is what find() gave. Returns where the topic's row in the topic table is noted for the next event; that is
    // valid until the next call.
    TopicId &keep(Number found, uint64_t hash, const Event &event) {
        // What was found may be another topic's by now, if an event since has evicted it.
        if (found == kNone || entry(found).tag != tag_of(hash) || !entry(found).is_of(event)) return keep_slowly(hash, event);
        update(found, event);
        return entry(found).row;
    }

    // The number of the next message to come.
    uint64_t next() const { return next_; }

    // Append the last event of a topic, unless there is none or the reader has no need of it. Returns whether it did.
    bool read(const Text &type, const Text &symbol, const Passed &passed, size_t max_payload, MessageBuffer &to) {
        const uint64_t hash = hash_of(type, symbol);
        const Slot *const slot = index_.find(hash, [&](const Slot &slot) {
            return slot.tag == tag_of(hash) && entry(slot.entry).has_texts(type, symbol);
        });
        return slot != nullptr && append(entry(slot->entry), passed, max_payload, to);
    }

    struct Piece {
        size_t next;   // where to go on; zero at the end
        size_t count;  // how many were appended
    };

    // Append the last events of all topics of a type whose symbols begin with a prefix, or without a type of all but
    // millisecond bars: those from a place on, until so many places have been looked at or so many bytes are reached.
    // What is new or evicted in between changes nothing for the others.
    Piece read_all(
        const Text &type, const Text &prefix, const Passed &passed, size_t start, size_t most_places, size_t most_bytes, size_t max_payload,
        MessageBuffer &to) {
        Piece piece{0, 0};
        const size_t end = std::min<size_t>(made_, start + most_places);
        for (size_t id = start; id < end; ++id) {
            if (to.size() >= most_bytes) return Piece{id, piece.count};
            const KeptEvent &each = entry(static_cast<uint32_t>(id));
            if (each.block == nullptr) continue;
            if (type.length == 0 ? each.kind == EventKind::kBar : each.type() != type) continue;
            if (prefix.length != 0 && !each.symbol_starts_with(prefix)) continue;
            piece.count += append(each, passed, max_payload, to);
        }
        piece.next = end < made_ ? end : 0;
        return piece;
    }

    size_t topics() const { return index_.size(); }
    uint64_t evicted() const { return evicted_; }

    // The memory that it takes.
    size_t bytes() const { return blocks_bytes_ + chunks_.size() * sizeof(Chunk) + index_.bytes(); }

  private:
    static constexpr size_t kLine = 64;
    static constexpr size_t kPrefetched = 4 * kLine;
    static constexpr size_t kGrain = 32;            // blocks grow by this: an event seldom needs another than the one before
    static constexpr size_t kAllocatorBytes = 16;   // that a block costs beside its own
    static constexpr size_t kLoose = 512;           // a block this long is changed when less than a quarter of it is used
    static constexpr uint32_t kChunk = 256;
    static constexpr size_t kCachedTopics = 4 * 1024;

    // The order of updates, by entries. Apart from them: a change of it touches two others.
    struct Links {
        uint32_t newer;
        uint32_t older;
    };

    struct Chunk {
        KeptEvent entries[kChunk];
        Links links[kChunk];
    };

    // A topic, and so much of its hash that others are hardly ever looked at; as in the topic table.
    struct Slot {
        uint32_t tag = 0;
        uint32_t entry = kNone;

        bool is_free() const { return entry == kNone; }
    };

    struct HashOfSlot {
        uint64_t operator()(const Slot &slot) const { return uint64_t{slot.tag} << 32; }
    };
    static uint32_t tag_of(uint64_t hash) { return static_cast<uint32_t>(hash >> 32); }

    size_t most_bytes_;
    KeyedHash hash_;
    OpenTable<Slot, HashOfSlot> index_;
    std::vector<std::unique_ptr<Chunk>> chunks_;
    std::vector<uint32_t> free_;
    uint32_t made_ = 0;  // entries, the free ones included
    uint32_t newest_ = kNone;
    uint32_t oldest_ = kNone;
    size_t blocks_bytes_ = 0;
    uint64_t next_ = 0;
    int64_t received_ = 0;
    bool is_live_ = true;
    uint64_t evicted_ = 0;
    Scanner scanner_;
    TopicId no_row_ = kNone;  // where nothing is kept that could note it

    const KeptEvent &entry(uint32_t id) const { return chunks_[id / kChunk]->entries[id % kChunk]; }
    const Links &links(uint32_t id) const { return chunks_[id / kChunk]->links[id % kChunk]; }
    KeptEvent &entry(uint32_t id) { return chunks_[id / kChunk]->entries[id % kChunk]; }
    Links &links(uint32_t id) { return chunks_[id / kChunk]->links[id % kChunk]; }

    uint64_t hash_of(const Text &type, const Text &symbol) const {
        return hash_.of(hash_.of(type.key, type.length), symbol.key, symbol.length);
    }

    bool append(const KeptEvent &kept, const Passed &passed, size_t max_payload, MessageBuffer &to) {
        if (kept.number >= passed.before) {
            if (kept.was_live) return false;
        } else if (kept.number >= passed.replayed_from) {
            const Event event{kept.event(), kept.event() + kept.length, kept.type(), kept.symbol(), kept.kind};
            const int64_t time = passed.replayed_since == 0 ? 0 : scanner_.event_time(event);
            if ((time != 0 ? time : kept.received) >= passed.replayed_since) return false;
        }
        to.append(kept.event(), kept.length, kept.length, max_payload);
        return true;
    }

    // The topic is new, or was evicted after it had been looked up.
    TopicId &keep_slowly(uint64_t hash, const Event &event) {
        no_row_ = kNone;
        if (event.type.length == 0 || event.symbol.length == 0) return no_row_;
        const Slot *const slot = index_.find(
            hash, [&](const Slot &slot) { return slot.tag == tag_of(hash) && entry(slot.entry).is_of(event); });
        if (slot == nullptr) return insert(hash, event);
        const Number number = slot->entry;
        update(number, event);
        return entry(number).row;
    }

    static size_t block_size(size_t bytes) { return (bytes + kGrain - 1) / kGrain * kGrain; }

    // Returns where the topic's row is noted.
    TopicId &insert(uint64_t hash, const Event &event) {
        const size_t length = static_cast<size_t>(event.end - event.begin);
        const size_t texts = KeptEvent::text_bytes(event.type.length) + KeptEvent::text_bytes(event.symbol.length);
        const size_t size = block_size(texts + length);
        if (event.type.length > kLongestType || length > kLongestEvent || !make_room(size, true)) return no_row_;
        const uint32_t id = new_entry();
        index_.insert(Slot{tag_of(hash), id});
        KeptEvent &made = entry(id);
        made.tag = tag_of(hash);
        made.row = kNone;
        made.block = new_block(size);
        if (made.block == nullptr) {
            release(id);
            return no_row_;
        }
        made.capacity = static_cast<uint32_t>(size);
        made.type_key = event.type.key;
        made.type_length = event.type.length & kLongestType;
        made.symbol_key = event.symbol.key;
        made.symbol_length = event.symbol.length;
        made.kind = event.kind;
        if (event.type.length > Text::kPackedLength) std::memcpy(made.block, event.type.data, event.type.length);
        if (event.symbol.length > Text::kPackedLength)
            std::memcpy(made.block + KeptEvent::text_bytes(event.type.length), event.symbol.data, event.symbol.length);
        write(made, event, length);
        link(id);
        return made.row;
    }

    void update(uint32_t id, const Event &event) {
        const size_t length = static_cast<size_t>(event.end - event.begin);
        const size_t wanted = entry(id).texts_bytes() + length;
        if (id != newest_) {
            unlink(id);
            link(id);
        }
        const size_t capacity = entry(id).capacity;
        if (__builtin_expect(wanted > capacity || (capacity >= kLoose && wanted < capacity / 4), 0)) {
            // What cannot be kept must not leave what it follows: that is not the last event any more.
            if (length > kLongestEvent || !change_block(id, block_size(wanted))) {
                forget(id);
                return;
            }
        }
        write(entry(id), event, length);
    }

    void write(KeptEvent &to, const Event &event, size_t length) {
        std::memcpy(to.block + to.texts_bytes(), event.begin, length);
        to.length = static_cast<uint32_t>(length);
        to.number = next_ - 1;
        to.was_live = is_live_;
        to.received = received_;
    }

    // Give an entry, the newest one, another block with the same texts. False when there is no room.
    bool change_block(uint32_t id, size_t size) {
        if (!make_room(size, false)) return false;
        KeptEvent &changed = entry(id);
        char *const block = new_block(size);
        if (block == nullptr) return false;
        std::memcpy(block, changed.block, changed.texts_bytes());
        free_block(changed);
        changed.block = block;
        changed.capacity = static_cast<uint32_t>(size);
        return true;
    }

    // Null when the system has no more memory: as when there is no room.
    char *new_block(size_t size) {
        char *const block = static_cast<char *>(std::malloc(size));
        if (block != nullptr) blocks_bytes_ += size + kAllocatorBytes;
        return block;
    }

    void free_block(KeptEvent &of) {
        std::free(of.block);
        blocks_bytes_ -= of.capacity + kAllocatorBytes;
        of.block = nullptr;
    }

    // Evict until there is room for a block, and for a new entry if that is asked for; never the newest entry for a block that
    // is to be its own. Returns whether there is room.
    bool make_room(size_t block, bool for_entry) {
        while (bytes() + block + kAllocatorBytes + (for_entry ? entry_bytes() : 0) > most_bytes_) {
            if (oldest_ == kNone || (!for_entry && oldest_ == newest_)) return false;
            forget(oldest_);
            ++evicted_;
        }
        return true;
    }

    // What one entry more takes of memory, beside its block.
    size_t entry_bytes() const { return (free_.empty() && made_ % kChunk == 0 ? sizeof(Chunk) : 0) + index_.growth(); }

    uint32_t new_entry() {
        if (!free_.empty()) {
            const uint32_t id = free_.back();
            free_.pop_back();
            return id;
        }
        if (made_ == chunks_.size() * kChunk) {
            chunks_.push_back(std::make_unique<Chunk>());
            if (free_.capacity() < chunks_.size() * kChunk) free_.reserve(2 * chunks_.size() * kChunk);
        }
        return made_++;
    }

    void forget(uint32_t id) {
        unlink(id);
        free_block(entry(id));
        release(id);
    }

    void release(uint32_t id) {
        index_.erase(index_.find(uint64_t{entry(id).tag} << 32, [id](const Slot &slot) { return slot.entry == id; }));
        free_.push_back(id);  // there is room for all
    }

    void link(uint32_t id) {
        links(id) = Links{kNone, newest_};
        if (newest_ != kNone) links(newest_).newer = id;
        newest_ = id;
        if (oldest_ == kNone) oldest_ = id;
    }

    void unlink(uint32_t id) {
        const Links gone = links(id);
        (gone.newer != kNone ? links(gone.newer).older : newest_) = gone.older;
        (gone.older != kNone ? links(gone.older).newer : oldest_) = gone.newer;
    }

    static constexpr uint32_t kLongestType = (1 << 23) - 1;
    static constexpr size_t kLongestEvent = 64 * 1024 * 1024;
};

}  // namespace fproxy
