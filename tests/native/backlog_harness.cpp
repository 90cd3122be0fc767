// Random writes to clients that lag, against a plain model of what waits for each.
//
// Arguments: the seed, and how many steps. Ends with status 1 and a line that says what is wrong; else prints how many
// bytes waited at most, added up over all clients, and how many the pool took then.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "backlog.hpp"

namespace {

constexpr size_t kClients = 60, kAudiences = 7;
constexpr int64_t kAgeStep = 100;

[[noreturn]] void fail(size_t client, const char *what) {
    std::printf("client %zu: %s\n", client, what);
    std::exit(1);
}

// What waits, byte by byte with its time, and how far the frame at its front is sent.
struct Model {
    std::string bytes;
    std::vector<int64_t> times;
    std::vector<size_t> frame_ends;  // from the first byte that waits
    bool partly_sent = false;        // the first frame

    size_t rest_of_frame() const { return partly_sent ? frame_ends.front() : 0; }
};

class Run {
  public:
    explicit Run(unsigned seed) : random_(seed) {
        for (size_t i = 0; i < kClients; ++i) backlogs_.push_back(std::make_unique<fproxy::Backlog>(pool_));
        models_.resize(kClients);
    }

    void step() {
        now_ += below(60);
        const unsigned what = below(100);
        if (what < 50) write_to_audience();
        else if (what < 60) write_to_one(below(kClients));
        else if (what < 90) send(below(kClients), true);
        else if (what < 94) send(below(kClients), false);
        else if (what < 96) cut(below(kClients));
        else if (what < 98) clear(below(kClients));
        else replace(below(kClients));
        check();
    }

    void finish() {
        for (size_t id = 0; id < kClients; ++id) backlogs_[id].reset();
        if (pool_.bytes() != 0 || pool_.waiting_bytes != 0 || pool_.lagging != 0) fail(0, "something is left in the pool");
        if (pool_.order.oldest() != nullptr) fail(0, "somebody is left in the order");
        std::printf("%zu bytes waited, %zu were kept\n", most_waiting_, kept_then_);
    }

  private:
    std::mt19937 random_;
    fproxy::BacklogPool pool_;
    std::vector<std::unique_ptr<fproxy::Backlog>> backlogs_;
    std::vector<Model> models_;
    int64_t now_ = 1;
    size_t most_waiting_ = 0, kept_then_ = 0;

    unsigned below(unsigned limit) { return static_cast<unsigned>(random_() % limit); }

    // One to three frames of any of the three forms of header.
    std::string frames() {
        std::string made;
        for (unsigned i = 1 + below(3); i != 0; --i) {
            const unsigned kind = below(40);
            const size_t length = kind < 15 ? below(126) : kind < 38 ? 126 + below(9'000) : 65'536 + below(90'000);
            made += '\x81';
            if (length < 126) {
                made += static_cast<char>(length);
            } else {
                const unsigned bytes = length < 65'536 ? 2 : 8;
                made += static_cast<char>(bytes == 2 ? 126 : 127);
                for (unsigned at = bytes; at != 0; --at) made += static_cast<char>(static_cast<uint64_t>(length) >> 8 * (at - 1));
            }
            for (size_t at = 0; at < length; ++at) made += static_cast<char>(random_());
        }
        return made;
    }

    void write_to_audience() {
        const std::string bytes = frames();
        fproxy::SharedFrames shared;
        shared.start(bytes.data(), bytes.size(), false);
        const size_t audience = below(kAudiences);
        for (size_t id = audience; id < kClients; id += kAudiences) keep(id, shared);
        // A rule of the writer's: frames may be written to somebody while those of an audience are.
        if (below(10) == 0) write_to_one(below(kClients));
    }

    void write_to_one(size_t id) {
        const std::string bytes = frames();
        fproxy::SharedFrames shared;
        shared.start(bytes.data(), bytes.size(), true);
        keep(id, shared);
    }

    // As the writer does it: when nothing waits, the socket takes some of it first.
    void keep(size_t id, fproxy::SharedFrames &shared) {
        Model &model = models_[id];
        const size_t sent = model.bytes.empty() ? below(static_cast<unsigned>(shared.size + 1)) : 0;
        backlogs_[id]->keep(shared, sent, now_);
        const std::string whole(shared.begin, shared.size);
        for (size_t at = 0; at < whole.size();) {
            const size_t begin = at;
            at += size_of_frame(whole, at);
            if (at > sent && begin < sent) model.partly_sent = true;
            if (at > sent) model.frame_ends.push_back(model.bytes.size() + at - sent);
        }
        model.bytes += whole.substr(sent);
        model.times.resize(model.bytes.size(), now_);
    }

    static size_t size_of_frame(const std::string &bytes, size_t at) {
        const auto byte = [&](size_t i) { return static_cast<size_t>(static_cast<unsigned char>(bytes[at + i])); };
        size_t size = byte(1), header = 2;
        if (size >= 126) {
            header = size == 126 ? 4 : 10;
            size = 0;
            for (size_t i = 2; i < header; ++i) size = size << 8 | byte(i);
        }
        return header + size;
    }

    static void forget_front(Model &model, size_t size) {
        model.bytes.erase(0, size);
        model.times.erase(model.times.begin(), model.times.begin() + static_cast<std::ptrdiff_t>(size));
        std::vector<size_t> ends;
        if (size != 0) {
            const auto found = std::find(model.frame_ends.begin(), model.frame_ends.end(), size);
            model.partly_sent = found == model.frame_ends.end();
        }
        for (const size_t end : model.frame_ends)
            if (end > size) ends.push_back(end - size);
        model.frame_ends = ends;
    }

    void send(size_t id, bool some) {
        Model &model = models_[id];
        const size_t size = some ? below(static_cast<unsigned>(model.bytes.size() + 1)) : model.bytes.size();
        backlogs_[id]->consume(size);
        forget_front(model, size);
    }

    void cut(size_t id) {
        Model &model = models_[id];
        const size_t rest = model.rest_of_frame();
        backlogs_[id]->cut(now_);
        model.bytes.resize(rest);
        model.times.assign(rest, now_);
        model.frame_ends.clear();
        if (rest != 0) model.frame_ends.push_back(rest);
    }

    void clear(size_t id) {
        backlogs_[id]->clear();
        models_[id] = Model{};
    }

    void replace(size_t id) {
        backlogs_[id] = std::make_unique<fproxy::Backlog>(pool_);
        models_[id] = Model{};
        if (below(4) == 0) backlogs_[id]->exempt(true);
    }

    void check() {
        size_t waiting = 0, lagging = 0;
        const fproxy::Backlog *oldest = pool_.order.oldest();
        for (size_t id = 0; id < kClients; ++id) {
            const fproxy::Backlog &backlog = *backlogs_[id];
            const Model &model = models_[id];
            if (backlog.bytes() != model.bytes.size()) fail(id, "number of bytes");
            if (backlog.empty() != model.bytes.empty()) fail(id, "empty or not");
            waiting += model.bytes.size();
            if (backlog.empty()) continue;
            ++lagging;
            if (backlog.since() > model.times.front() || backlog.since() <= model.times.front() - kAgeStep) fail(id, "age");
            if (backlog.evictable() && (oldest == nullptr || backlog.since() < oldest->since())) fail(id, "is older than the oldest");
        }
        if (oldest != nullptr && !oldest->evictable()) fail(0, "the oldest may not be evicted");
        if (pool_.waiting_bytes != waiting || pool_.lagging != lagging) fail(0, "sums");
        if (waiting > most_waiting_) {
            most_waiting_ = waiting;
            kept_then_ = pool_.bytes();
        }
        const size_t id = below(kClients);
        iovec vectors[1024];
        const size_t limit = below(2) ? 1 + below(100'000) : ~size_t{0};
        const size_t count = backlogs_[id]->gather(vectors, 1024, limit);
        std::string gathered;
        for (size_t i = 0; i < count; ++i) gathered.append(static_cast<const char *>(vectors[i].iov_base), vectors[i].iov_len);
        if (gathered != models_[id].bytes.substr(0, limit) && count != 1024) fail(id, "bytes");
    }
};

// Five hundred that stall together take little more than one.
void check_that_it_is_shared() {
    const std::string frame = std::string("\x81\x7e\x0f\xa0") + std::string(4'000, 'x');
    size_t taken[2];
    for (const size_t clients : {1, 500}) {
        fproxy::BacklogPool pool;
        std::vector<std::unique_ptr<fproxy::Backlog>> backlogs;
        for (size_t i = 0; i < clients; ++i) backlogs.push_back(std::make_unique<fproxy::Backlog>(pool));
        for (int64_t now = 0; now < 4'000; ++now) {
            fproxy::SharedFrames shared;
            shared.start(frame.data(), frame.size(), false);
            for (const auto &backlog : backlogs) backlog->keep(shared, 0, now);
        }
        taken[clients == 500] = pool.bytes();
    }
    if (taken[0] < 4'000 * frame.size() || taken[1] > taken[0] * 14 / 10) fail(500, "not shared");
}

}  // namespace

int main(int count, char **arguments) {
    if (count != 3) return 2;
    check_that_it_is_shared();
    Run run(static_cast<unsigned>(std::atoi(arguments[1])));
    for (int steps = std::atoi(arguments[2]); steps > 0; --steps) run.step();
    run.finish();
    return 0;
}
