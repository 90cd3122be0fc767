// One upstream's messages for everybody: each as it came, framed once.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "history.hpp"
#include "last_event.hpp"
#include "message_buffer.hpp"
#include "scan.hpp"

namespace fproxy {

class Broadcast {
  public:
    explicit Broadcast(size_t max_payload) : max_payload_(max_payload) {}

    // Take one upstream message in: `statuses` gets the spans of its status events, which are kept from clients. False,
    // with no effect, when the message is not sound; failure() says what and where. What goes out is kept in `history`, if there
    // is one: each message as clients get it.
    bool feed(const char *begin, const char *end, std::vector<std::pair<const char *, const char *>> &statuses,
              History *history, int64_t now) {
        if (!scanner_.scan(begin, end, events_)) return false;
        for (const Event &event : events_)
            if (event.kind == EventKind::kStatus) statuses.emplace_back(event.begin, event.end);
        events_in_ += events_.size();
        pending_.count_events(events_.size() - statuses.size());
        data_messages_ += last_event_.keep(events_);
        if (statuses.empty() && static_cast<size_t>(end - begin) <= max_payload_) {
            if (events_.size() != 0) send(begin, end, history, now);
            return true;
        }
        piece_.clear();
        for (const Event &event : events_) {
            if (event.kind == EventKind::kStatus) continue;
            const size_t length = static_cast<size_t>(event.end - event.begin);
            if (!piece_.empty() && piece_.size() + length + 2 > max_payload_) send_piece(history, now);
            piece_.push_back(piece_.empty() ? '[' : ',');
            piece_.append(event.begin, length);
        }
        if (!piece_.empty()) send_piece(history, now);
        return true;
    }

    // Send a message that is not kept: one of our own, or one that was sent before.
    void repeat(const char *begin, const char *end) { pending_.append_message(begin, static_cast<size_t>(end - begin)); }

    const ScanFailure &failure() const { return scanner_.failure(); }
    uint64_t events_in() const { return events_in_; }
    uint64_t data_messages() const { return data_messages_; }
    // The last event that came: nothing when none has.
    const LastEvent &last_event() const { return last_event_; }
    size_t pending_bytes() const { return pending_.size(); }

    // What is to be written to every client: whole WebSocket frames, valid until the next feed.
    std::pair<const char *, size_t> finish() { return pending_.finish(); }

    // To be called when that has been written.
    void written() { pending_.written(); }

    // How many events of the upstream were in what was taken just now; those that are sent again do not count.
    size_t finished_events() { return pending_.finished_events(); }

  private:
    size_t max_payload_;
    Scanner scanner_;
    Events events_;
    MessageBuffer pending_;
    LastEvent last_event_;
    std::string piece_;  // of a message that cannot go out as it came
    uint64_t events_in_ = 0;
    uint64_t data_messages_ = 0;

    void send(const char *begin, const char *end, History *history, int64_t now) {
        pending_.append_message(begin, static_cast<size_t>(end - begin));
        if (history != nullptr) history->append(0, begin, end, now);
    }

    void send_piece(History *history, int64_t now) {
        piece_.push_back(']');
        send(piece_.data(), piece_.data() + piece_.size(), history, now);
        piece_.clear();
    }
};

}  // namespace fproxy
