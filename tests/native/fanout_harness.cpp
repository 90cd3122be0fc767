// Random clients, subscriptions and messages through the fan-out, against a plain model of it.
//
// Arguments: the seed, and how many steps. Every message lies in memory of its own that is freed as soon as it has been
// fed, so that with an address sanitizer whatever the fan-out keeps of it is found. Ends with status 1 and a line that
// says which client got what it should not have; else prints how many events were delivered, and the most audiences
// that there were at once.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "fanout.hpp"

namespace {

constexpr size_t kMaxPayload = 700;
constexpr unsigned kSources = 2;
constexpr size_t kSnapshotBytes = 64 * 1024;  // for a part of the topics
const char *const kTypes[] = {"T", "Q", "LULD", "A", "NEWEVENTTYPE", "100Ms", "60000Ms"};
constexpr size_t kChangedAtOnce = 12;          // rows
constexpr size_t kFirstClients = 150, kMaxClients = 400;

using Topic = std::pair<std::string, std::string>;  // empty texts are wildcards

struct Happening {
    std::string text;
    std::string type;
    std::string symbol;
    bool is_bar;  // whose interval is unknown when its type is empty
};

struct Client {
    bool here = false;
    std::set<Topic> topics;
    std::string expected, received;  // events, each behind a line feed
};

class Model {
  public:
    // With an odd seed, some topics are prefixes.
    explicit Model(unsigned seed)
        : random_(seed),
          prefixes_(seed % 2 != 0),
          fanout_(seed * 0x9E3779B97F4A7C15u + 1, kMaxPayload, kChangedAtOnce),
          snapshots_(kSnapshotBytes, seed * 0x9E3779B97F4A7C15u + 1) {
        for (int i = 0; i < 40; ++i) symbols_.push_back((i % 3 == 0 ? "LONGSYMBOL" : "S") + std::to_string(i));
        for (size_t i = 0; i < kFirstClients; ++i) join();
    }

    void step() {
        const unsigned what = below(100);
        if (what < 8) join();
        else if (what < 10) leave();
        else if (what < 40) subscribe();
        else if (what < 55) unsubscribe();
        else if (what < 60) imitate();
        else if (what < 65) settle();
        else if (what < 90) feed();
        else flush();
        most_audiences_ = std::max(most_audiences_, fanout_.audiences().size());
    }

    void finish() {
        flush();
        for (uint32_t id = 0; id < clients_.size(); ++id)
            if (clients_[id].here) fanout_.audiences().subscribe(id, {});  // what was prepared is not wanted any more
        while (fanout_.audiences().settle()) {}
        std::set<std::set<Topic>> different;
        for (uint32_t id = 0; id < clients_.size(); ++id) {
            if (!clients_[id].topics.empty()) different.insert(clients_[id].topics);
        }
        if (different.size() != fanout_.audiences().size()) fail(0, "number of audiences");
        for (uint32_t id = 0; id < clients_.size(); ++id)
            if (clients_[id].here) fanout_.audiences().remove_client(id);
        if (fanout_.audiences().size() != 0 || fanout_.audiences().topics().table().exact_topics() != 0 ||
            fanout_.audiences().topics().has_prefixes()) fail(0, "something is left of it");
        if (snapshots_.evicted() == 0) fail(0, "memory for last events");
        std::printf("%zu events delivered, %zu audiences, %zu pieces prepared\n", delivered_, most_audiences_, prepared_);
    }

  private:
    std::mt19937 random_;
    bool prefixes_;
    fproxy::Fanout fanout_;
    fproxy::Snapshots snapshots_;  // of every other message, so that rows change unseen
    std::vector<std::string> symbols_;
    std::vector<Client> clients_;  // by number
    size_t delivered_ = 0, most_audiences_ = 0, prepared_ = 0;
    bool is_preparing_ = false;

    unsigned below(size_t end) { return static_cast<unsigned>(random_() % end); }

    [[noreturn]] void fail(uint32_t client, const char *what) const {
        std::printf("client %u: wrong %s", client, what);
        if (client < clients_.size())
            std::printf("\nexpected:%s\nreceived:%s\n", clients_[client].expected.c_str(), clients_[client].received.c_str());
        std::exit(1);
    }

    std::string any_type() {
        return kTypes[below(7)];
    }

    Topic any_topic() {
        const unsigned what = below(30);
        if (what == 0) return {"", ""};
        const std::string symbol = symbols_[below(symbols_.size())];
        if (prefixes_ && what < 12) return {any_type(), symbol.substr(0, 1 + below(symbol.size())) + "*"};
        return {any_type(), what < 15 ? "" : symbol};
    }

    // A client that is here; clients_.size() when the one picked is not.
    uint32_t any_client() {
        const uint32_t id = clients_.empty() ? 0 : below(clients_.size());
        return id < clients_.size() && clients_[id].here ? id : static_cast<uint32_t>(clients_.size());
    }

    std::vector<fproxy::TopicId> ids_of(const std::vector<Topic> &topics) {
        std::vector<fproxy::TopicId> ids;
        for (const Topic &topic : topics)
            ids.push_back(fanout_.audiences().topics().topic(fproxy::Text::of(topic.first.data(), topic.first.size()),
                                                 fproxy::Text::of(topic.second.data(), topic.second.size())));
        return ids;
    }

    void join() {
        if (clients_.size() >= kMaxClients) return;
        const uint32_t id = fanout_.audiences().add_client();
        if (id > clients_.size() || (id < clients_.size() && clients_[id].here)) fail(id, "number");
        if (id == clients_.size()) clients_.emplace_back();
        clients_[id] = Client{};
        clients_[id].here = true;
    }

    void leave() {
        const uint32_t id = any_client();
        if (id == clients_.size()) return;
        flush();
        fanout_.audiences().remove_client(id);
        clients_[id] = Client{};
    }

    void subscribe() {
        const uint32_t id = any_client();
        if (id == clients_.size()) return;
        flush();
        std::vector<Topic> topics(1 + below(below(4) == 0 ? 200 : 3));
        for (Topic &topic : topics) topic = any_topic();
        const Rows before = prepare(id, topics, true);
        if (!clients_[id].here || below(10) == 0) return;
        fanout_.audiences().subscribe(id, ids_of(topics));
        if (!before.empty()) check_work(id, before, kChangedAtOnce + topics.size());
        clients_[id].topics.insert(topics.begin(), topics.end());
    }

    void unsubscribe() {
        const uint32_t id = any_client();
        if (id == clients_.size()) return;
        flush();
        std::vector<Topic> topics(below(3));
        for (Topic &topic : topics) topic = any_topic();
        for (const Topic &topic : clients_[id].topics)
            if (below(3) == 0) topics.push_back(topic);
        const Rows before = prepare(id, topics, false);
        if (!clients_[id].here || below(10) == 0) return;
        fanout_.audiences().unsubscribe(id, ids_of(topics));
        if (!before.empty()) check_work(id, before, kChangedAtOnce + topics.size());
        for (const Topic &topic : topics) clients_[id].topics.erase(topic);
    }

    // Give a client what another has, by way of what it has itself.
    void imitate() {
        const uint32_t one = any_client(), other = any_client();
        if (one == clients_.size() || other == clients_.size()) return;
        flush();
        std::vector<Topic> gone;
        const std::set<Topic> &wanted = clients_[other].topics;
        for (const Topic &topic : clients_[one].topics)
            if (wanted.count(topic) == 0) gone.push_back(topic);
        fanout_.audiences().subscribe(one, ids_of({wanted.begin(), wanted.end()}));
        fanout_.audiences().unsubscribe(one, ids_of(gone));
        clients_[one].topics = wanted;
    }

    using Rows = std::map<Topic, size_t>;

    // How many audiences there are in the row of each topic of one symbol that there is.
    Rows rows() {
        Rows rows;
        fproxy::Topics &topics = fanout_.audiences().topics();
        for (const char *type : kTypes) {
            for (const std::string &symbol : symbols_) {
                const size_t before = topics.table().exact_topics();
                const fproxy::TopicId id = ids_of({{type, symbol}})[0];
                if (topics.table().exact_topics() == before)
                    topics.table().audiences(id).for_each([&](fproxy::AudienceId) { ++rows[{type, symbol}]; });
                topics.forget_unused(id);
            }
        }
        return rows;
    }

    // Check that audiences have come into no more rows than that since `before`.
    void check_work(uint32_t client, const Rows &before, size_t most) {
        size_t count = 0;
        for (const auto &[topic, now] : rows()) {
            const auto known = before.find(topic);
            if (known != before.end() && now > known->second) count += now - known->second;
        }
        if (count > most) fail(client, "amount of work in a step");
    }

    // Do some or all of what a change wants to have done beforehand. It may not come, or another one may. Returns what rows()
    // is when all of it is done, now and then, and else nothing.
    Rows prepare(uint32_t id, const std::vector<Topic> &topics, bool subscribes) {
        fproxy::Audiences &audiences = fanout_.audiences();
        for (unsigned pieces = below(3) == 0 ? below(4) : ~0u; pieces != 0; --pieces) {
            const bool is_counted = below(20) == 0;
            const Rows before = is_counted ? rows() : Rows();
            const std::vector<fproxy::TopicId> ids = ids_of(topics);
            const bool more = subscribes ? audiences.prepare_to_subscribe(id, ids) : audiences.prepare_to_unsubscribe(id, ids);
            for (const fproxy::TopicId topic : ids) audiences.topics().forget_unused(topic);
            if (is_counted) check_work(id, before, kChangedAtOnce + topics.size());
            if (!more) return below(20) == 0 ? rows() : Rows();
            ++prepared_;
            if (below(8) == 0) feed();
            flush();
            if (below(3) == 0 && !is_preparing_) {  // others come and go meanwhile
                is_preparing_ = true;
                const unsigned what = below(10);
                if (what == 0) subscribe();
                else if (what == 1) unsubscribe();
                else if (what == 2) leave();
                else settle();
                is_preparing_ = false;
                if (!clients_[id].here) break;
            }
        }
        return {};
    }

    void settle() {
        flush();
        fanout_.audiences().settle();
    }

    Happening any_event() {
        Happening event;
        event.symbol = symbols_[below(symbols_.size())];
        event.type = any_type();
        event.is_bar = event.type.find("Ms") != std::string::npos;
        const std::string number = std::to_string(random_());
        if (!event.is_bar || below(2) == 0) {
            const char *const key = event.type == "LULD" ? "T" : "sym";
            event.text = "{\"ev\":\"" + event.type + "\",\"n\":" + number + ",\"" + key + "\":\"" + event.symbol + "\"}";
        } else if (below(2) == 0) {
            const std::string interval = event.type.substr(0, event.type.size() - 2);
            event.text = "{\"ev\":\"MB\",\"n\":" + number + ",\"interval\":" + interval + ",\"sym\":\"" + event.symbol + "\"}";
        } else {
            event.type.clear();
            event.text = "{\"T\":\"b\",\"n\":" + number + ",\"S\":\"" + event.symbol + "\"}";
        }
        if (below(50) == 0) event.text.insert(1, "\"long\":\"" + std::string(below(below(4) == 0 ? 30'000 : 2000), 'x') + "\",");
        if (below(50) == 0) event.text.insert(1, " ");  // for the exact scanner
        return event;
    }

    static bool takes(const std::set<Topic> &topics, const Happening &event) {
        if (!event.is_bar && topics.count({"", ""}) != 0) return true;
        return std::any_of(topics.begin(), topics.end(), [&](const Topic &topic) {
            const std::string &symbol = topic.second;
            const bool takes_symbol = symbol.empty() || symbol == event.symbol ||
                                      (symbol.back() == '*' && event.symbol.compare(0, symbol.size() - 1, symbol, 0, symbol.size() - 1) == 0);
            return takes_symbol && (event.type.empty() ? topic.first.find("Ms") != std::string::npos : topic.first == event.type);
        });
    }

    void feed() {
        std::vector<Happening> events(below(below(4) == 0 ? 100 : 4));
        std::string text = "[";
        for (Happening &event : events) {
            event = any_event();
            text += (text.size() == 1 ? "" : ",") + event.text;
        }
        const bool sound = below(10) != 0;
        if (sound) text += "]";
        char *const frame = new char[text.size()];
        std::memcpy(frame, text.data(), text.size());
        std::vector<std::pair<const char *, const char *>> statuses;
        if (fanout_.feed(below(kSources), frame, frame + text.size()) != sound) fail(0, "verdict on a message");
        if (sound && below(2) == 0) fanout_.keep_last(snapshots_, 1, true);
        while (fanout_.distribute(statuses)) {
            if (fanout_.overfull().empty()) fail(0, "pause");
            write(fanout_.overfull());
            fanout_.overfull_written();
        }
        delete[] frame;
        if (!sound) return;
        for (const Happening &event : events)
            for (Client &client : clients_)
                if (client.here && takes(client.topics, event)) client.expected += "\n" + event.text;
    }

    void flush() {
        write(fanout_.ready());
        fanout_.all_written();
        for (uint32_t id = 0; id < clients_.size(); ++id) {
            if (clients_[id].received != clients_[id].expected) fail(id, "events");
            clients_[id].received.clear();
            clients_[id].expected.clear();
        }
    }

    void write(const std::vector<fproxy::AudienceId> &audiences) {
        for (const fproxy::AudienceId audience : audiences) {
            const std::pair<const char *, size_t> ready = fanout_.finish(audience);
            for (const fproxy::ClientId id : fanout_.audiences().members(audience)) receive(id, ready.first, ready.first + ready.second);
        }
    }

    // Take WebSocket frames apart (RFC 6455, section 5.2).
    void receive(uint32_t id, const char *at, const char *end) {
        fproxy::Scanner scanner;
        fproxy::Events events;
        while (at != end) {
            const unsigned char *const header = reinterpret_cast<const unsigned char *>(at);
            size_t size = header[1], header_size = 2;
            if (size == 126) {
                size = static_cast<size_t>(header[2]) << 8 | header[3];
                header_size = 4;
            }
            if (header[0] != 0x81 || header[1] > 126 || size > static_cast<size_t>(end - at) - header_size)
                fail(id, "WebSocket frame");
            at += header_size;
            if (!scanner.scan(at, at + size, events)) fail(id, "message");
            if (size > kMaxPayload && events.size() != 1) fail(id, "size of a message");
            for (const fproxy::Event &event : events) clients_[id].received += "\n" + std::string(event.begin, event.end);
            delivered_ += events.size();
            at += size;
        }
    }
};

}  // namespace

int main(int count, char **arguments) {
    if (count != 3) return 2;
    Model model(static_cast<unsigned>(std::atoi(arguments[1])));
    for (int steps = std::atoi(arguments[2]); steps > 0; --steps) model.step();
    model.finish();
    return 0;
}
