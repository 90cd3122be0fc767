// What the core does when memory runs out, tried at each allocation in turn.
//
// Argument: the name of a scenario. It is run in a child process with an allocator of which the first allocation fails, in the
// next child the second one fails, and so on, until one gets through without a failure. Each child must end itself with the
// message that says so, or take no notice and get right what it does; anything else (another signal, a report of a
// sanitizer, a wrong result) ends this program with status 1. Prints how many allocations failed, how many of them ended the
// process, and how many did not.

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backlog.hpp"
#include "bar_builder.hpp"
#include "broadcast.hpp"
#include "fanout.hpp"
#include "held_back.hpp"
#include "out_of_memory.hpp"
#include "snapshots.hpp"

namespace {

long allocations_left = -1;  // until one fails; negative while none does
bool has_failed = false;

bool fails() {
    if (allocations_left < 0 || allocations_left-- != 0) return false;
    has_failed = true;
    return true;
}

}  // namespace

// With -Wl,--wrap the linker leads every call of this program here.
extern "C" {
void *__real_realloc(void *, size_t);
void *__real_malloc(size_t);
void *__real_calloc(size_t, size_t);
void *__real_mmap(void *, size_t, int, int, int, off_t);
void *__wrap_realloc(void *bytes, size_t size) { return fails() ? nullptr : __real_realloc(bytes, size); }
void *__wrap_malloc(size_t size) { return fails() ? nullptr : __real_malloc(size); }
void *__wrap_mmap(void *at, size_t size, int protection, int flags, int file, off_t offset) {
    if (fails()) return MAP_FAILED;
    return __real_mmap(at, size, protection, flags, file, offset);
}
void *__wrap_calloc(size_t count, size_t size) { return fails() ? nullptr : __real_calloc(count, size); }
}

void *operator new(size_t size) {
    void *const bytes = fails() ? nullptr : __real_malloc(size);
    if (bytes == nullptr) throw std::bad_alloc();
    return bytes;
}
void *operator new(size_t size, std::align_val_t alignment) {
    void *bytes = nullptr;
    if (fails() || posix_memalign(&bytes, static_cast<size_t>(alignment), size) != 0) throw std::bad_alloc();
    return bytes;
}
void operator delete(void *bytes) noexcept { std::free(bytes); }
void operator delete(void *bytes, size_t) noexcept { std::free(bytes); }
void operator delete(void *bytes, std::align_val_t) noexcept { std::free(bytes); }
void operator delete(void *bytes, size_t, std::align_val_t) noexcept { std::free(bytes); }

namespace {

using namespace fproxy;

Text text_of(const std::string &text) { return Text::of(text.data(), text.size()); }

void check(bool is_right, const char *what) {
    if (is_right) return;
    std::printf("wrong: %s\n", what);
    std::fflush(stdout);
    _exit(1);
}

std::string made_message(int events, int symbols) {
    std::string text = "[";
    for (int i = 0; i < events; ++i) {
        text += i == 0 ? "" : ",";
        text += "{\"ev\":\"T\",\"sym\":\"SYMBOL" + std::to_string(i % symbols) + "\",\"p\":1.5,\"s\":" +
                std::to_string(i) + ",\"t\":" + std::to_string(1'736'503'800'000 + i * 40) + "}";
    }
    return text + "]";
}

// A message of trades, made once: its own allocations are not what is tried.
const std::string &message_of(int events, int symbols = 7) {
    static std::map<std::pair<int, int>, std::string> messages;
    std::string &message = messages[{events, symbols}];
    if (message.empty()) message = made_message(events, symbols);
    return message;
}

using Statuses = std::vector<std::pair<const char *, const char *>>;

// Clients come, subscribe, become equal, differ again and go, with messages in between.
void fanout() {
    Fanout fanout(1, 4000);
    std::vector<ClientId> clients;
    const auto feed = [&fanout](int events) {
        const std::string &message = message_of(events);
        Statuses statuses;
        check(fanout.feed(0, message.data(), message.data() + message.size()), "a sound message is refused");
        while (fanout.distribute(statuses)) fanout.overfull_written();
        size_t taken = 0;
        for (const AudienceId audience : fanout.ready()) taken += fanout.finish(audience).second;
        fanout.all_written();
        return taken;
    };
    for (int i = 0; i < 4; ++i) {
        clients.push_back(fanout.audiences().add_client());
        std::vector<TopicId> ids;
        for (int j = 0; j < 6 + i; ++j)
            ids.push_back(fanout.audiences().topics().topic(text_of("T"), text_of("SYMBOL" + std::to_string(j))));
        ids.push_back(fanout.audiences().topics().topic(text_of(std::to_string(i) + "Ms"), Text{}));
        fanout.audiences().subscribe(clients.back(), ids);
        check(fanout.audiences().topics().table().exact_topics() == static_cast<size_t>(6 + i), "number of topics");
    }
    check(feed(400) > 4 * 300 * 40, "bytes for clients");
    for (const ClientId client : clients) {
        std::vector<TopicId> ids{fanout.audiences().topics().topic(Text{}, Text{})};
        fanout.audiences().subscribe(client, ids);
    }
    feed(3);
    for (const ClientId client : clients) {
        std::vector<TopicId> ids;
        for (int j = 0; j < 9; ++j)
            ids.push_back(fanout.audiences().topics().topic(text_of("T"), text_of("SYMBOL" + std::to_string(j))));
        fanout.audiences().unsubscribe(client, ids);
    }
    while (fanout.audiences().settle()) {}
    for (const ClientId client : clients) fanout.audiences().remove_client(client);
    check(fanout.audiences().size() == 0 && fanout.audiences().topics().table().exact_topics() == 0, "something is left");
}

// One list of events takes ever longer messages: where growing fails, it must not think that it has grown.
void events() {
    Scanner scanner;
    Events events;
    for (int count = 100; count < 3000; count *= 2) {
        const std::string &message = message_of(count);
        try {
            check(scanner.scan(message.data(), message.data() + message.size(), events), "a sound message is refused");
            check(events.size() == static_cast<size_t>(count), "number of events");
        } catch (const std::bad_alloc &) {
            // Whoever survived this would go on with it: so does this scenario, once.
            check(scanner.scan(message.data(), message.data() + message.size(), events), "a sound message is refused");
            check(events.size() == static_cast<size_t>(count), "number of events after memory ran out");
        }
    }
}

void broadcast() {
    Broadcast broadcast(2000);
    History history(64 * 1024, 60'000);
    const std::string &message = message_of(30);
    const std::string status = "[{\"ev\":\"status\",\"status\":\"x\"}," + message.substr(1);
    for (const std::string &text : {message, status}) {
        Statuses statuses;
        check(broadcast.feed(text.data(), text.data() + text.size(), statuses, &history, 1000), "a sound message is refused");
        check(broadcast.finish().second > message.size(), "bytes for clients");
    }
    check(history.next() > 1, "messages that are kept");
}

void bar_builder() {
    bars::BarLimits limits{};
    limits.delay_ms = 20;
    limits.retained_trades = 5000;
    limits.keeps_all = true;
    limits.rebuilt_ms = 60'000;
    limits.message_bytes = 1000;
    limits.intervals = limits.wildcards = 8;
    limits.windows = 10'000;
    const bars::BarSource source("T", bars::BarShape::kTrades, bars::ConditionEffects(), {});
    bars::BarBuilder builder(limits, source);
    check(builder.want(100, "*") == bars::Wish::kGranted, "a wish");
    check(builder.want(250, "SYMBOL3") == bars::Wish::kGranted, "a wish");
    builder.trades_started("*");
    builder.trades_started("SYMBOL1");
    const std::string &message = message_of(80);
    check(builder.feed(message.data(), message.data() + message.size(), 0), "a sound message is refused");
    check(builder.want(1000, "*") == bars::Wish::kGranted, "a wish");
    builder.advance(2000);
    size_t bytes = 0;
    for (const std::string &text : builder.collect()) bytes += text.size();
    check(bytes > 5'000 && builder.counts().bars > 50 && builder.open_windows() == 0, "bars");
    check(builder.want(50, "SYMBOL1") == bars::Wish::kGranted, "a wish");
    check(builder.rebuild(50, "SYMBOL1", 0).bars > 0, "bars of before");
    check(builder.unwant(50, "SYMBOL1"), "a wish that ends");
    builder.gap();
    builder.advance(3000);
    check(builder.unwant(100, "*") && builder.unwant(1000, "*") && builder.unwant(250, "SYMBOL3"), "wishes that end");
    check(builder.symbol_count() == 0, "something is left");
}

// A message as an unmasked text frame (RFC 6455, section 5.2).
std::string frame_of(const std::string &message) {
    check(message.size() > 125 && message.size() < 65'536, "length of a message");
    return std::string("\x81\x7e", 2) + static_cast<char>(message.size() >> 8) + static_cast<char>(message.size()) + message;
}

// Two clients lag and catch up, one of them in the middle of a frame; a third has what it would get held back.
void backlog() {
    static const std::string frame = frame_of(message_of(300));
    BacklogPool pool;
    {
        Backlog first(pool), second(pool);
        for (int i = 0; i < 40; ++i) {
            SharedFrames frames;
            frames.start(frame.data(), frame.size(), false);
            first.keep(frames, i == 0 ? 10 : 0, i);
            second.keep(frames, 0, i);
        }
        check(first.bytes() == 40 * frame.size() - 10 && second.bytes() == 40 * frame.size(), "bytes that wait");
        check(pool.order.oldest() != nullptr, "whose backlog is the oldest");
        second.cut(50);
        check(second.empty(), "a client that was cut off in front of a frame");
        first.consume(100);
        first.cut(50);
        check(first.bytes() == frame.size() - 110, "the rest of a frame");
        first.consume(first.bytes());
    }
    for (const bool conflates : {false, true}) {
        ScannedFrames scanned;
        HeldBack held(conflates);
        SharedFrames frames;
        frames.start(frame.data(), frame.size(), false);
        check(scanned.scan(frames, 1000), "sound frames are refused");
        held.take(scanned);
        held.take(scanned);
        check(held.finish(4000).second > 0 && held.dropped() > 0, "what was held back");
    }
    check(pool.bytes() == 0, "something is left");
}

// The last event of each topic, of more than there is room for.
void snapshots() {
    Fanout fanout(1, 4000);
    Snapshots snapshots(32 * 1024, 1);
    const ClientId client = fanout.audiences().add_client();
    fanout.audiences().subscribe(client, {fanout.audiences().topics().topic(Text{}, Text{})});
    for (const int symbols : {7, 150}) {
        const std::string &message = message_of(2 * symbols, symbols);
        Statuses statuses;
        check(fanout.feed(0, message.data(), message.data() + message.size()), "a sound message is refused");
        fanout.keep_last(snapshots, 1000, true);
        while (fanout.distribute(statuses)) fanout.overfull_written();
        for (const AudienceId audience : fanout.ready()) fanout.finish(audience);
        fanout.all_written();
    }
    check(snapshots.evicted() > 50 && snapshots.topics() > 50 && snapshots.bytes() <= 32 * 1024, "last events");
}

enum Outcome { kNoneFailed = 0, kWentOn = 3 };

// Run a scenario in a child of which this allocation fails.
[[noreturn]] void run(void (*scenario)(), long allocation) {
    allocations_left = allocation;
    try {
        scenario();
    } catch (...) {
        allocations_left = -1;
        end_if_out_of_memory();
        check(false, "an exception that is not about memory");
    }
    _exit(has_failed ? kWentOn : kNoneFailed);
}

}  // namespace

int main(int count, char **arguments) {
    const std::pair<const char *, void (*)()> scenarios[] = {
        {"fanout", fanout}, {"events", events}, {"broadcast", broadcast}, {"bars", bar_builder},
        {"backlog", backlog}, {"snapshots", snapshots}};
    void (*scenario)() = nullptr;
    for (const auto &[name, one] : scenarios)
        if (count == 2 && std::strcmp(arguments[1], name) == 0) scenario = one;
    if (scenario == nullptr) return 2;
    scenario();  // with all that is made once in a process, whatever happens

    long ended = 0, went_on = 0;
    for (long allocation = 0;; ++allocation) {
        int said[2];
        if (pipe(said) != 0) return 2;
        const pid_t child = fork();
        if (child == 0) {
            dup2(said[1], STDERR_FILENO);
            run(scenario, allocation);
        }
        close(said[1]);
        char text[4096];
        size_t length = 0;
        for (ssize_t more; length < sizeof text && (more = read(said[0], text + length, sizeof text - length)) > 0;)
            length += static_cast<size_t>(more);
        close(said[0]);
        int status = 0;
        waitpid(child, &status, 0);
        if (WIFEXITED(status) && WEXITSTATUS(status) == kNoneFailed) break;
        const std::string message(text, length);
        if (WIFEXITED(status) && WEXITSTATUS(status) == kWentOn && message.empty()) {
            ++went_on;
        } else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && message.find("fproxy: out of memory") == 0) {
            ++ended;
        } else {
            std::printf("allocation %ld: status %d\n%s\n", allocation, status, message.c_str());
            return 1;
        }
    }
    std::printf("%ld failed: %ld ended the process, %ld did not\n", ended + went_on, ended, went_on);
    return 0;
}
