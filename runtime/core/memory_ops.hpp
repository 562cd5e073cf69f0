// What collectives do with memory beside sending it: they add and copy. On the host that is done at once; on
// a device it is a queue that runs behind the host, so whoever goes on asks for a mark and whether it has
// passed.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/core/dtype.hpp"

namespace trireme {

/// All of it is called by one thread. Operations run in the order in which they were asked for, so that only
/// what others do with the memory (a peer that reads it, a message that lands in it) must wait for a mark.
class MemoryOps {
  public:
    using Mark = std::int64_t;

    virtual ~MemoryOps() = default;
    /// Before anything else, on the thread that calls the rest. Throws DeviceError.
    virtual void open() {}
    /// into[i] += from[i]; the ranges do not overlap.
    virtual void add(std::byte* into, const std::byte* from, std::int64_t count, DType dtype) = 0;
    virtual void copy(std::byte* to, const std::byte* from, std::int64_t bytes) = 0;
    /// A point behind everything asked for so far.
    [[nodiscard]] virtual Mark mark() = 0;
    /// True once all that lies before the mark has been done. Does not wait. Throws DeviceError when some of
    /// it failed.
    [[nodiscard]] virtual bool passed(Mark mark) = 0;
    /// Waits for everything asked for, as far as it can: afterwards no memory is touched.
    virtual void drain() noexcept = 0;
};

}  // namespace trireme
