// Who takes an event: topics to audiences, one lookup an event.
//
// A row is the set of audiences that take one (type, symbol). It is already the union of the exact subscription, the
// type's wildcard and `*`, and is kept so when subscriptions change: subscribing is rare, matching is not. An event
// whose symbol has no row takes its type's row; an event whose type has none takes the row of `*`.
//
// Millisecond bars are apart: `*` does not bring them.
//
// A topic is forgotten when no audience has it, a type when none of its topics is left.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "audience_set.hpp"
#include "event.hpp"
#include "keyed_hash.hpp"
#include "known_types.hpp"
#include "row_walk.hpp"
#include "steady_table.hpp"
#include "topic_rows.hpp"
#include "topic_types.hpp"

namespace fproxy {

class TopicTable {
  public:
    explicit TopicTable(uint64_t seed)
        : hash_(seed), types_(hash_), rows_(~seed), everything_(rows_.make(TopicKind::kEverything, nullptr, Text{})) {}

    // Say from which upstreams the events of a type count; of a type never named they count from any.
    void set_sources(const Text &type_text, Sources sources) {
        TopicType &type = type_of(type_text);
        type.is_named = true;
        set_sources(type, sources);
    }

    // The same for every type of millisecond bar.
    void set_bar_sources(Sources sources) {
        bar_sources_ = sources;
        for (const std::unique_ptr<TopicType> &type : types_)
            if (type->is_bar) set_sources(*type, sources);
    }

    // The topic of a type and a symbol, made when it is new. No type means `*`, no symbol the type's wildcard. A topic
    // that is not then given to an audience must be passed to forget_unused().
    TopicId topic(const Text &type_text, const Text &symbol) {
        if (type_text.length == 0) return everything_;
        TopicType &type = type_of(type_text);
        if (symbol.length == 0) return type.wildcard;
        const TopicId known = find(type, symbol);
        if (known != kNone) return known;
        const TopicId id = rows_.make(TopicKind::kExact, &type, symbol);
        rows_.topic(id).position = static_cast<uint32_t>(type.exact.size());
        rows_[id].audiences = rows_[type.wildcard].audiences;
        type.exact.push_back(id);
        insert(id);
        return id;
    }

    // Forget a topic if no audience has it, and its type if that was the last of it.
    void forget_unused(TopicId id) {
        if (id >= rows_.size() || rows_.topic(id).audiences != 0) return;
        Topic &topic = rows_.topic(id);
        TopicType *const type = topic.type;
        if (topic.kind == TopicKind::kExact) {
            erase(id);
            rows_.topic(type->exact.back()).position = topic.position;
            std::swap(type->exact[topic.position], type->exact.back());
            type->exact.pop_back();
            rows_.forget(id);
        }
        if (type != nullptr && type->exact.empty() && !type->is_named && rows_.topic(type->wildcard).audiences == 0) forget(type);
    }

    // How many rows a subscription to a topic puts its audience in, about.
    size_t rows_under(TopicId id) const {
        switch (rows_.topic(id).kind) {
            case TopicKind::kWildcard:
                return 1 + rows_.topic(id).type->exact.size();
            case TopicKind::kEverything:
                return 1 + types_.size() + slots_.size();
            default:
                return 1;
        }
    }

    // Give a topic to an audience that does not have it.
    void add(TopicId id, uint32_t audience) {
        begin_to_add(id, audience);
        RowWalk walk;
        size_t all = ~size_t{0};
        add_some(id, audience, walk, all);
    }

    // The same piece by piece, while other topics come and go: this first, then add_some() until it returns true. Each row is one of
    // `most`, which is lessened.
    void begin_to_add(TopicId id, uint32_t audience) {
        ++rows_.topic(id).audiences;
        rows_[id].audiences.add(audience);
    }
    bool add_some(TopicId id, uint32_t audience, RowWalk &walk, size_t &most) {
        return visit_rows_under(id, walk, most, [&](TopicId row) { rows_[row].audiences.add(audience); });
    }

    // Take a topic from an audience. `has(topic)` tells what the audience has besides it.
    template <class Has>
    void remove(TopicId id, uint32_t audience, Has has) {
        --rows_.topic(id).audiences;
        RowWalk walk;
        size_t all = ~size_t{0};
        visit_rows_under(id, walk, all, [&](TopicId row) {
            const Topic &topic = rows_.topic(row);
            const bool still_taken = has(row) || (topic.kind == TopicKind::kExact && has(topic.type->wildcard)) ||
                                     (!(topic.type != nullptr && topic.type->is_bar) && has(everything_));
            if (!still_taken) rows_[row].audiences.remove(audience);
        });
        forget_unused(id);
    }

    // Take a topic from an audience of which nothing stays, piece by piece: until it returns true.
    bool remove_all_some(TopicId id, uint32_t audience, RowWalk &walk, size_t &most) {
        if (!visit_rows_under(id, walk, most, [&](TopicId row) { rows_[row].audiences.remove(audience); })) return false;
        --rows_.topic(id).audiences;
        forget_unused(id);
        return true;
    }

    // A random number for each topic: their sum identifies a set of topics, whatever the order it was made in.
    uint64_t fingerprint(TopicId id) const { return rows_.topic(id).fingerprint; }

    // Who takes a topic.
    const AudienceSet &audiences(TopicId id) const { return rows_[id].audiences; }

    size_t exact_topics() const { return slots_.size(); }
    size_t types() const { return types_.size(); }

    // Give back some of the memory that the topics of a burst took. Returns whether there is more to give back.
    bool trim() { return rows_.trim(); }

    // The memory that topics and their rows take, without what each holds beside.
    size_t bytes() const { return slots_.bytes() + rows_.bytes(); }

    // Matching is done in steps, so that a caller with many events can let memory work on several at once.
    struct Lookup {
        TopicId otherwise;  // what takes the event when no topic has its symbol: its type's wildcard, if it has a topic at all
        bool by_symbol;
        uint64_t hash;
    };

    Lookup look_up(const Event &event) {
        const KnownType &type = known_type(event.type);
        Lookup lookup{type.wildcard, type.has_exact && event.symbol.length != 0, 0};
        if (lookup.by_symbol) {
            lookup.hash = hash_.of(type.hash, event.symbol.key, event.symbol.length);
            slots_.prefetch(lookup.hash);
        }
        return lookup;
    }

    // The same for a caller who needs the hash in any case, and may know the topic's row from an event before.
    Lookup look_up_hashed(const Event &event) {
        const KnownType &type = known_type(event.type);
        const bool by_symbol = type.has_exact && event.symbol.length != 0;
        return Lookup{type.wildcard, by_symbol, hash_.of(type.hash, event.symbol.key, event.symbol.length)};
    }

    // Whether the table is larger than caches are: then what audiences() looks at is worth fetching beforehand.
    bool is_large() const { return slots_.size() > kCachedTopics; }

    // Have the memory fetched that audiences() needs, for a large table. Compilers take calls of what does nothing but this for dead
    // code, where they do not put it in place.
    FPROXY_INLINE void fetch_row(const Lookup &lookup) const {
        if (!lookup.by_symbol) return;
        const Slot *const slot = slots_.find_now(lookup.hash, [tag = tag_of(lookup.hash)](const Slot &slot) { return slot.tag == tag; });
        if (slot != nullptr) __builtin_prefetch(&rows_[slot->topic]);
    }

    // The same for an audiences() that is told the row.
    FPROXY_INLINE void fetch_row(const Lookup &lookup, TopicId known) const {
        if (!lookup.by_symbol) return;
        if (known < rows_.size())
            __builtin_prefetch(&rows_[known]);
        else
            slots_.prefetch(lookup.hash);
    }

    // The audiences of an event that came from an upstream; null when it does not count from there. The table must not
    // have changed since look_up().
    const AudienceSet *audiences(const Lookup &lookup, const Event &event, unsigned source) const {
        return audiences_of(lookup.by_symbol ? find(lookup.hash, lookup.otherwise, event.symbol) : kNone, lookup, event, source);
    }

    // The same. `known` is the row that was found for an event of the same type and symbol, however long ago: it is taken if it
    // is still theirs, and else becomes the one that is.
    const AudienceSet *audiences(const Lookup &lookup, const Event &event, unsigned source, TopicId &known) const {
        if (!lookup.by_symbol) return audiences_of(kNone, lookup, event, source);
        if (known >= rows_.size() || !is_row_of(known, lookup.otherwise, event.symbol))
            known = find(lookup.hash, lookup.otherwise, event.symbol);
        return audiences_of(known, lookup, event, source);
    }

    // Whether the events of a type count when they come from an upstream.
    bool counts(const Text &type, unsigned source) { return (rows_[known_type(type).wildcard].sources >> source & 1) != 0; }

    const AudienceSet *match(const Event &event, unsigned source) { return audiences(look_up(event), event, source); }

    // Whether an event that came from an upstream counts, whoever takes it.
    bool counts(const Event &event, unsigned source) {
        return counts(Lookup{known_type(event.type).wildcard, false, 0}, event, source);
    }

    // The same of an event that is being looked up.
    bool counts(const Lookup &lookup, const Event &event, unsigned source) const {
        const Sources sources = event.kind == EventKind::kBar ? bar_sources_ : rows_[lookup.otherwise].sources;
        return (sources >> source & 1) != 0;
    }

    // Whether millisecond bars from an upstream count.
    bool bars_count(unsigned source) const { return (bar_sources_ >> source & 1) != 0; }

    // Add the audiences of a bar whose interval is not known: all that have any bar topic for its symbol.
    void match_any_bar(const Event &event, unsigned source, AudienceSet &audiences) const {
        if ((bar_sources_ >> source & 1) == 0) return;
        for (const std::unique_ptr<TopicType> &type : types_) {
            if (!type->is_bar) continue;
            TopicId id = event.symbol.length == 0 ? kNone : find(*type, event.symbol);
            if (id == kNone) id = type->wildcard;
            audiences.add_all(rows_[id].audiences);
        }
    }

  private:
    friend struct TopicTableInspection;  // its tests

    static constexpr uint32_t kNone = ~uint32_t{0};
    static constexpr size_t kCachedTopics = 16 * 1024;

    // A topic of one symbol, and so much of its hash that rows of others are hardly ever looked at.
    struct Slot {
        uint32_t tag = 0;
        TopicId topic = 0;  // which is the number of `*`

        static constexpr bool kFreeIsZero = true;
        bool is_free() const { return topic == 0; }
    };

    // The tag is the upper half of the hash, and there are never more slots than it tells apart.
    struct HashOfSlot {
        uint64_t operator()(const Slot &slot) const { return uint64_t{slot.tag} << 32; }
    };
    static uint32_t tag_of(uint64_t hash) { return static_cast<uint32_t>(hash >> 32); }

    KeyedHash hash_;
    KnownTypes known_types_;
    TopicTypes types_;
    SteadyTable<Slot, HashOfSlot> slots_;  // exact topics
    TopicRows rows_;
    Sources bar_sources_ = kAnySource;
    TopicId everything_;

    TopicType &type_of(const Text &text) {
        if (TopicType *const known = types_.find(text)) return *known;
        known_types_.forget();
        TopicType &type = types_.make(text);
        if (type.is_bar) type.sources = bar_sources_;
        type.wildcard = rows_.make(TopicKind::kWildcard, &type, Text{});
        rows_[type.wildcard].type = type.wildcard;
        if (!type.is_bar) rows_[type.wildcard].audiences = rows_[everything_].audiences;
        return type;
    }

    void forget(TopicType *type) {
        known_types_.forget();
        rows_.forget(type->wildcard);
        types_.forget(type);
    }

    void set_sources(TopicType &type, Sources sources) {
        type.sources = sources;
        rows_[type.wildcard].sources = sources;
        for (TopicId id : type.exact) rows_[id].sources = sources;
    }

    // The rows that a subscription to a topic puts its audience in, itself the first. See RowWalk.
    template <class Visit>
    bool visit_rows_under(TopicId id, RowWalk &walk, size_t &most, Visit visit) {
        if (walk.begins()) {
            visit(id);
            if (most != 0) --most;
        }
        switch (rows_.topic(id).kind) {
            case TopicKind::kWildcard:
                return walk.over_type(*rows_.topic(id).type, most, visit);
            case TopicKind::kEverything:
                return walk.over_types(types_, most, visit);
            default:
                return true;
        }
    }

    const KnownType &known_type(const Text &type) {
        return known_types_.of(type, [&] {
            const TopicType *const found = types_.find(type);
            return KnownType{type.key, type.length, found != nullptr && !found->exact.empty(), hash_of(type),
                             found == nullptr ? everything_ : found->wildcard};
        });
    }

    uint64_t hash_of(const Text &type) const { return hash_.of(type.key, type.length); }
    uint64_t hash_of(const Text &type, const Text &symbol) const { return hash_.of(hash_of(type), symbol.key, symbol.length); }

    TopicId find(const TopicType &type, const Text &symbol) const { return find(hash_of(type.text, symbol), type.wildcard, symbol); }

    TopicId find(uint64_t hash, TopicId type, const Text &symbol) const {
        const Slot *const found = slots_.find_now(
            hash, [&, tag = tag_of(hash)](const Slot &slot) { return slot.tag == tag && is_row_of(slot.topic, type, symbol); });
        if (found != nullptr) return found->topic;
        return __builtin_expect(slots_.is_moving(), 0) ? find_before(hash, type, symbol) : kNone;
    }

    // Apart, as what is seldom done would be in the way of what is done for each event.
    __attribute__((noinline)) TopicId find_before(uint64_t hash, TopicId type, const Text &symbol) const {
        const Slot *const found = slots_.find_before(
            hash, [&, tag = tag_of(hash)](const Slot &slot) { return slot.tag == tag && is_row_of(slot.topic, type, symbol); });
        return found == nullptr ? kNone : found->topic;
    }

    bool is_row_of(TopicId id, TopicId type, const Text &symbol) const { return rows_[id].type == type && rows_[id].symbol == symbol; }

    // Those of an event that has this row, or none of its symbol.
    FPROXY_INLINE const AudienceSet *audiences_of(TopicId id, const Lookup &lookup, const Event &event, unsigned source) const {
        if (id == kNone) id = lookup.otherwise;
        if (id == everything_ && event.kind == EventKind::kBar) return nullptr;
        const TopicRow &row = rows_[id];
        return (row.sources >> source & 1) != 0 ? &row.audiences : nullptr;
    }

    uint64_t hash_of(TopicId id) const { return hash_of(rows_.topic(id).type->text, rows_[id].symbol.text()); }

    void insert(TopicId id) {
        known_types_.forget();
        slots_.insert(Slot{tag_of(hash_of(id)), id});
    }

    void erase(TopicId id) {
        known_types_.forget();
        slots_.erase(slots_.find(hash_of(id), [id](const Slot &found) { return found.topic == id; }));
    }
};

}  // namespace fproxy
