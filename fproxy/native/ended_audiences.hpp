// Audiences that have ended, whose topics are taken from them piece by piece. What is collected for them reaches nobody.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "id_set.hpp"
#include "topics.hpp"

namespace fproxy {

class EndedAudiences {
  public:
    bool empty() const { return ended_.empty(); }

    // An audience has ended that has these topics.
    void add(uint32_t audience, IdSet &&topics) { ended_.push_back(Ended{audience, std::move(topics), 0, {}, {}}); }

    // Take topics from the one that ended last, to the work of so many rows. Returns how many, or one when there were none. `gone` is
    // called with the audience when it has none any more.
    template <class Gone>
    size_t release(Topics &topics, size_t most, Gone gone) {
        Ended &ended = ended_.back();
        const uint32_t audience = ended.audience;
        size_t left = most;
        ended.place = ended.topics.for_each_from(ended.place, most, [&](TopicId topic) {
            --left;
            if (topics.rows_under(topic) > 1)
                ended.wide.push_back(topic);
            else
                // Nothing of an audience stays, so none of its topics keeps it in the row of another.
                topics.remove(topic, audience, [](TopicId) { return false; });
        });
        if (ended.place >= ended.topics.places()) {
            while (!ended.wide.empty() && left != 0) {
                if (!topics.remove_all_some(ended.wide.back(), audience, ended.walk, left)) continue;
                ended.wide.pop_back();
                ended.walk = RowWalk{};
            }
            if (ended.wide.empty()) {
                ended_.pop_back();
                gone(audience);
            }
        }
        return std::max<size_t>(most - left, 1);
    }

  private:
    struct Ended {
        uint32_t audience;
        IdSet topics;
        size_t place;  // of the topics, where the first stands that has not been looked at
        std::vector<TopicId> wide;  // those that more rows are under, which come last
        RowWalk walk;               // over those of the last of them
    };

    std::vector<Ended> ended_;
};

}  // namespace fproxy
