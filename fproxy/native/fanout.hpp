// From upstream messages to what is written to clients: scan, match, collect.
//
// Clients whose subscriptions are equal are one audience: one bit in the rows of the topic table, one buffer, one
// message assembled. One client is an audience of one; five hundred copies of a strategy are one too, and cost one.
#pragma once

#include <cstdint>
#include <cstdio>
#include <unordered_map>
#include <utility>
#include <vector>

#include "id_set.hpp"
#include "last_event.hpp"
#include "message_buffer.hpp"
#include "scan.hpp"
#include "topic_table.hpp"

namespace fproxy {

using ClientId = uint32_t;
using AudienceId = uint32_t;

class Fanout {
  public:
    Fanout(uint64_t seed, size_t max_payload) : topics_(seed), max_payload_(max_payload) {}

    TopicTable &topics() { return topics_; }

    // A number that no client has.
    ClientId add_client() {
        if (free_clients_.empty()) {
            audience_of_.push_back(kNone);
            return static_cast<ClientId>(audience_of_.size() - 1);
        }
        const ClientId client = free_clients_.back();
        free_clients_.pop_back();
        return client;
    }

    // Changes of subscriptions want nothing pending: write what ready() gives first.

    void remove_client(ClientId client) {
        if (audience_of_[client] != kNone) leave(client);
        free_clients_.push_back(client);
    }

    // Give topics to a client; those that it has already, and repetitions, change nothing.
    void subscribe(ClientId client, const std::vector<TopicId> &ids) {
        const AudienceId audience = audience_of_[client];
        std::vector<TopicId> fresh;
        IdSet seen;
        for (TopicId id : ids)
            if (!has(audience, id) && seen.insert(id)) fresh.push_back(id);
        if (!fresh.empty()) change(client, fresh, {});
        for (TopicId id : ids) topics_.forget_unused(id);
    }

    // Take topics from a client; those that it does not have change nothing.
    void unsubscribe(ClientId client, const std::vector<TopicId> &ids) {
        const AudienceId audience = audience_of_[client];
        std::vector<TopicId> gone;
        IdSet seen;
        for (TopicId id : ids)
            if (has(audience, id) && seen.insert(id)) gone.push_back(id);
        if (!gone.empty()) change(client, {}, gone);
        for (TopicId id : ids) topics_.forget_unused(id);
    }

    size_t topics_of(ClientId client) const {
        return audience_of_[client] == kNone ? 0 : audiences_[audience_of_[client]].topics.size();
    }

    // Join audiences that became equal while their subscriptions were changing quickly; a bounded piece of the work
    // a call. Returns whether something is left to do.
    bool settle() {
        size_t budget = kSettleTopics;
        while (!unsettled_.empty() && budget != 0) {
            const AudienceId audience = unsettled_.back();
            unsettled_.pop_back();
            if (!audiences_[audience].unsettled) continue;
            audiences_[audience].unsettled = false;
            const AudienceId twin = twin_of(audience);
            if (twin == kNone) continue;
            budget -= std::min(budget, audiences_[audience].topics.size());
            const std::vector<ClientId> members = audiences_[audience].members;
            for (ClientId member : members) {
                leave(member);
                join(member, twin);
            }
        }
        return !unsettled_.empty();
    }

    // Take one upstream message in, to be given out by distribute() while it is there. False, with no effect, when it
    // is not sound; failed_at() says where.
    bool feed(unsigned source, const char *begin, const char *end) {
        next_event_ = 0;
        if (!scanner_.scan(begin, end, events_)) {
            events_.clear();
            return false;
        }
        source_ = source;
        frame_end_ = end;
        events_in_ += events_.size();
        fed_data_ = last_events_[source].keep(events_);
        return true;
    }

    // Whether the last message that was fed has market events.
    bool fed_data() const { return fed_data_; }

    // Pass over events whose own time is before `time`, in Unix milliseconds; one without a time counts as of `otherwise`.
    // Zero takes all events again.
    void take_from(int64_t time, int64_t otherwise) {
        take_from_ = time;
        time_otherwise_ = otherwise;
    }

    // Collect an event of our own for the audiences of a topic, behind what has been collected before it. The event is a
    // sound JSON object.
    void publish(TopicId topic, const char *begin, const char *end) {
        Event event{};
        event.begin = begin;
        event.end = end;
        frame_end_ = end;
        collect(event, topics_.audiences(topic));
        topics_.forget_unused(topic);
    }

    // The last event that came from an upstream: nothing when none has.
    const LastEvent &last_event(unsigned source) const { return last_events_[source]; }

    // Give the events of that message to the audiences that take them, and the spans of its status events to
    // `statuses`, until none is left or an audience is overfull. Returns whether some are left, to be distributed when
    // those audiences have been taken.
    bool distribute(std::vector<std::pair<const char *, const char *>> &statuses) {
        if (__builtin_expect(take_from_ != 0, 0)) return distribute_from(statuses);
        while (next_event_ < events_.size() && overfull_.empty()) {
            const size_t size = std::min(kBatch, events_.size() - next_event_);
            distribute(&events_[next_event_], size, statuses);
            next_event_ += size;
        }
        return next_event_ < events_.size();
    }

    size_t failed_at() const { return scanner_.failed_at(); }
    uint64_t events_in() const { return events_in_; }
    uint64_t events_collected() const { return events_collected_; }
    uint64_t exact_messages() const { return scanner_.exact_messages(); }
    size_t audiences() const { return audiences_.size() - free_audiences_.size(); }

    // The audiences that have something pending, in no order; some may have been taken since.
    const std::vector<AudienceId> &ready() const { return ready_; }

    // Those of them that have so much that it should be written before more is fed: memory stays bounded, and what is
    // to be sent is still in the cache.
    const std::vector<AudienceId> &overfull() const { return overfull_; }
    void overfull_taken() { overfull_.clear(); }

    const std::vector<ClientId> &members(AudienceId audience) const { return audiences_[audience].members; }

    // What is to be written to each member of an audience: whole WebSocket frames, valid until the next feed; nothing
    // when it was taken before.
    std::pair<const char *, size_t> take(AudienceId audience) { return audiences_[audience].pending.finish(); }

    // To be called when everything that was ready has been taken.
    void all_taken() {
        for (AudienceId audience : ready_) audiences_[audience].pending.shrink(kKeepBuffer);
        ready_.clear();
        overfull_.clear();
    }

  private:
    static constexpr AudienceId kNone = ~AudienceId{0};
    static constexpr size_t kMaxSources = 32;
    static constexpr size_t kBatch = 16;
    static constexpr size_t kSettleTopics = 20'000;
    // A little less than a kernel sends as one packet, to the loopback device or with a network card's help (65,483 and
    // 65,160 bytes, TCP's), so that the events of a batch still fit and no packet goes out that holds only the rest.
    static constexpr size_t kOverfull = 60 * 1024;
    static constexpr size_t kKeepBuffer = 256 * 1024;
    static constexpr int64_t kMaxBarInterval = 60'000;

    struct Audience {
        MessageBuffer pending;
        std::vector<ClientId> members;
        IdSet topics;
        uint64_t fingerprint = 0;  // the sum of its topics'
        bool unsettled = false;    // equal to another; to be joined with it when it has come to rest
    };

    TopicTable topics_;
    size_t max_payload_;
    LastEvent last_events_[kMaxSources];
    Scanner scanner_;
    Events events_;
    unsigned source_ = 0;              // of the message being distributed
    const char *frame_end_ = nullptr;  // its end
    size_t next_event_ = 0;            // the first of its events still to be distributed
    std::vector<Audience> audiences_;
    std::vector<AudienceId> free_audiences_;
    std::vector<AudienceId> audience_of_;  // by client
    std::vector<ClientId> free_clients_;
    std::unordered_multimap<uint64_t, AudienceId> by_fingerprint_;
    std::vector<AudienceId> unsettled_;
    std::vector<AudienceId> ready_;
    std::vector<AudienceId> overfull_;
    AudienceSet any_bar_;
    bool fed_data_ = false;
    int64_t take_from_ = 0;
    int64_t time_otherwise_ = 0;
    uint64_t events_in_ = 0;
    uint64_t events_collected_ = 0;

    // Match and collect a few events, step by step: while one waits for memory, so do the others.
    void distribute(const Event *events, size_t size, std::vector<std::pair<const char *, const char *>> &statuses) {
        const AudienceSet *rows[kBatch];
        TopicTable::Lookup lookups[kBatch];
        for (size_t i = 0; i < size; ++i) lookups[i] = topics_.begin(events[i]);
        for (size_t i = 0; i < size; ++i) {
            const bool plain = events[i].kind == EventKind::kMarketData || events[i].kind == EventKind::kBar;
            rows[i] = __builtin_expect(plain, 1) ? topics_.end(lookups[i], events[i], source_) : nullptr;
            __builtin_prefetch(rows[i]);
        }
        for (size_t i = 0; i < size; ++i) {
            if (rows[i] == nullptr) continue;
            if (rows[i]->empty())
                rows[i] = nullptr;
            else
                __builtin_prefetch(&audiences_[rows[i]->lowest()]);
        }
        for (size_t i = 0; i < size; ++i) {
            if (rows[i] != nullptr)
                collect(events[i], *rows[i]);
            else if (events[i].kind == EventKind::kStatus)
                statuses.emplace_back(events[i].begin, events[i].end);
            else if (events[i].kind == EventKind::kBarSomehow)
                feed_bar(events[i]);
        }
    }

    // As distribute(), one event at a time, without those that are too old.
    bool distribute_from(std::vector<std::pair<const char *, const char *>> &statuses) {
        while (next_event_ < events_.size() && overfull_.empty()) {
            const Event &event = events_[next_event_++];
            const int64_t time = scanner_.event_time(event);
            if ((time != 0 ? time : time_otherwise_) >= take_from_) distribute(&event, 1, statuses);
        }
        return next_event_ < events_.size();
    }

    FPROXY_INLINE void collect(const Event &event, const AudienceSet &audiences) {
        if (audiences.empty()) return;
        const size_t length = static_cast<size_t>(event.end - event.begin);
        audiences.for_each([&](AudienceId audience) {
            MessageBuffer &pending = audiences_[audience].pending;
            if (pending.empty()) ready_.push_back(audience);
            const bool was_overfull = pending.size() > kOverfull;
            pending.append(event.begin, length, static_cast<size_t>(frame_end_ - event.begin), max_payload_);
            if (__builtin_expect(pending.size() > kOverfull && !was_overfull, 0)) overfull_.push_back(audience);
        });
        ++events_collected_;
    }

    void feed_bar(const Event &event) {
        const int64_t interval = scanner_.bar_interval(event);
        if (interval == 0) {
            any_bar_.clear();
            topics_.match_any_bar(event, source_, any_bar_);
            collect(event, any_bar_);
        } else if (interval > 0 && interval <= kMaxBarInterval) {
            char name[16];
            const int length = std::snprintf(name, sizeof name, "%lldMs", static_cast<long long>(interval));
            Event bar = event;
            bar.type = Text::of(name, static_cast<size_t>(length));
            bar.kind = EventKind::kBar;
            const AudienceSet *const audiences = topics_.match(bar, source_);
            if (audiences != nullptr) collect(bar, *audiences);
        }
    }

    bool has(AudienceId audience, TopicId id) const {
        return audience != kNone && audiences_[audience].topics.contains(id);
    }

    // Move a client to the audience that has what its own has, more `fresh` and less `gone`. Its own is changed in
    // place when it is the only member, unless joining another costs no more than was asked for: so many changes of
    // one topic cost as many topics, however many the client has.
    void change(ClientId client, const std::vector<TopicId> &fresh, const std::vector<TopicId> &gone) {
        const AudienceId from = audience_of_[client];
        const AudienceId target = equal_after(from, fresh, gone);
        const bool alone = from != kNone && audiences_[from].members.size() == 1;
        if (alone) {
            const size_t cost = audiences_[from].topics.size();
            if (target == kNone || cost > 4 * (fresh.size() + gone.size()) + 64) {
                change_topics(from, fresh, gone);
                if (audiences_[from].topics.size() == 0) {
                    leave(client);
                } else if (target != kNone && !audiences_[from].unsettled) {
                    audiences_[from].unsettled = true;
                    unsettled_.push_back(from);
                }
                return;
            }
        }
        if (target != kNone) {
            if (from != kNone) leave(client);
            join(client, target);
            return;
        }
        std::vector<TopicId> kept;
        if (from != kNone) {
            IdSet going;
            for (TopicId id : gone) going.insert(id);
            audiences_[from].topics.for_each([&](TopicId id) {
                if (!going.contains(id)) kept.push_back(id);
            });
        }
        kept.insert(kept.end(), fresh.begin(), fresh.end());
        if (!kept.empty()) {
            const AudienceId made = new_audience();
            change_topics(made, kept, {});
            if (from != kNone) leave(client);
            join(client, made);
        } else {
            leave(client);
        }
    }

    // An audience that has exactly what `from` has, more `fresh` and less `gone`.
    AudienceId equal_after(AudienceId from, const std::vector<TopicId> &fresh, const std::vector<TopicId> &gone) const {
        uint64_t fingerprint = from == kNone ? 0 : audiences_[from].fingerprint;
        size_t size = (from == kNone ? 0 : audiences_[from].topics.size()) + fresh.size() - gone.size();
        for (TopicId id : fresh) fingerprint += topics_.fingerprint(id);
        for (TopicId id : gone) fingerprint -= topics_.fingerprint(id);
        const auto range = by_fingerprint_.equal_range(fingerprint);
        for (auto at = range.first; at != range.second; ++at) {
            const IdSet &topics = audiences_[at->second].topics;
            if (at->second == from || topics.size() != size) continue;
            return at->second;  // 64 random bits that nobody outside knows: equal sums are equal sets
        }
        return kNone;
    }

    AudienceId twin_of(AudienceId audience) const { return equal_after(audience, {}, {}); }

    void change_topics(AudienceId id, const std::vector<TopicId> &fresh, const std::vector<TopicId> &gone) {
        unregister(id);
        Audience &audience = audiences_[id];
        for (TopicId topic : fresh) {
            audience.topics.insert(topic);
            audience.fingerprint += topics_.fingerprint(topic);
            topics_.add(topic, id);
        }
        for (TopicId topic : gone) remove_topic(id, topic);
        by_fingerprint_.emplace(audience.fingerprint, id);
    }

    void remove_topic(AudienceId id, TopicId topic) {
        Audience &audience = audiences_[id];
        audience.topics.erase(topic);
        audience.fingerprint -= topics_.fingerprint(topic);
        topics_.remove(topic, id, [&](TopicId other) { return audience.topics.contains(other); });
    }

    void unregister(AudienceId id) {
        const auto range = by_fingerprint_.equal_range(audiences_[id].fingerprint);
        for (auto at = range.first; at != range.second; ++at) {
            if (at->second != id) continue;
            by_fingerprint_.erase(at);
            return;
        }
    }

    AudienceId new_audience() {
        if (!free_audiences_.empty()) {
            const AudienceId id = free_audiences_.back();
            free_audiences_.pop_back();
            return id;
        }
        audiences_.emplace_back();
        return static_cast<AudienceId>(audiences_.size() - 1);
    }

    void join(ClientId client, AudienceId audience) {
        audience_of_[client] = audience;
        audiences_[audience].members.push_back(client);
    }

    // Take a client from its audience, which ends with its last member.
    void leave(ClientId client) {
        const AudienceId id = audience_of_[client];
        audience_of_[client] = kNone;
        Audience &audience = audiences_[id];
        for (ClientId &member : audience.members) {
            if (member != client) continue;
            member = audience.members.back();
            audience.members.pop_back();
            break;
        }
        if (!audience.members.empty()) return;
        unregister(id);
        std::vector<TopicId> topics;
        audience.topics.for_each([&](TopicId topic) { topics.push_back(topic); });
        for (TopicId topic : topics) remove_topic(id, topic);
        audiences_[id] = Audience{};
        free_audiences_.push_back(id);
    }
};

}  // namespace fproxy
