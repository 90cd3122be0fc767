// Any bytes as what happens to a builder of bars: wishes, gaps, messages, and the clock. It must bear all of it, a trade must
// read the same in both ways of reading it, and what is open must be what has been opened and not closed.

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "bar_builder.hpp"

namespace {

using namespace fproxy;

void check(bool is_right) {
    if (!is_right) std::abort();
}

class Bytes {
  public:
    Bytes(const uint8_t *data, size_t size) : at_(data), end_(data + size) {}

    bool empty() const { return at_ == end_; }
    unsigned next() { return empty() ? 0 : *at_++; }
    std::string_view rest(size_t most) {
        const size_t size = std::min(most, static_cast<size_t>(end_ - at_));
        const char *const begin = reinterpret_cast<const char *>(at_);
        at_ += size;
        return {begin, size};
    }

  private:
    const uint8_t *at_;
    const uint8_t *end_;
};

constexpr std::string_view kSymbols[] = {"*", "A", "BRK.B", "LONGSYMBOL", "\xed\xa0\x80\"\\"};
constexpr int32_t kIntervals[] = {1, 100, 999, 60'000};

// A text on the heap and of just its size, so that what is read behind it is noticed.
struct OnTheHeap {
    std::unique_ptr<char[]> bytes;
    size_t size;

    explicit OnTheHeap(std::string_view text) : bytes(new char[text.size()]), size(text.size()) {
        std::memcpy(bytes.get(), text.data(), size);
    }
    const char *begin() const { return bytes.get(); }
    const char *end() const { return bytes.get() + size; }
};

void check_reading(const OnTheHeap &message) {
    Scanner scanner;
    Events events;
    if (!scanner.scan(message.begin(), message.end(), events) || scanner.exact_messages() != 0) return;
    bars::ConditionEffects effects;
    effects.set(12, bars::kVolume);
    const bars::BarSource source("T", bars::BarShape::kTrades, effects, {});
    const bars::TradeReader reader(source);
    for (const Event &event : events) {
        bars::Trade compact, exact;
        const bool is_trade = reader.read_compact(event, message.end(), compact);
        check(is_trade == reader.read(event, exact));
        if (!is_trade) continue;
        check(compact.time == exact.time && compact.effect == exact.effect);
        check(compact.price.digits == exact.price.digits && compact.price.scale == exact.price.scale);
        check(compact.size.digits == exact.size.digits && compact.size.scale == exact.size.scale);
    }
}

std::string trades(Bytes &bytes, int64_t &time) {
    std::string text = "[";
    for (unsigned count = bytes.next() % 8 + 1; count != 0; --count) {
        const unsigned what = bytes.next();
        time += static_cast<int64_t>(bytes.next()) * (what & 1 ? 100 : 1) - (what & 2 ? 200 : 0);
        if (text.size() > 1) text += ',';
        text += "{\"ev\":\"T\",\"sym\":\"" + std::string(kSymbols[1 + (what >> 2) % 3]) + "\",\"p\":" + std::to_string(bytes.next()) +
                (what & 16 ? ".25" : "") + ",\"s\":" + std::to_string(bytes.next()) + (what & 32 ? ",\"c\":[12,37]" : "") +
                (what & 64 ? ",\"ds\":\"1.5\"" : "") + ",\"t\":" + std::to_string(time) + "}";
    }
    return text + "]";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Bytes bytes(data, size);
    bars::BarLimits limits{};
    limits.delay_ms = bytes.next() % 100;
    limits.retained_trades = 1024;
    limits.rebuilt_ms = bytes.next() * 1000;
    limits.keeps_all = bytes.next() % 2 != 0;
    limits.message_bytes = 500;
    limits.intervals = 4;
    limits.wildcards = 3;
    limits.windows = 1 + bytes.next();
    const bars::BarSource source("T", bars::BarShape::kTrades, bars::ConditionEffects(), {});
    bars::BarBuilder builder(limits, source);
    int64_t now = 0, time = 1'736'503'800'000;
    while (!bytes.empty()) {
        const unsigned what = bytes.next();
        const std::string_view symbol = kSymbols[(what >> 4) % std::size(kSymbols)];
        const int32_t interval = kIntervals[bytes.next() % std::size(kIntervals)];
        switch (what % 10) {
            case 0: builder.want(interval, symbol); break;
            case 1: builder.unwant(interval, symbol); break;
            case 2: builder.trades_started(symbol); break;
            case 3: builder.trades_stopped(symbol); break;
            case 4: builder.gap(); break;
            case 5: {
                const OnTheHeap message(bytes.rest(bytes.next()));
                check_reading(message);
                builder.feed(message.begin(), message.end(), now);
                break;
            }
            case 6:
            case 7: {
                now += bytes.next() * 100;
                builder.advance(now);
                int64_t at = 0;
                builder.next_advance(&at);
                builder.rebuild(interval, symbol, at);
                break;
            }
            default: {
                const OnTheHeap message(trades(bytes, time));
                check_reading(message);
                check(builder.feed(message.begin(), message.end(), now));
            }
        }
        check(builder.open_windows() <= limits.windows);
        for (const std::string &text : builder.collect()) {
            Scanner scanner;
            Events events;
            check(scanner.scan(text.data(), text.data() + text.size(), events) && events.size() != 0);
        }
    }
    return 0;
}

#if defined(WITH_CORPUS_DRIVER)
#include "corpus_driver.hpp"
#endif
