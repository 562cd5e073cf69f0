// The cores that a rank was given, as a device. Kernels run at once on the launching thread and its kernel
// threads (kernel_threads.hpp), so a stream has nothing to wait for; memory is the host's.
#pragma once

#include <cstring>

#include "runtime/core/host_memory.hpp"
#include "runtime/device/device.hpp"

namespace trireme {

/// Passed as soon as it is recorded, since launches do their work at once.
class CpuEvent final : public Event {
  public:
    [[nodiscard]] bool done() override { return true; }
    void synchronize() override {}
};

class CpuStream : public Stream {
  public:
    void synchronize() override {}
    void record(Event&) override {}
    void wait(Event&) override {}
    void copy(std::byte* to, const std::byte* from, Bytes size) override {
        std::memcpy(to, from, static_cast<std::size_t>(size.value));
    }
};

class CpuDevice final : public Device {
  public:
    /// `kind` is "cpu" or "reference"; `instruction_set` what its kernels are compiled for at run time, for
    /// describe(). Sets the kernel threads of the calling thread. Throws ConfigError when threads < 1.
    CpuDevice(std::string kind, std::string instruction_set, int threads);

    [[nodiscard]] std::string kind() const override { return kind_; }
    /// "AMD EPYC 9454, avx512_core_bf16, 2 threads"
    [[nodiscard]] std::string describe() const override;
    [[nodiscard]] MemorySpace& memory() override { return memory_; }
    [[nodiscard]] std::unique_ptr<Stream> make_stream() override { return std::make_unique<CpuStream>(); }
    [[nodiscard]] std::unique_ptr<Event> make_event() override { return std::make_unique<CpuEvent>(); }
    [[nodiscard]] int threads() const { return threads_; }

  private:
    std::string kind_;
    std::string instruction_set_;
    int threads_ = 1;
    HostMemory memory_;
};

/// The processor's name as the system tells it, or "unknown processor".
[[nodiscard]] std::string processor_name();

}  // namespace trireme
