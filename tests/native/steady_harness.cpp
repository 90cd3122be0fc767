// What grows and shrinks little by little: the table against a plain model of it, and the array.
//
//     model SEED STEPS    random inserts, erasures and searches; prints how many slots were found, and how many searches began
//                         while slots were being moved
//     steps KEYS          keys are inserted, and taken out again; prints how many hashes one change computed at most: of each slot
//                         that it moved, and of those behind it that are in its way; and how many bytes are left
//     array SIZE          an array grows, shrinks and grows again; prints its bytes at most, those left when a sixteenth is left, and
//                         how often an element was moved
//
// Ends with status 1 and a line that says what is wrong.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <unordered_map>

#include "growing_array.hpp"
#include "keyed_hash.hpp"
#include "steady_table.hpp"

namespace {

[[noreturn]] void fail(const char *what) {
    std::printf("wrong: %s\n", what);
    std::exit(1);
}

struct Entry {
    uint64_t key = 0;  // zero when free
    int value = 0;

    static constexpr bool kFreeIsZero = true;
    bool is_free() const { return key == 0; }
};

// As many hashes as there are keys, or so few that most collide and stand at the end of the table and its beginning.
template <bool kCollides>
struct HashOfEntry {
    static inline size_t computed = 0;

    static uint64_t of(uint64_t key) {
        return kCollides ? ~uint64_t{0} - key % 5 : fproxy::KeyedHash::of_process().of(key);
    }
    uint64_t operator()(const Entry &entry) const {
        ++computed;
        return of(entry.key);
    }
};

template <bool kCollides>
void model(unsigned seed, int steps, size_t &found, size_t &moving) {
    using HashOf = HashOfEntry<kCollides>;
    std::mt19937_64 random(seed);
    fproxy::SteadyTable<Entry, HashOf> table;
    std::unordered_map<uint64_t, int> expected;
    bool grows = true;
    for (int step = 1; step <= steps; ++step) {
        if (random() % 500 == 0) grows = !grows;
        const uint64_t key = 1 + random() % 600;
        moving += table.is_moving();
        const Entry *const at = table.find(HashOf::of(key), [key](const Entry &entry) { return entry.key == key; });
        const auto known = expected.find(key);
        if ((at != nullptr) != (known != expected.end())) fail("whether a key is there");
        if (at != nullptr && at->value != known->second) fail("what a key has");
        found += at != nullptr;
        if (at == nullptr && grows) {
            table.insert(Entry{key, step});
            expected.emplace(key, step);
        } else if (at != nullptr && !grows) {
            table.erase(at);
            expected.erase(key);
        }
        if (table.size() != expected.size()) fail("size");
        if (table.bytes() > 16 * sizeof(Entry) * std::max(size_t{4}, expected.size())) fail("memory is kept that is not needed");
        if (step % 100 != 0) continue;
        size_t visited = 0;
        table.for_each([&](const Entry &entry) { visited += expected.at(entry.key) == entry.value; });
        if (visited != expected.size()) fail("what is visited");
    }
}

void steps(uint64_t keys) {
    using HashOf = HashOfEntry<false>;
    fproxy::SteadyTable<Entry, HashOf> table;
    size_t most = 0;
    const auto counted = [&](auto change) {
        const size_t before = HashOf::computed;
        change();
        most = std::max(most, HashOf::computed - before);
    };
    const auto find = [&](uint64_t key) {
        const Entry *const at = table.find(HashOf::of(key), [key](const Entry &entry) { return entry.key == key; });
        if (at == nullptr) fail("a key is lost");
        return at;
    };
    for (uint64_t key = 1; key <= keys; ++key) counted([&] { table.insert(Entry{key, 1}); });
    for (uint64_t key = 1; key <= keys; ++key) find(key);
    for (uint64_t key = 1; key <= keys; ++key) {
        const Entry *const at = find(key);
        counted([&] { table.erase(at); });
    }
    std::printf("%zu hashes, %zu bytes\n", most, table.bytes());
}

struct alignas(64) Element {
    static inline size_t moved = 0;
    size_t number = 0;
    char *more = nullptr;

    Element() = default;
    Element(Element &&) noexcept { ++moved; }
    ~Element() { delete[] more; }
};

void array(size_t size) {
    fproxy::GrowingArray<Element> elements;
    size_t most = 0;
    const auto fill = [&] {
        while (elements.size() < size) {
            elements.emplace_back();
            if (elements.back().number != 0 || elements.back().more != nullptr) fail("what a new element has");
            elements.back().number = elements.size();
            elements.back().more = new char[1];
            most = std::max(most, elements.bytes());
        }
        for (size_t at = 0; at < size; ++at)
            if (elements[at].number != at + 1) fail("what an element has");
    };
    fill();
    while (elements.size() > size / 16) elements.pop_back();
    const size_t left = elements.bytes();
    for (size_t at = 0; at < elements.size(); ++at)
        if (elements[at].number != at + 1) fail("what an element has that is left");
    fill();
    while (elements.size() != 0) elements.pop_back();
    std::printf("%zu bytes at most, %zu left, %zu moved\n", most, left, Element::moved);
}

}  // namespace

int main(int count, char **arguments) {
    const std::string what = count > 1 ? arguments[1] : "";
    if (what == "model" && count == 4) {
        size_t found = 0, moving = 0;
        model<false>(static_cast<unsigned>(std::atoi(arguments[2])), std::atoi(arguments[3]), found, moving);
        model<true>(static_cast<unsigned>(std::atoi(arguments[2])), std::atoi(arguments[3]), found, moving);
        std::printf("%zu found, %zu while slots were moved\n", found, moving);
    } else if (what == "steps" && count == 3) {
        steps(std::strtoull(arguments[2], nullptr, 10));
    } else if (what == "array" && count == 3) {
        array(std::strtoull(arguments[2], nullptr, 10));
    } else {
        return 2;
    }
    return 0;
}
