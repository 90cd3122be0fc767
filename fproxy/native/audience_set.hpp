// A set of audiences as a bitset of which only the words that are not zero are kept.
//
// Most topics have few audiences, a wildcard has many: both are short here, and matching visits set bits only.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace fproxy {

class AudienceSet {
  public:
    bool contains(uint32_t audience) const {
        const Word *const word = find(audience / kBits);
        return word != end() && word->index == audience / kBits && (word->bits >> audience % kBits & 1) != 0;
    }

    void add(uint32_t audience) { word_at(audience / kBits).bits |= uint64_t{1} << audience % kBits; }

    void remove(uint32_t audience) {
        if (!contains(audience)) return;
        const size_t at = static_cast<size_t>(find(audience / kBits) - begin());
        Word *const words = mutable_begin();
        words[at].bits &= ~(uint64_t{1} << audience % kBits);
        if (words[at].bits != 0) return;
        std::copy(words + at + 1, words + size_, words + at);
        --size_;
        if (size_ != 1) return;
        first_ = words[0];
        more_.clear();
        more_.shrink_to_fit();
    }

    void add_all(const AudienceSet &other) {
        for (const Word *from = other.begin(); from != other.end(); ++from) word_at(from->index).bits |= from->bits;
    }

    bool empty() const { return size_ == 0; }

    void clear() {
        size_ = 0;
        more_.clear();
    }

    // Call `visit` with each audience, in rising order.
    template <class Visit>
    void for_each(Visit visit) const {
        for (const Word *word = begin(); word != end(); ++word)
            for (uint64_t bits = word->bits; bits != 0; bits &= bits - 1)
                visit(word->index * kBits + static_cast<uint32_t>(__builtin_ctzll(bits)));
    }

    // The lowest audience; there must be one.
    uint32_t lowest() const { return begin()->index * kBits + static_cast<uint32_t>(__builtin_ctzll(begin()->bits)); }

  private:
    static constexpr uint32_t kBits = 64;

    struct Word {
        uint64_t bits;
        uint32_t index;
    };

    // By rising index, no word zero. A single word stands in the set itself: most sets have no other, and matching
    // is spared a cache miss.
    Word first_{};
    uint32_t size_ = 0;
    std::vector<Word> more_;  // all of them, when there is more than one; its size may be larger than size_

    const Word *begin() const { return size_ <= 1 ? &first_ : more_.data(); }
    const Word *end() const { return begin() + size_; }
    Word *mutable_begin() { return size_ <= 1 ? &first_ : more_.data(); }

    const Word *find(uint32_t index) const {
        return std::lower_bound(begin(), end(), index, [](const Word &word, uint32_t i) { return word.index < i; });
    }

    // The word of an index, inserted as zero when it is not there.
    Word &word_at(uint32_t index) {
        const size_t at = static_cast<size_t>(find(index) - begin());
        if (at != size_ && begin()[at].index == index) return mutable_begin()[at];
        if (size_ == 1) more_.assign(1, first_);
        if (size_ != 0) {
            more_.resize(size_);
            more_.insert(more_.begin() + static_cast<std::ptrdiff_t>(at), Word{0, index});
        }
        ++size_;
        Word &made = mutable_begin()[at];
        made = Word{0, index};
        return made;
    }
};

}  // namespace fproxy
