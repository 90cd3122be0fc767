// A set of audiences as a bitset of which only the words that are not zero are kept.
//
// Most topics have few audiences, a wildcard has many: both are short here, and matching visits set bits only.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace fproxy {

class AudienceSet {
  public:
    bool contains(uint32_t audience) const {
        const auto word = find(audience / 64);
        return word != words_.end() && word->index == audience / 64 && (word->bits >> audience % 64 & 1) != 0;
    }

    void add(uint32_t audience) {
        const uint32_t index = audience / 64;
        auto word = find(index);
        if (word == words_.end() || word->index != index) word = words_.insert(word, Word{0, index});
        word->bits |= uint64_t{1} << audience % 64;
    }

    void remove(uint32_t audience) {
        const uint32_t index = audience / 64;
        const auto word = find(index);
        if (word == words_.end() || word->index != index) return;
        word->bits &= ~(uint64_t{1} << audience % 64);
        if (word->bits == 0) words_.erase(word);
    }

    void add_all(const AudienceSet &other) {
        for (const Word &from : other.words_) {
            auto word = find(from.index);
            if (word == words_.end() || word->index != from.index) word = words_.insert(word, Word{0, from.index});
            word->bits |= from.bits;
        }
    }

    bool empty() const { return words_.empty(); }
    void clear() { words_.clear(); }

    // Call `visit` with each audience, in rising order.
    template <class Visit>
    void for_each(Visit visit) const {
        for (const Word &word : words_)
            for (uint64_t bits = word.bits; bits != 0; bits &= bits - 1)
                visit(word.index * 64 + static_cast<uint32_t>(__builtin_ctzll(bits)));
    }

  private:
    struct Word {
        uint64_t bits;
        uint32_t index;
    };

    std::vector<Word> words_;  // by rising index, no word zero

    std::vector<Word>::iterator find(uint32_t index) {
        return std::lower_bound(words_.begin(), words_.end(), index, precedes);
    }
    std::vector<Word>::const_iterator find(uint32_t index) const {
        return std::lower_bound(words_.begin(), words_.end(), index, precedes);
    }
    static bool precedes(const Word &word, uint32_t index) { return word.index < index; }
};

}  // namespace fproxy
