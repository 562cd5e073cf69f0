// Runs the kernels of one node of a provider and the reference on the same numbers. Buffers that a pass must
// not read are poisoned with NaN, so is everything that a pass must overwrite, and each buffer ends in a
// guard that must not change.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "layers/graph.hpp"
#include "runtime/core/memory_space.hpp"
#include "runtime/device/cpu/cpu_device.hpp"
#include "runtime/kernels/kernel.hpp"

namespace trireme::testing {

/// One op on one input shape.
struct NodeCase {
    std::string name;
    layers::Op op;
    Shape input;
};

/// A graph with the case's node alone.
[[nodiscard]] layers::ModelGraph graph_of(const NodeCase& c);

/// fp32 (or i32) memory aligned to 64 bytes with a guard behind it.
class GuardedBuffer {
  public:
    explicit GuardedBuffer(std::size_t bytes);
    explicit GuardedBuffer(const std::vector<float>& values);
    explicit GuardedBuffer(const std::vector<std::int32_t>& values);

    [[nodiscard]] std::byte* data() const { return memory_.get(); }
    [[nodiscard]] std::vector<float> floats() const;
    /// Fills all bytes with 0xff: NaN as fp32.
    void poison();
    [[nodiscard]] bool guard_holds() const;

  private:
    struct Free {
        void operator()(std::byte* p) const;
    };
    std::size_t bytes_;
    std::unique_ptr<std::byte, Free> memory_;
};

/// What the launches of one node gave.
struct Results {
    std::vector<float> output;
    std::vector<float> d_input;
    std::vector<std::vector<float>> d_params;
    bool guards_hold = true;
};

/// Numbers for one case: a function of the seed.
struct Operands {
    Operands(const layers::ModelGraph& graph, std::int64_t batch, std::uint64_t seed);
    std::vector<float> input;
    std::vector<std::int32_t> labels;  ///< of a loss only
    std::vector<std::vector<float>> params;
    std::vector<float> d_output;  ///< empty for a loss
};

[[nodiscard]] KernelRequest request_of(const layers::ModelGraph& graph, std::int64_t batch, int threads);
/// Forward and all backward passes by the kernels.
[[nodiscard]] Results run_kernels(const layers::ModelGraph& graph, const KernelProvider& provider,
                                  const Operands& operands, std::int64_t batch, int threads);
/// The same by layers::reference in double precision.
[[nodiscard]] Results run_reference(const layers::ModelGraph& graph, const Operands& operands,
                                    std::int64_t batch);
/// max |a - b| / max |b|; infinite when a NaN or another size is found.
[[nodiscard]] double relative_error(const std::vector<float>& a, const std::vector<float>& b);
/// Bit for bit.
[[nodiscard]] bool same_bits(const std::vector<float>& a, const std::vector<float>& b);

}  // namespace trireme::testing
