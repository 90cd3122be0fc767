// The little of RFC 6455 that the benchmark's C++ programs need: the handshake and frame headers.
// No extensions, no fragmentation of what is sent, and no defence against hostile peers: all of it runs on loopback
// between programs of one benchmark.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

namespace ws {

enum Opcode : uint8_t { kContinuation = 0, kText = 1, kBinary = 2, kClose = 8, kPing = 9, kPong = 10 };

constexpr size_t kMaxServerHeader = 10;

[[noreturn]] inline void fail(const std::string& what) {
  fprintf(stderr, "%s%s%s\n", what.c_str(), errno ? ": " : "", errno ? strerror(errno) : "");
  exit(1);
}

// Nanoseconds of CLOCK_MONOTONIC, which all processes of a machine share.
inline uint64_t now_ns() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return uint64_t(t.tv_sec) * 1000000000u + uint64_t(t.tv_nsec);
}

// Writes the header of an unmasked, final frame and returns its size.
inline size_t write_header(uint8_t* out, uint8_t opcode, uint64_t length) {
  out[0] = 0x80 | opcode;
  if (length < 126) {
    out[1] = uint8_t(length);
    return 2;
  }
  if (length < 65536) {
    out[1] = 126;
    out[2] = uint8_t(length >> 8);
    out[3] = uint8_t(length);
    return 4;
  }
  out[1] = 127;
  for (int i = 0; i < 8; i++) out[2 + i] = uint8_t(length >> (56 - 8 * i));
  return 10;
}

// The frame that a server sends: unmasked.
inline std::string server_frame(uint8_t opcode, std::string_view payload) {
  uint8_t header[kMaxServerHeader];
  size_t size = write_header(header, opcode, payload.size());
  std::string frame(reinterpret_cast<char*>(header), size);
  frame += payload;
  return frame;
}

// The frame that a client sends: masked, as the RFC demands; the key need not be random on loopback.
inline std::string client_frame(uint8_t opcode, std::string_view payload) {
  static const uint8_t kMask[4] = {0x37, 0xfa, 0x21, 0x3d};
  uint8_t header[kMaxServerHeader];
  size_t size = write_header(header, opcode, payload.size());
  header[1] |= 0x80;
  std::string frame(reinterpret_cast<char*>(header), size);
  frame.append(reinterpret_cast<const char*>(kMask), 4);
  size_t start = frame.size();
  frame += payload;
  for (size_t i = 0; i < payload.size(); i++) frame[start + i] ^= char(kMask[i & 3]);
  return frame;
}

struct Header {
  bool final;
  uint8_t opcode;
  bool masked;
  uint8_t mask[4];
  uint64_t length;
};

// Reads a header; returns its size, or 0 when more bytes are needed.
inline size_t read_header(const char* data, size_t size, Header& header) {
  const uint8_t* p = reinterpret_cast<const uint8_t*>(data);
  if (size < 2) return 0;
  header.final = p[0] & 0x80;
  header.opcode = p[0] & 0x0f;
  header.masked = p[1] & 0x80;
  size_t used = 2;
  uint64_t length = p[1] & 0x7f;
  if (length == 126) {
    if (size < 4) return 0;
    length = uint64_t(p[2]) << 8 | p[3];
    used = 4;
  } else if (length == 127) {
    if (size < 10) return 0;
    length = 0;
    for (int i = 0; i < 8; i++) length = length << 8 | p[2 + i];
    used = 10;
  }
  if (header.masked) {
    if (size < used + 4) return 0;
    memcpy(header.mask, p + used, 4);
    used += 4;
  }
  header.length = length;
  return used;
}

inline void unmask(char* payload, size_t size, const uint8_t mask[4]) {
  for (size_t i = 0; i < size; i++) payload[i] ^= char(mask[i & 3]);
}

inline std::array<uint8_t, 20> sha1(std::string_view text) {
  uint32_t h[5] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
  auto rotate = [](uint32_t x, int n) { return x << n | x >> (32 - n); };
  std::string data(text);
  data += char(0x80);
  while (data.size() % 64 != 56) data += char(0);
  uint64_t bits = uint64_t(text.size()) * 8;
  for (int i = 7; i >= 0; i--) data += char(bits >> (8 * i));
  for (size_t block = 0; block < data.size(); block += 64) {
    uint32_t w[80];
    for (int i = 0; i < 16; i++) {
      uint32_t word;
      memcpy(&word, data.data() + block + size_t(i) * 4, 4);
      w[i] = ntohl(word);
    }
    for (int i = 16; i < 80; i++) w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
    for (int i = 0; i < 80; i++) {
      uint32_t f, k;
      if (i < 20) f = (b & c) | (~b & d), k = 0x5A827999;
      else if (i < 40) f = b ^ c ^ d, k = 0x6ED9EBA1;
      else if (i < 60) f = (b & c) | (b & d) | (c & d), k = 0x8F1BBCDC;
      else f = b ^ c ^ d, k = 0xCA62C1D6;
      uint32_t t = rotate(a, 5) + f + e + k + w[i];
      e = d, d = c, c = rotate(b, 30), b = a, a = t;
    }
    h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e;
  }
  std::array<uint8_t, 20> digest;
  for (size_t i = 0; i < 20; i++) digest[i] = uint8_t(h[i / 4] >> (24 - 8 * (i % 4)));
  return digest;
}

inline std::string base64(const uint8_t* data, size_t size) {
  static const char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (size_t i = 0; i < size; i += 3) {
    uint32_t group = uint32_t(data[i]) << 16;
    if (i + 1 < size) group |= uint32_t(data[i + 1]) << 8;
    if (i + 2 < size) group |= data[i + 2];
    text += kDigits[group >> 18];
    text += kDigits[group >> 12 & 63];
    text += i + 1 < size ? kDigits[group >> 6 & 63] : '=';
    text += i + 2 < size ? kDigits[group & 63] : '=';
  }
  return text;
}

// The value of a header of an HTTP request or response, or "" when it is not there.
inline std::string http_header(std::string_view head, std::string_view name) {
  size_t line = head.find("\r\n");
  while (line != std::string_view::npos) {
    std::string_view rest = head.substr(line + 2);
    if (rest.size() > name.size() && strncasecmp(rest.data(), name.data(), name.size()) == 0 &&
        rest[name.size()] == ':') {
      std::string_view value = rest.substr(name.size() + 1, rest.find("\r\n") - name.size() - 1);
      while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
      while (!value.empty() && value.back() == ' ') value.remove_suffix(1);
      return std::string(value);
    }
    line = head.find("\r\n", line + 2);
  }
  return "";
}

// The server's answer to a handshake, or "" when the request is not one.
inline std::string accept_handshake(std::string_view request) {
  std::string key = http_header(request, "Sec-WebSocket-Key");
  if (key.empty()) return "";
  auto digest = sha1(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
  return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
         "Sec-WebSocket-Accept: " + base64(digest.data(), digest.size()) + "\r\n\r\n";
}

inline std::string client_handshake(std::string_view path, int port) {
  return "GET " + std::string(path) + " HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(port) +
         "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
}

inline void set_nonblocking(int fd) { fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); }

inline void set_nodelay(int fd) {
  int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

// Raises the limit of open files as far as it goes.
inline void raise_file_limit() {
  rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

// Listens on 127.0.0.1; port 0 asks for a free one. Returns the socket and sets the port.
inline int listen_on(int& port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int one = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(uint16_t(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) fail("bind");
  if (listen(fd, 4096) != 0) fail("listen");
  socklen_t size = sizeof address;
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  port = ntohs(address.sin_port);
  set_nonblocking(fd);
  return fd;
}

// Starts to connect to 127.0.0.1 without blocking.
inline int connect_to(int port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) fail("socket");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(uint16_t(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 && errno != EINPROGRESS)
    fail("connect");
  set_nodelay(fd);
  return fd;
}

// The text of a string value of a flat JSON object that this benchmark's programs wrote, or "".
inline std::string_view json_string(std::string_view object, std::string_view key) {
  std::string quoted = "\"" + std::string(key) + "\"";
  for (size_t at = object.find(quoted); at != std::string_view::npos; at = object.find(quoted, at + 1)) {
    size_t next = object.find_first_not_of(' ', at + quoted.size());
    if (next == std::string_view::npos || object[next] != ':') continue;  // a value that reads like the key
    size_t start = object.find('"', next);
    size_t end = object.find('"', start + 1);
    if (start == std::string_view::npos || end == std::string_view::npos) return {};
    return object.substr(start + 1, end - start - 1);
  }
  return {};
}

// One acknowledgement a topic, all in one message, as the vendor sends them.
inline std::string acknowledgements(std::string_view verb, std::string_view topics) {
  std::string message = "[";
  while (!topics.empty()) {
    size_t comma = topics.find(',');
    if (message.size() > 1) message += ',';
    message += "{\"ev\":\"status\",\"status\":\"success\",\"message\":\"";
    message += verb;
    message += " to: ";
    message += topics.substr(0, comma);
    message += "\"}";
    topics = comma == std::string_view::npos ? std::string_view{} : topics.substr(comma + 1);
  }
  return message + "]";
}

constexpr std::string_view kConnected =
    R"([{"ev":"status","status":"connected","message":"Connected Successfully"}])";
constexpr std::string_view kAuthenticated = R"([{"ev":"status","status":"auth_success","message":"authenticated"}])";

}  // namespace ws
