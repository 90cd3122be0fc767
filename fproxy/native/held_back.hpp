// What a client that lags is to be sent when it has caught up, in place of all that came meanwhile: what was dropped, told
// exactly, and what is kept of it.
//
// Status events are always kept. Of the others nothing is (drop), or the newest of each topic (conflate): then every bar
// and every price band is kept as well, as each stands for a time of its own; a quote or a value is replaced by the next
// one, which says all that it said; and of trades, and of what nobody knew when this was written, those that were replaced
// count as dropped.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "keyed_hash.hpp"
#include "message_buffer.hpp"
#include "open_table.hpp"
#include "scanned_frames.hpp"

namespace fproxy {

class HeldBack {
  public:
    explicit HeldBack(bool conflates) : conflates_(conflates), newest_(HashOf{}) {}

    void take(const ScannedFrames &frames) {
        if (!conflates_) {
            drop(frames.events().size() - frames.statuses(), frames.first_time(), frames.last_time());
            if (frames.statuses() == 0) return;
        }
        for (const ScannedFrames::Found &found : frames.events()) {
            const Fate fate = fate_of(found.event);
            if (fate == Fate::kKept)
                append(found);
            else if (conflates_)
                conflate(found, fate);
        }
    }

    // The memory that it takes, about.
    size_t bytes() const { return bytes_ + newest_.bytes(); }

    // How many events were dropped, and how many replaced by newer ones that say the same.
    uint64_t dropped() const { return dropped_; }
    uint64_t replaced() const { return replaced_; }

    // The frames to be sent: first what was dropped, if anything was, then what was kept, in order. Valid as long as this.
    std::pair<const char *, size_t> finish(size_t max_payload) {
        if (dropped_ != 0) {
            const std::string notice = dropped_message(dropped_, first_, last_);
            frames_.append_message(notice.data(), notice.size());
        }
        std::sort(kept_.begin(), kept_.end(), [](const Kept &one, const Kept &other) { return one.order < other.order; });
        for (const Kept &kept : kept_) frames_.append(kept.text.data(), kept.text.size(), kept.text.size(), max_payload);
        return frames_.finish();
    }

    static std::string dropped_message(uint64_t events, int64_t from, int64_t to) {
        const std::string count = std::to_string(events), first = std::to_string(from), last = std::to_string(to);
        return "[{\"ev\":\"status\",\"status\":\"dropped\",\"message\":\"reading too slowly: " + count +
               " events were dropped, of times from " + first + " to " + last + "\",\"events\":" + count +
               ",\"from\":" + first + ",\"to\":" + last + "}]";
    }

  private:
    enum class Fate { kKept, kReplaced, kDropped };

    struct Kept {
        std::string text;
        uint64_t order;
        int64_t time;
        std::string type, symbol;
    };

    // The newest event of a topic.
    struct Slot {
        uint64_t hash = 0;
        uint32_t place = ~uint32_t{0};  // in kept_

        bool is_free() const { return place == ~uint32_t{0}; }
    };

    struct HashOf {
        uint64_t operator()(const Slot &slot) const { return slot.hash; }
    };

    bool conflates_;
    std::vector<Kept> kept_;
    OpenTable<Slot, HashOf> newest_;
    MessageBuffer frames_;
    size_t bytes_ = sizeof(HeldBack);
    uint64_t order_ = 0;
    uint64_t dropped_ = 0, replaced_ = 0;
    int64_t first_ = 0, last_ = 0;

    static Fate fate_of(const Event &event) {
        if (event.kind == EventKind::kStatus || is_bar_event(event)) return Fate::kKept;
        switch (event.type.length <= Text::kPackedLength ? event.type.key : 0) {
            case packed("LULD"):
                return Fate::kKept;
            case packed("Q"):
            case packed("XQ"):
            case packed("C"):
            case packed("XL2"):
            case packed("NOI"):
            case packed("FMV"):
            case packed("LV"):
            case packed("V"):
                return Fate::kReplaced;
        }
        return Fate::kDropped;
    }

    void append(const ScannedFrames::Found &found) {
        kept_.push_back(Kept{std::string(found.event.begin, found.event.end), ++order_, found.time, {}, {}});
        bytes_ += sizeof(Kept) + kept_.back().text.size();
    }

    void conflate(const ScannedFrames::Found &found, Fate fate) {
        const Text &type = found.event.type, &symbol = found.event.symbol;
        const KeyedHash &keyed = KeyedHash::of_process();
        const uint64_t hash = keyed.of(keyed.of(type.key, type.length), symbol.key, symbol.length);
        const Slot *const slot = newest_.find(hash, [&](const Slot &other) {
            return other.hash == hash && same(kept_[other.place].type, type) && same(kept_[other.place].symbol, symbol);
        });
        if (slot == nullptr) {
            append(found);
            Kept &kept = kept_.back();
            if (type.present()) kept.type.assign(type.data, type.length);
            if (symbol.present()) kept.symbol.assign(symbol.data, symbol.length);
            newest_.insert(Slot{hash, static_cast<uint32_t>(kept_.size() - 1)});
            return;
        }
        Kept &kept = kept_[slot->place];
        if (fate == Fate::kDropped)
            drop(1, kept.time, kept.time);
        else
            ++replaced_;
        bytes_ -= kept.text.size();
        kept.text.assign(found.event.begin, found.event.end);
        bytes_ += kept.text.size();
        kept.time = found.time;
        kept.order = ++order_;
    }

    static bool same(const std::string &one, const Text &other) {
        return one.size() == other.length && (other.length == 0 || std::memcmp(one.data(), other.data, other.length) == 0);
    }

    void drop(uint64_t events, int64_t from, int64_t to) {
        if (events == 0) return;
        first_ = dropped_ == 0 ? from : std::min(first_, from);
        last_ = dropped_ == 0 ? to : std::max(last_, to);
        dropped_ += events;
    }
};

}  // namespace fproxy
