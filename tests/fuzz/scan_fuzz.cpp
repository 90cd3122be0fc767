// Any bytes as an upstream message: every scan path says the same of them, and the fan-out gives each event to whoever has
// its topic and to nobody else.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "fanout.hpp"
#include "frame_header.hpp"

namespace {

using namespace fproxy;

void check(bool is_right) {
    if (!is_right) std::abort();
}

bool are_equal(const Event &one, const Event &other) {
    return one.begin == other.begin && one.end == other.end && one.kind == other.kind && one.type == other.type &&
           one.symbol == other.symbol && one.type.present() == other.type.present() &&
           one.symbol.present() == other.symbol.present();
}

// What the client that has only this topic is to get, by the exact scanner.
std::string expected(const Events &events, const char *type, const char *symbol) {
    std::string found;
    for (const Event &event : events) {
        if (event.kind != EventKind::kMarketData || !event.type.present()) continue;
        if (std::string(event.type.data, event.type.length) != type) continue;
        if (*symbol != '\0' && (!event.symbol.present() || std::string(event.symbol.data, event.symbol.length) != symbol)) continue;
        found += (found.empty() ? "" : ",") + std::string(event.begin, event.end);
    }
    return found;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    // On the heap and of just its size, so that what is read behind it is noticed.
    const std::unique_ptr<char[]> message(new char[size]);
    std::memcpy(message.get(), data, size);
    const char *const begin = message.get(), *const end = begin + size;

    Scanner exact(nullptr);
    Events exactly;
    const bool is_sound = exact.scan(begin, end, exactly);
    for (const ScanPath &path : scan_paths()) {
        Scanner scanner(path.scan);
        Events events;
        check(scanner.scan(begin, end, events) == is_sound);
        check(events.size() == exactly.size());
        for (size_t i = 0; i < events.size(); ++i) check(are_equal(events[i], exactly[i]));
    }
    for (const Event &event : exactly) {
        check(begin <= event.begin && event.begin < event.end && event.end <= end);
        exact.bar_interval(event);
        exact.event_time(event);
    }

    const std::pair<const char *, const char *> topics[] = {{"T", "A"}, {"Q", ""}, {"LULD", "LONGSYMBOL"}};
    Fanout fanout(1, size_t{1} << 20);
    for (const auto &[type, symbol] : topics) {
        const ClientId client = fanout.audiences().add_client();
        fanout.audiences().subscribe(
            client, {fanout.audiences().topics().topic(Text::of(type, std::strlen(type)), Text::of(symbol, std::strlen(symbol)))});
    }
    std::vector<std::pair<const char *, const char *>> statuses;
    check(fanout.feed(0, begin, end) == is_sound);
    std::vector<std::string> received(std::size(topics));
    const auto take = [&](const std::vector<AudienceId> &audiences) {
        for (const AudienceId audience : audiences) {
            const std::pair<const char *, size_t> frames = fanout.finish(audience);
            for (const ClientId client : fanout.audiences().members(audience)) {
                for (const char *at = frames.first; at != frames.first + frames.second; at += frame_size(at)) {
                    const size_t header = frame_header_size(at);
                    received[client] += (received[client].empty() ? "" : ",") + std::string(at + header + 1, at + frame_size(at) - 1);
                }
            }
        }
    };
    while (is_sound && fanout.distribute(statuses)) {
        take(fanout.overfull());
        fanout.overfull_written();
    }
    take(fanout.ready());
    fanout.all_written();
    for (size_t i = 0; is_sound && i < std::size(topics); ++i)
        check(received[i] == expected(exactly, topics[i].first, topics[i].second));
    return 0;
}

#if defined(WITH_CORPUS_DRIVER)
#include "corpus_driver.hpp"
#endif
