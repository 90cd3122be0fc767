// A hash with a secret: strangers, who choose what is hashed, cannot choose what collides.
//
// A word is mixed with a secret, multiplied by another to a product of 128 bits, folded (as Wang Yi's wyhash does) and
// multiplied once more. Less does not do for linear probing: with the last multiplication left out, or with nothing but a
// multiplication by a secret, keys that differ in one letter each need hundreds of slots a search for one secret in some
// hundreds (tests/native/table_harness.cpp, `spread`); with it none was found that does.
//
// No difference between two keys leads to a difference of hashes that could be known without the secrets: not of one part
// while the other stays, and not of lengths, which texts of equal keys may differ in.
#pragma once

#include <cstdint>

#include "text.hpp"

namespace fproxy {

class KeyedHash {
  public:
    explicit KeyedHash(uint64_t seed) {
        // SplitMix64, Steele, Lea and Flood 2014. Odd, so that no factor is zero.
        for (uint64_t &secret : secrets_) {
            seed += 0x9E3779B97F4A7C15u;
            uint64_t number = (seed ^ seed >> 30) * 0xBF58476D1CE4E5B9u;
            number = (number ^ number >> 27) * 0x94D049BB133111EBu;
            secret = (number ^ number >> 31) | 1;
        }
    }

    // The secret of this process.
    static const KeyedHash &of_process() {
        static const KeyedHash hash(process_seed());
        return hash;
    }

    uint64_t of(uint64_t word) const { return of(secrets_[0], word, 0); }

    // A text by its key and length. `before` is a hash of what stands before it, where a pair is hashed.
    uint64_t of(uint64_t key, uint32_t length) const { return of(secrets_[0], key, length); }
    uint64_t of(uint64_t before, uint64_t key, uint32_t length) const {
        return (fold(key ^ before, secrets_[1]) + length) * secrets_[2];
    }

  private:
    uint64_t secrets_[3];
};

}  // namespace fproxy
