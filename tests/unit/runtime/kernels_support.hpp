// Runs the kernels of one node of a provider and the reference on the same numbers. Buffers that a pass must
// not read are poisoned with NaN, so is everything that a pass must overwrite, and each buffer ends in a
// guard that must not change.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "layers/graph.hpp"
#include "runtime/core/memory_space.hpp"
#include "runtime/device/cpu/cpu_device.hpp"
#include "runtime/kernels/kernel.hpp"

namespace trireme::test {

/// One op on one input shape.
struct NodeCase {
    std::string name;
    layers::Op op;
    Shape input;
    /// Channels of further inputs of an op that joins several, or adds a residual.
    std::vector<std::int64_t> more_channels = {};
};

/// For messages of GoogleTest.
inline void PrintTo(const NodeCase& c, std::ostream* out) { *out << c.name; }

/// A graph whose last node, "node", is the case's; in front of it stand only nodes that make its further
/// inputs. The target is what a loss reads: a class index, or as many values as the input has.
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

/// What the launches of one node gave. After evaluation only the output.
struct Results {
    std::vector<float> output;
    std::vector<float> statistics;
    std::vector<std::vector<float>> d_inputs;  ///< without that of a target
    std::vector<std::vector<float>> d_params;
    bool guards_hold = true;
};

/// Numbers for one case: a function of the seed.
struct Operands {
    Operands(const layers::ModelGraph& graph, std::int64_t batch, std::uint64_t seed);
    std::vector<std::vector<float>> inputs;  ///< without the target
    std::vector<std::int32_t> labels;        ///< of a loss over classes only
    std::vector<float> targets;              ///< of a loss over vectors only, in [0, 1)
    std::vector<std::vector<float>> params;
    std::vector<std::vector<float>> buffers;  ///< in [0.5, 1.5)
    std::vector<float> d_output;              ///< empty for a loss
};

/// How a node is run.
struct RunMode {
    int threads = 1;
    bool training = true;
    bool input_gradient_first = false;  ///< backward_input before backward_weight
    LaunchContext context{.seed = 7, .step = 3, .first_position = 11};
};

/// Of the graph's last node, in training.
[[nodiscard]] KernelRequest request_of(const layers::ModelGraph& graph, std::int64_t batch, int threads);
/// All memory of one node's launches, each part guarded; what launches must write is NaN at first.
class LaunchMemory {
  public:
    LaunchMemory(const layers::ModelGraph& graph, const Operands& operands, const KernelNeeds& needs,
                 std::int64_t batch, const RunMode& mode);
    LaunchMemory(const LaunchMemory&) = delete;  // b points at context_
    LaunchMemory& operator=(const LaunchMemory&) = delete;

    void poison_what_backward_must_not_read(const KernelNeeds& needs);
    void poison_scratch();
    /// What lies there now.
    [[nodiscard]] Results results() const;

    KernelBuffers b;

  private:
    template <class What>
    std::byte* add(const What& what) {
        return memory_.emplace_back(what).data();
    }

    std::vector<GuardedBuffer> memory_;
    std::size_t inputs_ = 0;  ///< inputs and their gradients alternate in front of this place of memory_
    std::vector<std::size_t> d_inputs_;
    std::vector<std::size_t> d_params_;
    std::size_t output_ = 0;
    std::size_t statistics_ = 0;
    std::size_t scratch_ = 0;
    LaunchContext context_;
};

/// Forward and, in training, all backward passes by the kernels.
[[nodiscard]] Results run_kernels(const layers::ModelGraph& graph, const KernelProvider& provider,
                                  const Operands& operands, std::int64_t batch, const RunMode& mode);
[[nodiscard]] Results run_kernels(const layers::ModelGraph& graph, const KernelProvider& provider,
                                  const Operands& operands, std::int64_t batch, int threads);
/// The same by layers::reference in double precision.
[[nodiscard]] Results run_reference(const layers::ModelGraph& graph, const Operands& operands,
                                    std::int64_t batch, const RunMode& mode = {});
/// max |a - b| / max |b|; infinite when a NaN or another size is found.
[[nodiscard]] double relative_error(const std::vector<float>& a, const std::vector<float>& b);
/// Bit for bit.
[[nodiscard]] bool same_bits(const std::vector<float>& a, const std::vector<float>& b);

}  // namespace trireme::test
