// The floor: the least that anyone can do. One thread and epoll; for each read from the firehose: find each event's type
// and symbol, hash them, copy the event's bytes into the buffer of each client that wants it, and then one send a
// client. It knows the vendor's key order and flat events, trusts its input, and has none of a product's features: no
// limits on slow clients (what they have not read waits in memory), no reconnects, no second upstream, no checks.
#include <sys/epoll.h>

#include <algorithm>
#include <memory>
#include <set>
#include <unordered_map>
#include <vector>

#include "../../native/websocket.hpp"

namespace {

// As much as a message may hold before the vendor's clients refuse it (1,000,000 bytes). Measured: 64 KiB costs three
// times as much CPU an event on fan-out workloads, 4 MiB no less.
constexpr size_t kReadSize = 900 * 1024;

struct Client {
  int fd = -1;
  bool open = false, greets = false, dirty = false, blocked = false;
  uint64_t last_event = 0;  // so that two topics bring an event once
  std::string input;
  std::vector<char> pending;  // room for a header, then the events of this read with their separators
  std::string unsent;         // what the socket did not take, of which
  size_t sent = 0;            // this much has gone since
  std::set<std::string> topics;
};

using Subscribers = std::vector<Client*>;

// Open addressing over topics; a topic is `TYPE.SYMBOL`.
class Index {
 public:
  Index() : slots_(1024) {}

  Subscribers* find(std::string_view type, std::string_view symbol) {
    uint64_t hash = hash_of(type, symbol);
    for (size_t i = hash & (slots_.size() - 1);; i = (i + 1) & (slots_.size() - 1)) {
      Slot& slot = slots_[i];
      if (!slot.subscribers) return nullptr;
      if (slot.hash == hash && slot.type == type && slot.symbol == symbol) return slot.subscribers.get();
    }
  }

  Subscribers& at(std::string_view type, std::string_view symbol) {
    if (Subscribers* found = find(type, symbol)) return *found;
    if (++count_ * 2 > slots_.size()) {
      std::vector<Slot> old(slots_.size() * 2);
      old.swap(slots_);
      for (Slot& slot : old)
        if (slot.subscribers) place(std::move(slot));
    }
    return *place({hash_of(type, symbol), std::string(type), std::string(symbol), std::make_unique<Subscribers>()});
  }

 private:
  struct Slot {
    uint64_t hash = 0;
    std::string type, symbol;
    std::unique_ptr<Subscribers> subscribers;
  };

  static uint64_t word(std::string_view text) {
    uint64_t value = 0;
    if (text.size() >= 8) {
      memcpy(&value, text.data() + text.size() - 8, 8);
      return value ^ text.size();
    }
    for (char c : text) value = value << 8 | uint8_t(c);
    return value;
  }

  static uint64_t hash_of(std::string_view type, std::string_view symbol) {
    uint64_t hash = (word(symbol) ^ word(type) << 40) * 0x9E3779B97F4A7C15u;
    return hash ^ hash >> 29;
  }

  Subscribers* place(Slot slot) {
    size_t i = slot.hash & (slots_.size() - 1);
    while (slots_[i].subscribers) i = (i + 1) & (slots_.size() - 1);
    slots_[i] = std::move(slot);
    return slots_[i].subscribers.get();
  }

  std::vector<Slot> slots_;
  size_t count_ = 0;
};

class Proxy {
 public:
  Proxy(int port, const std::string& url) {
    size_t colon = url.rfind(':');
    size_t slash = url.find('/', colon);
    upstream_port_ = atoi(url.c_str() + colon + 1);
    upstream_path_ = slash == std::string::npos ? "/" : url.substr(slash);
    epoll_ = epoll_create1(0);
    listener_ = ws::listen_on(port);
    upstream_ = ws::connect_to(upstream_port_);
    watch(listener_, EPOLLIN, &listener_);
    watch(upstream_, EPOLLIN | EPOLLOUT, &upstream_);
    read_.resize(kReadSize);
  }

  void run() {
    epoll_event ready[1024];
    for (;;) {
      int count = epoll_wait(epoll_, ready, 1024, -1);
      for (int i = 0; i < count; i++) {
        void* who = ready[i].data.ptr;
        if (who == &upstream_) {
          if (!receive_upstream()) return;
        } else if (who == &listener_) {
          accept_clients();
        } else {
          Client& client = *static_cast<Client*>(who);
          if (client.fd >= 0 && (ready[i].events & EPOLLOUT)) drain(client);
          if (client.fd >= 0 && (ready[i].events & (EPOLLIN | EPOLLHUP))) receive(client);
        }
      }
      gone_.clear();
    }
  }

 private:
  void watch(int fd, uint32_t events, void* who, int operation = EPOLL_CTL_ADD) {
    epoll_event event{};
    event.events = events;
    event.data.ptr = who;
    epoll_ctl(epoll_, operation, fd, &event);
  }

  void accept_clients() {
    int fd;
    while ((fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
      ws::set_nodelay(fd);
      auto client = std::make_unique<Client>();
      client->fd = fd;
      watch(fd, EPOLLIN, client.get());
      clients_[fd] = std::move(client);
    }
  }

  bool receive_upstream() {
    if (!upstream_open_ && !asked_) {
      asked_ = true;
      watch(upstream_, EPOLLIN, &upstream_, EPOLL_CTL_MOD);
      std::string request = ws::client_handshake(upstream_path_, upstream_port_);
      (void)!write(upstream_, request.data(), request.size());
    }
    if (read_.size() - filled_ < kReadSize / 2) read_.resize(read_.size() * 2);  // a message larger than a read
    ssize_t size = recv(upstream_, read_.data() + filled_, read_.size() - filled_, 0);
    if (size <= 0) return size < 0 && errno == EAGAIN;
    filled_ += size_t(size);
    size_t at = 0;
    if (!upstream_open_) {
      size_t end = std::string_view(read_.data(), filled_).find("\r\n\r\n");
      if (end == std::string_view::npos) return true;
      at = end + 4;
      upstream_open_ = true;
      for (const char* request :
           {R"({"action":"auth","params":"benchmark"})", R"({"action":"subscribe","params":"T.*,Q.*,LULD.*"})"}) {
        std::string frame = ws::client_frame(ws::kText, request);
        (void)!write(upstream_, frame.data(), frame.size());
      }
    }
    ws::Header header;
    size_t used;
    while ((used = ws::read_header(read_.data() + at, filled_ - at, header)) &&
           filled_ - at - used >= header.length) {
      std::string_view payload(read_.data() + at + used, header.length);
      if (header.opcode == ws::kPing) {
        std::string pong = ws::client_frame(ws::kPong, payload);
        (void)!write(upstream_, pong.data(), pong.size());
      } else if (header.opcode == ws::kText) {
        scan(payload);
      }
      at += used + header.length;
    }
    memmove(read_.data(), read_.data() + at, filled_ - at);
    filled_ -= at;
    for (Client* client : dirty_) flush(*client);
    dirty_.clear();
    return true;
  }

  // Finds the events of a frame: `{"ev":"TYPE","sym":"SYMBOL",...}`, or the symbol behind `"T":"`.
  void scan(std::string_view frame) {
    const char* p = frame.data() + 1;
    const char* end = frame.data() + frame.size();
    while (p < end && *p == '{') {
      const char* close = static_cast<const char*>(memchr(p, '}', size_t(end - p)));
      if (!close) return;
      std::string_view event(p, size_t(close + 1 - p));
      p = close + 2;
      std::string_view type = event.substr(7, event.find('"', 7) - 7);
      size_t after = 7 + type.size();
      std::string_view symbol;
      if (event.compare(after, 9, R"(","sym":")") == 0) {
        symbol = event.substr(after + 9, event.find('"', after + 9) - after - 9);
      } else {
        size_t key = event.find(R"("T":")", after);
        if (key == std::string_view::npos) continue;
        symbol = event.substr(key + 5, event.find('"', key + 5) - key - 5);
      }
      event_number_++;
      deliver(index_.find(type, symbol), event);
      if (has_wildcards_) {
        deliver(index_.find(type, "*"), event);
        deliver(&everything_, event);
      }
    }
  }

  void deliver(const Subscribers* subscribers, std::string_view event) {
    if (!subscribers) return;
    for (Client* client : *subscribers) {
      if (client->last_event == event_number_) continue;
      client->last_event = event_number_;
      if (!client->dirty) {
        client->dirty = true;
        client->pending.resize(ws::kMaxServerHeader);
        dirty_.push_back(client);
      }
      std::vector<char>& pending = client->pending;
      pending.push_back(pending.size() == ws::kMaxServerHeader ? '[' : ',');
      pending.insert(pending.end(), event.begin(), event.end());
    }
  }

  void flush(Client& client) {
    client.dirty = false;
    if (client.fd < 0) return;
    client.pending.push_back(']');
    uint8_t header[ws::kMaxServerHeader];
    size_t header_size = ws::write_header(header, ws::kText, client.pending.size() - ws::kMaxServerHeader);
    char* start = client.pending.data() + ws::kMaxServerHeader - header_size;
    memcpy(start, header, header_size);
    transmit(client, std::string_view(start, size_t(client.pending.data() + client.pending.size() - start)));
  }

  void transmit(Client& client, std::string_view bytes) {
    if (!client.blocked) {
      ssize_t sent = send(client.fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent == ssize_t(bytes.size())) return;
      if (sent < 0 && errno != EAGAIN) return;  // the read that follows finds it closed
      bytes.remove_prefix(size_t(std::max<ssize_t>(sent, 0)));
      client.blocked = true;
      watch(client.fd, EPOLLIN | EPOLLOUT, &client, EPOLL_CTL_MOD);
    }
    client.unsent += bytes;
  }

  void drain(Client& client) {
    ssize_t sent =
        send(client.fd, client.unsent.data() + client.sent, client.unsent.size() - client.sent, MSG_NOSIGNAL);
    if (sent > 0) client.sent += size_t(sent);
    if (client.sent < client.unsent.size()) return;
    client.unsent.clear();
    client.sent = 0;
    client.blocked = false;
    watch(client.fd, EPOLLIN, &client, EPOLL_CTL_MOD);
  }

  void receive(Client& client) {
    char buffer[65536];
    ssize_t size = recv(client.fd, buffer, sizeof buffer, 0);
    if (size <= 0) {
      if (size < 0 && errno == EAGAIN) return;
      return leave(client);
    }
    client.input.append(buffer, size_t(size));
    if (!client.open) {
      size_t end = client.input.find("\r\n\r\n");
      if (end == std::string::npos) return;
      client.greets = client.input.compare(0, 6, "GET / ") != 0;
      transmit(client, ws::accept_handshake(std::string_view(client.input).substr(0, end + 2)));
      if (client.greets) transmit(client, ws::server_frame(ws::kText, ws::kConnected));
      client.input.erase(0, end + 4);
      client.open = true;
    }
    ws::Header header;
    size_t used;
    while ((used = ws::read_header(client.input.data(), client.input.size(), header)) &&
           client.input.size() >= used + header.length) {
      std::string payload = client.input.substr(used, header.length);
      client.input.erase(0, used + header.length);
      if (header.masked) ws::unmask(payload.data(), payload.size(), header.mask);
      if (header.opcode == ws::kPing) transmit(client, ws::server_frame(ws::kPong, payload));
      if (header.opcode == ws::kClose) return leave(client);
      if (header.opcode == ws::kText) request(client, payload);
    }
  }

  void request(Client& client, std::string_view message) {
    std::string_view action = ws::json_string(message, "action");
    std::string_view topics = ws::json_string(message, "params");
    if (action == "auth") return transmit(client, ws::server_frame(ws::kText, ws::kAuthenticated));
    if (action != "subscribe" && action != "unsubscribe") return;
    for (std::string_view rest = topics; !rest.empty();) {
      size_t comma = rest.find(',');
      std::string topic(rest.substr(0, comma));
      rest = comma == std::string_view::npos ? std::string_view{} : rest.substr(comma + 1);
      if (action == "subscribe") add(client, topic);
      else if (client.topics.erase(topic)) remove(client, topic);
    }
    std::string verb = std::string(action) + "d";
    transmit(client, ws::server_frame(ws::kText, ws::acknowledgements(verb, topics)));
  }

  Subscribers& subscribers(const std::string& topic) {
    size_t dot = topic.find('.');
    if (dot == std::string::npos) return everything_;
    return index_.at(std::string_view(topic).substr(0, dot), std::string_view(topic).substr(dot + 1));
  }

  void add(Client& client, const std::string& topic) {
    if (!client.topics.insert(topic).second) return;
    subscribers(topic).push_back(&client);
    if (topic.back() == '*') has_wildcards_ = true;
  }

  void remove(Client& client, const std::string& topic) {
    Subscribers& list = subscribers(topic);
    list.erase(std::find(list.begin(), list.end(), &client));
  }

  void leave(Client& client) {
    for (const std::string& topic : client.topics) remove(client, topic);
    close(client.fd);
    auto found = clients_.find(client.fd);
    client.fd = -1;
    gone_.push_back(std::move(found->second));  // its events of this turn may still be in hand
    clients_.erase(found);
  }

  int upstream_port_;
  std::string upstream_path_;
  int epoll_, listener_, upstream_;
  bool asked_ = false, upstream_open_ = false;
  std::vector<char> read_;
  size_t filled_ = 0;
  std::unordered_map<int, std::unique_ptr<Client>> clients_;
  std::vector<std::unique_ptr<Client>> gone_;
  Index index_;
  Subscribers everything_;
  bool has_wildcards_ = false;
  std::vector<Client*> dirty_;
  uint64_t event_number_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  int port = 0;
  std::string upstream;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (strcmp(argv[i], "--port") == 0) port = atoi(argv[i + 1]);
    if (strcmp(argv[i], "--upstream") == 0) upstream = argv[i + 1];
  }
  if (upstream.empty()) {
    fprintf(stderr, "usage: floor --port PORT --upstream URL\n");
    return 2;
  }
  ws::raise_file_limit();
  Proxy(port, upstream).run();
}
