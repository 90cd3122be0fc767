// From upstream messages to what is written to clients: scan, match, collect. Who gets what is the audiences'.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <utility>
#include <vector>

#include "audiences.hpp"
#include "last_event.hpp"
#include "scan.hpp"
#include "scanned_message.hpp"
#include "snapshots.hpp"

namespace fproxy {

class Fanout {
  public:
    Fanout(uint64_t seed, size_t max_payload) : audiences_(seed), max_payload_(max_payload) {}
    Fanout(uint64_t seed, size_t max_payload, size_t changed_at_once) : audiences_(seed, changed_at_once), max_payload_(max_payload) {}

    // Changes of subscriptions want nothing pending: write what ready() gives first.
    Audiences &audiences() { return audiences_; }

    // Take one upstream message in, to be given out by distribute() while it is there. False, with no effect, when it
    // is not sound; failure() says what and where.
    bool feed(unsigned source, const char *begin, const char *end) {
        next_event_ = 0;
        snapshots_ = nullptr;
        const uint64_t exact_before = scanner_.exact_messages();
        if (!scanner_.scan(begin, end, events_)) {
            events_.clear();
            scanned_ = ScannedMessage{};
            return false;
        }
        scanned_ = ScannedMessage{begin, end, &events_, scanner_.exact_messages() == exact_before};
        source_ = source;
        frame_end_ = end;
        events_in_ += events_.size();
        fed_data_ = last_events_[source].keep(events_);
        data_messages_[source] += fed_data_;
        return true;
    }

    // That message with its events, as long as it is there; none when it was not sound.
    const ScannedMessage &scanned() const { return scanned_; }

    // The events of that message.
    const Events &events() const { return events_; }

    // Put those of them that count into `counted`, as a message; it is empty when there are none.
    void counted(std::string &counted) {
        counted.clear();
        for (const Event &event : events_) {
            if (event.kind == EventKind::kStatus || !audiences_.topics().table().counts(event.type, source_)) continue;
            counted.push_back(counted.empty() ? '[' : ',');
            counted.append(event.begin, static_cast<size_t>(event.end - event.begin));
        }
        if (!counted.empty()) counted.push_back(']');
    }

    // Whether the last message that was fed has market events.
    bool fed_data() const { return fed_data_; }

    // How many messages with market events have been fed from an upstream.
    uint64_t data_messages(unsigned source) const { return data_messages_[source]; }

    // Give nobody the events of the message that was fed; `statuses` gets the spans of its status events.
    void withhold(std::vector<std::pair<const char *, const char *>> &statuses) {
        for (const Event &event : events_)
            if (event.kind == EventKind::kStatus) statuses.emplace_back(event.begin, event.end);
        while (snapshots_ != nullptr && next_event_ < events_.size()) {
            const AudienceSet *rows[kLargeBatch];
            const size_t size = std::min(kLargeBatch, events_.size() - next_event_);
            keep_and_match(&events_[next_event_], size, rows);
            next_event_ += size;
        }
        next_event_ = events_.size();
    }

    // Have distribute() and withhold() keep the events of that message that count, each as the last one of its topic. A bar that
    // does not tell its interval has no topic of its own. The snapshots have the seed of this fan-out.
    void keep_last(Snapshots &snapshots, int64_t received, bool is_live) {
        snapshots.start_message(received, is_live);
        snapshots_ = &snapshots;
    }

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
        collect(event, audiences_.topics().table().audiences(topic), 0);
    }

    // The last event that came from an upstream: nothing when none has.
    const LastEvent &last_event(unsigned source) const { return last_events_[source]; }

    // Give the events of that message to the audiences that take them, and the spans of its status events to
    // `statuses`, until none is left or an audience is overfull. Returns whether some are left, to be distributed when
    // those audiences have been written.
    bool distribute(std::vector<std::pair<const char *, const char *>> &statuses) {
        if (__builtin_expect(take_from_ != 0, 0)) return distribute_from(statuses);
        const bool is_large = audiences_.topics().table().is_large() || (snapshots_ != nullptr && snapshots_->is_large());
        const size_t batch = is_large ? kLargeBatch : kBatch;
        while (next_event_ < events_.size() && overfull_.empty()) {
            const size_t size = std::min(batch, events_.size() - next_event_);
            distribute_batch(&events_[next_event_], size, statuses);
            next_event_ += size;
        }
        return next_event_ < events_.size();
    }

    const ScanFailure &failure() const { return scanner_.failure(); }
    uint64_t events_in() const { return events_in_; }
    uint64_t events_collected() const { return events_collected_; }
    uint64_t exact_messages() const { return scanner_.exact_messages(); }

    // The audiences that have something pending, in no order; some may have been finished since.
    const std::vector<AudienceId> &ready() const { return ready_; }

    // Those of them that have so much that it should be written before more is fed: memory stays bounded, and what is
    // to be sent is still in the cache.
    const std::vector<AudienceId> &overfull() const { return overfull_; }
    void overfull_written() { overfull_.clear(); }

    // What is to be written to each member of an audience: whole WebSocket frames, valid until the next feed; nothing
    // when it was finished before.
    std::pair<const char *, size_t> finish(AudienceId audience) { return audiences_.pending(audience).finish(); }

    // How many events of upstreams were in what was finished just now.
    size_t finished_events(AudienceId audience) { return audiences_.pending(audience).finished_events(); }

    // How many events of our own were in it.
    size_t finished_notices(AudienceId audience) { return audiences_.pending(audience).finished_notices(); }

    // To be called when everything that was ready has been written.
    void all_written() {
        for (AudienceId audience : ready_) audiences_.pending(audience).written();
        ready_.clear();
        overfull_.clear();
    }

  private:
    static constexpr size_t kMaxSources = 32;
    static constexpr size_t kBatch = 16;
    static constexpr size_t kLargeBatch = 64;  // of a table larger than caches: more waits for memory at once
    // A little less than a kernel sends as one packet, to the loopback device or with a network card's help (65,483 and
    // 65,160 bytes, TCP's), so that the events of a batch still fit and no packet goes out that holds only the rest.
    static constexpr size_t kOverfull = 60 * 1024;
    static constexpr int64_t kMaxBarInterval = 60'000;
    static constexpr size_t kBarName = 16;

    Audiences audiences_;
    size_t max_payload_;
    LastEvent last_events_[kMaxSources];
    uint64_t data_messages_[kMaxSources] = {};
    Scanner scanner_;
    Events events_;
    ScannedMessage scanned_;
    unsigned source_ = 0;              // of the message being distributed
    const char *frame_end_ = nullptr;  // its end
    Snapshots *snapshots_ = nullptr;   // where its events are kept
    size_t next_event_ = 0;            // the first of its events still to be distributed
    std::vector<AudienceId> ready_;
    std::vector<AudienceId> overfull_;
    AudienceSet any_bar_;
    bool fed_data_ = false;
    int64_t take_from_ = 0;
    int64_t time_otherwise_ = 0;
    uint64_t events_in_ = 0;
    uint64_t events_collected_ = 0;

    void distribute_batch(const Event *events, size_t size, std::vector<std::pair<const char *, const char *>> &statuses) {
        if (__builtin_expect(audiences_.topics().has_prefixes(), 0))
            distribute<true>(events, size, statuses);
        else
            distribute<false>(events, size, statuses);
    }

    // Match and collect a few events.
    template <bool kWithPrefixes>
    void distribute(const Event *events, size_t size, std::vector<std::pair<const char *, const char *>> &statuses) {
        const AudienceSet *rows[kLargeBatch];
        if (__builtin_expect(snapshots_ != nullptr, 0))
            keep_and_match(events, size, rows);
        else
            match(events, size, rows);
        for (size_t i = 0; i < size; ++i) {
            if (rows[i] == nullptr) continue;
            if (rows[i]->empty())
                rows[i] = nullptr;
            else
                audiences_.prefetch(rows[i]->lowest());
        }
        for (size_t i = 0; i < size; ++i) {
            if (kWithPrefixes && (events[i].kind == EventKind::kMarketData || events[i].kind == EventKind::kBar))
                collect_with_prefixes(events[i], rows[i]);
            else if (rows[i] != nullptr)
                collect(events[i], *rows[i]);
            else if (events[i].kind == EventKind::kStatus)
                statuses.emplace_back(events[i].begin, events[i].end);
            else if (events[i].kind == EventKind::kBarSomehow)
                feed_bar(events[i]);
        }
    }

    // Whether an event's type and symbol are its topic's.
    static bool has_topic(const Event &event) {
        return __builtin_expect(event.kind == EventKind::kMarketData || event.kind == EventKind::kBar, 1);
    }

    // Find the rows of a few events, step by step: while one waits for memory, so do the others.
    FPROXY_INLINE void match(const Event *events, size_t size, const AudienceSet **rows) {
        TopicTable::Lookup lookups[kLargeBatch];
        TopicTable &topics = audiences_.topics().table();
        for (size_t i = 0; i < size; ++i) lookups[i] = topics.look_up(events[i]);
        if (topics.is_large())
            for (size_t i = 0; i < size; ++i) topics.fetch_row(lookups[i]);
        for (size_t i = 0; i < size; ++i) rows[i] = has_topic(events[i]) ? topics.audiences(lookups[i], events[i], source_) : nullptr;
    }

    // The same, and keep each that counts as the last one of its topic.
    void keep_and_match(const Event *events, size_t size, const AudienceSet **rows) {
        struct Step {
            TopicTable::Lookup lookup;
            Snapshots::Number found;
        };
        Step steps[kLargeBatch];
        TopicTable &topics = audiences_.topics().table();
        Snapshots &snapshots = *snapshots_;
        for (size_t i = 0; i < size; ++i) {
            steps[i].lookup = topics.look_up_hashed(events[i]);
            snapshots.fetch_slot(steps[i].lookup.hash);
        }
        for (size_t i = 0; i < size; ++i) steps[i].found = snapshots.find(steps[i].lookup.hash);
        for (size_t i = 0; i < size; ++i) topics.fetch_row(steps[i].lookup, snapshots.fetch(steps[i].found));
        for (size_t i = 0; i < size; ++i) {
            const Event &event = events[i];
            const TopicTable::Lookup &lookup = steps[i].lookup;
            rows[i] = nullptr;
            if (has_topic(event)) {
                TopicId none = Snapshots::kNone;
                TopicId &row = topics.counts(lookup, event, source_) ? snapshots.keep(steps[i].found, lookup.hash, event) : none;
                rows[i] = topics.audiences(lookup, event, source_, row);
            } else if (event.kind == EventKind::kBarSomehow) {
                keep_bar(event);
            }
        }
    }

    void keep_bar(const Event &event) {
        char name[kBarName];
        Event bar;
        if (!name_bar(event, scanner_.bar_interval(event), name, bar)) return;
        const TopicTable::Lookup lookup = audiences_.topics().table().look_up_hashed(bar);
        if (audiences_.topics().table().counts(lookup, bar, source_)) snapshots_->keep(Snapshots::kNone, lookup.hash, bar);
    }

    // As distribute(), one event at a time, without those that are too old.
    bool distribute_from(std::vector<std::pair<const char *, const char *>> &statuses) {
        while (next_event_ < events_.size() && overfull_.empty()) {
            const Event &event = events_[next_event_++];
            const int64_t time = scanner_.event_time(event);
            if ((time != 0 ? time : time_otherwise_) >= take_from_) distribute_batch(&event, 1, statuses);
        }
        return next_event_ < events_.size();
    }

    // `counted` is 1, or 0 for what is no event of an upstream.
    FPROXY_INLINE void collect(const Event &event, const AudienceSet &audiences, size_t counted = 1) {
        if (audiences.empty()) return;
        const Collected collected = collected_of(event, counted);
        audiences.for_each([&](AudienceId audience) { append(collected, audience); });
        events_collected_ += counted;
    }

    // What of an event is appended, known without a look at it.
    struct Collected {
        const char *begin;
        size_t length;
        size_t readable;
        size_t max_payload;
        size_t counted;
    };

    Collected collected_of(const Event &event, size_t counted) const {
        return Collected{event.begin, static_cast<size_t>(event.end - event.begin),
                         static_cast<size_t>(frame_end_ - event.begin), max_payload_, counted};
    }

    FPROXY_INLINE void append(Collected event, AudienceId audience) {
        MessageBuffer &pending = audiences_.pending(audience);
        const size_t before = pending.size();
        if (__builtin_expect(pending.empty(), 0)) ready_.push_back(audience);
        pending.append(event.begin, event.length, event.readable, event.max_payload);
        pending.count_events(event.counted);
        if (__builtin_expect(event.counted == 0, 0)) pending.count_notices(1);
        if (__builtin_expect(pending.size() > kOverfull, 0) && before <= kOverfull) overfull_.push_back(audience);
    }

    // Collect an event for the audiences of its row, which may be null, and for those that have a prefix of its symbol; for
    // those that have both, once.
    void collect_with_prefixes(const Event &event, const AudienceSet *row) {
        const AudienceSet *const more = audiences_.topics().match_prefix(event, source_);
        if (row != nullptr) collect(event, *row);
        if (more == nullptr) return;
        const Collected collected = collected_of(event, 1);
        more->for_each([&](AudienceId audience) {
            if (row == nullptr || !row->contains(audience)) append(collected, audience);
        });
        events_collected_ += row == nullptr || row->empty();
    }

    void feed_bar(const Event &event) {
        const int64_t interval = scanner_.bar_interval(event);
        if (interval == 0) {
            any_bar_.clear();
            audiences_.topics().match_any_bar(event, source_, any_bar_);
            collect(event, any_bar_);
            return;
        }
        char name[kBarName];
        Event bar;
        if (!name_bar(event, interval, name, bar)) return;
        const AudienceSet *const row = audiences_.topics().table().match(bar, source_);
        if (audiences_.topics().has_prefixes())
            collect_with_prefixes(bar, row);
        else if (row != nullptr)
            collect(bar, *row);
    }

    // Make an event of a bar whose type names its interval, in `name`. False when no topic has that interval.
    static bool name_bar(const Event &event, int64_t interval, char (&name)[kBarName], Event &bar) {
        if (interval <= 0 || interval > kMaxBarInterval) return false;
        const int length = std::snprintf(name, sizeof name, "%lldMs", static_cast<long long>(interval));
        bar = event;
        bar.type = Text::of(name, static_cast<size_t>(length));
        bar.kind = EventKind::kBar;
        return true;
    }
};

}  // namespace fproxy
