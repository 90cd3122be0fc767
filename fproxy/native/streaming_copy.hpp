// Copying to memory that is not read again soon: past the cache, which keeps what is in use.
//
// An ordinary copy to memory that no cache holds first reads the lines that it is about to overwrite, and pushes as much out
// of the cache as it writes. Streaming stores do neither.
#pragma once

#include <cstddef>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace fproxy {

constexpr size_t kCacheLine = 64;

constexpr size_t whole_lines(size_t size) { return (size + kCacheLine - 1) / kCacheLine * kCacheLine; }

// Copy `size` bytes from `from` to `to`, which begins at a cache line and has room for whole ones: what is behind the copy in
// the last line is undefined. For the thread that copies it is as any copy.
inline void streaming_copy(char *to, const char *from, size_t size) {
#if defined(__SSE2__)
    const auto copy_line = [](char *line, const char *bytes) {
        __m128i parts[4];
        for (size_t i = 0; i < 4; ++i) parts[i] = _mm_loadu_si128(reinterpret_cast<const __m128i *>(bytes) + i);
        for (size_t i = 0; i < 4; ++i) _mm_stream_si128(reinterpret_cast<__m128i *>(line) + i, parts[i]);
    };
    size_t at = 0;
    for (; at + kCacheLine <= size; at += kCacheLine) copy_line(to + at, from + at);
    if (at == size) return;
    char last[kCacheLine] = {};
    std::memcpy(last, from + at, size - at);
    copy_line(to + at, last);
#else
    std::memcpy(to, from, size);
#endif
}

}  // namespace fproxy
