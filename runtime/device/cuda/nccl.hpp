// NCCL, where the host has it: opened when it is asked for, never linked and never needed. Of its C interface
// seven functions are used, which have not changed since 2.4.
#pragma once

#include "runtime/device/collective_library.hpp"

namespace trireme::cuda {

class Nccl final : public CollectiveLibrary {
  public:
    /// `device`: CUDA's number of the GPU that joins.
    explicit Nccl(int device) : device_(device) {}
    [[nodiscard]] std::string name() override;
    [[nodiscard]] std::string refusal() override;
    [[nodiscard]] std::string new_id() override;
    [[nodiscard]] std::unique_ptr<LibrarySum> join(const std::string& id, int rank, int ranks) override;

  private:
    int device_;
};

}  // namespace trireme::cuda
