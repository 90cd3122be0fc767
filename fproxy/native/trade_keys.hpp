// Where the keys of a compact event end: at a quote with a colon behind it, 64 characters at a time.
//
// Only for what the compact scanner has vouched for: no white space and no escapes, so that a quote never stands inside a
// string. A quote with a colon behind it then ends a key, or begins a string that starts with a colon, which no key that
// anybody looks for ends like.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace fproxy::bars {

// How many characters key_ends() reads.
constexpr ptrdiff_t kKeyEndsReads = 65;

// Bit i of the result: character i is a quote, and i + 1 a colon.
inline uint64_t key_ends(const char *at) {
#if defined(__SSE2__)
    const __m128i quote = _mm_set1_epi8('"'), colon = _mm_set1_epi8(':');
    uint64_t ends = 0;
    for (int i = 0; i < 4; ++i) {
        const __m128i here = _mm_loadu_si128(reinterpret_cast<const __m128i *>(at + 16 * i));
        const __m128i next = _mm_loadu_si128(reinterpret_cast<const __m128i *>(at + 16 * i + 1));
        const __m128i found = _mm_and_si128(_mm_cmpeq_epi8(here, quote), _mm_cmpeq_epi8(next, colon));
        ends |= static_cast<uint64_t>(static_cast<uint32_t>(_mm_movemask_epi8(found))) << (16 * i);
    }
    return ends;
#elif defined(__aarch64__)
    const uint8x16_t bits = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    uint8x16_t parts[4];
    for (int i = 0; i < 4; ++i) {
        const uint8x16_t here = vld1q_u8(reinterpret_cast<const uint8_t *>(at) + 16 * i);
        const uint8x16_t next = vld1q_u8(reinterpret_cast<const uint8_t *>(at) + 16 * i + 1);
        parts[i] = vandq_u8(vandq_u8(vceqq_u8(here, vdupq_n_u8('"')), vceqq_u8(next, vdupq_n_u8(':'))), bits);
    }
    const uint8x16_t quarters = vpaddq_u8(vpaddq_u8(parts[0], parts[1]), vpaddq_u8(parts[2], parts[3]));
    return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(quarters, quarters)), 0);
#else
    uint64_t ends = 0;
    for (int i = 0; i < 64; ++i) ends |= static_cast<uint64_t>(at[i] == '"' && at[i + 1] == ':') << i;
    return ends;
#endif
}

// Calls `take` with the colon behind each key of the event, in order. What is read ends before `readable_end`, which is not
// before the event's.
template <class Take>
inline void for_each_key(const char *begin, const char *end, const char *readable_end, Take take) {
    for (const char *block = begin; block < end; block += 64) {
        uint64_t marks = 0;
        if (__builtin_expect(readable_end - block >= kKeyEndsReads, 1)) {
            marks = key_ends(block);
        } else {
            char copy[kKeyEndsReads] = {};
            std::memcpy(copy, block, static_cast<size_t>(readable_end - block));
            marks = key_ends(copy);
        }
        if (end - block < 64) marks &= (uint64_t{1} << (end - block)) - 1;
        for (; marks != 0; marks &= marks - 1) take(block + __builtin_ctzll(marks) + 1);
    }
}

}  // namespace fproxy::bars
