// Nodes that pool: over windows, and over all positions.
#pragma once

#include "runtime/kernels/cuda/bodies/pool.hpp"
#include "runtime/kernels/cuda/nodes/own_kernels.hpp"

namespace trireme::cuda {

template <class Launch>
class PoolKernels final : public OwnKernels<Launch, NodePlan> {
  public:
    PoolKernels(const layers::Pool2d& op, const NodeView& view, NodePlan plan)
        : OwnKernels<Launch, NodePlan>(view, std::move(plan)),
          max_(op.kind == layers::PoolKind::max),
          batch_(view.request.batch) {
        shape_.channels = view.input[2];
        shape_.relu = op.activation == layers::Activation::relu;
        for (int axis = 0; axis < 2; ++axis) {
            shape_.in[axis] = view.input[axis];
            shape_.out[axis] = view.output[axis];
            shape_.kernel[axis] = op.kernel[static_cast<std::size_t>(axis)];
            shape_.stride[axis] = op.stride[static_cast<std::size_t>(axis)];
            shape_.padding[axis] = op.padding[static_cast<std::size_t>(axis)];
        }
    }

    void forward(Stream& stream, const KernelBuffers& b) override {
        if (max_) {
            pixels(stream, shape_.out, MaxPool{shape_, this->input(b), this->output(b), winners(b)});
        } else {
            pixels(stream, shape_.out, AveragePool{shape_, this->input(b), this->output(b)});
        }
    }
    void backward_activation(Stream& stream, const KernelBuffers& b) override {
        if (shape_.relu) this->undo_relu(stream, b);
    }
    void backward_input(Stream& stream, const KernelBuffers& b) override {
        if (max_) {
            pixels(stream, shape_.in,
                   MaxPoolInputGradient{shape_, this->d_output(b), winners(b), this->d_input(b)});
        } else {
            pixels(stream, shape_.in, AveragePoolInputGradient{shape_, this->d_output(b), this->d_input(b)});
        }
    }

  private:
    [[nodiscard]] Winners winners(const KernelBuffers& b) const {
        return {this->training() ? b.saved : nullptr, Winners::bytes_each(shape_.places()) == 2};
    }
    template <class Body>
    void pixels(Stream& stream, const std::int64_t (&extents)[2], const Body& body) const {
        Launch::each(stream, batch_ * extents[0] * extents[1] * packs_of(shape_.channels), body);
    }

    PoolShape shape_{};
    bool max_;
    std::int64_t batch_;
};

template <class Launch>
class GlobalAveragePoolKernels final : public OwnKernels<Launch, ColumnPlan> {
  public:
    using OwnKernels<Launch, ColumnPlan>::OwnKernels;

    void forward(Stream& stream, const KernelBuffers& b) override {
        const Tiling& t = this->plan().tiling;
        this->sum_columns(stream, t, ColumnTerms{this->input(b)},
                          ScaledSums{this->output(b), 1 / static_cast<double>(t.rows)}, b.scratch);
    }
    void backward_input(Stream& stream, const KernelBuffers& b) override {
        const Tiling& t = this->plan().tiling;
        Launch::each(stream, t.groups * t.rows * packs_of(t.channels),
                     SpreadOverPositions{t.rows, t.channels, this->d_output(b), this->d_input(b)});
    }
};

template <class Launch>
std::unique_ptr<NodeKernels> make_own(const layers::Pool2d& op, const NodeView& view) {
    return std::make_unique<PoolKernels<Launch>>(op, view, plan_of(op, view));
}
template <class Launch>
std::unique_ptr<NodeKernels> make_own(const layers::GlobalAveragePool& op, const NodeView& view) {
    return std::make_unique<GlobalAveragePoolKernels<Launch>>(view, plan_of(op, view));
}

}  // namespace trireme::cuda
