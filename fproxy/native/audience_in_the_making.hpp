// An audience that a client is about to move to, made piece by piece: of very many topics, or of one that very many rows are under.
//
// It has no members meanwhile, so nobody gets what it takes. It becomes what another audience has, which must not change
// meanwhile, with some topics more and some less.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "id_set.hpp"
#include "topics.hpp"

namespace fproxy {

class AudienceInTheMaking {
  public:
    // `audience` is its number, and `fingerprint` what its topics will add up to.
    AudienceInTheMaking(uint32_t audience, uint64_t fingerprint) : audience_(audience), fingerprint_(fingerprint) {}

    uint32_t audience() const { return audience_; }
    uint64_t fingerprint() const { return fingerprint_; }
    IdSet &topics() { return own_; }

    // Make room for so many topics, and give it those that the audience that it comes from has not. To be called once.
    void begin(Topics &topics, size_t size, const std::vector<TopicId> &fresh, const std::vector<TopicId> &gone) {
        own_.reserve(size);
        for (TopicId topic : gone) gone_.insert(topic);
        for (TopicId topic : fresh) add(topics, topic);
    }

    // Do so much of the rest, in rows. `from` are the topics of that audience; null for none. Returns whether it is made.
    bool go_on(Topics &topics, const IdSet *from, size_t most) {
        if (from != nullptr && place_ < from->places()) {
            place_ = from->for_each_from(place_, most, [&](TopicId topic) {
                --most;
                if (!gone_.contains(topic)) add(topics, topic);
            });
            if (place_ < from->places()) return false;
        }
        while (!wide_.empty() && most != 0) {
            if (!topics.add_some(wide_.back(), audience_, walk_, most)) continue;
            wide_.pop_back();
            walk_ = RowWalk{};
        }
        return wide_.empty();
    }

  private:
    uint32_t audience_;
    uint64_t fingerprint_;
    IdSet own_;
    IdSet gone_;                 // what it has not of the audience that it comes from
    size_t place_ = 0;           // of the topics that it comes from, where the first stands that has not been looked at
    std::vector<TopicId> wide_;  // those that more rows are under, which come last
    RowWalk walk_;               // over those of the last of them

    void add(Topics &topics, TopicId topic) {
        own_.insert(topic);
        if (topics.rows_under(topic) > 1) {
            topics.begin_to_add(topic, audience_);
            wide_.push_back(topic);
        } else {
            topics.add(topic, audience_);
        }
    }
};

}  // namespace fproxy
