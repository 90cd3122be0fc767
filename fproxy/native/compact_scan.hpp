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

namespace portable {

// 64 characters as eight integers.
class Block {
  public:
    explicit Block(const char *at) {
        for (int i = 0; i < 8; ++i) words_[i] = load8(at + 8 * i);
    }

    FPROXY_INLINE uint64_t equal(char wanted) const {
        return gather([pattern = spread(wanted)](uint64_t word) { return zero_bytes(word ^ pattern); });
    }

    FPROXY_INLINE uint64_t digits() const {
        return gather([](uint64_t word) {
            return ((word | kHigh) - spread('0')) & ((spread('9') | kHigh) - (word & ~kHigh)) & ~word & kHigh;
        });
    }

    // Whether any block had a backslash, a control character or anything outside ASCII.
    class Unusual {
      public:
        void add(const Block &block) {
            for (uint64_t word : block.words_)
                seen_ |= word | ~((word | kHigh) - spread(' ')) | zero_bytes(word ^ spread('\\'));
        }
        bool any() const { return (seen_ & kHigh) != 0; }

      private:
        uint64_t seen_ = 0;
    };

    // Bit i of the result is the exclusive or of bits 0 to i.
    FPROXY_INLINE static uint64_t parity(uint64_t mask) {
        for (int shift = 1; shift < 64; shift *= 2) mask ^= mask << shift;
        return mask;
    }

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
#pragma clang attribute push(__attribute__((target("avx2,bmi,bmi2,lzcnt,pclmul,popcnt"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,bmi,bmi2,lzcnt,pclmul,popcnt")
#endif

namespace avx2 {

// 64 characters as two vectors.
class Block {
  public:
    explicit Block(const char *at)
        : low_(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(at))),
          high_(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(at + 32))) {}

    FPROXY_INLINE uint64_t equal(char wanted) const {
        const __m256i pattern = _mm256_set1_epi8(wanted);
        return gather(_mm256_cmpeq_epi8(low_, pattern), _mm256_cmpeq_epi8(high_, pattern));
    }

    FPROXY_INLINE uint64_t digits() const { return gather(digits_of(low_), digits_of(high_)); }

    // Whether any block had a backslash, a control character or anything outside ASCII.
    class Unusual {
      public:
        FPROXY_INLINE Unusual() : seen_(_mm256_setzero_si256()) {}
        FPROXY_INLINE void add(const Block &block) {
            seen_ = _mm256_or_si256(seen_, _mm256_or_si256(unusual(block.low_), unusual(block.high_)));
        }
        bool any() const { return _mm256_movemask_epi8(seen_) != 0; }

      private:
        __m256i seen_;

        // As signed bytes, control characters and all outside ASCII are less than a space.
        FPROXY_INLINE static __m256i unusual(__m256i text) {
            return _mm256_or_si256(_mm256_cmpgt_epi8(_mm256_set1_epi8(' '), text),
                                   _mm256_cmpeq_epi8(text, _mm256_set1_epi8('\\')));
        }
    };

    FPROXY_INLINE static uint64_t parity(uint64_t mask) {
        const __m128i sum = _mm_clmulepi64_si128(_mm_cvtsi64_si128(static_cast<long long>(mask)), _mm_set1_epi8(-1), 0);
        return static_cast<uint64_t>(_mm_cvtsi128_si64(sum));
    }

  private:
    __m256i low_, high_;

    FPROXY_INLINE static uint64_t gather(__m256i low, __m256i high) {
        return static_cast<uint32_t>(_mm256_movemask_epi8(low)) |
               static_cast<uint64_t>(static_cast<uint32_t>(_mm256_movemask_epi8(high))) << 32;
    }

    FPROXY_INLINE static __m256i digits_of(__m256i text) {
        const __m256i value = _mm256_sub_epi8(text, _mm256_set1_epi8('0'));
        return _mm256_cmpeq_epi8(_mm256_min_epu8(value, _mm256_set1_epi8(9)), value);
    }
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

// 64 characters as four vectors.
class Block {
  public:
    explicit Block(const char *at) {
        for (int i = 0; i < 4; ++i) parts_[i] = vld1q_u8(reinterpret_cast<const uint8_t *>(at) + 16 * i);
    }

    FPROXY_INLINE uint64_t equal(char wanted) const {
        return gather([pattern = vdupq_n_u8(static_cast<uint8_t>(wanted))](uint8x16_t text) {
            return vceqq_u8(text, pattern);
        });
    }

    FPROXY_INLINE uint64_t digits() const {
        return gather([](uint8x16_t text) { return vcltq_u8(vsubq_u8(text, vdupq_n_u8('0')), vdupq_n_u8(10)); });
    }

    // Whether any block had a backslash, a control character or anything outside ASCII.
    class Unusual {
      public:
        // As signed bytes, control characters and all outside ASCII are less than a space.
        FPROXY_INLINE void add(const Block &block) {
            for (const uint8x16_t text : block.parts_)
                seen_ = vorrq_u8(seen_, vorrq_u8(vcltq_s8(vreinterpretq_s8_u8(text), vdupq_n_s8(' ')),
                                                 vceqq_u8(text, vdupq_n_u8('\\'))));
        }
        bool any() const { return vmaxvq_u8(seen_) != 0; }

      private:
        uint8x16_t seen_ = vdupq_n_u8(0);
    };

    FPROXY_INLINE static uint64_t parity(uint64_t mask) {
        for (int shift = 1; shift < 64; shift *= 2) mask ^= mask << shift;
        return mask;
    }

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
        if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("pclmul"))
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
