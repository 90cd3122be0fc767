// What happens when memory runs out: the process says so and ends.
//
// The core gives no promise about what an allocation that failed leaves behind: a change of subscriptions touches thousands of
// rows, and Python around it could not go on either. So it is never gone on with, and whoever started the process starts it
// again. Whoever calls the core calls this where an exception has been caught (fproxy/_core_error.pxd).
#pragma once

#include <cstdlib>
#include <new>
#include <stdexcept>

#include <unistd.h>

namespace fproxy {

// End the process if the exception that is being handled says that memory has run out.
inline void end_if_out_of_memory() noexcept {
    static constexpr char kMessage[] = "fproxy: out of memory: ending, since what is left cannot be relied on\n";
    bool is_out_of_memory = false;
    try {
        throw;
    } catch (const std::bad_alloc &) {
        is_out_of_memory = true;
    } catch (const std::length_error &) {  // a container would be longer than memory
        is_out_of_memory = true;
    } catch (...) {
    }
    if (!is_out_of_memory) return;
    // Nothing that allocates: not the log, not stdio.
    if (write(STDERR_FILENO, kMessage, sizeof kMessage - 1) < 0) abort();
    abort();
}

}  // namespace fproxy
