// The header of a frame from a server, which is not masked: RFC 6455, section 5.2.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fproxy {

constexpr size_t kLongestFrameHeader = 10;

// How many bytes a header has, by its first two.
inline size_t frame_header_size(const char *header) {
    const unsigned length = static_cast<unsigned char>(header[1]) & 0x7F;
    return length == 127 ? 10 : length == 126 ? 4 : 2;
}

// How many bytes a frame has, its header included.
inline size_t frame_size(const char *header) {
    const unsigned char *const at = reinterpret_cast<const unsigned char *>(header);
    const size_t header_size = frame_header_size(header);
    if (header_size == 2) return header_size + (at[1] & 0x7F);
    uint64_t length = 0;
    for (size_t i = 2; i < header_size; ++i) length = length << 8 | at[i];
    return header_size + static_cast<size_t>(length);
}

}  // namespace fproxy
