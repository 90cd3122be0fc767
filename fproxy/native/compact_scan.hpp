// The compact scanner for every instruction set that this build knows, and the choice among them at run time.
#pragma once

#include <cstdint>
#include <cstring>
#include <initializer_list>

#include "event.hpp"

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define FPROXY_HAS_AVX2 1
#include <cpuid.h>
#include <immintrin.h>
#endif
#if defined(__aarch64__)
#define FPROXY_HAS_NEON 1
#include <arm_neon.h>
#endif

namespace fproxy {

// How many characters a lane has that the lane before has not.
constexpr int kLaneAdvance = 63;
constexpr uint64_t kLastBit = uint64_t{1} << 63;

// The letters that routing keys end with, by their low six bits.
constexpr uint64_t kLastLetters = [] {
    uint64_t letters = 0;
    for (const char letter : {'v', 'm', 'T', 'S', 'r', 'p'}) letters |= uint64_t{1} << (letter & 63);
    return letters;
}();

// What the rules are about, by the bit that says so in a character's class. A class is looked up by the character's two
// halves, as the conjunction of what is known of either: so a bit can stand for any set of low halves with any set of
// high halves, and the pairs of characters that one bit leaves together are told apart by another.
enum Class : unsigned {
    kCommaOrPoint,
    kDigitOrColon,
    kBracket,
    kBrace,
    kSecondOfPair,  // the point, the colon, the opening one; of other characters it says nothing
    kZero,
    kQuotes,
    kClasses,
    kBackslash = kClasses,
};

constexpr uint8_t bits_of(std::initializer_list<Class> classes) {
    uint8_t bits = 0;
    for (const Class one : classes) bits = static_cast<uint8_t>(bits | 1u << one);
    return bits;
}

constexpr uint8_t kDigits = bits_of({kDigitOrColon});
alignas(16) constexpr uint8_t kClassesOfLow[16] = {
    bits_of({kDigitOrColon, kZero}),    // 0
    kDigits,                            // 1
    bits_of({kDigitOrColon, kQuotes}),  // 2 "
    kDigits, kDigits, kDigits, kDigits, kDigits, kDigits, kDigits,
    bits_of({kDigitOrColon, kSecondOfPair}),      // :
    bits_of({kBracket, kBrace, kSecondOfPair}),   // [ {
    bits_of({kCommaOrPoint, kBackslash}),         // , backslash
    bits_of({kBracket, kBrace}),                  // ] }
    bits_of({kCommaOrPoint, kSecondOfPair}),      // .
    0,
};
alignas(16) constexpr uint8_t kClassesOfHigh[16] = {
    0, 0,
    bits_of({kCommaOrPoint, kQuotes, kSecondOfPair}),  // , . "
    bits_of({kDigitOrColon, kZero, kSecondOfPair}),    // digits :
    0,
    bits_of({kBracket, kBackslash, kSecondOfPair}),    // [ ] backslash
    0,
    bits_of({kBrace, kSecondOfPair}),                  // { }
    0, 0, 0, 0, 0, 0, 0, 0,
};

#if FPROXY_HAS_AVX2

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,bmi,bmi2,lzcnt,popcnt"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,bmi,bmi2,lzcnt,popcnt")
#endif

namespace avx2 {

// For each set of odd ones among five (what is before the first lane, and the first four lanes): all ones in the lanes
// before which an odd number of them stands. The last one stands before no lane.
struct OddBefore {
    alignas(32) uint64_t lanes[32][4] = {};

    constexpr OddBefore() {
        for (unsigned odd = 0; odd < 32; ++odd) {
            unsigned before = 0;
            for (unsigned lane = 0; lane < 4; ++lane) {
                before ^= odd >> lane & 1;
                lanes[odd][lane] = uint64_t{0} - before;
            }
        }
    }
};
constexpr OddBefore kOddBefore;

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
        FPROXY_INLINE Unusual() : lowest_(_mm256_set1_epi8(127)), classes_(_mm256_setzero_si256()) {}

        FPROXY_INLINE void add(__m256i text, __m256i classes) {
            lowest_ = _mm256_min_epi8(lowest_, text);
            classes_ = _mm256_or_si256(classes_, classes);
        }

        // As signed bytes, control characters and all outside ASCII are less than a space.
        FPROXY_INLINE bool any() const {
            const __m256i backslash = _mm256_slli_epi16(classes_, 7 - kBackslash);
            return _mm256_movemask_epi8(_mm256_or_si256(_mm256_cmpgt_epi8(_mm256_set1_epi8(' '), lowest_), backslash)) != 0;
        }

      private:
        __m256i lowest_;
        __m256i classes_;
    };

    // Takes the characters at `at`. What is found is stored in halves of lanes and loaded in whole masks, which is slow
    // when the loads come at once: the caller does something else in between.
    FPROXY_INLINE void take(const char *at, Unusual &unusual) {
        for (int lane = 0; lane < kLanes; ++lane, at += kLaneAdvance) {
            take_half(at, 2 * lane, unusual);
            take_half(at + 32, 2 * lane + 1, unusual);
        }
    }

    // Where the characters of a class are.
    FPROXY_INLINE Mask get(Class one) const {
        return (Mask)_mm256_load_si256(reinterpret_cast<const __m256i *>(halves_[one]));
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

    // All ones in each lane that is all ones, zero in the others.
    FPROXY_INLINE static Mask full(Mask mask) {
        return (Mask)_mm256_cmpeq_epi64((__m256i)mask, _mm256_set1_epi8(-1));
    }

    FPROXY_INLINE static void store(Mask mask, uint64_t *lanes) {
        _mm256_storeu_si256(reinterpret_cast<__m256i *>(lanes), (__m256i)mask);
    }

    // Whether a parity is odd just before the next block's bit 0.
    class Parity {
      public:
        FPROXY_INLINE Mask add(Mask mask) {
            // Bit 63 is the next lane's bit 0, so it is bit 62 that holds before it.
            odd_ |= static_cast<unsigned>(_mm256_movemask_pd((__m256d)(mask << 1))) << 1;
            const Mask lanes_before = (Mask)_mm256_load_si256(reinterpret_cast<const __m256i *>(kOddBefore.lanes[odd_]));
            odd_ = static_cast<unsigned>(__builtin_popcount(odd_)) & 1;
            return mask ^ lanes_before;
        }

        FPROXY_INLINE bool is_odd() const { return odd_ != 0; }

      private:
        unsigned odd_ = 0;
    };

    FPROXY_INLINE static bool is_odd(const Parity &parity) { return parity.is_odd(); }

    // Bit i of the result is the exclusive or of bits 0 to i of all lanes and of `before`.
    FPROXY_INLINE static Mask parity(Mask mask, Parity &before) {
        mask ^= mask << 1;
        mask ^= mask << 2;
        mask ^= mask << 4;
        mask ^= mask << 8;
        mask ^= mask << 16;
        mask ^= mask << 32;
        return before.add(mask);
    }

    // What a block's last lane passes on: it stands in the first lane.
    using Carry = Mask;
    FPROXY_INLINE static Carry carry(uint64_t lane) { return lane_0(lane); }

    // Each lane gets the lane before it; the first gets `carried`, which is then the last.
    FPROXY_INLINE static Mask from_lane_before(Mask mask, Carry &carried) {
        const __m256i turned = _mm256_permute4x64_epi64((__m256i)mask, 0x93);
        const __m256i moved = _mm256_blend_epi32(turned, (__m256i)carried, 3);
        carried = (Carry)turned;
        return (Mask)moved;
    }

  private:
    alignas(32) uint32_t halves_[kClasses][2 * kLanes];

    FPROXY_INLINE void take_half(const char *at, int half, Unusual &unusual) {
        const __m256i text = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(at));
        const __m256i high = _mm256_and_si256(_mm256_srli_epi16(text, 4), _mm256_set1_epi8(15));
        __m256i classes = _mm256_and_si256(_mm256_shuffle_epi8(table(kClassesOfLow), text),
                                           _mm256_shuffle_epi8(table(kClassesOfHigh), high));
        unusual.add(text, classes);
#if defined(__clang__)
#pragma clang loop unroll(full)
#else
#pragma GCC unroll 16
#endif
        for (int one = kClasses - 1; one >= 0; --one) {
            classes = _mm256_add_epi8(classes, classes);  // its bit becomes the uppermost one
            halves_[one][half] = static_cast<uint32_t>(_mm256_movemask_epi8(classes));
        }
    }

    FPROXY_INLINE static __m256i table(const uint8_t (&entries)[16]) {
        return _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i *>(entries)));
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

// 64 characters; a mask of one lane.
class Block {
  public:
    using Mask = uint64_t;
    static constexpr int kLanes = 1;
    static constexpr int kAdvance = kLaneAdvance;
    static constexpr int kReads = 64;

    // Whether any character was a backslash, a control character or outside ASCII.
    class Unusual {
      public:
        FPROXY_INLINE void add(uint8x16_t text, uint8x16_t classes) {
            lowest_ = vminq_s8(lowest_, vreinterpretq_s8_u8(text));
            classes_ = vorrq_u8(classes_, classes);
        }

        // As signed bytes, control characters and all outside ASCII are less than a space.
        FPROXY_INLINE bool any() const {
            return vminvq_s8(lowest_) < ' ' || vmaxvq_u8(vandq_u8(classes_, vdupq_n_u8(1u << kBackslash))) != 0;
        }

      private:
        int8x16_t lowest_ = vdupq_n_s8(127);
        uint8x16_t classes_ = vdupq_n_u8(0);
    };

    // Takes the characters at `at`.
    FPROXY_INLINE void take(const char *at, Unusual &unusual) {
        const uint8x16_t of_low = vld1q_u8(kClassesOfLow);
        const uint8x16_t of_high = vld1q_u8(kClassesOfHigh);
        for (int i = 0; i < 4; ++i) {
            const uint8x16_t text = vld1q_u8(reinterpret_cast<const uint8_t *>(at) + 16 * i);
            classes_[i] = vandq_u8(vqtbl1q_u8(of_low, vandq_u8(text, vdupq_n_u8(15))), vqtbl1q_u8(of_high, vshrq_n_u8(text, 4)));
            unusual.add(text, classes_[i]);
        }
    }

    // Where the characters of a class are: one bit of each byte of four vectors. Bit i mod 8 of byte i is kept, and
    // neighbours are added three times.
    FPROXY_INLINE Mask get(Class one) const {
        const uint8x16_t bits = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
        const uint8x16_t bit = vdupq_n_u8(static_cast<uint8_t>(1u << one));
        const auto part = [&](int i) { return vandq_u8(vtstq_u8(classes_[i], bit), bits); };
        const uint8x16_t quarters = vpaddq_u8(vpaddq_u8(part(0), part(1)), vpaddq_u8(part(2), part(3)));
        return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(quarters, quarters)), 0);
    }

    FPROXY_INLINE static Mask all() { return ~Mask{0}; }
    FPROXY_INLINE static Mask each(uint64_t lane) { return lane; }
    FPROXY_INLINE static Mask lane_0(uint64_t lane) { return lane; }
    FPROXY_INLINE static Mask first(size_t count) { return count >= 64 ? all() : (Mask{1} << count) - 1; }
    FPROXY_INLINE static bool any(Mask mask) { return mask != 0; }
    FPROXY_INLINE static Mask full(Mask mask) { return mask == all() ? mask : 0; }
    FPROXY_INLINE static void store(Mask mask, uint64_t *lanes) { *lanes = mask; }

    using Parity = Mask;
    FPROXY_INLINE static bool is_odd(Parity parity) { return parity != 0; }
    FPROXY_INLINE static Mask parity(Mask mask, Parity &before) {
        for (int shift = 1; shift < 64; shift *= 2) mask ^= mask << shift;
        mask ^= before;
        before = Mask{0} - (mask >> 62 & 1);
        return mask;
    }

    using Carry = Mask;
    FPROXY_INLINE static Carry carry(uint64_t lane) { return lane; }
    FPROXY_INLINE static Mask from_lane_before(Mask mask, Carry &carried) {
        const Mask moved = carried;
        carried = mask;
        return moved;
    }

  private:
    uint8x16_t classes_[4];
};

#include "compact_scan.inl.hpp"

}  // namespace neon

#endif  // FPROXY_HAS_NEON

#if FPROXY_HAS_AVX2

// Whether this machine has every instruction set that the AVX2 scanner is compiled for: virtual machines may lack any.
inline bool has_all_of_avx2() {
    // Not every compiler knows LZCNT by name.
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    const bool has_lzcnt = __get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx) != 0 && (ecx >> 5 & 1) != 0;
    return has_lzcnt && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
           __builtin_cpu_supports("popcnt");
}

#endif

using CompactScan = bool (*)(const char *begin, const char *end, Events &events);

struct ScanPath {
    const char *name;
    CompactScan scan;
};

// The compact scanners that this machine can run, the best first; none on a machine whose vectors are not known here.
inline const std::vector<ScanPath> &scan_paths() {
    static const std::vector<ScanPath> paths = [] {
        std::vector<ScanPath> found;
#if FPROXY_HAS_AVX2
        if (has_all_of_avx2())
            found.push_back({"avx2", [](const char *begin, const char *end, Events &events) {
                                 return avx2::CompactScanner(events).scan(begin, end);
                             }});
#endif
#if FPROXY_HAS_NEON
        found.push_back({"neon", [](const char *begin, const char *end, Events &events) {
                             return neon::CompactScanner(events).scan(begin, end);
                         }});
#endif
        return found;
    }();
    return paths;
}

}  // namespace fproxy
