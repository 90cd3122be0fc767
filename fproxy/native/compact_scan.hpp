// The compact scanner for every instruction set that this build knows, and the choice among them at run time.
#pragma once

#include <cstdint>
#include <cstring>
#include <initializer_list>

#include "event.hpp"

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define FPROXY_HAS_AVX2 1
#include <immintrin.h>
#endif
#if defined(__aarch64__)
#define FPROXY_HAS_NEON 1
#include <arm_neon.h>
#endif

#define FPROXY_INLINE inline __attribute__((always_inline))

namespace fproxy {

// How many characters a lane has that the lane before has not.
constexpr int kLaneAdvance = 63;

// The characters that the rules are about; those in kCharacters, and any digit.
enum Character : int {
    kQuote, kColon, kComma, kOpenBrace, kCloseBrace, kOpenBracket, kCloseBracket, kZero, kPoint, kSingles, kDigit = kSingles
};
constexpr char kCharacters[kSingles] = {'"', ':', ',', '{', '}', '[', ']', '0', '.'};

namespace portable {

// 64 characters as eight integers; a mask of one lane.
class Block {
  public:
    using Mask = uint64_t;
    static constexpr int kLanes = 1;
    static constexpr int kAdvance = kLaneAdvance;
    static constexpr int kReads = 64;

    // Whether any character was a backslash, a control character or outside ASCII.
    class Unusual {
      public:
        void add(uint64_t word) {
            seen_ |= word | ~((word | kHigh) - spread(' ')) | zero_bytes(word ^ spread('\\'));
        }
        bool any() const { return (seen_ & kHigh) != 0; }

      private:
        uint64_t seen_ = 0;
    };

    // Takes the characters at `at`.
    FPROXY_INLINE void take(const char *at, Unusual &unusual) {
        for (int i = 0; i < 8; ++i) {
            words_[i] = load8(at + 8 * i);
            unusual.add(words_[i]);
        }
    }

    FPROXY_INLINE Mask get(Character character) const {
        if (character == kDigit)
            return gather([](uint64_t word) {
                return ((word | kHigh) - spread('0')) & ((spread('9') | kHigh) - (word & ~kHigh)) & ~word & kHigh;
            });
        const uint64_t pattern = spread(kCharacters[character]);
        return gather([pattern](uint64_t word) { return zero_bytes(word ^ pattern); });
    }

#include "one_lane.inl.hpp"

  private:
    static constexpr uint64_t kHigh = 0x8080808080808080u;
    uint64_t words_[8];

    static constexpr uint64_t spread(char character) {
        return 0x0101010101010101u * static_cast<unsigned char>(character);
    }

    // The high bit of each byte that is zero.
    static constexpr uint64_t zero_bytes(uint64_t word) { return ~(((word & ~kHigh) + ~kHigh) | word | ~kHigh); }

    template <class HighBits>
    FPROXY_INLINE uint64_t gather(HighBits high_bits) const {
        uint64_t mask = 0;
        for (int i = 0; i < 8; ++i) mask |= ((high_bits(words_[i]) >> 7) * 0x0102040810204080u >> 56) << (8 * i);
        return mask;
    }
};

#include "compact_scan.inl.hpp"

}  // namespace portable

#if FPROXY_HAS_AVX2

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,bmi,bmi2,lzcnt,popcnt"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,bmi,bmi2,lzcnt,popcnt")
#endif

namespace avx2 {

// 253 characters; a mask of four lanes.
class Block {
  public:
    typedef uint64_t Mask __attribute__((vector_size(32)));
    static constexpr int kLanes = 4;
    static constexpr int kAdvance = kLanes * kLaneAdvance;
    static constexpr int kReads = kAdvance + 1;

    // Whether any character was a backslash, a control character or outside ASCII.
    class Unusual {
      public:
        FPROXY_INLINE Unusual() : seen_(_mm256_setzero_si256()) {}

        // As signed bytes, control characters and all outside ASCII are less than a space.
        FPROXY_INLINE void add(__m256i text) {
            seen_ = _mm256_or_si256(seen_, _mm256_or_si256(_mm256_cmpgt_epi8(_mm256_set1_epi8(' '), text),
                                                           _mm256_cmpeq_epi8(text, _mm256_set1_epi8('\\'))));
        }

        FPROXY_INLINE bool any() const { return _mm256_movemask_epi8(seen_) != 0; }

      private:
        __m256i seen_;
    };

    // Takes the characters at `at`. What is found is stored in halves of lanes and loaded in whole masks, which is slow
    // when the loads come at once: the caller does something else in between.
    FPROXY_INLINE void take(const char *at, Unusual &unusual) {
        for (int lane = 0; lane < kLanes; ++lane, at += kLaneAdvance) {
            take_half(at, 2 * lane, unusual);
            take_half(at + 32, 2 * lane + 1, unusual);
        }
    }

    FPROXY_INLINE Mask get(Character character) const {
        return (Mask)_mm256_load_si256(reinterpret_cast<const __m256i *>(halves_[character]));
    }

    FPROXY_INLINE static Mask all() { return each(~uint64_t{0}); }
    FPROXY_INLINE static Mask each(uint64_t lane) { return Mask{lane, lane, lane, lane}; }
    FPROXY_INLINE static Mask lane_0(uint64_t lane) { return Mask{lane, 0, 0, 0}; }

    // The first `count` characters of the block, in every lane that has them.
    FPROXY_INLINE static Mask first(size_t count) {
        uint64_t lanes[kLanes];
        for (size_t lane = 0; lane < kLanes; ++lane) {
            const size_t before = lane * kLaneAdvance;
            const size_t here = count > before ? count - before : 0;
            lanes[lane] = here >= 64 ? ~uint64_t{0} : (uint64_t{1} << here) - 1;
        }
        return Mask{lanes[0], lanes[1], lanes[2], lanes[3]};
    }

    FPROXY_INLINE static bool any(Mask mask) { return !_mm256_testz_si256((__m256i)mask, (__m256i)mask); }

    FPROXY_INLINE static bool any_full(Mask mask) {
        return _mm256_movemask_epi8(_mm256_cmpeq_epi64((__m256i)mask, _mm256_set1_epi8(-1))) != 0;
    }

    FPROXY_INLINE static void store(Mask mask, uint64_t *lanes) {
        _mm256_storeu_si256(reinterpret_cast<__m256i *>(lanes), (__m256i)mask);
    }

    // Bit i of the result is the exclusive or of bits 0 to i of all lanes and of `before`, which is then what holds
    // before the next block's bit 0.
    FPROXY_INLINE static Mask parity(Mask mask, uint64_t &before) {
        mask ^= mask << 1;
        mask ^= mask << 2;
        mask ^= mask << 4;
        mask ^= mask << 8;
        mask ^= mask << 16;
        mask ^= mask << 32;
        // Bit 63 is the next lane's bit 0, so it is bit 62 that holds before it.
        unsigned odd = static_cast<unsigned>(_mm256_movemask_pd((__m256d)(mask << 1)));
        odd ^= odd << 1;
        odd ^= odd << 2;
        const unsigned lanes_before = (odd << 1 ^ static_cast<unsigned>(before)) & 15;
        before = uint64_t{0} - ((odd >> 3 & 1) ^ (before & 1));
        const __m256i bit = _mm256_setr_epi64x(1, 2, 4, 8);
        const __m256i set = _mm256_and_si256(_mm256_set1_epi64x(lanes_before), bit);
        return mask ^ (Mask)_mm256_cmpeq_epi64(set, bit);
    }

    // Each lane gets the lane before it; the first gets `carried`, which is then the last.
    FPROXY_INLINE static Mask from_lane_before(Mask mask, uint64_t &carried) {
        const uint64_t last = mask[kLanes - 1];
        const __m256i moved = _mm256_permute4x64_epi64((__m256i)mask, 0x90);
        const __m256i first = _mm256_zextsi128_si256(_mm_cvtsi64_si128(static_cast<long long>(carried)));
        carried = last;
        return (Mask)_mm256_blend_epi32(moved, first, 3);
    }

  private:
    alignas(32) uint32_t halves_[kDigit + 1][2 * kLanes];

    FPROXY_INLINE void take_half(const char *at, int half, Unusual &unusual) {
        const __m256i text = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(at));
        unusual.add(text);
#if defined(__clang__)
#pragma clang loop unroll(full)
#else
#pragma GCC unroll 16
#endif
        for (int character = 0; character < kSingles; ++character)
            halves_[character][half] = bits(_mm256_cmpeq_epi8(text, _mm256_set1_epi8(kCharacters[character])));
        const __m256i value = _mm256_sub_epi8(text, _mm256_set1_epi8('0'));
        halves_[kDigit][half] = bits(_mm256_cmpeq_epi8(_mm256_min_epu8(value, _mm256_set1_epi8(9)), value));
    }

    FPROXY_INLINE static uint32_t bits(__m256i found) { return static_cast<uint32_t>(_mm256_movemask_epi8(found)); }
};

#include "compact_scan.inl.hpp"

}  // namespace avx2

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif  // FPROXY_HAS_AVX2

#if FPROXY_HAS_NEON

namespace neon {

// 64 characters as four vectors; a mask of one lane.
class Block {
  public:
    using Mask = uint64_t;
    static constexpr int kLanes = 1;
    static constexpr int kAdvance = kLaneAdvance;
    static constexpr int kReads = 64;

    // Whether any character was a backslash, a control character or outside ASCII.
    class Unusual {
      public:
        // As signed bytes, control characters and all outside ASCII are less than a space.
        FPROXY_INLINE void add(uint8x16_t text) {
            seen_ = vorrq_u8(seen_, vorrq_u8(vcltq_s8(vreinterpretq_s8_u8(text), vdupq_n_s8(' ')),
                                             vceqq_u8(text, vdupq_n_u8('\\'))));
        }
        bool any() const { return vmaxvq_u8(seen_) != 0; }

      private:
        uint8x16_t seen_ = vdupq_n_u8(0);
    };

    // Takes the characters at `at`.
    FPROXY_INLINE void take(const char *at, Unusual &unusual) {
        for (int i = 0; i < 4; ++i) {
            parts_[i] = vld1q_u8(reinterpret_cast<const uint8_t *>(at) + 16 * i);
            unusual.add(parts_[i]);
        }
    }

    FPROXY_INLINE Mask get(Character character) const {
        if (character == kDigit)
            return gather([](uint8x16_t text) { return vcltq_u8(vsubq_u8(text, vdupq_n_u8('0')), vdupq_n_u8(10)); });
        const uint8x16_t pattern = vdupq_n_u8(static_cast<uint8_t>(kCharacters[character]));
        return gather([pattern](uint8x16_t text) { return vceqq_u8(text, pattern); });
    }

#include "one_lane.inl.hpp"

  private:
    uint8x16_t parts_[4];

    // One bit of each byte of four vectors: keep bit i mod 8 of byte i, then add neighbours three times.
    template <class Match>
    FPROXY_INLINE uint64_t gather(Match match) const {
        const uint8x16_t bits = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
        const uint8x16_t low = vpaddq_u8(vandq_u8(match(parts_[0]), bits), vandq_u8(match(parts_[1]), bits));
        const uint8x16_t high = vpaddq_u8(vandq_u8(match(parts_[2]), bits), vandq_u8(match(parts_[3]), bits));
        const uint8x16_t quarters = vpaddq_u8(low, high);
        return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(quarters, quarters)), 0);
    }
};

#include "compact_scan.inl.hpp"

}  // namespace neon

#endif  // FPROXY_HAS_NEON

using CompactScan = bool (*)(const char *begin, const char *end, Events &events);

struct ScanPath {
    const char *name;
    CompactScan scan;
};

// The compact scanners that this machine can run, the best first.
inline const std::vector<ScanPath> &scan_paths() {
    static const std::vector<ScanPath> paths = [] {
        std::vector<ScanPath> found;
#if FPROXY_HAS_AVX2
        if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2"))
            found.push_back({"avx2", [](const char *begin, const char *end, Events &events) {
                                 return avx2::CompactScanner(events).scan(begin, end);
                             }});
#endif
#if FPROXY_HAS_NEON
        found.push_back({"neon", [](const char *begin, const char *end, Events &events) {
                             return neon::CompactScanner(events).scan(begin, end);
                         }});
#endif
        found.push_back({"portable", [](const char *begin, const char *end, Events &events) {
                             return portable::CompactScanner(events).scan(begin, end);
                         }});
        return found;
    }();
    return paths;
}

}  // namespace fproxy
