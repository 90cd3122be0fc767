// What matching needs of the few types that events have: found without a look at the table of types.
#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>

#include "text.hpp"
#include "topic_types.hpp"

namespace fproxy {

struct KnownType {
    uint64_t key = 0;
    uint32_t length = ~uint32_t{0};  // no type's: nothing is known here
    bool has_exact = false;          // whether a topic has it with a symbol
    uint64_t hash = 0;
    TopicId wildcard = ~TopicId{0};  // the type's, or `*` when no topic has the type
};

class KnownTypes {
  public:
    // What is known of a type; if nothing is, what `look_up` returns is from now on.
    template <class LookUp>
    const KnownType &of(const Text &type, LookUp look_up) {
        KnownType &known = types_[type.key * 0x9E3779B97F4A7C15u >> (64 - kSizeLog2)];
        // Longer keys are hashes, which only the table tells apart.
        if (__builtin_expect(known.key != type.key || known.length != type.length || type.length > Text::kPackedLength, 0))
            known = look_up();
        return known;
    }

    // Types or their topics have changed.
    void forget() { std::fill(std::begin(types_), std::end(types_), KnownType{}); }

  private:
    static constexpr unsigned kSizeLog2 = 6;

    KnownType types_[1 << kSizeLog2];
};

}  // namespace fproxy
