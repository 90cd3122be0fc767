// Scanning one upstream message: the compact scanner first, the exact one for what it does not vouch for.
#pragma once

#include "compact_scan.hpp"
#include "exact_scan.hpp"

namespace fproxy {

// Why a message is refused: what is wrong, and at which byte.
struct ScanFailure {
    const char *what = "";
    size_t at = 0;
};

class Scanner {
  public:
    Scanner() : compact_(scan_paths().empty() ? nullptr : scan_paths().front().scan) {}

    // A null `compact` leaves everything to the exact scanner.
    explicit Scanner(CompactScan compact) : compact_(compact) {}

    // Replace `events` by the events of a message. False, with no events, when it is not sound JSON, no object and no array,
    // or has more events than any vendor sends: then failure() says what and where. The texts of the events are valid until the next call.
    bool scan(const char *begin, const char *end, Events &events) {
        events.clear();
        if (compact_ != nullptr && compact_(begin, end, events)) return are_few_enough(begin, events);
        events.clear();
        ++exact_messages_;
        if (exact_.scan(begin, end, events)) return are_few_enough(begin, events);
        failure_ = {"not sound JSON", static_cast<size_t>(exact_.position() - begin)};
        events.clear();
        return false;
    }

    // The interval in milliseconds of a bar of kind kBarSomehow; see ExactScanner::bar_interval.
    int64_t bar_interval(const Event &event) { return intervals_.bar_interval(event.begin, event.end); }

    // An event's own time in Unix milliseconds, or zero; see ExactScanner::event_time.
    int64_t event_time(const Event &event) { return intervals_.event_time(event.begin, event.end, is_bar_event(event)); }

    const ScanFailure &failure() const { return failure_; }
    uint64_t exact_messages() const { return exact_messages_; }

  private:
    CompactScan compact_;
    ExactScanner exact_;
    ExactScanner intervals_;  // for values inside an event; apart, because the texts of the events live in exact_
    ScanFailure failure_;
    uint64_t exact_messages_ = 0;

    bool are_few_enough(const char *begin, Events &events) {
        if (__builtin_expect(!events.are_too_many(), 1)) return true;
        failure_ = {"more events than a message may have", static_cast<size_t>(events.end()[-1].begin - begin)};
        events.clear();
        return false;
    }
};

}  // namespace fproxy
