// Closed bars, cut into messages.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fproxy::bars {

// Joins bars into JSON arrays, none of them longer than a limit unless one bar alone is.
class BarMessages {
  public:
    explicit BarMessages(size_t limit) : limit_(limit) {}

    void add(std::string_view bar) {
        if (open_ && messages_.back().size() + bar.size() + 2 > limit_) finish();
        if (open_) {
            messages_.back().push_back(',');
        } else {
            messages_.emplace_back(1, '[');
            open_ = true;
        }
        messages_.back().append(bar);
    }

    bool empty() const { return messages_.empty(); }

    // Hand over the messages, and begin anew.
    std::vector<std::string> collect() {
        if (open_) finish();
        return std::exchange(messages_, {});
    }

  private:
    size_t limit_;
    bool open_ = false;  // the last message still lacks its closing bracket
    std::vector<std::string> messages_;

    void finish() {
        messages_.back().push_back(']');
        open_ = false;
    }
};

}  // namespace fproxy::bars
