// The event types that topics have: found by name, with what all topics of one share.
//
// Types are few but for those of millisecond bars, of which clients may have made up 60,000.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "event.hpp"
#include "keyed_hash.hpp"
#include "open_table.hpp"

namespace fproxy {

using TopicId = uint32_t;

// Which upstreams an event counts from: bit i is upstream i. Two upstreams may both send an event (a firehose that
// sends everything, an aggregator that forwards it); it counts where its topic is routed, so that none comes twice.
using Sources = uint32_t;
constexpr Sources kAnySource = ~Sources{0};

struct TopicType {
    std::string name;
    Text text;              // of `name`
    uint32_t position = 0;  // in the list of types
    bool is_bar = false;
    bool is_named = false;  // its sources are, which are to be kept
    Sources sources = kAnySource;
    TopicId wildcard = ~TopicId{0};
    std::vector<TopicId> exact;
};

class TopicTypes {
  public:
    explicit TopicTypes(const KeyedHash &hash) : slots_(HashOfSlot{hash}), hash_(hash) {}

    // Null when no topic has it.
    TopicType *find(const Text &text) const {
        const Slot *const slot = slots_.find(hash_.of(text.key, text.length), [&text](const Slot &slot) { return slot.type->text == text; });
        return slot == nullptr ? nullptr : slot->type;
    }

    // Make one that is not there, without a wildcard.
    TopicType &make(const Text &text) {
        TopicType &type = *types_.emplace_back(std::make_unique<TopicType>());
        type.name.assign(text.data, text.length);
        type.text = Text::of(type.name.data(), type.name.size());
        type.position = static_cast<uint32_t>(types_.size() - 1);
        type.is_bar = is_bar_type(type.text);
        slots_.insert(Slot{&type});
        return type;
    }

    void forget(TopicType *type) {
        slots_.erase(slots_.find(hash_.of(type->text.key, type->text.length), [type](const Slot &slot) { return slot.type == type; }));
        types_.back()->position = type->position;
        std::swap(types_[type->position], types_.back());
        types_.pop_back();
    }

    size_t size() const { return types_.size(); }
    const TopicType &operator[](size_t position) const { return *types_[position]; }
    auto begin() const { return types_.begin(); }
    auto end() const { return types_.end(); }

  private:
    friend struct TopicTableInspection;  // its tests

    struct Slot {
        TopicType *type = nullptr;

        bool is_free() const { return type == nullptr; }
    };

    struct HashOfSlot {
        KeyedHash hash;

        uint64_t operator()(const Slot &slot) const { return hash.of(slot.type->text.key, slot.type->text.length); }
    };

    OpenTable<Slot, HashOfSlot> slots_;
    KeyedHash hash_;
    std::vector<std::unique_ptr<TopicType>> types_;
};

}  // namespace fproxy
