// Runs a fuzz target over files, and over a number of seeded changes of each, where there is no libFuzzer to do more.
//
// Arguments: how many changes of each file, then the files. Included at the end of a target.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

int main(int count, char **arguments) {
    if (count < 3) return 2;
    const int changes = std::atoi(arguments[1]);
    std::mt19937 random(1);
    long runs = 0;
    for (int i = 2; i < count; ++i) {
        std::ifstream file(arguments[i], std::ios::binary);
        const std::vector<uint8_t> kept((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
        std::fprintf(stderr, "%s\n", arguments[i]);
        for (int change = 0; change <= changes; ++change, ++runs) {
            std::vector<uint8_t> input = kept;
            for (int more = change == 0 ? 0 : 1 + static_cast<int>(random() % 4); more != 0 && !input.empty(); --more) {
                const size_t at = random() % input.size();
                switch (random() % 4) {
                    case 0: input[at] = static_cast<uint8_t>(random()); break;
                    case 1: input.erase(input.begin() + static_cast<std::ptrdiff_t>(at)); break;
                    case 2: input.insert(input.begin() + static_cast<std::ptrdiff_t>(at), input[random() % input.size()]); break;
                    default: input[at] = static_cast<uint8_t>(input[at] ^ 1u << random() % 8); break;
                }
            }
            LLVMFuzzerTestOneInput(input.data(), input.size());
        }
    }
    std::printf("%ld inputs\n", runs);
    return 0;
}
