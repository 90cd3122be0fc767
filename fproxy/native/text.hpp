// Short texts as integers: eight bytes at a time, without a copy and without a string object.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>

#define FPROXY_INLINE inline __attribute__((always_inline))

namespace fproxy {

// Eight bytes as one little-endian integer; the caller knows that they are readable.
inline uint64_t load8(const char *at) {
    uint64_t word;
    std::memcpy(&word, at, 8);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

// As load8, for texts that may end sooner: bytes past `end` read as zero.
inline uint64_t load8_before(const char *at, const char *end) {
    if (end - at >= 8) return load8(at);
    char padded[8] = {};
    if (at < end) std::memcpy(padded, at, static_cast<size_t>(end - at));
    return load8(padded);
}

// The integer that load8 gives for a literal of at most eight characters followed by zeros.
template <size_t N>
constexpr uint64_t packed(const char (&literal)[N]) {
    static_assert(N <= 9, "at most eight characters fit");
    uint64_t word = 0;
    for (size_t i = 0; i + 1 < N; ++i) word |= static_cast<uint64_t>(static_cast<unsigned char>(literal[i])) << (8 * i);
    return word;
}

constexpr uint64_t low_bytes(unsigned count) { return count >= 8 ? ~uint64_t{0} : (uint64_t{1} << (8 * count)) - 1; }

inline uint64_t &process_seed_place() {
    static uint64_t seed = [] {
        std::random_device random;
        return static_cast<uint64_t>(random()) << 32 | random() | 1;
    }();
    return seed;
}

// A random number of this process: what strangers choose is hashed with it, so that they cannot choose collisions.
inline uint64_t process_seed() { return process_seed_place(); }

// Take the number of another extension module, before anything has been hashed: so texts that were hashed there are found here.
inline void adopt_process_seed(uint64_t seed) { process_seed_place() = seed; }

// The two halves of a product folded into one: nothing of it can be undone without knowing both factors.
inline uint64_t fold(uint64_t one, uint64_t other) {
    const unsigned __int128 product = static_cast<unsigned __int128>(one) * other;
    return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

// The secrets that texts are hashed with.
class TextSecrets {
  public:
    static const TextSecrets &of_process() {
        static const TextSecrets secrets;
        return secrets;
    }

    uint64_t operator[](size_t place) const { return secrets_[place]; }

  private:
    uint64_t secrets_[4];

    TextSecrets() {
        std::mt19937_64 random(process_seed());
        for (uint64_t &secret : secrets_) secret = random();
    }
};

// A text, and a 64-bit stand-in for it: the bytes themselves up to eight, a hash of them beyond.
struct Text {
    const char *data = nullptr;
    uint32_t length = 0;
    uint64_t key = 0;

    static constexpr uint32_t kPackedLength = 8;

    FPROXY_INLINE static Text of(const char *data, size_t length) {
        Text text;
        text.data = data;
        text.length = static_cast<uint32_t>(length);
        text.key = length <= kPackedLength ? load8_before(data, data + length) : hash(data, length);
        return text;
    }

    bool present() const { return data != nullptr; }

    bool operator!=(const Text &other) const { return !(*this == other); }
    bool operator==(const Text &other) const {
        return key == other.key && length == other.length &&
               (length <= kPackedLength || std::memcmp(data, other.data, length) == 0);
    }

  private:
    // Of more than eight bytes. Each word is taken with a secret of its own place, as what is at one place must not undo what
    // is at another.
    FPROXY_INLINE static uint64_t hash(const char *data, size_t length) {
        const TextSecrets &secrets = TextSecrets::of_process();
        const char *const last = data + length - 8;
        if (length <= 16) return fold(load8(data) ^ secrets[0], load8(last) ^ secrets[1]);
        if (__builtin_expect(length > 32, 0)) return hash_of_long(data, length);
        return fold(load8(data) ^ secrets[0], load8(data + 8) ^ secrets[1]) ^
               fold(load8(last - 8) ^ secrets[2], load8(last) ^ secrets[3]);
    }

    static uint64_t hash_of_long(const char *data, size_t length) {
        const TextSecrets &secrets = TextSecrets::of_process();
        uint64_t sum = secrets[0] ^ length;
        for (size_t i = 0; i < length; i += 8) sum = fold(sum ^ load8_before(data + i, data + length), secrets[1]) ^ secrets[2];
        return sum;
    }
};

}  // namespace fproxy
