// The one hash table: against a plain model of it, and with keys that an attacker would choose; and the texts kept beside it.
//
//     model SEED STEPS    random inserts, erasures and searches; prints how many slots were found, and the most bytes held
//     probes SEED         a topic table with one symbol of thousands of chosen types of bars: prints how many slots a search
//                         for one of them looks at, on average and at most, and then how many types are left when
//                         all of them have been given back
//
//     copy KEYS           keys inserted in the order of a table that has them, after room was made: prints how many slots are looked
//                         at for one of them
//     kept LENGTH         a text of each length up to this is compared with all that differ from it in one character, as if the
//                         keys were equal; prints how many differed
//     secret              prints hashes of some keys with the secret of this process
//     spread SECRETS      keys of a few regular kinds, each kind with many secrets: prints how many slots a search looks at
//                         on average with the worst secret
//
// Ends with status 1 and a line that says what is wrong.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

#include "id_set.hpp"
#include "kept_text.hpp"
#include "topic_table.hpp"

namespace fproxy {

struct TopicTableInspection {
    // How many slots are looked at to find each topic and each type.
    static std::vector<size_t> search_lengths(const TopicTable &table) {
        std::vector<size_t> lengths;
        const auto look_at = [&](const auto &slots) {
            slots.for_each([&](const auto &slot) { lengths.push_back(slots.search_length(&slot)); });
        };
        look_at(table.slots_);
        look_at(table.types_.slots_);
        return lengths;
    }
};

}  // namespace fproxy

namespace {

using fproxy::Text;

[[noreturn]] void fail(const char *what) {
    std::printf("wrong: %s\n", what);
    std::exit(1);
}

struct Entry {
    uint64_t key = 0;
    int value = 0;  // zero when free

    bool is_free() const { return value == 0; }
};

// So few hashes that most keys collide, or as many as there are keys.
struct HashOfEntry {
    uint64_t hashes;
    uint64_t operator()(const Entry &entry) const { return entry.key % hashes * 0x9E3779B97F4A7C15u; }
};

void model(unsigned seed, int steps) {
    std::mt19937_64 random(seed);
    size_t found = 0, most_bytes = 0;
    for (const uint64_t hashes : {uint64_t{7}, uint64_t{1} << 40}) {
        const HashOfEntry hash_of{hashes};
        fproxy::OpenTable<Entry, HashOfEntry> table(hash_of);
        std::unordered_map<uint64_t, int> expected;
        fproxy::IdSet ids;
        bool grows = true;
        for (int step = 1; step <= steps; ++step) {
            if (random() % 500 == 0) grows = !grows;
            const uint64_t key = random() % 600;
            const auto same = [key](const Entry &entry) { return entry.key == key; };
            const Entry *const at = table.find(hash_of(Entry{key, 1}), same);
            const auto known = expected.find(key);
            if ((at != nullptr) != (known != expected.end())) fail("whether a key is there");
            if (at != nullptr && at->value != known->second) fail("what a key has");
            if (ids.contains(static_cast<uint32_t>(key)) != (at != nullptr)) fail("whether a number is there");
            found += at != nullptr;
            if (at == nullptr && grows) {
                table.insert(Entry{key, step});
                expected.emplace(key, step);
                if (!ids.insert(static_cast<uint32_t>(key))) fail("that a number is new");
            } else if (at != nullptr && !grows) {
                table.erase(at);
                expected.erase(key);
                if (!ids.erase(static_cast<uint32_t>(key))) fail("that a number was there");
            }
            if (table.size() != expected.size() || ids.size() != expected.size()) fail("size");
            most_bytes = std::max(most_bytes, table.bytes());
            if (table.bytes() > 8 * sizeof(Entry) * std::max(size_t{1}, expected.size())) fail("memory is kept that is not needed");
        }
        size_t visited = 0;
        table.for_each([&](const Entry &entry) { visited += expected.at(entry.key) == entry.value; });
        if (visited != expected.size()) fail("what is visited");
    }
    std::printf("%zu found, %zu bytes at most\n", found, most_bytes);
}

Text text_of(const std::string &text) { return Text::of(text.data(), text.size()); }

// Types whose keys, multiplied by the number that an earlier hash multiplied them by after its secret was mixed in, have
// the same four upper bits: so those of one symbol all began their search in one sixteenth of the table.
std::vector<std::string> chosen_types() {
    std::vector<std::string> types;
    for (int interval = 1; interval <= 60'000; ++interval) {
        const std::string type = std::to_string(interval) + "Ms";
        if (text_of(type).key * 0xD6E8FEB86659FD93u >> 60 == 5) types.push_back(type);
    }
    return types;
}

void probes(uint64_t seed) {
    fproxy::TopicTable table(seed);
    std::vector<fproxy::TopicId> ids;
    for (const std::string &type : chosen_types()) {
        ids.push_back(table.topic(text_of(type), text_of("AAPL")));
        table.add(ids.back(), 0);
    }
    // A type and a symbol that differ from others in zeros behind them only: of all these the keys are equal.
    for (size_t type_length = 1; type_length <= 8; ++type_length) {
        for (size_t symbol_length = 1; symbol_length <= 8; ++symbol_length) {
            ids.push_back(table.topic(text_of(std::string("T\0\0\0\0\0\0\0", type_length)), text_of(std::string("S\0\0\0\0\0\0\0", symbol_length))));
            table.add(ids.back(), 0);
        }
    }
    const std::vector<size_t> lengths = fproxy::TopicTableInspection::search_lengths(table);
    const double sum = std::accumulate(lengths.begin(), lengths.end(), 0.0);
    std::printf("%zu topics and types: %.2f slots on average, %zu at most\n", lengths.size(),
                sum / static_cast<double>(lengths.size()), *std::max_element(lengths.begin(), lengths.end()));
    for (const fproxy::TopicId id : ids) table.remove(id, 0, [](fproxy::TopicId) { return false; });
    std::printf("%zu topics of %zu types left\n", table.exact_topics(), table.types());
}

struct Key {
    uint64_t word = 0;
    bool used = false;

    bool is_free() const { return !used; }
};

struct HashOfKey {
    fproxy::KeyedHash hash;
    uint64_t operator()(const Key &key) const { return hash.of(key.word, 8); }
};

// Counts how often somebody looks whether a slot is free.
struct WatchedKey {
    static inline size_t looks = 0;
    uint64_t word = 0;

    bool is_free() const {
        ++looks;
        return word == 0;
    }
};

struct HashOfWatchedKey {
    uint64_t operator()(const WatchedKey &key) const { return fproxy::KeyedHash::of_process().of(key.word); }
};

void copy(uint64_t keys) {
    fproxy::OpenTable<WatchedKey, HashOfWatchedKey> from(HashOfWatchedKey{}), to(HashOfWatchedKey{});
    for (uint64_t number = 1; number <= keys; ++number) from.insert(WatchedKey{number});
    std::vector<WatchedKey> ordered;
    from.for_each([&](const WatchedKey &key) { ordered.push_back(key); });
    to.reserve(keys);
    WatchedKey::looks = 0;
    for (const WatchedKey &key : ordered) to.insert(key);
    std::printf("%.2f slots\n", static_cast<double>(WatchedKey::looks) / static_cast<double>(keys));
}

void kept(size_t most) {
    size_t different = 0;
    for (size_t length = 0; length <= most; ++length) {
        std::string written(length, 'a');
        for (size_t i = 0; i < length; ++i) written[i] = static_cast<char>('a' + i % 26);
        const Text text = text_of(written);
        fproxy::KeptText kept(text), moved(text_of("something else that is not kept in place"));
        moved = std::move(kept);
        const std::string again(moved.data(), moved.length());
        if (again != written || !(moved == text)) fail("what is kept");
        for (size_t i = 0; i < length; ++i) {
            std::string other = written;
            other[i] = '-';
            Text changed = text_of(other);
            if (length > Text::kPackedLength) changed.key = text.key;
            if (moved == changed) fail("a text is taken for another one");
            ++different;
        }
        if (length != 0 && moved == text_of(written.substr(0, length - 1))) fail("a text is taken for its beginning");
    }
    std::printf("%zu differed\n", different);
}

uint64_t letters(uint64_t number) {
    uint64_t word = 0;
    for (int i = 0; i < 8; ++i, number /= 26) word |= ('A' + number % 26) << (8 * i);
    return word;
}

void spread(uint64_t secrets) {
    constexpr uint64_t kKeys = 8000;
    double worst = 0;
    for (uint64_t (*const kind)(uint64_t) : {
             +[](uint64_t number) { return number; },
             +[](uint64_t number) { return number << 24; },
             +[](uint64_t number) { return number << 44; },
             +[](uint64_t number) { return letters(number); },
             +[](uint64_t number) { return text_of(std::to_string(number) + "Ms").key; },
             +[](uint64_t number) { return text_of("O:A261218" + std::to_string(1'000'000 + number)).key; },
             +[](uint64_t number) { return text_of("O:SPY261218C" + std::to_string(10'000'000 + number)).key; },
         }) {
        for (uint64_t secret = 0; secret < secrets; ++secret) {
            fproxy::OpenTable<Key, HashOfKey> table(HashOfKey{fproxy::KeyedHash(secret)});
            for (uint64_t number = 0; number < kKeys; ++number) table.insert(Key{kind(number), true});
            double sum = 0;
            table.for_each([&](const Key &key) { sum += static_cast<double>(table.search_length(&key)); });
            worst = std::max(worst, sum / kKeys);
        }
    }
    std::printf("%.2f slots on average with the worst secret\n", worst);
}

}  // namespace

// Print the hashes of some keys with the secret of this process, so that two runs can be compared.
void secret() {
    const fproxy::KeyedHash &hash = fproxy::KeyedHash::of_process();
    const fproxy::Text text = fproxy::Text::of("longer than eight characters", 28);
    std::printf("%llx %llx %llx\n", static_cast<unsigned long long>(hash.of(7)), static_cast<unsigned long long>(hash.of(1, 7, 2)),
                static_cast<unsigned long long>(text.key));
}

int main(int count, char **arguments) {
    const std::string what = count > 1 ? arguments[1] : "";
    if (what == "model" && count == 4) model(static_cast<unsigned>(std::atoi(arguments[2])), std::atoi(arguments[3]));
    else if (what == "probes" && count == 3) probes(std::strtoull(arguments[2], nullptr, 10));
    else if (what == "copy" && count == 3) copy(std::strtoull(arguments[2], nullptr, 10));
    else if (what == "kept" && count == 3) kept(std::strtoull(arguments[2], nullptr, 10));
    else if (what == "spread" && count == 3) spread(std::strtoull(arguments[2], nullptr, 10));
    else if (what == "secret" && count == 2) secret();
    else return 2;
    return 0;
}
