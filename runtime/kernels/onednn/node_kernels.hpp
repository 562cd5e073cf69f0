// What the node kernels of this provider share, and the makers of each family. Only runtime/kernels/onednn
// includes this.
#pragma once

#include <memory>
#include <string>

#include "runtime/device/cpu/kernel_threads.hpp"
#include "runtime/kernels/kernel.hpp"
#include "runtime/kernels/onednn/primitive_call.hpp"

namespace trireme::onednn {

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

}  // namespace trireme::onednn
