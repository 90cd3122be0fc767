// Going over the rows under a wildcard piece by piece, while topics come and go.
//
// The topics of a type, and the types, are visited from the last one to the first: the last one takes the place of one that is
// forgotten, and has been visited then. What is new comes last, and has what its type's row has, or that of `*`, which are
// visited before those under them. So none is passed over; some may be visited twice.
#pragma once

#include <algorithm>
#include <cstddef>

#include "topic_types.hpp"

namespace fproxy {

class RowWalk {
  public:
    // Whether nothing has been visited. Once it has been asked, something has.
    bool begins() {
        const bool begins = !has_begun_;
        has_begun_ = true;
        return begins;
    }

    // Visit the topics of a type; each is one of `most`, which is lessened. Returns whether that was all.
    template <class Visit>
    bool over_type(const TopicType &type, size_t &most, Visit visit) {
        for (left_ = std::min(left_, type.exact.size()); left_ != 0; --most) {
            if (most == 0) return false;
            visit(type.exact[--left_]);
        }
        return true;
    }

    // The same of the rows of all types that `*` brings, and of their topics. Each type is one of `most`, too.
    template <class Visit>
    bool over_types(const TopicTypes &types, size_t &most, Visit visit) {
        for (types_left_ = std::min(types_left_, types.size()); types_left_ != 0; types_left_ = std::min(types_left_, types.size())) {
            const TopicType &type = types[types_left_ - 1];
            if (type.wildcard != wildcard_) {
                if (most == 0) return false;
                --most;
                wildcard_ = type.wildcard;
                left_ = type.is_bar ? 0 : type.exact.size();
                if (!type.is_bar) visit(type.wildcard);
            }
            if (!over_type(type, most, visit)) return false;
            wildcard_ = kNone;
            --types_left_;
        }
        return true;
    }

  private:
    static constexpr TopicId kNone = ~TopicId{0};

    bool has_begun_ = false;
    size_t left_ = ~size_t{0};        // how many topics of the present type have not been visited
    size_t types_left_ = ~size_t{0};  // how many types have not been, the present one among them
    TopicId wildcard_ = kNone;        // of the present one
};

}  // namespace fproxy
