// Who takes an event by the beginning of its symbol: prefix topics, such as `T.O:SPY*`, to audiences.
//
// All prefixes of a type that begin alike, up to the length of the shortest prefix there is, are a bucket: so an event costs
// one lookup, by the type and the head of its symbol, and a search in what is mostly a handful. A row is the set of audiences
// that take what begins with its prefix: already the union with the shorter prefixes that it begins with itself, which are its
// parents. So the longest prefix of a symbol says all.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "audience_set.hpp"
#include "event.hpp"
#include "keyed_hash.hpp"
#include "open_table.hpp"

namespace fproxy {

class PrefixTable {
  public:
    explicit PrefixTable(uint64_t seed) : hash_(seed), fingerprint_(~seed), slots_(HashOfSlot{hash_}) {}

    bool empty() const { return slots_.size() == 0; }

    // The number of a prefix, which has at least one character, for a type; made when it is new. One that is not then given
    // to an audience must be passed to forget_unused().
    uint32_t number(const Text &type, std::string_view text) {
        if (const Bucket *const bucket = find(type, head_of(text), text.size())) {
            const auto at = place(*bucket, text);
            if (at != bucket->prefixes.end() && prefixes_[*at].text == text) return *at;
        }
        const uint32_t id = new_prefix(type, text);
        if (std::min(text.size(), kLongestHead) < head_length_) {
            head_length_ = std::min(text.size(), kLongestHead);
            rebuild();
        } else {
            insert(id);
        }
        return id;
    }

    // Forget a prefix if no audience has it.
    void forget_unused(uint32_t id) {
        if (prefixes_[id].audiences != 0 || prefixes_[id].text.empty()) return;
        remove(id);
        prefixes_[id] = Prefix{};
        free_.push_back(id);
        if (empty()) head_length_ = kLongestHead;
    }

    // Give a prefix to an audience that does not have it.
    void add(uint32_t id, uint32_t audience) {
        ++prefixes_[id].audiences;
        for_each_under(id, [&](uint32_t under) { prefixes_[under].row.add(audience); });
    }

    // Take a prefix from an audience. `has(number)` tells what prefixes the audience has besides it.
    template <class Has>
    void remove(uint32_t id, uint32_t audience, Has has) {
        --prefixes_[id].audiences;
        for_each_under(id, [&](uint32_t under) {
            for (uint32_t each = under; each != kNone; each = prefixes_[each].parent)
                if (has(each)) return;
            prefixes_[under].row.remove(audience);
        });
        forget_unused(id);
    }

    // A random number for each prefix; see TopicTable::fingerprint.
    uint64_t fingerprint(uint32_t id) const { return prefixes_[id].fingerprint; }

    // The audiences that take an event of a type by the beginning of its symbol; null when none does.
    const AudienceSet *match(const Text &type, const Text &symbol) const {
        if (symbol.length < head_length_) return nullptr;
        const uint64_t head = symbol.length <= Text::kPackedLength ? symbol.key : load8(symbol.data);
        const Bucket *const bucket = find(type, head & low_bytes(static_cast<unsigned>(head_length_)), symbol.length);
        if (bucket == nullptr) return nullptr;
        const std::string_view text(symbol.data, symbol.length);
        // What is not behind the symbol and nearest to it begins with every prefix of it that there is.
        const auto behind = std::upper_bound(bucket->prefixes.begin(), bucket->prefixes.end(), text,
                                             [this](std::string_view one, uint32_t id) { return one < prefixes_[id].text; });
        if (behind == bucket->prefixes.begin()) return nullptr;
        for (uint32_t id = *std::prev(behind); id != kNone; id = prefixes_[id].parent)
            if (starts_with(text, prefixes_[id].text)) return &prefixes_[id].row;
        return nullptr;
    }

    // Add the audiences of a bar whose interval is not known: all that have a prefix of its symbol for any bar.
    void match_any_bar(const Text &symbol, AudienceSet &audiences) const {
        const std::string_view text(symbol.data, symbol.length);
        for (const Prefix &prefix : prefixes_)
            if (prefix.is_bar && starts_with(text, prefix.text)) audiences.add_all(prefix.row);
    }

  private:
    static constexpr uint32_t kNone = ~uint32_t{0};
    static constexpr size_t kLongestHead = Text::kPackedLength;

    struct Prefix {
        std::string type;
        std::string text;        // empty for a number that is nobody's
        uint32_t audiences = 0;  // that have this very prefix
        uint32_t parent = kNone;  // the longest other prefix of the type that this one begins with
        bool is_bar = false;
        uint64_t fingerprint = 0;
        AudienceSet row;
    };

    struct Bucket {
        std::string type;
        std::vector<uint32_t> prefixes;  // in the order of their texts
    };

    struct Slot {
        uint64_t type_key = 0;
        uint64_t head = 0;
        uint32_t type_length = 0;
        uint32_t bucket = kNone;

        bool is_free() const { return bucket == kNone; }
    };

    struct HashOfSlot {
        KeyedHash hash;

        uint64_t operator()(const Slot &slot) const { return of(slot.type_key, slot.type_length, slot.head); }
        uint64_t of(uint64_t type_key, uint32_t type_length, uint64_t head) const {
            return hash.of(hash.of(type_key, type_length), head, 0);
        }
    };

    KeyedHash hash_;
    KeyedHash fingerprint_;
    uint64_t fingerprints_ = 0;
    size_t head_length_ = kLongestHead;  // no longer than the shortest prefix
    OpenTable<Slot, HashOfSlot> slots_;
    std::vector<Bucket> buckets_;
    std::vector<uint32_t> free_buckets_;
    std::vector<Prefix> prefixes_;
    std::vector<uint32_t> free_;

    static bool starts_with(std::string_view text, std::string_view prefix) {
        return text.size() >= prefix.size() && std::memcmp(text.data(), prefix.data(), prefix.size()) == 0;
    }

    static Text text_of(const std::string &text) { return Text::of(text.data(), text.size()); }

    uint64_t head_of(std::string_view text) const {
        return load8_before(text.data(), text.data() + text.size()) & low_bytes(static_cast<unsigned>(head_length_));
    }

    // The bucket of a type and a head, for a text of a length that may be too short to have one.
    const Bucket *find(const Text &type, uint64_t head, size_t length) const {
        if (length < head_length_) return nullptr;
        const Slot *const slot = slots_.find(HashOfSlot{hash_}.of(type.key, type.length, head), [&](const Slot &one) {
            return one.head == head && one.type_key == type.key && one.type_length == type.length &&
                   (type.length <= Text::kPackedLength || std::memcmp(buckets_[one.bucket].type.data(), type.data, type.length) == 0);
        });
        return slot == nullptr ? nullptr : &buckets_[slot->bucket];
    }

    Bucket *find(const Prefix &prefix) {
        return const_cast<Bucket *>(std::as_const(*this).find(text_of(prefix.type), head_of(prefix.text), prefix.text.size()));
    }

    // Where a prefix stands in its bucket, or would.
    std::vector<uint32_t>::const_iterator place(const Bucket &bucket, std::string_view text) const {
        return std::lower_bound(bucket.prefixes.begin(), bucket.prefixes.end(), text,
                                [this](uint32_t id, std::string_view one) { return prefixes_[id].text < one; });
    }

    uint32_t new_prefix(const Text &type, std::string_view text) {
        uint32_t id = static_cast<uint32_t>(prefixes_.size());
        if (free_.empty()) {
            prefixes_.emplace_back();
        } else {
            id = free_.back();
            free_.pop_back();
        }
        Prefix &prefix = prefixes_[id];
        prefix.type.assign(type.data, type.length);
        prefix.text = text;
        prefix.is_bar = is_bar_type(type);
        prefix.fingerprint = fingerprint_.of(++fingerprints_);
        return id;
    }

    // Put a prefix into its bucket, which is made when it is the first there.
    void insert(uint32_t id) {
        Prefix &prefix = prefixes_[id];
        Bucket *bucket = find(prefix);
        if (bucket == nullptr) bucket = &new_bucket(prefix);
        bucket->prefixes.insert(place(*bucket, prefix.text), id);
        prefix.parent = parent_of(*bucket, id);
        if (prefix.parent != kNone) prefix.row = prefixes_[prefix.parent].row;
        for_each_under(id, [&](uint32_t under) {
            if (under != id && prefixes_[under].parent == prefix.parent) prefixes_[under].parent = id;
        });
    }

    Bucket &new_bucket(const Prefix &prefix) {
        uint32_t index = static_cast<uint32_t>(buckets_.size());
        if (free_buckets_.empty()) {
            buckets_.emplace_back();
        } else {
            index = free_buckets_.back();
            free_buckets_.pop_back();
        }
        buckets_[index].type = prefix.type;
        const Text type = text_of(prefix.type);
        slots_.insert(Slot{type.key, head_of(prefix.text), type.length, index});
        return buckets_[index];
    }

    uint32_t parent_of(const Bucket &bucket, uint32_t id) const {
        const std::string &text = prefixes_[id].text;
        auto at = place(bucket, text);
        if (at == bucket.prefixes.begin()) return kNone;
        for (uint32_t each = *std::prev(at); each != kNone; each = prefixes_[each].parent)
            if (starts_with(text, prefixes_[each].text)) return each;
        return kNone;
    }

    // Take a prefix that no audience has out of its bucket.
    void remove(uint32_t id) {
        const Prefix &prefix = prefixes_[id];
        for_each_under(id, [&](uint32_t under) {
            if (prefixes_[under].parent == id) prefixes_[under].parent = prefix.parent;
        });
        Bucket &bucket = *find(prefix);
        bucket.prefixes.erase(place(bucket, prefix.text));
        if (!bucket.prefixes.empty()) return;
        const Text type = text_of(prefix.type);
        const uint32_t index = static_cast<uint32_t>(&bucket - buckets_.data());
        slots_.erase(slots_.find(HashOfSlot{hash_}.of(type.key, type.length, head_of(prefix.text)),
                                 [index](const Slot &one) { return one.bucket == index; }));
        bucket = Bucket{};
        free_buckets_.push_back(index);
    }

    // Sort the prefixes into buckets anew, when the length of heads has changed.
    void rebuild() {
        slots_ = OpenTable<Slot, HashOfSlot>(HashOfSlot{hash_});
        buckets_.clear();
        free_buckets_.clear();
        for (Prefix &prefix : prefixes_) prefix.parent = kNone;
        for (uint32_t id = 0; id < prefixes_.size(); ++id) {
            if (prefixes_[id].text.empty()) continue;
            const AudienceSet row = std::move(prefixes_[id].row);
            insert(id);
            prefixes_[id].row = row;
        }
    }

    // The prefixes that begin with one, itself the first.
    template <class Visit>
    void for_each_under(uint32_t id, Visit visit) {
        const Bucket &bucket = *find(prefixes_[id]);
        const std::string &text = prefixes_[id].text;
        for (auto at = place(bucket, text); at != bucket.prefixes.end() && starts_with(prefixes_[*at].text, text); ++at) visit(*at);
    }
};

}  // namespace fproxy
