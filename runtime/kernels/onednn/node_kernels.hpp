// What the node kernels of this provider share, and the makers of each family. Only runtime/kernels/onednn
// includes this.
#pragma once

#include <algorithm>
#include <memory>
#include <string>

#include "runtime/device/cpu/kernel_threads.hpp"
#include "runtime/kernels/kernel.hpp"
#include "runtime/kernels/onednn/primitive_call.hpp"

namespace trireme::onednn {

/// Device memory as the fp32 values that lie there.
[[nodiscard]] inline const float* floats(const std::byte* memory) {
    return reinterpret_cast<const float*>(memory);
}
[[nodiscard]] inline float* floats(std::byte* memory) { return reinterpret_cast<float*>(memory); }

/// A node of a request with what all families ask of it.
struct NodeView {
    explicit NodeView(const KernelRequest& r)
        : request(r),
          node(r.graph->node(r.node)),
          input(r.graph->tensor(node.inputs.front()).shape),
          output(r.graph->tensor(node.output).shape) {}

    /// Vectors along the last axis in one launch: batch times the extents before it.
    [[nodiscard]] std::int64_t rows() const {
        return request.batch * input.elements().value / input[input.rank() - 1];
    }
    [[nodiscard]] std::int64_t outputs() const { return request.batch * output.elements().value; }

    const KernelRequest& request;
    const layers::Node& node;
    const Shape& input;
    const Shape& output;
};

/// Kernels with the defaults of a node that has neither parameters nor a fused activation.
class OnednnKernels : public NodeKernels {
  public:
    explicit OnednnKernels(const NodeView& view)
        : name_(view.node.name), threads_(view.request.threads), training_(view.request.training) {}

    [[nodiscard]] KernelNeeds needs() const override { return needs_; }
    [[nodiscard]] std::string describe() const override { return description_; }
    void backward_activation(Stream&, const KernelBuffers&) override {}
    void backward_weight(Stream&, const KernelBuffers&) override {}

  protected:
    /// Each launch starts with this: the team size belongs to the calling thread.
    void use_threads() const { cpu::use_kernel_threads(threads_); }
    [[nodiscard]] int threads() const { return threads_; }
    [[nodiscard]] bool training() const { return training_; }
    /// Threads for a loop of our own over `values` values that can be cut into `parts`: with fewer than
    /// `values_per_worker` each, waking the team costs more than it saves.
    [[nodiscard]] int workers_for(std::int64_t values, std::int64_t parts,
                                  std::int64_t values_per_worker = 16 * 1024) const {
        const std::int64_t useful = std::max<std::int64_t>(1, values / values_per_worker);
        return static_cast<int>(std::min({static_cast<std::int64_t>(threads_), useful, parts}));
    }
    [[nodiscard]] std::string what(std::string_view pass) const { return name_ + ": " + std::string(pass); }

    Context context_;
    KernelNeeds needs_;
    std::string description_;

  private:
    std::string name_;
    int threads_;
    bool training_;
};

/// All throw dnnl::error where oneDNN has no primitive for the node.
[[nodiscard]] std::unique_ptr<NodeKernels> make_kernels(const layers::Conv2d& op, const NodeView& view);
[[nodiscard]] std::unique_ptr<NodeKernels> make_kernels(const layers::Linear& op, const NodeView& view);
[[nodiscard]] std::unique_ptr<NodeKernels> make_kernels(const layers::Bias& op, const NodeView& view);
[[nodiscard]] std::unique_ptr<NodeKernels> make_kernels(const layers::Relu& op, const NodeView& view);
[[nodiscard]] std::unique_ptr<NodeKernels> make_kernels(const layers::Tanh& op, const NodeView& view);
[[nodiscard]] std::unique_ptr<NodeKernels> make_kernels(const layers::Sigmoid& op, const NodeView& view);
[[nodiscard]] std::unique_ptr<NodeKernels> make_kernels(const layers::Pool2d& op, const NodeView& view);
[[nodiscard]] std::unique_ptr<NodeKernels> make_kernels(const layers::SoftmaxCrossEntropy& op,
                                                        const NodeView& view);
[[nodiscard]] std::unique_ptr<NodeKernels> make_kernels(const layers::BatchNorm& op, const NodeView& view);
[[nodiscard]] std::unique_ptr<NodeKernels> make_kernels(const layers::Dropout& op, const NodeView& view);
[[nodiscard]] std::unique_ptr<NodeKernels> make_kernels(const layers::Add& op, const NodeView& view);
[[nodiscard]] std::unique_ptr<NodeKernels> make_kernels(const layers::Concat& op, const NodeView& view);
[[nodiscard]] std::unique_ptr<NodeKernels> make_kernels(const layers::GlobalAveragePool& op,
                                                        const NodeView& view);
[[nodiscard]] std::unique_ptr<NodeKernels> make_kernels(const layers::Gelu& op, const NodeView& view);
[[nodiscard]] std::unique_ptr<NodeKernels> make_kernels(const layers::LayerNorm& op, const NodeView& view);
[[nodiscard]] std::unique_ptr<NodeKernels> make_kernels(const layers::BceWithLogits& op,
                                                        const NodeView& view);
[[nodiscard]] std::unique_ptr<NodeKernels> make_kernels(const layers::MeanSquaredError& op,
                                                        const NodeView& view);

}  // namespace trireme::onednn
