// Which topics have most events: counted over the last messages of a history when somebody asks, and not before.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "history.hpp"
#include "keyed_hash.hpp"
#include "open_table.hpp"
#include "scan.hpp"

namespace fproxy {

struct TopicCount {
    std::string type;
    std::string symbol;
    unsigned source = 0;
    uint64_t events = 0;
};

struct HotTopics {
    std::vector<TopicCount> topics;  // those with most events, the most first
    int64_t since = 0;               // when the oldest message that was counted was received, in Unix milliseconds; 0 for none
};

// A count for each topic and upstream that is asked for.
class TopicCounts {
  public:
    TopicCounts() : slots_(HashOfSlot{}) {}

    // That of an event which came from an upstream, made when it is new. Valid until the next call.
    TopicCount &of(const Event &event, unsigned source) {
        const KeyedHash &keyed = KeyedHash::of_process();
        const uint64_t of_type = keyed.of(event.type.key, event.type.length);
        const uint64_t hash = keyed.of(keyed.of(of_type, event.symbol.key, event.symbol.length), source, 0);
        const Slot *const found = slots_.find(hash, [&](const Slot &slot) {
            const TopicCount &count = counts_[slot.count];
            return slot.hash == hash && count.source == source && is(count.type, event.type) && is(count.symbol, event.symbol);
        });
        if (found != nullptr) return counts_[found->count];
        slots_.insert(Slot{hash, static_cast<uint32_t>(counts_.size())});
        counts_.push_back({std::string(event.type.data, event.type.length), std::string(event.symbol.data, event.symbol.length), source, 0});
        return counts_.back();
    }

    std::vector<TopicCount> &all() { return counts_; }

  private:
    static constexpr uint32_t kNone = ~uint32_t{0};

    struct Slot {
        uint64_t hash = 0;
        uint32_t count = kNone;

        bool is_free() const { return count == kNone; }
    };

    struct HashOfSlot {
        uint64_t operator()(const Slot &slot) const { return slot.hash; }
    };

    OpenTable<Slot, HashOfSlot> slots_;
    std::vector<TopicCount> counts_;

    static bool is(const std::string &kept, const Text &text) {
        return kept.size() == text.length && kept.compare(0, text.length, text.data, text.length) == 0;
    }
};

// Count the events of the newest messages: at most about `most_bytes` of them, none received before `since`. Millisecond
// bars of the forms that do not name their interval are left out.
inline HotTopics hot_topics(const History &history, size_t most_bytes, int64_t since, size_t limit) {
    Scanner scanner;
    Events events;
    TopicCounts counts;
    HotTopics found;
    size_t bytes = 0;
    for (uint64_t number = history.next(); number-- > history.first() && bytes < most_bytes;) {
        const History::Message message = history[number];
        if (message.received < since) break;
        bytes += static_cast<size_t>(message.end - message.begin);
        found.since = message.received;
        if (!scanner.scan(message.begin, message.end, events)) continue;
        for (const Event &event : events) {
            if (event.kind != EventKind::kMarketData && event.kind != EventKind::kBar) continue;
            ++counts.of(event, message.source).events;
        }
    }
    found.topics = std::move(counts.all());
    const auto hotter = [](const TopicCount &a, const TopicCount &b) {
        if (a.events != b.events) return a.events > b.events;
        return std::tie(a.type, a.symbol, a.source) < std::tie(b.type, b.symbol, b.source);
    };
    const size_t kept = std::min(limit, found.topics.size());
    std::partial_sort(found.topics.begin(), found.topics.begin() + static_cast<std::ptrdiff_t>(kept), found.topics.end(), hotter);
    found.topics.resize(kept);
    return found;
}

}  // namespace fproxy
