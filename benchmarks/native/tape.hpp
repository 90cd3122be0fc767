// A tape in memory: one frame a line, each a JSON array of flat objects without braces in their strings.
#pragma once

#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

struct Tape {
  std::string text;
  std::vector<std::string_view> frames;
  std::vector<uint32_t> first_event;        // of each frame; one more at the end: the number of events
  std::vector<std::string_view> events;     // each event's bytes
  std::vector<uint32_t> frame_first_event;  // of each event: the first event of its frame

  explicit Tape(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream content;
    content << file.rdbuf();
    text = std::move(content).str();
    size_t start = 0;
    while (start < text.size()) {
      size_t end = text.find('\n', start);
      if (end == std::string::npos) end = text.size();
      std::string_view frame(text.data() + start, end - start);
      first_event.push_back(uint32_t(events.size()));
      frames.push_back(frame);
      for (size_t open = frame.find('{'); open != std::string_view::npos;) {
        size_t close = frame.find('}', open);
        frame_first_event.push_back(first_event.back());
        events.push_back(frame.substr(open, close + 1 - open));
        open = frame.find('{', close);
      }
      start = end + 1;
    }
    first_event.push_back(uint32_t(events.size()));
  }
};
