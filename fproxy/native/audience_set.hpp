// A set of audiences as a bitset of which only the words that are not zero are kept.
//
// Most topics have few audiences, a wildcard has many: both are short here, and matching visits set bits only.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "text.hpp"

namespace fproxy {

class AudienceSet {
  public:
    AudienceSet() = default;
    AudienceSet(const AudienceSet &other) : first_(other.first_) {
        if (size() > 1) allocate(size(), other.begin());
    }
    AudienceSet(AudienceSet &&other) noexcept { swap(other); }
    AudienceSet &operator=(AudienceSet other) noexcept {
        swap(other);
        return *this;
    }

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
        const uint32_t room = words->room;
        std::copy(words + at + 1, words + size(), words + at);
        words->room = room;
        --first_.size;
        if (size() != 1) return;
        first_ = Word{words->bits, words->index, {1}};
        more_.reset();
    }

    void add_all(const AudienceSet &other) {
        for (const Word *from = other.begin(); from != other.end(); ++from) word_at(from->index).bits |= from->bits;
    }

    bool empty() const { return size() == 0; }

    void clear() { *this = AudienceSet(); }

    // Call `visit` with each audience, in rising order. In place, as what is done for each delivery knows so what is always the
    // same.
    template <class Visit>
    FPROXY_INLINE void for_each(Visit visit) const {
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
        union {
            uint32_t size;  // of the word that stands in the set: how many the set has
            uint32_t room;  // of the first of those that stand elsewhere: for how many there is room
        };
    };

    // By rising index, no word zero. A single word stands in the set itself: most sets have no other, and matching
    // is spared a cache miss.
    Word first_{};
    std::unique_ptr<Word[]> more_;  // all of them, when there is more than one

    size_t size() const { return first_.size; }
    const Word *begin() const { return size() <= 1 ? &first_ : more_.get(); }
    const Word *end() const { return begin() + size(); }
    Word *mutable_begin() { return size() <= 1 ? &first_ : more_.get(); }

    void swap(AudienceSet &other) noexcept {
        std::swap(first_, other.first_);
        more_.swap(other.more_);
    }

    // Have room for so many words elsewhere, and put this set's there, which stand at `words`.
    void allocate(size_t room, const Word *words) {
        std::unique_ptr<Word[]> more(new Word[room]);
        std::copy(words, words + size(), more.get());
        more[0].room = static_cast<uint32_t>(room);
        more_ = std::move(more);
    }

    const Word *find(uint32_t index) const {
        return std::lower_bound(begin(), end(), index, [](const Word &word, uint32_t i) { return word.index < i; });
    }

    // The word of an index, inserted as zero when it is not there.
    Word &word_at(uint32_t index) {
        const size_t at = static_cast<size_t>(find(index) - begin());
        if (at != size() && begin()[at].index == index) return mutable_begin()[at];
        if (size() == 0) {
            first_ = Word{0, index, {1}};
            return first_;
        }
        if (size() == 1 || size() == more_[0].room) allocate(2 * size(), begin());
        Word *const words = more_.get();
        const uint32_t room = words->room;
        std::copy_backward(words + at, words + size(), words + size() + 1);
        words[at] = Word{0, index, {}};
        words->room = room;
        ++first_.size;
        return words[at];
    }
};

}  // namespace fproxy
