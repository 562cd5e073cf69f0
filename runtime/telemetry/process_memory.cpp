#include "runtime/telemetry/process_memory.hpp"

#include <sys/resource.h>

namespace trireme {

Bytes peak_resident_memory() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return Bytes(static_cast<std::int64_t>(usage.ru_maxrss) * 1024);
}

}  // namespace trireme
