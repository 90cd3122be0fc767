// Who gets what: clients, and the audiences that they make up.
//
// Clients whose subscriptions are equal are one audience: one bit in the rows of the topic table, one buffer, one
// message assembled. One client is an audience of one; five hundred copies of a strategy are one too, and cost one.
#pragma once

#include <algorithm>
#include <cstdint>
#include <unordered_map>
#include <utility>
#include <vector>

#include "id_set.hpp"
#include "message_buffer.hpp"
#include "streaming_copy.hpp"
#include "topics.hpp"

namespace fproxy {

using ClientId = uint32_t;
using AudienceId = uint32_t;

class Audiences {
  public:
    explicit Audiences(uint64_t seed) : topics_(seed) {}

    Topics &topics() { return topics_; }

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
        release_some();
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
        release_some();  // not before: it may forget topics, which these could be among
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
        release_some();  // not before: it may forget topics, which these could be among
    }

    // Do a bounded piece of what may wait: take their topics from audiences that have ended, and join those that became
    // equal while their subscriptions were changing quickly. Returns whether something is left to do.
    bool settle() {
        size_t budget = kSettleTopics;
        while (!ended_.empty() && budget != 0) budget -= release(budget);
        while (!unsettled_.empty() && budget != 0) {
            const AudienceId audience = unsettled_.back();
            unsettled_.pop_back();
            if (!audiences_[audience].unsettled) continue;
            audiences_[audience].unsettled = false;
            const AudienceId twin = twin_of(audience);
            if (twin == kNone) continue;
            budget -= std::min(budget, audiences_[audience].members.size());
            const std::vector<ClientId> members = audiences_[audience].members;
            for (ClientId member : members) {
                leave(member);
                join(member, twin);
            }
        }
        const bool trims = budget != 0 && topics_.trim();
        return trims || !unsettled_.empty() || !ended_.empty();
    }

    // How many there are.
    size_t size() const { return audiences_.size() - free_audiences_.size(); }

    const std::vector<ClientId> &members(AudienceId audience) const { return audiences_[audience].members; }

    // What has been collected for an audience.
    MessageBuffer &pending(AudienceId audience) { return audiences_[audience].pending; }

    // Fetch the memory of an audience that will get something.
    void prefetch(AudienceId audience) const { __builtin_prefetch(&audiences_[audience]); }

  private:
    static constexpr AudienceId kNone = ~AudienceId{0};
    // About a millisecond's work.
    static constexpr size_t kSettleTopics = 1'000;
    // An audience of no more topics than this gives them up as soon as it ends; one of more does so in settle().
    static constexpr size_t kReleasedAtOnce = 250;

    // What is appended to begins at a line of the cache, which is all that an event needs of an audience.
    struct alignas(kCacheLine) Audience {
        MessageBuffer pending;
        std::vector<ClientId> members;
        IdSet topics;
        uint64_t fingerprint = 0;  // the sum of its topics'
        bool unsettled = false;    // equal to another; to be joined with it when it has come to rest
    };

    // An audience without members, with the topics that it has still to give up. What is collected for it reaches nobody.
    struct Ended {
        AudienceId audience;
        IdSet topics;
        size_t place;  // of the topics, where the first stands that has not been given up
    };

    Topics topics_;
    std::vector<Audience> audiences_;
    std::vector<Ended> ended_;
    std::vector<AudienceId> free_audiences_;
    std::vector<AudienceId> audience_of_;  // by client
    std::vector<ClientId> free_clients_;
    std::unordered_multimap<uint64_t, AudienceId> by_fingerprint_;
    std::vector<AudienceId> unsettled_;

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
            kept.reserve(audiences_[from].topics.size() + fresh.size());
            audiences_[from].topics.for_each([&](TopicId id) {
                if (!going.contains(id)) kept.push_back(id);
            });
        }
        kept.insert(kept.end(), fresh.begin(), fresh.end());
        if (!kept.empty()) {
            const AudienceId made = new_audience();
            audiences_[made].topics.reserve(kept.size());
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

    // Take a client from its audience, which ends with its last member. It takes no longer for more topics.
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
        audience.unsettled = false;
        ended_.push_back(Ended{id, std::move(audience.topics), 0});
        audience.topics = IdSet{};
        if (ended_.back().topics.size() <= kReleasedAtOnce) release(kReleasedAtOnce);
    }

    // As much as a change brings at most is made good with each change, so that it does not pile up without settle().
    void release_some() {
        if (!ended_.empty()) release(kReleasedAtOnce);
    }

    // Take up to so many topics from the audience that ended last, which is no more when it has none. Returns how many, or one
    // when there were none.
    size_t release(size_t most) {
        Ended &ended = ended_.back();
        const AudienceId id = ended.audience;
        size_t count = 0;
        ended.place = ended.topics.for_each_from(ended.place, most, [&](TopicId topic) {
            // Nothing of an audience stays, so none of its topics keeps it in the row of another.
            topics_.remove(topic, id, [](TopicId) { return false; });
            ++count;
        });
        if (ended.place >= ended.topics.places()) {
            ended_.pop_back();
            audiences_[id] = Audience{};
            free_audiences_.push_back(id);
        }
        return std::max<size_t>(count, 1);
    }
};

}  // namespace fproxy
