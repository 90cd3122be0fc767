// Scans the frames on standard input by every path that this machine has, and says what each path found.
//
// Input: frames, each behind its length as four little-endian bytes. Output, for each frame and path, one line:
//
//     PATH refused AT             not sound; AT is the offset of the offending character
//     PATH VERDICT EVENT...       sound; VERDICT is "compact" when the compact scanner vouched for it, else "exact"
//
// The last path is the exact scanner alone, as "exact". An EVENT is BEGIN-END/TYPE/SYMBOL/KIND/INTERVAL: offsets, texts
// in hexadecimal ("-" when there is none), the number of the kind, and the bar's interval where the kind asks for it.
// What the scanners read behind a frame ends the program; with FRAMES_ON_THE_HEAP and an address sanitizer, what they read
// before it does too.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include <sys/mman.h>
#include <unistd.h>

#include "scan.hpp"

namespace {

#if defined(FRAMES_ON_THE_HEAP)

// A frame in memory of exactly its size: an address sanitizer sees every read before it and behind it.
class Frame {
  public:
    explicit Frame(size_t size) : begin_(new char[size]), size_(size) {}
    ~Frame() { delete[] begin_; }

#else

// A frame that ends where a page ends that may not be read: what reads behind it dies.
class Frame {
  public:
    explicit Frame(size_t size) : size_(size) {
        const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
        const size_t room = (size + page - 1) / page * page;
        mapped_ = room + page;
        pages_ = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        char *const guard = static_cast<char *>(pages_) + room;
        if (pages_ == MAP_FAILED || mprotect(guard, page, PROT_NONE) != 0) {
            std::perror("no memory for a frame");
            std::exit(2);
        }
        begin_ = guard - size;
    }
    ~Frame() { munmap(pages_, mapped_); }

#endif

    Frame(const Frame &) = delete;
    Frame &operator=(const Frame &) = delete;

    char *begin() { return begin_; }
    const char *end() const { return begin_ + size_; }

  private:
    char *begin_ = nullptr;
    size_t size_ = 0;
#if !defined(FRAMES_ON_THE_HEAP)
    void *pages_ = nullptr;
    size_t mapped_ = 0;
#endif
};

void print(const fproxy::Text &text) {
    std::putchar('/');
    if (!text.present()) std::putchar('-');
    for (uint32_t i = 0; i < text.length; ++i) std::printf("%02x", static_cast<unsigned char>(text.data[i]));
}

void report(const char *path, fproxy::CompactScan compact, const char *begin, const char *end) {
    fproxy::Scanner scanner(compact);
    fproxy::Events events;
    if (!scanner.scan(begin, end, events)) {
        std::printf("%s refused %zu\n", path, scanner.failure().at);
        return;
    }
    std::printf("%s %s", path, scanner.exact_messages() == 0 ? "compact" : "exact");
    for (const fproxy::Event &event : events) {
        std::printf(" %td-%td", event.begin - begin, event.end - begin);
        print(event.type);
        print(event.symbol);
        // The key stands for the text in every comparison: it must be the one that the text has anywhere else.
        const bool same_keys = event.type == fproxy::Text::of(event.type.data, event.type.length) &&
                               event.symbol == fproxy::Text::of(event.symbol.data, event.symbol.length);
        const bool has_interval = event.kind == fproxy::EventKind::kBarSomehow;
        std::printf("/%d/%lld%s", static_cast<int>(event.kind),
                    has_interval ? static_cast<long long>(scanner.bar_interval(event)) : 0LL,
                    same_keys ? "" : "/wrong-key");
    }
    std::putchar('\n');
}

}  // namespace

int main() {
    unsigned char length[4];
    while (std::fread(length, 1, sizeof length, stdin) == sizeof length) {
        Frame frame(length[0] | length[1] << 8 | length[2] << 16 | static_cast<size_t>(length[3]) << 24);
        const size_t size = static_cast<size_t>(frame.end() - frame.begin());
        if (std::fread(frame.begin(), 1, size, stdin) != size) {
            std::fputs("the last frame is cut short\n", stderr);
            return 2;
        }
        for (const fproxy::ScanPath &path : fproxy::scan_paths()) report(path.name, path.scan, frame.begin(), frame.end());
        report("exact", nullptr, frame.begin(), frame.end());
    }
    return 0;
}
