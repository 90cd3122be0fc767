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

#include "audience_in_the_making.hpp"
#include "ended_audiences.hpp"
#include "id_set.hpp"
#include "message_buffer.hpp"
#include "streaming_copy.hpp"
#include "topics.hpp"

namespace fproxy {

using ClientId = uint32_t;
using AudienceId = uint32_t;

class Audiences {
  public:
    // A change that has more rows to go through than `changed_at_once` is to be prepared.
    explicit Audiences(uint64_t seed, size_t changed_at_once = kChangedAtOnce) : topics_(seed), changed_at_once_(changed_at_once) {}

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
        abandon(client);
        if (audience_of_[client] != kNone) leave(client);
        free_clients_.push_back(client);
        release_some();
    }

    // Do a piece of what subscribe() or unsubscribe() would have to do at once else: leaving an audience of very many topics that
    // others share, or changing very many rows for a wildcard. Nothing changes for anybody before that call, which is to follow
    // when this returns false: no more is to be done beforehand.
    bool prepare_to_subscribe(ClientId client, const std::vector<TopicId> &ids) { return prepare(client, those_new(client, ids), {}); }
    bool prepare_to_unsubscribe(ClientId client, const std::vector<TopicId> &ids) { return prepare(client, {}, those_had(client, ids)); }

    // Whether others have just what a client has: else only wildcards are worth preparing for.
    bool is_shared(ClientId client) const {
        return audience_of_[client] != kNone && audiences_[audience_of_[client]].members.size() > 1;
    }

    // Give topics to a client; those that it has already, and repetitions, change nothing.
    void subscribe(ClientId client, const std::vector<TopicId> &ids) {
        const std::vector<TopicId> fresh = those_new(client, ids);
        if (fresh.empty()) abandon(client);
        else change(client, fresh, {});
        for (TopicId id : ids) topics_.forget_unused(id);
        release_some();  // not before: it may forget topics, which these could be among
    }

    // Take topics from a client; those that it does not have change nothing.
    void unsubscribe(ClientId client, const std::vector<TopicId> &ids) {
        const std::vector<TopicId> gone = those_had(client, ids);
        if (gone.empty()) abandon(client);
        else change(client, {}, gone);
        for (TopicId id : ids) topics_.forget_unused(id);
        release_some();  // not before: it may forget topics, which these could be among
    }

    // Do a bounded piece of what may wait: take their topics from audiences that have ended, and join those that became
    // equal while their subscriptions were changing quickly. Returns whether something is left to do.
    bool settle() {
        size_t budget = kSettleTopics;
        while (!ended_.empty() && budget != 0) budget -= std::min(budget, release(budget));
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
    // Likewise of changes, and how much of a greater one is prepared at once.
    static constexpr size_t kChangedAtOnce = 1'000;
    static constexpr size_t kAll = ~size_t{0} / 16;

    // What is appended to begins at a line of the cache, which is all that an event needs of an audience.
    struct alignas(kCacheLine) Audience {
        MessageBuffer pending;
        std::vector<ClientId> members;
        IdSet topics;
        uint64_t fingerprint = 0;  // the sum of its topics'
        bool unsettled = false;    // equal to another; to be joined with it when it has come to rest
    };

    // What a client is about to move to, from an audience that had this fingerprint when it was begun.
    struct Preparation {
        AudienceId from;
        uint64_t fingerprint;
        bool is_made;
        AudienceInTheMaking making;
    };

    Topics topics_;
    size_t changed_at_once_;
    std::vector<Audience> audiences_;
    EndedAudiences ended_;
    std::unordered_map<ClientId, Preparation> prepared_;
    std::vector<AudienceId> free_audiences_;
    std::vector<AudienceId> audience_of_;  // by client
    std::vector<ClientId> free_clients_;
    std::unordered_multimap<uint64_t, AudienceId> by_fingerprint_;
    std::vector<AudienceId> unsettled_;

    bool has(AudienceId audience, TopicId id) const {
        return audience != kNone && audiences_[audience].topics.contains(id);
    }

    std::vector<TopicId> those_new(ClientId client, const std::vector<TopicId> &ids) const {
        std::vector<TopicId> fresh;
        IdSet seen;
        for (TopicId id : ids)
            if (!has(audience_of_[client], id) && seen.insert(id)) fresh.push_back(id);
        return fresh;
    }

    std::vector<TopicId> those_had(ClientId client, const std::vector<TopicId> &ids) const {
        std::vector<TopicId> had;
        IdSet seen;
        for (TopicId id : ids)
            if (has(audience_of_[client], id) && seen.insert(id)) had.push_back(id);
        return had;
    }

    size_t rows_under(const std::vector<TopicId> &ids) const {
        size_t rows = 0;
        for (TopicId id : ids) rows += topics_.rows_under(id);
        return rows;
    }

    // How many rows the topics of an audience put it in, about; of one that has very many topics, how many topics.
    size_t rows_of(AudienceId audience) const {
        const IdSet &topics = audiences_[audience].topics;
        size_t rows = topics.size();
        if (rows <= changed_at_once_) topics.for_each([&](TopicId id) { rows += topics_.rows_under(id) - 1; });
        return rows;
    }

    bool prepare(ClientId client, const std::vector<TopicId> &fresh, const std::vector<TopicId> &gone) {
        const AudienceId from = audience_of_[client];
        if ((fresh.empty() && gone.empty()) || size_after(from, fresh, gone) == 0) return false;
        const size_t rows = (is_shared(client) ? rows_of(from) : 0) + rows_under(fresh) + rows_under(gone);
        if (rows <= changed_at_once_ || equal_after(from, fresh, gone) != kNone) return false;
        const uint64_t before = from == kNone ? 0 : audiences_[from].fingerprint;
        const uint64_t after = fingerprint_after(from, fresh, gone);
        auto known = prepared_.find(client);
        if (known != prepared_.end() && !(known->second.from == from && known->second.fingerprint == before &&
                                          known->second.making.fingerprint() == after)) {
            abandon(client);
            known = prepared_.end();
        }
        if (known == prepared_.end()) {
            known = prepared_.emplace(client, Preparation{from, before, false, AudienceInTheMaking(new_audience(), after)}).first;
            begin(known->second.making, from, fresh, gone);
        }
        Preparation &preparation = known->second;
        if (!preparation.is_made) preparation.is_made = preparation.making.go_on(topics_, topics_of(from), changed_at_once_);
        return !preparation.is_made;
    }

    // The audience that a client was prepared to move to, which is its own from now on; kNone when there is none with such topics.
    AudienceId take_prepared(ClientId client, uint64_t fingerprint) {
        const auto known = prepared_.find(client);
        if (known == prepared_.end() || !known->second.is_made) return kNone;
        Preparation &preparation = known->second;
        if (preparation.from != audience_of_[client] || preparation.making.fingerprint() != fingerprint) return kNone;
        const AudienceId made = take(preparation.making);
        prepared_.erase(known);
        return made;
    }

    // Forget what was prepared for a client.
    void abandon(ClientId client) {
        const auto known = prepared_.find(client);
        if (known == prepared_.end()) return;
        ended_.add(known->second.making.audience(), std::move(known->second.making.topics()));
        prepared_.erase(known);
    }

    // Move a client to the audience that has what its own has, more `fresh` and less `gone`. Its own is changed in
    // place when it is the only member, unless joining another costs no more than was asked for: so many changes of
    // one topic cost as many topics, however many the client has.
    void change(ClientId client, const std::vector<TopicId> &fresh, const std::vector<TopicId> &gone) {
        const AudienceId from = audience_of_[client];
        AudienceId target = equal_after(from, fresh, gone);
        const bool is_prepared = target == kNone && (target = take_prepared(client, fingerprint_after(from, fresh, gone))) != kNone;
        abandon(client);
        if (size_after(from, fresh, gone) == 0 && (is_shared(client) || rows_under(gone) > changed_at_once_)) {
            leave(client);
            return;
        }
        if (from != kNone && !is_shared(client) && !is_prepared && (target == kNone || is_better_changed(from, fresh, gone))) {
            change_topics(from, fresh, gone);
            if (audiences_[from].topics.size() == 0) {
                leave(client);
            } else if (target != kNone && !audiences_[from].unsettled) {
                audiences_[from].unsettled = true;
                unsettled_.push_back(from);
            }
            return;
        }
        if (target == kNone) {
            AudienceInTheMaking making(new_audience(), fingerprint_after(from, fresh, gone));
            begin(making, from, fresh, gone);
            making.go_on(topics_, topics_of(from), kAll);
            target = take(making);
        }
        if (from != kNone) leave(client);
        join(client, target);
    }

    // Whether it costs less to change an audience of one client than to leave it for an equal one that there is.
    bool is_better_changed(AudienceId audience, const std::vector<TopicId> &fresh, const std::vector<TopicId> &gone) const {
        const size_t rows = rows_under(fresh) + rows_under(gone);
        return audiences_[audience].topics.size() > 4 * rows + 64 && rows <= changed_at_once_;
    }

    const IdSet *topics_of(AudienceId audience) const { return audience == kNone ? nullptr : &audiences_[audience].topics; }

    void begin(AudienceInTheMaking &making, AudienceId from, const std::vector<TopicId> &fresh, const std::vector<TopicId> &gone) {
        making.begin(topics_, size_after(from, fresh, gone), fresh, gone);
    }

    // Count an audience that is made among the others; it is to get a member at once.
    AudienceId take(AudienceInTheMaking &making) {
        Audience &audience = audiences_[making.audience()];
        audience.topics = std::move(making.topics());
        audience.fingerprint = making.fingerprint();
        by_fingerprint_.emplace(making.fingerprint(), making.audience());
        return making.audience();
    }

    // An audience that has exactly what `from` has, more `fresh` and less `gone`.
    AudienceId equal_after(AudienceId from, const std::vector<TopicId> &fresh, const std::vector<TopicId> &gone) const {
        const size_t size = size_after(from, fresh, gone);
        const auto range = by_fingerprint_.equal_range(fingerprint_after(from, fresh, gone));
        for (auto at = range.first; at != range.second; ++at) {
            const IdSet &topics = audiences_[at->second].topics;
            if (at->second == from || topics.size() != size) continue;
            return at->second;  // 64 random bits that nobody outside knows: equal sums are equal sets
        }
        return kNone;
    }

    size_t size_after(AudienceId from, const std::vector<TopicId> &fresh, const std::vector<TopicId> &gone) const {
        return (from == kNone ? 0 : audiences_[from].topics.size()) + fresh.size() - gone.size();
    }

    uint64_t fingerprint_after(AudienceId from, const std::vector<TopicId> &fresh, const std::vector<TopicId> &gone) const {
        uint64_t fingerprint = from == kNone ? 0 : audiences_[from].fingerprint;
        for (TopicId id : fresh) fingerprint += topics_.fingerprint(id);
        for (TopicId id : gone) fingerprint -= topics_.fingerprint(id);
        return fingerprint;
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
        const bool is_small = audience.topics.size() <= kReleasedAtOnce;
        ended_.add(id, std::move(audience.topics));
        audience.topics = IdSet{};
        if (is_small) release(kReleasedAtOnce);
    }

    // As much as a change brings at most is made good with each change, so that it does not pile up without settle().
    void release_some() {
        if (!ended_.empty()) release(kReleasedAtOnce);
    }

    // Do so much of what an audience that has ended leaves to be done, which is no more when nothing is left. Returns how much.
    size_t release(size_t most) {
        return ended_.release(topics_, most, [&](AudienceId id) {
            audiences_[id] = Audience{};
            free_audiences_.push_back(id);
        });
    }
};

}  // namespace fproxy
