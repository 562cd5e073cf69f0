// Causal attention by cuDNN: the rows of query, key and value are read, and their gradients written, where
// they lie; nothing is copied. `saved` holds the logarithm of each row's softmax sum.
#pragma once

#include "runtime/kernels/cuda/nodes/graph_kernels.hpp"
#include "runtime/kernels/rules/cudnn_plans.hpp"

namespace trireme::cudnn {

template <class Graphs>
class AttentionKernels final : public GraphKernels<Graphs> {
  public:
    AttentionKernels(const AttentionPlan& plan, std::shared_ptr<Graphs> graphs)
        : GraphKernels<Graphs>(plan.rules, std::move(graphs)),
          part_(plan.forward.attention.heads * plan.forward.attention.width * size_of(plan.forward.dtype)),
          keeps_(plan.forward.keeps) {
        forward_ = this->planned(plan.forward);
        if (plan.backward) backward_ = this->planned(*plan.backward);
    }

    void forward(Stream& stream, const KernelBuffers& b) override {
        const std::byte* x = b.inputs[0];
        forward_.operands.assign({x, x + part_, x + 2 * part_, b.output});
        if (keeps_) forward_.operands.push_back(b.saved);
        this->run(forward_, stream, aligned_up(b.scratch, workspace_alignment));
    }
    void backward_activation(Stream&, const KernelBuffers&) override {}
    void backward_weight(Stream&, const KernelBuffers&) override {}
    void backward_input(Stream& stream, const KernelBuffers& b) override {
        const std::byte* x = b.inputs[0];
        std::byte* d_x = b.d_inputs[0];
        backward_.operands.assign(
            {x, x + part_, x + 2 * part_, b.output, b.d_output, b.saved, d_x, d_x + part_, d_x + 2 * part_});
        this->run(backward_, stream, aligned_up(b.scratch, workspace_alignment));
    }

  private:
    std::int64_t part_;  ///< bytes from a row's query to its key, and from that to its value
    bool keeps_;
    typename GraphKernels<Graphs>::Planned forward_;
    typename GraphKernels<Graphs>::Planned backward_;
};

}  // namespace trireme::cudnn
