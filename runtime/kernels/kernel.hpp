// Kernels and who provides them. A provider is asked node by node, in a fixed order; the first that does not
// refuse wins, and its choice is printed in the plan. The reference provider refuses nothing.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "layers/graph.hpp"
#include "runtime/core/launch_context.hpp"
#include "runtime/core/strong.hpp"
#include "runtime/device/device.hpp"

namespace trireme {

/// Everything a kernel is made from; all of it static, and the same on every rank that runs the node.
struct KernelRequest {
    const layers::ModelGraph* graph = nullptr;
    layers::NodeId node = 0;
    std::int64_t batch = 0;        ///< samples of one launch, >= 1
    bool training = true;          ///< backward passes will be launched
    bool input_gradient = true;    ///< backward_input will be launched (false for the first layer)
    int threads = 1;               ///< kernel threads of the device
    Bytes workspace_cap{1 << 30};  ///< scratch of one launch must not exceed it
};

/// What a node's kernels want from the memory plan.
struct KernelNeeds {
    bool backward_reads_input = false;        ///< the input activations must live until backward
    std::uint64_t backward_skips_inputs = 0;  ///< bit i: of the inputs, this one need not
    bool backward_reads_output = false;       ///< the output activation must live until backward
    Bytes saved{};                            ///< opaque state written by forward, read by backward
    Bytes forward_scratch{};
    Bytes backward_scratch{};  ///< the largest of the backward passes
    /// Copies of the weights in the layout and element type that forward and backward_input read; 0: the
    /// parameters are read as they lie.
    Bytes forward_weights{};
    Bytes backward_weights{};
    /// Forward may write the output where the first input lies (of the same size), if nobody reads that
    /// again.
    bool forward_in_place = false;
    /// Bit i: backward_input may write the gradient of input i where that of the output lies. The plan grants
    /// one of them at most.
    std::uint64_t backward_in_place = 0;
    /// Of kernels that draw random numbers where LaunchContext::stream says: what for (RandomStream). Empty:
    /// they draw none, or are keyed by LaunchContext::step.
    std::string random_purpose{};
};

/// Memory of one launch. All pointers are device memory, aligned to 64 bytes, row-major [batch, shape...]
/// (NHWC). Gradients are overwritten, never added to.
///
/// Element types. An activation has the dtype of its tensor (layers::TensorSpec::dtype): fp32, or bf16 or
/// fp16 where the job computes in that; the class index that a loss reads is i32. The gradient of an
/// activation has the dtype of the activation. Parameters, their gradients, running statistics and the sums
/// for them are fp32 always, and so is what a kernel keeps in `saved` where rounding it would cost accuracy.
/// Inputs and outputs of one node may differ (the samples and the logits stay fp32): a kernel takes every
/// mix, converts in its scratch where it must, or its provider refuses the node and says why. Sums are formed
/// in fp32 at least.
struct KernelBuffers {
    std::vector<const std::byte*> inputs;
    std::byte* output = nullptr;  ///< written by forward
    std::vector<const std::byte*> params;
    std::vector<const std::byte*> buffers;  ///< running statistics; read by forward in evaluation only
    std::byte* d_output = nullptr;     ///< gradient of the output; backward_activation changes it in place
    std::vector<std::byte*> d_inputs;  ///< one an input, null where not wanted
    std::vector<std::byte*> d_params;
    /// [layers::statistics_of] values that a training forward writes: what this launch gives to the step's
    /// update of the running statistics. They are sums over samples and positions, so that launches add up.
    std::byte* statistics = nullptr;
    std::byte* saved = nullptr;
    std::byte* scratch = nullptr;
    std::byte* forward_weights = nullptr;   ///< written by pack_forward, read by forward
    std::byte* backward_weights = nullptr;  ///< written by pack_backward, read by backward_input
    /// What random numbers are keyed by; never null for a dropout in training, in forward and backward.
    const LaunchContext* context = nullptr;
};

/// The kernels of one node for one batch size. In backward the executor calls backward_activation (where the
/// node has a fused activation), then backward_weight (where it has parameters), then backward_input (where
/// the gradient of any input is wanted), each once after a forward, with the same saved memory. A loss node
/// gets only forward and backward_input: its d_output is one for each sample and is not passed (null), and
/// its target has no gradient.
///
/// A compute copy of the weights is packed once after each change of the parameters and before the first pass
/// that reads it, not at each launch: micro-batches of one size share it.
class NodeKernels {
  public:
    virtual ~NodeKernels() = default;
    [[nodiscard]] virtual KernelNeeds needs() const = 0;
    /// The implementation chosen, for the plan: "jit:avx512_core".
    [[nodiscard]] virtual std::string describe() const = 0;
    /// Fill the compute copies; they read b.params and may use the scratch of the pass that they serve. For
    /// kernels without copies there is nothing to do.
    virtual void pack_forward(Stream&, const KernelBuffers&) {}
    virtual void pack_backward(Stream&, const KernelBuffers&) {}
    virtual void forward(Stream& stream, const KernelBuffers& b) = 0;
    virtual void backward_activation(Stream& stream, const KernelBuffers& b) = 0;
    virtual void backward_weight(Stream& stream, const KernelBuffers& b) = 0;
    virtual void backward_input(Stream& stream, const KernelBuffers& b) = 0;
};

/// A provider's answer about a node: its kernels, or why it has none (null kernels, and a reason).
struct KernelOffer {
    std::unique_ptr<NodeKernels> kernels;
    std::string refusal;
};

class KernelProvider {
  public:
    virtual ~KernelProvider() = default;
    [[nodiscard]] virtual std::string_view name() const = 0;
    /// Whether a library takes a node is known only when its kernels have been made: so one question, one
    /// making.
    [[nodiscard]] virtual KernelOffer offer(const KernelRequest& request) const = 0;

    /// True where the library has several ways to run a node, and which is fastest is to be measured.
    /// Measurements differ from rank to rank: one rank measures, and all adopt what it found.
    [[nodiscard]] virtual bool chooses_plans() const { return false; }
    /// Measures, on memory of its own, the plans of all nodes that were offered and of which nothing is known
    /// yet. Tells all that is known then, as text for adopt_plans.
    [[nodiscard]] virtual std::string measure_plans() { return {}; }
    /// Kernels that are offered from now on follow the measurements in `text`; those from before stay as they
    /// are. Their needs do not depend on it.
    virtual void adopt_plans(std::string_view) {}
};

}  // namespace trireme
