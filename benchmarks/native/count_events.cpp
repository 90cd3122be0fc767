// Scanning alone: counts the events of messages, without a Python object for any of them. See benchmarks/counted_events.py.

#include <cstring>

#include "scan.hpp"

namespace {

fproxy::CompactScan path_of(const char *name) {
    for (const fproxy::ScanPath &path : fproxy::scan_paths())
        if (std::strcmp(path.name, name) == 0) return path.scan;
    return nullptr;  // the exact scanner alone
}

}  // namespace

// How many events the messages have; -1 when one of them is not sound.
extern "C" ptrdiff_t count_events(const char *path, const char *const *messages, const size_t *sizes, size_t count) {
    static fproxy::Events events;
    fproxy::Scanner scanner(path_of(path));
    ptrdiff_t found = 0;
    for (size_t i = 0; i < count; ++i) {
        if (!scanner.scan(messages[i], messages[i] + sizes[i], events)) return -1;
        found += static_cast<ptrdiff_t>(events.size());
    }
    return found;
}
