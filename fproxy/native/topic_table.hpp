// Who takes an event: topics to audiences, one lookup an event.
//
// A row is the set of audiences that take one (type, symbol). It is already the union of the exact subscription, the
// type's wildcard and `*`, and is kept so when subscriptions change: subscribing is rare, matching is not. An event
// whose symbol has no row takes its type's row; an event whose type has none takes the row of `*`.
//
// Millisecond bars are apart: `*` does not bring them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <iterator>
#include <string>
#include <vector>

#include "audience_set.hpp"
#include "event.hpp"

namespace fproxy {

using TopicId = uint32_t;

// Which upstreams an event counts from: bit i is upstream i. Two upstreams may both send an event (a firehose that
// sends everything, an aggregator that forwards it); it counts where its topic is routed, so that none comes twice.
using Sources = uint32_t;
constexpr Sources kAnySource = ~Sources{0};

class TopicTable {
  public:
    explicit TopicTable(uint64_t seed) : seed_(seed | 1), slots_(kFirstSlots) {
        everything_ = new_topic(Kind::kEverything, kNone, {});
    }

    // Say from which upstreams the events of a type count; of a type never named they count from any.
    void set_sources(const Text &type, Sources sources) { set_sources(types_[type_of(type)], sources); }

    // The same for every type of millisecond bar.
    void set_bar_sources(Sources sources) {
        bar_sources_ = sources;
        for (Type &type : types_)
            if (type.is_bar) set_sources(type, sources);
    }

    // The topic of a type and a symbol, made when it is new. No type means `*`, no symbol the type's wildcard. An
    // exact topic that is not then given to an audience must be passed to forget_unused().
    TopicId topic(const Text &type_text, const Text &symbol) {
        if (type_text.length == 0) return everything_;
        const uint32_t type = type_of(type_text);
        if (symbol.length == 0) return types_[type].wildcard;
        const TopicId known = find(types_[type].text, symbol);
        if (known != kNone) return known;
        const TopicId id = new_topic(Kind::kExact, type, std::string(symbol.data, symbol.length));
        topics_[id].position = static_cast<uint32_t>(types_[type].exact.size());
        rows_[id].audiences = rows_[types_[type].wildcard].audiences;
        types_[type].exact.push_back(id);
        insert(id);
        return id;
    }

    // Forget an exact topic if no audience has it.
    void forget_unused(TopicId id) {
        Topic &topic = topics_[id];
        if (topic.kind != Kind::kExact || topic.audiences != 0) return;
        erase(id);
        std::vector<TopicId> &exact = types_[topic.type].exact;
        exact[topic.position] = exact.back();
        topics_[exact.back()].position = topic.position;
        exact.pop_back();
        topic = Topic{};
        rows_[id] = Row{};
        free_.push_back(id);
    }

    // Give a topic to an audience that does not have it.
    void add(TopicId id, uint32_t audience) {
        ++topics_[id].audiences;
        for_each_row_under(id, [&](TopicId row) { rows_[row].audiences.add(audience); });
    }

    // Take a topic from an audience. `has(topic)` tells what the audience has besides it.
    template <class Has>
    void remove(TopicId id, uint32_t audience, Has has) {
        --topics_[id].audiences;
        for_each_row_under(id, [&](TopicId row) {
            const Topic &topic = topics_[row];
            const bool still_taken = has(row) || (topic.kind == Kind::kExact && has(types_[topic.type].wildcard)) ||
                                     (!(topic.type != kNone && types_[topic.type].is_bar) && has(everything_));
            if (!still_taken) rows_[row].audiences.remove(audience);
        });
        forget_unused(id);
    }

    // A random number for each topic: their sum identifies a set of topics, whatever the order it was made in.
    uint64_t fingerprint(TopicId id) const { return topics_[id].fingerprint; }

    // Who takes a topic.
    const AudienceSet &audiences(TopicId id) const { return rows_[id].audiences; }

    size_t exact_topics() const { return used_ - types_.size(); }

    // Matching is done in two steps, so that a caller with many events can let memory work on several at once.
    struct Lookup {
        TopicId otherwise;  // what takes the event when no topic has its symbol
        bool by_symbol;
        size_t slot;  // where that topic would be
    };

    Lookup begin(const Event &event) {
        const KnownType &type = known_type(event.type);
        Lookup lookup{type.wildcard, type.has_exact && event.symbol.length != 0, 0};
        if (lookup.by_symbol) {
            lookup.slot = home(event.type.key, event.symbol.key);
            __builtin_prefetch(&slots_[lookup.slot]);
        }
        return lookup;
    }

    // The audiences of an event that came from an upstream; null when it does not count from there. The table must not
    // have changed since begin().
    const AudienceSet *end(const Lookup &lookup, const Event &event, unsigned source) const {
        TopicId id = lookup.by_symbol ? find_from(lookup.slot, event.type, event.symbol) : kNone;
        if (id == kNone) id = lookup.otherwise;
        if (id == everything_ && event.kind == EventKind::kBar) return nullptr;
        const Row &row = rows_[id];
        return (row.sources >> source & 1) != 0 ? &row.audiences : nullptr;
    }

    const AudienceSet *match(const Event &event, unsigned source) { return end(begin(event), event, source); }

    // Add the audiences of a bar whose interval is not known: all that have any bar topic for its symbol.
    void match_any_bar(const Event &event, unsigned source, AudienceSet &audiences) const {
        if ((bar_sources_ >> source & 1) == 0) return;
        for (const Type &type : types_) {
            if (!type.is_bar) continue;
            TopicId id = event.symbol.length == 0 ? kNone : find(type.text, event.symbol);
            if (id == kNone) id = type.wildcard;
            audiences.add_all(rows_[id].audiences);
        }
    }

  private:
    static constexpr uint32_t kNone = ~uint32_t{0};
    static constexpr size_t kFirstSlots = 64;

    enum class Kind : uint8_t { kFree, kEverything, kWildcard, kExact };

    // What matching needs of a topic.
    struct Row {
        AudienceSet audiences;
        Sources sources = kAnySource;  // its type's, to spare matching a lookup
    };

    struct Topic {
        uint32_t audiences = 0;        // that have this very topic
        uint32_t type = kNone;
        uint32_t position = 0;  // in its type's list of exact topics
        Kind kind = Kind::kFree;
        uint64_t fingerprint = 0;
        std::string symbol;
    };

    struct Type {
        std::string name;
        Text text;  // of `name`
        bool is_bar = false;
        Sources sources = kAnySource;
        TopicId wildcard = kNone;
        std::vector<TopicId> exact;
    };

    // Open addressing with linear probing, never more than half full. A wildcard's symbol has no length.
    struct Slot {
        uint64_t type_key = 0;
        uint64_t symbol_key = 0;
        uint32_t symbol_length = 0;
        uint32_t type_length = 0;
        TopicId topic = kNone;
    };

    // What matching needs of the few types that events have: found without a look at the table.
    struct KnownType {
        uint64_t key = 0;
        uint32_t length = ~uint32_t{0};  // no type's: nothing is known here
        bool has_exact = false;
        TopicId wildcard = kNone;  // the type's, or `*` when no topic has the type
    };
    static constexpr unsigned kKnownTypesLog2 = 6;

    uint64_t seed_;
    KnownType known_types_[1 << kKnownTypesLog2];
    std::vector<Slot> slots_;
    unsigned shift_ = 58;  // 64 less the base-2 logarithm of the number of slots
    size_t used_ = 0;
    std::vector<Row> rows_;  // by TopicId, as topics_
    std::vector<Topic> topics_;
    std::vector<TopicId> free_;
    std::deque<Type> types_;
    TopicId everything_;
    Sources bar_sources_ = kAnySource;
    uint64_t fingerprints_ = 0;

    uint32_t type_of(const Text &text) {
        const TopicId wildcard = find(text, Text{});
        if (wildcard != kNone) return topics_[wildcard].type;
        const uint32_t id = static_cast<uint32_t>(types_.size());
        Type &type = types_.emplace_back();
        type.name.assign(text.data, text.length);
        type.text = Text::of(type.name.data(), type.name.size());
        type.is_bar = is_bar_type(type.text);
        if (type.is_bar) type.sources = bar_sources_;
        type.wildcard = new_topic(Kind::kWildcard, id, {});
        if (!type.is_bar) rows_[type.wildcard].audiences = rows_[everything_].audiences;
        insert(type.wildcard);
        return id;
    }

    TopicId new_topic(Kind kind, uint32_t type, std::string symbol) {
        TopicId id = static_cast<TopicId>(topics_.size());
        if (free_.empty()) {
            topics_.emplace_back();
            rows_.emplace_back();
        } else {
            id = free_.back();
            free_.pop_back();
        }
        Topic &topic = topics_[id];
        topic.kind = kind;
        topic.type = type;
        topic.symbol = std::move(symbol);
        if (type != kNone) rows_[id].sources = types_[type].sources;
        // SplitMix64, Steele, Lea and Flood 2014.
        uint64_t number = seed_ + ++fingerprints_ * 0x9E3779B97F4A7C15u;
        number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9u;
        number = (number ^ number >> 27) * 0x94D049BB133111EBu;
        topic.fingerprint = number ^ number >> 31;
        return id;
    }

    void set_sources(Type &type, Sources sources) {
        type.sources = sources;
        rows_[type.wildcard].sources = sources;
        for (TopicId id : type.exact) rows_[id].sources = sources;
    }

    // The rows that a subscription to a topic puts its audience in.
    template <class Visit>
    void for_each_row_under(TopicId id, Visit visit) {
        visit(id);
        switch (topics_[id].kind) {
            case Kind::kWildcard:
                for (TopicId row : types_[topics_[id].type].exact) visit(row);
                break;
            case Kind::kEverything:
                for (const Type &type : types_) {
                    if (type.is_bar) continue;
                    visit(type.wildcard);
                    for (TopicId row : type.exact) visit(row);
                }
                break;
            default:
                break;
        }
    }

    // The seed keeps strangers, who choose the topics, from choosing collisions.
    size_t home(uint64_t type_key, uint64_t symbol_key) const {
        uint64_t sum = (symbol_key ^ seed_) * 0x9E3779B97F4A7C15u;
        sum = ((sum ^ sum >> 32) + type_key) * 0xD6E8FEB86659FD93u;
        return static_cast<size_t>(sum >> shift_);
    }

    const KnownType &known_type(const Text &type) {
        KnownType &known = known_types_[type.key * 0x9E3779B97F4A7C15u >> (64 - kKnownTypesLog2)];
        // Longer keys are hashes, which only the table tells apart.
        if (__builtin_expect(known.key != type.key || known.length != type.length || type.length > Text::kPackedLength, 0)) {
            const TopicId wildcard = find(type, Text{});
            const bool has_exact = wildcard != kNone && !types_[topics_[wildcard].type].exact.empty();
            known = {type.key, type.length, has_exact, wildcard == kNone ? everything_ : wildcard};
        }
        return known;
    }

    void forget_known_types() { std::fill(std::begin(known_types_), std::end(known_types_), KnownType{}); }

    TopicId find(const Text &type, const Text &symbol) const {
        return find_from(home(type.key, symbol.key), type, symbol);
    }

    TopicId find_from(size_t slot, const Text &type, const Text &symbol) const {
        const size_t mask = slots_.size() - 1;
        for (size_t i = slot;; i = (i + 1) & mask) {
            const Slot &slot = slots_[i];
            if (slot.topic == kNone) return kNone;
            if (slot.symbol_key == symbol.key && slot.type_key == type.key && slot.symbol_length == symbol.length &&
                slot.type_length == type.length && same_texts(topics_[slot.topic], type, symbol))
                return slot.topic;
        }
    }

    // What the keys leave open: texts longer than a key.
    bool same_texts(const Topic &topic, const Text &type, const Text &symbol) const {
        if (__builtin_expect(type.length > Text::kPackedLength, 0) && types_[topic.type].text != type) return false;
        return symbol.length <= Text::kPackedLength ||
               std::memcmp(topic.symbol.data(), symbol.data, symbol.length) == 0;
    }

    Slot slot_of(TopicId id) const {
        const Topic &topic = topics_[id];
        const Text symbol = Text::of(topic.symbol.data(), topic.symbol.size());
        const Text &type = types_[topic.type].text;
        return Slot{type.key, symbol.key, symbol.length, type.length, id};
    }

    void insert(TopicId id) {
        forget_known_types();
        if (2 * ++used_ > slots_.size()) {
            std::vector<Slot> old(2 * slots_.size());
            old.swap(slots_);
            --shift_;
            for (const Slot &slot : old)
                if (slot.topic != kNone) put(slot);
        }
        put(slot_of(id));
    }

    void put(const Slot &slot) {
        const size_t mask = slots_.size() - 1;
        size_t i = home(slot.type_key, slot.symbol_key);
        while (slots_[i].topic != kNone) i = (i + 1) & mask;
        slots_[i] = slot;
    }

    void erase(TopicId id) {
        forget_known_types();
        const size_t mask = slots_.size() - 1;
        const Slot wanted = slot_of(id);
        size_t hole = home(wanted.type_key, wanted.symbol_key);
        while (slots_[hole].topic != id) hole = (hole + 1) & mask;
        // Move back what the hole would cut off from its home.
        for (size_t i = (hole + 1) & mask; slots_[i].topic != kNone; i = (i + 1) & mask) {
            const size_t from_home = (i - home(slots_[i].type_key, slots_[i].symbol_key)) & mask;
            if (from_home >= ((i - hole) & mask)) {
                slots_[hole] = slots_[i];
                hole = i;
            }
        }
        slots_[hole] = Slot{};
        --used_;
    }
};

}  // namespace fproxy
