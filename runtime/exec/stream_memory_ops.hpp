// Adds and copies of collectives on a device: a stream of their own, which the progress thread launches on,
// and an event for each mark.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "runtime/core/memory_ops.hpp"
#include "runtime/device/device.hpp"
#include "runtime/exec/in_place_sum.hpp"

namespace trireme {

class StreamMemoryOps final : public MemoryOps {
  public:
    /// Launches the device's own kernel for a sum; any thread may call it.
    using Add = std::function<void(Stream&, const InPlaceSum&)>;

    /// `device` and what `add` needs must outlive the last operation.
    StreamMemoryOps(Device& device, Add add) : device_(device), add_(std::move(add)) {}

    void open() override { stream_ = device_.make_stream(); }
    void add(std::byte* into, const std::byte* from, std::int64_t count, DType dtype) override;
    void copy(std::byte* to, const std::byte* from, std::int64_t bytes) override;
    [[nodiscard]] Mark mark() override;
    [[nodiscard]] bool passed(Mark mark) override;
    void drain() noexcept override;
    /// Moves the event behind everything asked for so far.
    void record(Event& event) { stream_->record(event); }

  private:
    Device& device_;
    Add add_;
    std::vector<std::unique_ptr<Event>> under_way_;  ///< of the marks behind `passed_`, in their order
    std::vector<std::unique_ptr<Event>> spare_;
    Mark marked_ = 0;
    Mark passed_ = 0;
    std::unique_ptr<Stream> stream_;  ///< last: it goes first, and waits
};

}  // namespace trireme
