// The events of frames that are held back from clients which lag: found once for all of those clients.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "backlog.hpp"
#include "scan.hpp"

namespace fproxy {

class ScannedFrames {
  public:
    struct Found {
        Event event;
        int64_t time;  // its own, or that of the scan where it has none; in Unix milliseconds
    };

    // Find the events of frames, which are text messages; does nothing when they are those of the last call. False when one of
    // them is no sound JSON. What is found is good while the frames are, and until the next call.
    bool scan(const SharedFrames &frames, int64_t now) {
        if (&frames == of_ && frames.number() == number_) return sound_;
        of_ = &frames;
        number_ = frames.number();
        found_.clear();
        texts_.clear();
        first_ = last_ = 0;
        statuses_ = 0;
        sound_ = true;
        const char *at = frames.begin;
        const char *const end = frames.begin + frames.size;
        while (at != end && sound_) {
            const size_t size = frame_size(at);
            sound_ = scan_message(at + frame_header_size(at), at + size, now);
            at += size;
        }
        return sound_;
    }

    const std::vector<Found> &events() const { return found_; }

    // How many of them are status events.
    size_t statuses() const { return statuses_; }

    // The earliest and the latest time of the others, of which there is one.
    int64_t first_time() const { return first_; }
    int64_t last_time() const { return last_; }

  private:
    const SharedFrames *of_ = nullptr;  // with number_, what was scanned last
    uint64_t number_ = 0;
    bool sound_ = false;
    Scanner scanner_;
    Events events_;
    std::vector<Found> found_;
    std::deque<std::string> texts_;
    size_t statuses_ = 0;
    int64_t first_ = 0, last_ = 0;

    bool scan_message(const char *begin, const char *end, int64_t now) {
        if (!scanner_.scan(begin, end, events_)) return false;
        for (const Event &event : events_) {
            const int64_t own = scanner_.event_time(event);
            Found found{event, own != 0 ? own : now};
            // A text with escapes lies with the scanner, which forgets it with the next message.
            for (Text *text : {&found.event.type, &found.event.symbol}) {
                if (!text->present() || (text->data >= begin && text->data < end)) continue;
                texts_.emplace_back(text->data, text->length);
                text->data = texts_.back().data();
            }
            if (event.kind == EventKind::kStatus) {
                ++statuses_;
            } else {
                first_ = first_ == 0 ? found.time : std::min(first_, found.time);
                last_ = std::max(last_, found.time);
            }
            found_.push_back(found);
        }
        return true;
    }
};

}  // namespace fproxy
