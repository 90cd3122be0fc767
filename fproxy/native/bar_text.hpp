// A bar as it is sent.
#pragma once

#include <cstdint>
#include <string>

#include "bar_symbols.hpp"
#include "bar_window.hpp"

namespace fproxy::bars {

// What the bars of an interval's windows end with that end at this time.
inline std::string bar_ending(const Interval &interval, int64_t end) {
    return ",\"s\":" + std::to_string(end - interval.length_ms) + ",\"e\":" + std::to_string(end) + "}";
}

// Write the bar of a window that has a price.
inline void write_bar(std::string &text, const Interval &interval, const Symbol &symbol, const Window &window,
                      bool has_volume, const std::string &ending) {
    text.clear();
    text += interval.opening;
    text += symbol.json;
    text += "\",\"T\":\"b\",\"S\":\"";
    text += symbol.json;
    text += "\",";
    window.write(text, has_volume);
    text += ending;
}

}  // namespace fproxy::bars
