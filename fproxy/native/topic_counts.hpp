// Which topics have most events: counted over the last messages of a history when somebody asks, and not before.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "history.hpp"
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

// Count the events of the newest messages: at most about `most_bytes` of them, none received before `since`. Millisecond
// bars of the forms that do not name their interval are left out.
inline HotTopics hot_topics(const History &history, size_t most_bytes, int64_t since, size_t limit) {
    Scanner scanner;
    Events events;
    std::unordered_map<std::string, TopicCount> counts;
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
            std::string key(event.type.data, event.type.length);
            key.push_back('\0');
            key.append(event.symbol.data, event.symbol.length);
            key.push_back(static_cast<char>(message.source));
            TopicCount &count = counts[std::move(key)];
            if (++count.events != 1) continue;
            count.type.assign(event.type.data, event.type.length);
            count.symbol.assign(event.symbol.data, event.symbol.length);
            count.source = message.source;
        }
    }
    found.topics.reserve(counts.size());
    for (auto &entry : counts) found.topics.push_back(std::move(entry.second));
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
