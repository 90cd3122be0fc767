// The source of a benchmark: plays a tape to whoever connects to its firehose port, over and over.
//
//   source TAPE WINDOW_FILE WINDOW_EVENTS
//
// It listens on two free ports of 127.0.0.1, a firehose and a silent aggregator, and speaks the session protocol on
// both: greeting, auth, one acknowledgement a topic; whatever was subscribed to, every event is played. Lines on
// standard input drive it and lines on standard output report:
//
//   listening FIREHOSE_PORT AGGREGATOR_PORT
//   upstream firehose|aggregator                        a connection has authenticated
//   < play FRAMES RATE START_NS                         RATE in events a second, 0 for flat out
//   played EVENTS START_NS END_NS LATE_P50_NS LATE_P99_NS LATE_MAX_NS
//   lost firehose                                       the program under test hung up
//
// At a rate, all events of a frame are due when its first one is: START_NS + (index - index of the first)/RATE. Flat
// out, TCP's backpressure holds the source back, and so does the window: it stays at most WINDOW_EVENTS ahead of the
// clients (0: no window), so that a client program which shares its core with this one is not made to look slow.
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <atomic>
#include <iostream>
#include <memory>

#include "../native/tape.hpp"
#include "../native/websocket.hpp"

namespace {

constexpr size_t kChunk = 256 * 1024;
constexpr uint64_t kStallNs = 3'000'000'000;  // clients that stand still for this long no longer hold the source back

struct Connection {
  int fd;
  bool firehose;
  bool open = false;           // handshake done
  bool authenticated = false;  // plays to it from now on
  bool wants_write = false;
  uint64_t position = 0;  // bytes of the endless tape written so far
  std::string input;
  std::string control;  // replies and pongs, sent between two frames
};

class Source {
 public:
  Source(const std::string& tape_path, const std::string& window_path, uint64_t window_events)
      : tape_(tape_path), window_events_(window_events) {
    for (std::string_view frame : tape_.frames) {
      frame_offset_.push_back(bytes_.size());
      bytes_ += ws::server_frame(ws::kText, frame);
    }
    frame_offset_.push_back(bytes_.size());
    int fd = open(window_path.c_str(), O_RDWR);
    void* page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd < 0 || page == MAP_FAILED) ws::fail("window file");
    consumed_ = static_cast<std::atomic<uint64_t>*>(page);
    epoll_ = epoll_create1(0);
    timer_ = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    int firehose_port = 0, aggregator_port = 0;
    firehose_listener_ = ws::listen_on(firehose_port);
    aggregator_listener_ = ws::listen_on(aggregator_port);
    for (int watched : {0, timer_, firehose_listener_, aggregator_listener_}) watch(watched, EPOLLIN, EPOLL_CTL_ADD);
    printf("listening %d %d\n", firehose_port, aggregator_port);
  }

  void run() {
    epoll_event ready[64];
    for (;;) {
      int count = epoll_wait(epoll_, ready, 64, -1);
      for (int i = 0; i < count; i++) {
        int fd = ready[i].data.fd;
        if (fd == 0) {
          if (!command()) return;
        } else if (fd == timer_) {
          uint64_t expirations;
          (void)!read(timer_, &expirations, sizeof expirations);
        } else if (fd == firehose_listener_ || fd == aggregator_listener_) {
          accept_from(fd);
        } else if (Connection* connection = find(fd)) {
          if (ready[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive(*connection);
        }
      }
      advance();
    }
  }

 private:
  void watch(int fd, uint32_t events, int operation) {
    epoll_event event{};
    event.events = events;
    event.data.fd = fd;
    epoll_ctl(epoll_, operation, fd, &event);
  }

  Connection* find(int fd) {
    for (auto& connection : connections_)
      if (connection->fd == fd) return connection.get();
    return nullptr;
  }

  bool command() {
    char buffer[4096];
    ssize_t size = read(0, buffer, sizeof buffer);
    if (size <= 0) return false;
    commands_.append(buffer, size_t(size));
    size_t newline;
    while ((newline = commands_.find('\n')) != std::string::npos) {
      std::istringstream line(commands_.substr(0, newline));
      commands_.erase(0, newline + 1);
      std::string verb;
      uint64_t frames = 0;
      line >> verb >> frames >> rate_ >> start_ns_;
      if (verb != "play") return false;
      first_frame_ = next_frame_;
      last_frame_ = next_frame_ + frames;
      late_.clear();
      playing_ = true;
      window_open_ = true;
      stalled_ = false;
      for (auto& connection : connections_) connection->position = frame_byte(first_frame_);
    }
    return true;
  }

  void accept_from(int listener) {
    int fd;
    while ((fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
      ws::set_nodelay(fd);
      auto connection = std::make_unique<Connection>();
      connection->fd = fd;
      connection->firehose = listener == firehose_listener_;
      connections_.push_back(std::move(connection));
      watch(fd, EPOLLIN, EPOLL_CTL_ADD);
    }
  }

  void drop(Connection& connection) {
    if (connection.firehose && connection.authenticated) printf("lost firehose\n");
    int fd = connection.fd;
    connections_.erase(std::remove_if(connections_.begin(), connections_.end(),
                                      [fd](auto& other) { return other->fd == fd; }),
                       connections_.end());
    close(fd);
  }

  void receive(Connection& connection) {
    char buffer[65536];
    ssize_t size = recv(connection.fd, buffer, sizeof buffer, 0);
    if (size <= 0) {
      if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
      return drop(connection);
    }
    connection.input.append(buffer, size_t(size));
    if (!connection.open) {
      size_t end = connection.input.find("\r\n\r\n");
      if (end == std::string::npos) return;
      connection.control += ws::accept_handshake(std::string_view(connection.input).substr(0, end + 2));
      connection.control += ws::server_frame(ws::kText, ws::kConnected);
      connection.input.erase(0, end + 4);
      connection.open = true;
      connection.position = frame_byte(next_frame_);
    }
    ws::Header header;
    size_t used;
    while ((used = ws::read_header(connection.input.data(), connection.input.size(), header)) &&
           connection.input.size() >= used + header.length) {
      std::string payload = connection.input.substr(used, header.length);
      connection.input.erase(0, used + header.length);
      if (header.masked) ws::unmask(payload.data(), payload.size(), header.mask);
      message(connection, header.opcode, payload);
    }
    write_to(connection);
  }

  void message(Connection& connection, uint8_t opcode, const std::string& payload) {
    if (opcode == ws::kPing) {
      connection.control += ws::server_frame(ws::kPong, payload);
    } else if (opcode == ws::kClose) {
      connection.control += ws::server_frame(ws::kClose, payload);
    } else if (opcode == ws::kText || opcode == ws::kBinary) {
      std::string_view action = ws::json_string(payload, "action");
      std::string_view params = ws::json_string(payload, "params");
      if (action == "auth") {
        connection.control += ws::server_frame(ws::kText, ws::kAuthenticated);
        connection.authenticated = true;
        printf("upstream %s\n", connection.firehose ? "firehose" : "aggregator");
      } else if (action == "subscribe" || action == "unsubscribe") {
        connection.control += ws::server_frame(ws::kText, ws::acknowledgements(std::string(action) + "d", params));
      }
    }
  }

  // The endless tape: frame and event numbers, and bytes, go on counting when it starts over.
  uint64_t frame_byte(uint64_t frame) const {
    return frame / tape_.frames.size() * bytes_.size() + frame_offset_[frame % tape_.frames.size()];
  }
  uint64_t frame_event(uint64_t frame) const {
    return frame / tape_.frames.size() * tape_.events.size() + tape_.first_event[frame % tape_.frames.size()];
  }
  // The start of the first frame that starts at this byte or later.
  uint64_t boundary(uint64_t byte) const {
    uint64_t round = byte / bytes_.size() * bytes_.size();
    return round + *std::lower_bound(frame_offset_.begin(), frame_offset_.end(), byte - round);
  }

  // How far connections may write now, and when to look again (0: when something happens).
  uint64_t limit(uint64_t& again_ns) {
    again_ns = 0;
    uint64_t now = ws::now_ns();
    if (now < start_ns_) {
      again_ns = start_ns_;
      return frame_byte(next_frame_);
    }
    if (rate_ > 0) {
      uint64_t base = frame_event(first_frame_);
      while (next_frame_ < last_frame_) {
        uint64_t due = start_ns_ + uint64_t(double(frame_event(next_frame_) - base) * 1e9 / rate_);
        if (due > now) {
          again_ns = due;
          break;
        }
        late_.push_back(now - due);
        next_frame_++;
      }
      return frame_byte(next_frame_);
    }
    if (window_events_ == 0 || stalled_) {
      next_frame_ = last_frame_;
      return frame_byte(last_frame_);
    }
    // Opens again only when half of it is free, so that the tape comes in long bursts and not in drips.
    uint64_t consumed = consumed_->load(std::memory_order_relaxed);
    uint64_t sent = frame_event(next_frame_);
    if (consumed != last_consumed_) last_consumed_ = consumed, last_progress_ns_ = now;
    if (now - last_progress_ns_ > kStallNs && now - start_ns_ > kStallNs) stalled_ = true;
    if (sent <= consumed + window_events_ / 2) window_open_ = true;
    while (window_open_ && next_frame_ < last_frame_ && frame_event(next_frame_) < consumed + window_events_)
      next_frame_++;
    if (next_frame_ < last_frame_) {
      window_open_ = false;
      again_ns = now + 200'000;
    }
    return frame_byte(next_frame_);
  }

  void advance() {
    if (!playing_) return;
    uint64_t again_ns;
    uint64_t end = limit(again_ns);
    bool done = next_frame_ == last_frame_;
    for (size_t i = 0; i < connections_.size(); i++) {
      Connection& connection = *connections_[i];
      if (!connection.firehose || !connection.authenticated) continue;
      limit_ = end;
      write_to(connection);
      if (connection.position < frame_byte(last_frame_)) done = false;
    }
    if (done) {
      playing_ = false;
      std::sort(late_.begin(), late_.end());
      auto percentile = [this](double p) { return late_.empty() ? 0 : late_[size_t(p * double(late_.size() - 1))]; };
      printf("played %lu %lu %lu %lu %lu %lu\n", frame_event(last_frame_) - frame_event(first_frame_), start_ns_,
             ws::now_ns(), percentile(0.5), percentile(0.99), percentile(1.0));
    }
    itimerspec when{};
    when.it_value.tv_sec = time_t(again_ns / 1000000000u);
    when.it_value.tv_nsec = long(again_ns % 1000000000u);
    timerfd_settime(timer_, TFD_TIMER_ABSTIME, &when, nullptr);
  }

  void write_to(Connection& connection) {
    bool blocked = false;
    for (;;) {
      if (!connection.control.empty()) {
        uint64_t end = connection.authenticated && connection.firehose ? boundary(connection.position) : 0;
        if (connection.position >= end) {
          ssize_t sent = send(connection.fd, connection.control.data(), connection.control.size(), MSG_NOSIGNAL);
          if (sent < 0) {
            blocked = errno == EAGAIN;
            break;
          }
          connection.control.erase(0, size_t(sent));
          continue;
        }
        if (!write_bytes(connection, end, blocked)) break;
      } else {
        uint64_t end = playing_ && connection.firehose && connection.authenticated ? limit_ : 0;
        if (connection.position >= end || !write_bytes(connection, end, blocked)) break;
        if (rate_ == 0) {
          blocked = connection.position < end;  // one chunk a turn: commands and pings come in between
          break;
        }
      }
    }
    if (blocked != connection.wants_write) {
      connection.wants_write = blocked;
      watch(connection.fd, EPOLLIN | (blocked ? EPOLLOUT : 0u), EPOLL_CTL_MOD);
    }
  }

  bool write_bytes(Connection& connection, uint64_t end, bool& blocked) {
    uint64_t offset = connection.position % bytes_.size();
    size_t size = std::min<uint64_t>({end - connection.position, bytes_.size() - offset, kChunk});
    ssize_t sent = send(connection.fd, bytes_.data() + offset, size, MSG_NOSIGNAL);
    if (sent < 0) {
      blocked = errno == EAGAIN;
      return false;
    }
    connection.position += uint64_t(sent);
    return true;
  }

  Tape tape_;
  std::string bytes_;                   // the tape as WebSocket frames
  std::vector<uint64_t> frame_offset_;  // of each frame in bytes_, and one more: the end
  uint64_t window_events_;
  std::atomic<uint64_t>* consumed_;  // what the clients have all received, in events
  int epoll_, timer_, firehose_listener_, aggregator_listener_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::string commands_;
  bool playing_ = false, window_open_ = true, stalled_ = false;
  double rate_ = 0;
  uint64_t start_ns_ = 0, first_frame_ = 0, next_frame_ = 0, last_frame_ = 0, limit_ = 0;
  uint64_t last_consumed_ = 0, last_progress_ns_ = 0;
  std::vector<uint64_t> late_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: source TAPE WINDOW_FILE WINDOW_EVENTS\n");
    return 2;
  }
  setvbuf(stdout, nullptr, _IOLBF, 0);
  prctl(PR_SET_TIMERSLACK, 1UL);
  Source(argv[1], argv[2], strtoull(argv[3], nullptr, 10)).run();
}
