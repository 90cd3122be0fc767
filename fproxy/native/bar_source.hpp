// What bars are built of: which events, what of them is a price, and what their conditions allow.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "event.hpp"
#include "text.hpp"

namespace fproxy::bars {

// What a trade may change in a bar: bits of Trade::effect.
enum Effect : uint8_t { kHighLow = 1, kOpenClose = 2, kVolume = 4, kEverything = 7 };

// What the events look like.
enum class BarShape : uint8_t {
    kTrades,  // price p, size s or ds, conditions c
    kValues,  // value val, no size
    kQuotes,  // ask a and bid b, whose mean is the price; no size
};

// What each condition allows. A condition without an entry allows everything.
class ConditionEffects {
  public:
    void set(uint32_t condition, uint8_t effect) {
        if (condition >= effects_.size()) effects_.resize(condition + 1, kUnknown);
        effects_[condition] = effect;
    }

    // The effects allowed; and whether the condition has no entry.
    std::pair<uint8_t, bool> of(uint64_t condition) const {
        const uint8_t effect = condition < effects_.size() ? effects_[condition] : kUnknown;
        return {static_cast<uint8_t>(effect & kEverything), effect == kUnknown};
    }

  private:
    static constexpr uint8_t kUnknown = 0xFF;

    std::vector<uint8_t> effects_;
};

// The separator of the two parts of a symbol, in events and in topics.
struct Separators {
    char of_events = '-';
    char of_topics = '-';

    // A symbol as topics spell it.
    std::string topic_name(std::string name) const {
        const size_t at = of_events == of_topics ? std::string::npos : name.find(of_events);
        if (at != std::string::npos && name.find(of_events, at + 1) == std::string::npos) name[at] = of_topics;
        return name;
    }
};

class BarSource {
  public:
    // The event type has at most eight characters.
    BarSource(const std::string &event_type, BarShape shape, const ConditionEffects &effects, Separators separators)
        : shape(shape),
          effects(effects),
          separators(separators),
          type_key_(Text::of(event_type.data(), event_type.size()).key),
          type_length_(static_cast<uint32_t>(event_type.size())) {}

    const BarShape shape;
    const ConditionEffects effects;
    const Separators separators;

    bool has_volume() const { return shape == BarShape::kTrades; }

    bool takes(const Event &event) const {
        return event.type.key == type_key_ && event.type.length == type_length_ && event.symbol.present();
    }

  private:
    const uint64_t type_key_;
    const uint32_t type_length_;
};

}  // namespace fproxy::bars
