// What tests on a GPU begin with: the reason for a skip, and a device whose memory the host reads and writes
// too, so that tests made for the CPU run on it as they are.
#pragma once

#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include <cuda_runtime_api.h>

#include "runtime/available_backends.hpp"
#include "runtime/device/cuda/check.hpp"
#include "runtime/device/cuda/cuda_device.hpp"

namespace trireme::gpu {

/// Empty where a GPU can be used.
inline std::string why_skip() { return cuda::refusal_of_driver(cuda::ask_driver(), cuda::surroundings()); }

/// Managed memory: the driver moves its pages to whoever touches them. Too slow to train in, right for tests.
class ManagedMemory final : public MemorySpace {
  public:
    [[nodiscard]] MemoryKind kind() const override { return MemoryKind::device; }
    [[nodiscard]] std::string_view name() const override { return "managed memory"; }
    [[nodiscard]] std::byte* allocate(Bytes size) override {
        void* memory = nullptr;
        const auto bytes = static_cast<std::size_t>(size.value > 0 ? size.value : 1);
        cuda::check(cudaMallocManaged(&memory, bytes), "allocating managed memory");
        std::memset(memory, 0, bytes);
        return static_cast<std::byte*>(memory);
    }
    void release(std::byte* memory, Bytes) noexcept override { static_cast<void>(cudaFree(memory)); }
};

/// The GPU of a back end, with managed memory instead of its own.
class ManagedDevice final : public Device {
  public:
    explicit ManagedDevice(std::unique_ptr<Device> gpu) : gpu_(std::move(gpu)) {}
    [[nodiscard]] std::string kind() const override { return gpu_->kind(); }
    [[nodiscard]] std::string describe() const override { return gpu_->describe() + ", managed memory"; }
    [[nodiscard]] MemorySpace& memory() override { return memory_; }
    [[nodiscard]] std::unique_ptr<Stream> make_stream() override { return gpu_->make_stream(); }
    [[nodiscard]] std::unique_ptr<Event> make_event() override { return gpu_->make_event(); }

  private:
    std::unique_ptr<Device> gpu_;
    ManagedMemory memory_;
};

inline Backend managed_backend(const Numerics& numerics = {}) {
    Backend backend = make_backend("cuda", 1, numerics);
    backend.device = std::make_unique<ManagedDevice>(std::move(backend.device));
    return backend;
}

}  // namespace trireme::gpu
