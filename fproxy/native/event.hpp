// What a scan finds: the events of one upstream message, each with its span and the topic it belongs to.
//
// Which key names the symbol depends on the event's type; the vendor's published WebSocket specification gives the
// table below for every market. Keys come in any order, so the routing keys are gathered first and resolved at the
// event's end.
#pragma once

#include <cstdint>
#include <vector>

#include "text.hpp"

namespace fproxy {

enum class EventKind : uint8_t {
    kMarketData,  // anything with no special treatment
    kStatus,      // {"ev":"status",...}: for the connection that received it, never for clients
    kBar,         // a millisecond bar whose type names its interval, such as 100Ms
    kBarSomehow,  // a millisecond bar ({"ev":"MB"} or {"T":"b"} without ev): its interval is in other keys
};

struct Event {
    const char *begin;  // the opening brace
    const char *end;    // one past the closing brace
    Text type;
    Text symbol;
    EventKind kind;
};

// The events of one message, in its order. A vector that keeps some memory and hands out uninitialised elements. It takes
// no more events than vendors would ever send at once: an event needs more memory than the shortest text of one.
class Events {
  public:
    static constexpr size_t kMost = size_t{1} << 18;

    Events() : events_(kFirstRoom) {}

    Event &append() {
        if (__builtin_expect(size_ == room_, 0)) grow();
        return events_[size_++];
    }

    void clear() {
        if (__builtin_expect(room_ > kUsualRoom, 0)) shrink_when_calm();
        size_ = 0;
        are_too_many_ = false;
    }

    // Whether some events were not kept, because there was no more room for them. The last one is the last that came.
    bool are_too_many() const { return are_too_many_; }

    size_t size() const { return size_; }
    size_t bytes() const { return room_ * sizeof(Event); }
    const Event &operator[](size_t i) const { return events_[i]; }
    const Event *begin() const { return events_.data(); }
    const Event *end() const { return events_.data() + size_; }

  private:
    static constexpr size_t kFirstRoom = 256;
    static constexpr size_t kUsualRoom = 4096;  // kept, however small messages become
    static constexpr unsigned kCalm = 1000;     // as many messages in a row with few events end a burst

    std::vector<Event> events_;
    size_t room_ = kFirstRoom;  // events_.size(), which takes a division
    size_t size_ = 0;
    bool are_too_many_ = false;
    unsigned small_in_a_row_ = 0;

    // The resize may throw, and must leave the room as it is then: else the next event would be written past the end.
    void grow() {
        if (room_ >= kMost) {
            are_too_many_ = true;
            --size_;
            return;
        }
        events_.resize(2 * room_);
        room_ = events_.size();
    }

    void shrink_when_calm() {
        small_in_a_row_ = size_ <= kUsualRoom ? small_in_a_row_ + 1 : 0;
        if (small_in_a_row_ < kCalm) return;
        small_in_a_row_ = 0;
        std::vector<Event>(kUsualRoom).swap(events_);
        room_ = kUsualRoom;
    }
};

// The keys that take part in routing.
enum RoutingKey : unsigned { kEv, kSym, kUpperT, kUpperS, kPair, kLowerP, kRoutingKeys };

// The values of one event's routing keys. A value that is no string does not count; of a repeated key the last does.
struct RoutingKeys {
    Text values[kRoutingKeys];
};

constexpr bool is_digit(char character) { return character >= '0' && character <= '9'; }

// Whether a type is digits followed by "Ms".
inline bool is_bar_type(const Text &type) {
    if (type.length < 3 || type.data[type.length - 1] != 's' || type.data[type.length - 2] != 'M') return false;
    for (uint32_t i = 0; i + 2 < type.length; ++i)
        if (!is_digit(type.data[i])) return false;
    return true;
}

// The kind of an event that has a type.
inline EventKind kind_of_type(const Text &type) {
    if (type.length == 6 && type.key == packed("status")) return EventKind::kStatus;
    if (type.length == 2 && type.key == packed("MB")) return EventKind::kBarSomehow;
    return is_bar_type(type) ? EventKind::kBar : EventKind::kMarketData;
}

// Whether an event is a bar of any kind, the vendor's or of milliseconds: its time is its window's.
inline bool is_bar_event(const Event &event) {
    if (event.kind != EventKind::kMarketData) return event.kind != EventKind::kStatus;
    switch (event.type.length <= Text::kPackedLength ? event.type.key : 0) {
        case packed("A"):
        case packed("AM"):
        case packed("XA"):
        case packed("XAS"):
        case packed("CA"):
        case packed("CAS"):
            return true;
    }
    return false;
}

inline Text first_present(const RoutingKeys &keys, std::initializer_list<RoutingKey> order) {
    for (RoutingKey key : order)
        if (keys.values[key].present()) return keys.values[key];
    return Text{};
}

// Fill in the type, the symbol and the kind of an event whose keys are known.
inline void resolve(const RoutingKeys &keys, Event &event) {
    const Text &ev = keys.values[kEv];
    event.kind = EventKind::kMarketData;
    if (!ev.present()) {
        event.type = keys.values[kUpperT];
        event.symbol = first_present(keys, {kUpperS, kSym, kPair, kLowerP});
        if (event.type.length == 1 && event.type.key == packed("b")) event.kind = EventKind::kBarSomehow;
        return;
    }
    event.type = ev;
    event.kind = kind_of_type(ev);
    switch (ev.length <= Text::kPackedLength ? ev.key : 0) {
        case packed("LULD"):
        case packed("NOI"):
        case packed("V"):
            event.symbol = first_present(keys, {kUpperT, kSym, kPair, kUpperS, kLowerP});
            return;
        case packed("XT"):
        case packed("XQ"):
        case packed("XL2"):
        case packed("XA"):
        case packed("XAS"):
        case packed("CA"):
        case packed("CAS"):
            event.symbol = first_present(keys, {kPair, kSym, kUpperT, kUpperS, kLowerP});
            return;
        case packed("C"):
            event.symbol = first_present(keys, {kLowerP, kPair, kSym, kUpperT, kUpperS});
            return;
    }
    event.symbol = first_present(keys, {kSym, kPair, kUpperT, kUpperS, kLowerP});
}

}  // namespace fproxy
