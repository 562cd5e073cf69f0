// A GPU as a device: asynchronous streams, its own memory, page-locked staging memory. Which GPU a rank takes
// and whether driver, GPU and libraries are good enough is decided by runtime/device/cuda_choice.hpp.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "runtime/device/cuda/cuda_memory.hpp"
#include "runtime/device/cuda/cuda_stream.hpp"
#include "runtime/device/cuda/nccl.hpp"
#include "runtime/device/cuda_choice.hpp"
#include "runtime/device/device.hpp"

namespace trireme {

namespace cuda {

/// Asks the driver for its GPUs. Never throws: what is wrong is in the answer.
[[nodiscard]] DriverAnswer ask_driver();
[[nodiscard]] Surroundings surroundings();

}  // namespace cuda

class CudaDevice final : public Device {
  public:
    /// Takes one of the GPUs that this process sees (cuda::gpu_of) and makes it current for the calling
    /// thread. Throws DeviceError that says what is missing and what to do about it: driver, GPU, cuDNN,
    /// cuBLASLt, or versions that do not fit.
    explicit CudaDevice(int local_rank);

    [[nodiscard]] std::string kind() const override { return "cuda"; }
    /// "NVIDIA H100 80GB HBM3, sm_90, 79.2 GiB, GPU 0 of 8"
    [[nodiscard]] std::string describe() const override;
    /// "GPU-" and the UUID, as nvidia-smi -L lists it.
    [[nodiscard]] std::string identity() const override { return uuid_; }
    void expect_memory(Bytes planned) override { memory_.expect(planned); }
    [[nodiscard]] MemorySpace& memory() override { return memory_; }
    [[nodiscard]] std::unique_ptr<Stream> make_stream() override;
    [[nodiscard]] std::unique_ptr<Event> make_event() override;
    [[nodiscard]] std::unique_ptr<Event> make_timed_event() override;
    [[nodiscard]] bool asynchronous() const override { return true; }
    [[nodiscard]] bool captures() const override { return true; }
    [[nodiscard]] MemorySpace& staging() override { return staging_; }
    void pin(std::byte* memory, Bytes size) override;
    void unpin(std::byte* memory) noexcept override;
    [[nodiscard]] bool shares_memory() const override { return true; }
    [[nodiscard]] SharedMemory share(Bytes size) override;
    /// Of a GPU of this host that this one reaches over NVLink or PCIe, or of this very GPU.
    [[nodiscard]] std::byte* open_shared(const std::string& handle) override;
    void close_shared(std::byte* memory) noexcept override;
    [[nodiscard]] std::shared_ptr<CollectiveLibrary> collectives() override { return nccl_; }

    /// 90 for a compute capability of 9.0.
    [[nodiscard]] int sm() const { return sm_; }
    [[nodiscard]] int multiprocessors() const { return multiprocessors_; }

  private:
    struct Facts;
    explicit CudaDevice(Facts facts);

    int index_ = 0;
    int visible_ = 1;
    std::string name_;
    std::string uuid_;
    int sm_ = 0;
    int multiprocessors_ = 0;
    Bytes total_{};
    CudaMemory memory_;
    PinnedMemory staging_;
    std::shared_ptr<cuda::Nccl> nccl_ = std::make_shared<cuda::Nccl>(index_);
    std::vector<Region> shared_;
};

}  // namespace trireme
