// The clients of a benchmark: any number of WebSocket clients in one thread, which compare every byte they receive with
// what the oracle says they should, at the cost of a memcmp.
//
//   clients PORT TAPE EXPECTED CLIENTS WINDOW_FILE
//
// CLIENTS has a line for each client: GROUP PATH TOPICS, the group numbering a list of EXPECTED (-1: expects nothing).
// EXPECTED is little-endian uint32: how many groups, then for each the length of its list and the list: the indices of
// the tape's events that it should receive, ascending. The tape is endless: after its last event comes its first.
// Lines on standard input drive it and lines on standard output report:
//
//   < connect                                connected CLIENTS NANOSECONDS
//   < phase BASE TARGET RATE START_NS KEEP   expect the events numbered below TARGET; at a RATE above 0, measure how
//                                            late each is (KEEP: together with the phase before); when all are there:
//                                            phase {JSON}
//   < finish                                 the source has sent all: what is not here after 3 s without data is lost
//   < idle COUNT                             connect that many more clients that expect nothing:
//                                            idle CONNECTED NANOSECONDS
//   < storm TOPICS SINGLES                   another client subscribes to that many topics in big messages, then to
//                                            that many more in one message each: storm TOPICS_NS SINGLES_NS
//
// Messages may hold any number of events: only the bytes of the events, their order and sound separators count.
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <memory>
#include <unordered_map>

#include "../native/tape.hpp"
#include "../native/websocket.hpp"

namespace {

constexpr size_t kReadSize = 256 * 1024;
constexpr size_t kCarry = 64 * 1024;      // room before what is read, for an event that the read before cut in two
constexpr size_t kTopicsAMessage = 1000;  // of one subscribe message
constexpr size_t kConnecting = 64;        // clients that connect at the same time
constexpr uint64_t kQuietNs = 3'000'000'000;

enum class State { kConnecting, kHandshake, kGreeting, kAuth, kSubscribing, kActive, kClosed };
enum class Next { kArray, kFirst, kEvent, kSeparator };  // what may come next in a message

struct Client {
  int fd = -1;
  State state = State::kConnecting;
  int group = -1;
  std::string path, topics;
  size_t acknowledged = 0, awaited = 0;  // topics
  // Where it is in the endless list of what it expects:
  const std::vector<uint32_t>* expected = nullptr;
  size_t index = 0;         // in that list
  uint64_t round = 0;       // of the tape
  uint64_t next = ~0ull;    // the number of the event expected next
  bool reached = true;      // has everything below the phase's target
  // Where it is in the stream:
  uint64_t frame_left = 0;
  bool final = true;
  Next state_in_message = Next::kArray;
  uint64_t message_size = 0;
  std::string carry, output;
};

struct Counts {
  uint64_t delivered = 0, lost = 0, repeated = 0, unexpected = 0, altered = 0, malformed = 0, closed = 0, messages = 0;
  uint64_t largest_message = 0, last_ns = 0;
};

class Clients {
 public:
  Clients(int port, const std::string& tape, const std::string& expected, const std::string& clients,
          const std::string& window)
      : port_(port), tape_(tape), buffer_(kCarry + kReadSize) {
    read_expected(expected);
    std::ifstream file(clients);
    std::string line;
    while (std::getline(file, line)) {
      auto client = std::make_unique<Client>();
      std::istringstream(line) >> client->group >> client->path >> client->topics;
      if (client->group >= 0 && !expected_[size_t(client->group)].empty()) {
        client->expected = &expected_[size_t(client->group)];
        client->next = (*client->expected)[0];
      }
      planned_.push_back(std::move(client));
    }
    int fd = open(window.c_str(), O_RDWR);
    void* page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd < 0 || page == MAP_FAILED) ws::fail("window file");
    consumed_ = static_cast<std::atomic<uint64_t>*>(page);
    epoll_ = epoll_create1(0);
    epoll_event event{};
    event.events = EPOLLIN;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, 0, &event);
  }

  void run() {
    std::vector<epoll_event> ready(1024);
    for (;;) {
      int count = epoll_wait(epoll_, ready.data(), int(ready.size()), finishing_ ? 50 : -1);
      for (int i = 0; i < count; i++) {
        Client* client = static_cast<Client*>(ready[size_t(i)].data.ptr);
        if (!client) {
          if (!read_commands()) return;
          continue;
        }
        if (client->state == State::kClosed) continue;
        if (ready[size_t(i)].events & EPOLLOUT) writable(*client);
        if (client->state != State::kClosed && (ready[size_t(i)].events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
          receive(*client);
      }
      publish();
      report();
    }
  }

 private:
  void read_expected(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    auto number = [&file] {
      uint32_t value = 0;
      file.read(reinterpret_cast<char*>(&value), sizeof value);
      return value;
    };
    expected_.resize(number());
    for (auto& list : expected_) {
      list.resize(number());
      file.read(reinterpret_cast<char*>(list.data()), std::streamsize(list.size() * sizeof(uint32_t)));
    }
    if (!file) ws::fail("expected events cannot be read");
  }

  bool read_commands() {
    char buffer[4096];
    ssize_t size = read(0, buffer, sizeof buffer);
    if (size <= 0) return false;
    commands_.append(buffer, size_t(size));
    size_t newline;
    while ((newline = commands_.find('\n')) != std::string::npos) {
      std::istringstream line(commands_.substr(0, newline));
      commands_.erase(0, newline + 1);
      std::string verb;
      line >> verb;
      if (verb == "connect") {
        begin(Batch::kPlanned);
        for (auto& client : planned_) waiting_.push_back(std::move(client));
        total_ = waiting_.size();
      } else if (verb == "idle") {
        size_t count = 0;
        line >> count;
        begin(Batch::kIdle);
        for (size_t i = 0; i < count; i++) {
          auto client = std::make_unique<Client>();
          client->path = "/stocks";
          client->topics = "T.QUIET" + std::to_string(i % 100);
          waiting_.push_back(std::move(client));
        }
        total_ = count;
      } else if (verb == "storm") {
        line >> storm_topics_ >> storm_singles_;
        begin(Batch::kStorm);
        auto client = std::make_unique<Client>();
        client->path = "/stocks";
        client->topics = "T.STORM";
        waiting_.push_back(std::move(client));
        total_ = 1;
      } else if (verb == "phase") {
        int keep = 0;
        line >> base_ >> target_ >> rate_ >> start_ns_ >> keep;
        if (!keep) latencies_.clear();
        remaining_ = 0;
        for (Client* client : expecting_) {
          client->reached = client->state == State::kClosed || client->next >= target_;
          if (!client->reached) remaining_++;
        }
        in_phase_ = true;
        finishing_ = false;
      } else if (verb == "finish") {
        finishing_ = in_phase_;
        last_data_ns_ = ws::now_ns();
      } else {
        return false;
      }
      connect_more();
    }
    return true;
  }

  enum class Batch { kPlanned, kIdle, kStorm };

  void begin(Batch batch) {
    batch_ = batch;
    batch_start_ns_ = ws::now_ns();
    settled_ = total_ = 0;
  }

  void connect_more() {
    while (!waiting_.empty() && connecting_ < kConnecting) {
      clients_.push_back(std::move(waiting_.front()));
      waiting_.pop_front();
      Client& client = *clients_.back();
      client.fd = ws::connect_to(port_);
      connecting_++;
      if (client.expected) expecting_.push_back(&client);
      epoll_event event{};
      event.events = EPOLLIN | EPOLLOUT;
      event.data.ptr = &client;
      epoll_ctl(epoll_, EPOLL_CTL_ADD, client.fd, &event);
    }
  }

  void settled(Client& client) {
    connecting_--;
    settled_++;
    connect_more();
    if (settled_ < total_) return;
    uint64_t now = ws::now_ns();
    if (batch_ == Batch::kPlanned) printf("connected %zu %lu\n", settled_, now - batch_start_ns_);
    if (batch_ == Batch::kIdle) printf("idle %zu %lu\n", settled_, now - batch_start_ns_);
    if (batch_ == Batch::kStorm) {
      storm_step_ = 1;
      storm_start_ns_ = now;
      std::string topics;
      for (size_t i = 0; i < storm_topics_; i++) topics += "T.BULK" + std::to_string(i) + ",";
      subscribe(client, topics);
    }
  }

  void storm_step(Client& client) {
    uint64_t now = ws::now_ns();
    if (storm_step_ == 1) {
      storm_step_ = 2;
      storm_bulk_ns_ = now - storm_start_ns_;
      storm_start_ns_ = now;
      for (size_t i = 0; i < storm_singles_; i++) subscribe(client, "T.SINGLE" + std::to_string(i));
    } else if (storm_step_ == 2) {
      storm_step_ = 0;
      printf("storm %lu %lu\n", storm_bulk_ns_, now - storm_start_ns_);
    }
  }

  void send_text(Client& client, std::string_view text, uint8_t opcode = ws::kText) {
    client.output += ws::client_frame(opcode, text);
    writable(client);
  }

  void subscribe(Client& client, std::string_view topics) {
    while (!topics.empty()) {
      size_t end = 0, count = 0;
      while (end < topics.size() && count < kTopicsAMessage) {
        end = std::min(topics.find(',', end), topics.size());
        if (end < topics.size()) end++;
        count++;
      }
      std::string_view part = topics.substr(0, end);
      if (part.back() == ',') part.remove_suffix(1);
      client.awaited += count;
      send_text(client, R"({"action":"subscribe","params":")" + std::string(part) + "\"}");
      topics.remove_prefix(end);
    }
  }

  void writable(Client& client) {
    if (client.state == State::kConnecting) {
      int error = 0;
      socklen_t size = sizeof error;
      getsockopt(client.fd, SOL_SOCKET, SO_ERROR, &error, &size);
      errno = error;
      if (error) ws::fail("a client cannot connect");
      client.state = State::kHandshake;
      client.output = ws::client_handshake(client.path, port_);
    }
    size_t sent = 0;
    while (sent < client.output.size()) {
      ssize_t size = send(client.fd, client.output.data() + sent, client.output.size() - sent, MSG_NOSIGNAL);
      if (size < 0) break;
      sent += size_t(size);
    }
    client.output.erase(0, sent);
    epoll_event event{};
    event.events = EPOLLIN | (client.output.empty() ? 0u : uint32_t(EPOLLOUT));
    event.data.ptr = &client;
    epoll_ctl(epoll_, EPOLL_CTL_MOD, client.fd, &event);
  }

  void hung_up(Client& client) {
    if (client.state != State::kActive) ws::fail("a client was hung up on before it was subscribed");
    client.state = State::kClosed;
    close(client.fd);
    counts_.closed++;
    if (!client.reached) client.reached = true, remaining_--;
    if (client.expected && in_phase_) skip_to_target(client);
  }

  void receive(Client& client) {
    // What the read before left over goes in front of what comes now.
    size_t carried = client.carry.size();
    char* start = buffer_.data() + kCarry - carried;
    memcpy(start, client.carry.data(), carried);
    client.carry.clear();
    ssize_t size = recv(client.fd, buffer_.data() + kCarry, kReadSize, 0);
    if (size <= 0) {
      client.carry.assign(start, carried);
      if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
      return hung_up(client);
    }
    now_ = last_data_ns_ = ws::now_ns();
    const char* p = start;
    const char* end = buffer_.data() + kCarry + size;
    if (client.state == State::kHandshake) {
      size_t head = std::string_view(p, size_t(end - p)).find("\r\n\r\n");
      if (head != std::string_view::npos) {
        if (strncmp(p, "HTTP/1.1 101", 12) != 0) ws::fail("handshake refused: " + std::string(p, head));
        p += head + 4;
        client.state = State::kGreeting;
      }
    }
    if (client.state != State::kHandshake) p = parse(client, p, end);
    if (size_t(end - p) > kCarry) ws::fail("an event or a header that does not end");
    if (client.state != State::kClosed) client.carry.assign(p, size_t(end - p));
  }

  // Returns where parsing stopped for want of bytes.
  const char* parse(Client& client, const char* p, const char* end) {
    while (p < end) {
      if (client.frame_left == 0) {
        ws::Header header;
        size_t used = ws::read_header(p, size_t(end - p), header);
        if (used == 0) return p;
        if (header.opcode >= 8) {
          if (size_t(end - p) < used + header.length) return p;
          if (header.opcode == ws::kPing) send_text(client, std::string_view(p + used, header.length), ws::kPong);
          if (header.opcode == ws::kClose) {
            fprintf(stderr, "a client was closed: %.*s\n", std::max(0, int(header.length) - 2), p + used + 2);
            hung_up(client);
            return end;
          }
          p += used + header.length;
          continue;
        }
        p += used;
        if (header.opcode != ws::kContinuation) client.message_size = 0;
        client.frame_left = header.length;
        client.message_size += header.length;
        client.final = header.final;
        counts_.messages += header.final;
        counts_.largest_message = std::max(counts_.largest_message, client.message_size);
        continue;
      }
      size_t available = std::min<uint64_t>(client.frame_left, uint64_t(end - p));
      size_t used = payload(client, p, available);
      client.frame_left -= used;
      p += used;
      if (client.frame_left == 0 && client.final && client.state_in_message != Next::kArray) {
        counts_.malformed++;
        client.state_in_message = Next::kArray;
      }
      if (used < available || client.state == State::kClosed) return p;
    }
    return p;
  }

  // Returns how much of a message's bytes it has used; less than all when an event goes on in the next read.
  size_t payload(Client& client, const char* data, size_t size) {
    size_t at = 0;
    while (at < size) {
      char c = data[at];
      if (c == '{') {
        if (client.state_in_message != Next::kEvent && client.state_in_message != Next::kFirst) counts_.malformed++;
        if (client.expected) {
          std::string_view event = tape_.events[(*client.expected)[client.index]];
          size_t comparable = std::min(event.size(), size - at);
          if (memcmp(data + at, event.data(), comparable) == 0) {
            if (comparable < event.size()) return at;
            received(client);
            at += event.size();
            client.state_in_message = Next::kSeparator;
            continue;
          }
        }
        const void* close = memchr(data + at, '}', size - at);
        if (!close) return at;
        size_t length = size_t(static_cast<const char*>(close) - (data + at)) + 1;
        surprise(client, std::string_view(data + at, length));
        at += length;
        client.state_in_message = Next::kSeparator;
        continue;
      }
      Next& next = client.state_in_message;
      if (c == '[' && next == Next::kArray) next = Next::kFirst;
      else if (c == ',' && next == Next::kSeparator) next = Next::kEvent;
      else if (c == ']' && (next == Next::kSeparator || next == Next::kFirst)) next = Next::kArray;
      else if (c != ' ' && c != '\n') counts_.malformed++;
      at++;
    }
    return at;
  }

  void advance(Client& client) {
    if (++client.index == client.expected->size()) client.index = 0, client.round++;
    client.next = client.round * tape_.events.size() + (*client.expected)[client.index];
    if (!client.reached && client.next >= target_) client.reached = true, remaining_--;
  }

  void received(Client& client) {
    counts_.delivered++;
    counts_.last_ns = now_;
    if (rate_ > 0) {
      uint64_t first = client.round * tape_.events.size() + tape_.frame_first_event[(*client.expected)[client.index]];
      double due = double(start_ns_) + double(int64_t(first - base_)) * 1e9 / rate_;
      latencies_.push_back(uint32_t(std::clamp(double(now_) - due, 0.0, 4e9)));
    }
    advance(client);
  }

  // An event that is not the one expected next: a status, or something went wrong; say what.
  void surprise(Client& client, std::string_view event) {
    if (event.substr(0, 14) == R"({"ev":"status")" || event.substr(0, 15) == R"({"ev": "status")")
      return status(client, event);
    if (event_index_.empty())
      for (size_t i = 0; i < tape_.events.size(); i++) event_index_.emplace(tape_.events[i], uint32_t(i));
    auto found = event_index_.find(event);
    if (found == event_index_.end()) {
      if (counts_.altered++ == 0) fprintf(stderr, "altered: %.*s\n", int(event.size()), event.data());
      return;
    }
    if (!client.expected || !std::binary_search(client.expected->begin(), client.expected->end(), found->second)) {
      counts_.unexpected++;
      return;
    }
    size_t count = client.expected->size();
    size_t index = size_t(std::lower_bound(client.expected->begin(), client.expected->end(), found->second) -
                          client.expected->begin());
    size_t ahead = (index + count - client.index) % count;
    if (ahead > count / 2) {
      counts_.repeated++;
      return;
    }
    counts_.lost += ahead;
    for (; ahead; ahead--) advance(client);
    received(client);
  }

  void status(Client& client, std::string_view event) {
    // The usual form of an acknowledgement, of which thousands may come while others wait.
    constexpr std::string_view kSuccess = R"({"ev":"status","status":"success",)";
    if (event.substr(0, kSuccess.size()) == kSuccess && client.acknowledged + 1 < client.awaited) {
      client.acknowledged++;
      return;
    }
    std::string_view status = ws::json_string(event, "status");
    if (status == "auth_failed" || status == "auth_timeout" || status == "error")
      ws::fail("a client was refused: " + std::string(event));
    if (status == "connected" && client.state == State::kGreeting) {
      client.state = State::kAuth;
      send_text(client, R"({"action":"auth","params":"benchmark"})");
    } else if (status == "auth_success" && client.state == State::kAuth) {
      client.state = State::kSubscribing;
      subscribe(client, client.topics);
    } else if (status == "success") {
      if (++client.acknowledged < client.awaited) return;
      if (client.state == State::kSubscribing) {
        client.state = State::kActive;
        settled(client);
      } else if (storm_step_) {
        storm_step(client);
      }
    }
  }

  void skip_to_target(Client& client) {
    while (client.next < target_) {
      counts_.lost++;
      advance(client);
    }
  }

  // Tells the source what every client has received.
  void publish() {
    uint64_t consumed = ~0ull >> 1;
    for (Client* client : expecting_)
      if (client->state != State::kClosed) consumed = std::min(consumed, client->next);
    consumed_->store(consumed, std::memory_order_relaxed);
  }

  void report() {
    if (!in_phase_) return;
    bool given_up = finishing_ && ws::now_ns() - last_data_ns_ > kQuietNs;
    if (remaining_ > 0 && !given_up) return;
    if (remaining_ == 0 && counts_.delivered == 0 && !finishing_) return;
    for (Client* client : expecting_) skip_to_target(*client);
    in_phase_ = finishing_ = false;
    std::sort(latencies_.begin(), latencies_.end());
    auto percentile = [this](double p) {
      return latencies_.empty() ? 0.0 : double(latencies_[size_t(p * double(latencies_.size() - 1))]) / 1000;
    };
    printf("phase {\"delivered\":%lu,\"lost\":%lu,\"repeated\":%lu,\"unexpected\":%lu,\"altered\":%lu,"
           "\"malformed\":%lu,\"closed\":%lu,\"messages\":%lu,\"largest_message\":%lu,\"last_ns\":%lu,"
           "\"p50_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,\"max_us\":%.1f}\n",
           counts_.delivered, counts_.lost, counts_.repeated, counts_.unexpected, counts_.altered, counts_.malformed,
           counts_.closed, counts_.messages, counts_.largest_message, counts_.last_ns, percentile(0.5),
           percentile(0.99), percentile(0.999), percentile(1.0));
    counts_ = Counts();  // what comes too late or too often counts in the next phase
  }

  int port_;
  Tape tape_;
  std::vector<std::vector<uint32_t>> expected_;
  std::vector<char> buffer_;
  std::vector<std::unique_ptr<Client>> planned_, clients_;
  std::vector<Client*> expecting_;
  std::deque<std::unique_ptr<Client>> waiting_;
  std::unordered_map<std::string_view, uint32_t> event_index_;
  std::atomic<uint64_t>* consumed_;
  int epoll_;
  std::string commands_;
  Batch batch_ = Batch::kPlanned;
  size_t connecting_ = 0, settled_ = 0, total_ = 0;
  uint64_t batch_start_ns_ = 0;
  int storm_step_ = 0;
  size_t storm_topics_ = 0, storm_singles_ = 0;
  uint64_t storm_start_ns_ = 0, storm_bulk_ns_ = 0;
  bool in_phase_ = false, finishing_ = false;
  uint64_t base_ = 0, target_ = 0, start_ns_ = 0;
  double rate_ = 0;
  size_t remaining_ = 0;
  uint64_t now_ = 0, last_data_ns_ = 0;
  Counts counts_;
  std::vector<uint32_t> latencies_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) {
    fprintf(stderr, "usage: clients PORT TAPE EXPECTED CLIENTS WINDOW_FILE\n");
    return 2;
  }
  setvbuf(stdout, nullptr, _IOLBF, 0);
  prctl(PR_SET_TIMERSLACK, 1UL);
  ws::raise_file_limit();
  Clients(atoi(argv[1]), argv[2], argv[3], argv[4], argv[5]).run();
}
