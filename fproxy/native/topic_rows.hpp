// What is known of each topic, by its number: what matching needs of it, and the rest.
//
// The lowest numbers are used first, so what was made last is at the end, and its memory goes back when most of a burst is gone.
#pragma once

#include <cstddef>
#include <cstdint>

#include "audience_set.hpp"
#include "free_numbers.hpp"
#include "growing_array.hpp"
#include "kept_text.hpp"
#include "keyed_hash.hpp"
#include "topic_types.hpp"

namespace fproxy {

enum class TopicKind : uint8_t { kFree, kEverything, kWildcard, kExact };

// What matching needs of a topic, in one line of the cache.
struct alignas(64) TopicRow {
    KeptText symbol;               // none of a wildcard
    TopicId type = ~TopicId{0};    // its type, by the number of the wildcard
    Sources sources = kAnySource;  // its type's, to spare matching a lookup
    AudienceSet audiences;
};
static_assert(sizeof(TopicRow) == 64);

struct Topic {
    TopicType *type = nullptr;  // none has `*`
    uint64_t fingerprint = 0;   // a random number
    uint32_t audiences = 0;     // that have this very topic
    uint32_t position = 0;      // in its type's list of exact topics
    TopicKind kind = TopicKind::kFree;
};

class TopicRows {
  public:
    explicit TopicRows(uint64_t seed) : fingerprint_(seed) {}

    // One more than the highest number.
    size_t size() const { return rows_.size(); }
    size_t bytes() const { return rows_.bytes() + topics_.bytes(); }

    TopicRow &operator[](TopicId id) { return rows_[id]; }
    const TopicRow &operator[](TopicId id) const { return rows_[id]; }
    Topic &topic(TopicId id) { return topics_[id]; }
    const Topic &topic(TopicId id) const { return topics_[id]; }

    // A new topic, which no audience has.
    TopicId make(TopicKind kind, TopicType *type, const Text &symbol) {
        TopicId id = static_cast<TopicId>(topics_.size());
        ++used_;
        if (!free_.take_below(id, id)) {  // those that are not below were trimmed
            topics_.emplace_back();
            rows_.emplace_back();
        }
        Topic &topic = topics_[id];
        topic.kind = kind;
        topic.type = type;
        TopicRow &row = rows_[id];
        row.symbol = KeptText(symbol);
        if (type != nullptr) {
            row.type = type->wildcard;
            row.sources = type->sources;
        }
        topic.fingerprint = fingerprint_.of(++fingerprints_);
        return id;
    }

    void forget(TopicId id) {
        topics_[id] = Topic{};
        rows_[id] = TopicRow{};
        --used_;
        free_.add(id);
        // Few looks at whether it is worth it, and for little: who calls trim() goes on with it.
        if ((used_ & (used_ - 1)) == 0) trim(kLeastTrimmed / 8);
    }

    // Give memory back, once most of it is free. Returns whether there is more to give back.
    bool trim(size_t most = kTrimmedAtOnce) {
        for (; most != 0 && is_to_be_trimmed(); --most) {
            topics_.pop_back();
            rows_.pop_back();
        }
        if (free_.size() > 2 * topics_.size() + kLeastTrimmed) free_.forget_from(static_cast<TopicId>(topics_.size()));
        return is_to_be_trimmed();
    }

  private:
    static constexpr size_t kLeastTrimmed = 4096;
    static constexpr size_t kTrimmedAtOnce = 8 * 1024;  // a millisecond's work

    KeyedHash fingerprint_;
    uint64_t fingerprints_ = 0;
    GrowingArray<TopicRow> rows_;  // by number, as topics_
    GrowingArray<Topic> topics_;
    FreeNumbers free_;  // those that are not less than the size are none any more
    size_t used_ = 0;   // how many topics are not free

    bool is_to_be_trimmed() {
        return topics_.size() > kLeastTrimmed && 4 * used_ < topics_.size() && topics_.back().kind == TopicKind::kFree;
    }
};

}  // namespace fproxy
