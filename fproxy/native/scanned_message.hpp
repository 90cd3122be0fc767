// One message with what a scan has found in it: the result of one scan for all who need it.
#pragma once

#include "event.hpp"

namespace fproxy {

struct ScannedMessage {
    const char *begin = nullptr;  // null when there is none
    const char *end = nullptr;
    const Events *events = nullptr;
    bool is_compact = false;  // whether the compact scanner has vouched for it

    bool is(const char *other_begin, const char *other_end) const {
        return begin != nullptr && begin == other_begin && end == other_end;
    }
};

}  // namespace fproxy
