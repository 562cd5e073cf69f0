// Nodes whose kernels go over elements: activations, biases, sums, concatenation, dropout.
#pragma once

#include <cmath>
#include <string>

#include "runtime/core/error.hpp"
#include "runtime/core/philox.hpp"
#include "runtime/kernels/cuda/bodies/dropout.hpp"
#include "runtime/kernels/cuda/bodies/elementwise.hpp"
#include "runtime/kernels/cuda/nodes/own_kernels.hpp"
#include "runtime/kernels/cuda/nodes/weight_order.hpp"

namespace trireme::cuda {

/// A function of each element, and its derivative from the gradient and what backward keeps.
template <class Launch, class F, class Slope>
class MapKernels final : public OwnKernels<Launch, NodePlan> {
  public:
    using OwnKernels<Launch, NodePlan>::OwnKernels;

    void forward(Stream& stream, const KernelBuffers& b) override {
        this->packs(stream, this->outputs(), Map<F>{this->outputs(), this->input(b), this->output(b), F{}});
    }
    void backward_input(Stream& stream, const KernelBuffers& b) override {
        const bool from_input = this->needs().backward_reads_input;
        const Source kept = from_input ? this->input(b) : this->output(b).source();
        this->packs(stream, this->outputs(),
                    Map2<Slope>{this->outputs(), this->d_output(b), kept, this->d_input(b), Slope{}});
    }
};

/// A parameter that is added to each row: a bias, or what positions have learned.
template <class Launch>
class AddedRowsKernels final : public OwnKernels<Launch, ColumnPlan> {
  public:
    using OwnKernels<Launch, ColumnPlan>::OwnKernels;

    void forward(Stream& stream, const KernelBuffers& b) override {
        this->rows(stream, this->plan().tiling,
                   AddToRows{this->input(b), fp32_source(b.params[0]), this->output(b)});
    }
    void backward_weight(Stream& stream, const KernelBuffers& b) override {
        this->sum_columns(stream, this->plan().tiling, ColumnTerms{this->d_output(b)},
                          ScaledSums{{b.d_params[0], DType::f32}}, b.scratch);
    }
    void backward_input(Stream& stream, const KernelBuffers& b) override {
        if (b.d_inputs[0] == b.d_output) return;
        convert<Launch>(stream, this->d_output(b), this->d_input(b), this->outputs());
    }
};

template <class Launch>
class AddKernels final : public OwnKernels<Launch, NodePlan> {
  public:
    using OwnKernels<Launch, NodePlan>::OwnKernels;

    void forward(Stream& stream, const KernelBuffers& b) override {
        AddAll body;
        body.elements = this->outputs();
        body.count = static_cast<int>(this->inputs());
        for (std::size_t i = 0; i < this->inputs(); ++i) body.inputs[i] = this->input(b, i);
        body.y = this->output(b);
        this->packs(stream, this->outputs(), body);
    }
    /// One of the gradients may lie where that of the sum does: it is the same values, and stays.
    void backward_input(Stream& stream, const KernelBuffers& b) override {
        for (std::size_t i = 0; i < this->inputs(); ++i) {
            if (b.d_inputs[i] == nullptr || b.d_inputs[i] == b.d_output) continue;
            convert<Launch>(stream, this->d_output(b), this->d_input(b, i), this->outputs());
        }
    }
};

template <class Launch>
class ConcatKernels final : public OwnKernels<Launch, NodePlan> {
  public:
    ConcatKernels(const NodeView& view, NodePlan plan)
        : OwnKernels<Launch, NodePlan>(view, std::move(plan)),
          rows_(view.rows()),
          width_(view.output[view.output.rank() - 1]) {
        for (std::size_t i = 0; i < view.node.inputs.size(); ++i) {
            const Shape& shape = view.input_shape(i);
            widths_.push_back(shape[shape.rank() - 1]);
        }
    }

    void forward(Stream& stream, const KernelBuffers& b) override {
        std::int64_t column = 0;
        for (std::size_t i = 0; i < widths_.size(); ++i) {
            copy(stream, {widths_[i], this->input(b, i), widths_[i], 0, this->output(b), width_, column});
            column += widths_[i];
        }
    }
    void backward_input(Stream& stream, const KernelBuffers& b) override {
        std::int64_t column = 0;
        for (std::size_t i = 0; i < widths_.size(); ++i) {
            if (b.d_inputs[i] != nullptr) {
                copy(stream,
                     {widths_[i], this->d_output(b), width_, column, this->d_input(b, i), widths_[i], 0});
            }
            column += widths_[i];
        }
    }

  private:
    void copy(Stream& stream, const CopyColumns& body) const {
        Launch::each(stream, rows_ * packs_of(body.width), body);
    }

    std::int64_t rows_;
    std::int64_t width_;
    std::vector<std::int64_t> widths_;
};

template <class Launch>
class DropoutKernels final : public OwnKernels<Launch, NodePlan> {
  public:
    DropoutKernels(const layers::Dropout& op, const NodeView& view, NodePlan plan)
        : OwnKernels<Launch, NodePlan>(view, std::move(plan)),
          sample_elements_(view.output.elements().value),
          scale_(static_cast<float>(1 / (1 - op.p))),
          // A uniform number is k 2^-24 with an integer k, so that k >= p 2^24 says the same, exactly.
          threshold_(static_cast<std::uint32_t>(std::ceil(op.p * 0x1p24))) {}

    void forward(Stream& stream, const KernelBuffers& b) override {
        if (!this->training()) {
            if (b.inputs[0] == b.output) return;
            convert<Launch>(stream, this->input(b), this->output(b), this->outputs());
            return;
        }
        ensure(b.context != nullptr, "a dropout in training has a launch context");
        const RandomStream random(b.context->seed, this->plan().rules.needs.random_purpose,
                                  static_cast<std::uint64_t>(b.context->step));
        this->packs(stream, this->outputs(),
                    DropoutForward{this->outputs(), this->input(b), random.key(), b.context->stream,
                                   b.context->first_position * sample_elements_, threshold_, scale_,
                                   values_of<std::uint8_t>(b.saved), this->output(b)});
    }
    void backward_input(Stream& stream, const KernelBuffers& b) override {
        this->packs(stream, this->outputs(),
                    DropoutInputGradient{this->outputs(), this->d_output(b), values_of<std::uint8_t>(b.saved),
                                         scale_, this->d_input(b)});
    }

  private:
    std::int64_t sample_elements_;
    float scale_;
    std::uint32_t threshold_;
};

template <class Launch>
std::unique_ptr<NodeKernels> make_own(const layers::Relu& op, const NodeView& view) {
    return std::make_unique<MapKernels<Launch, ReluOf, ReluSlope>>(view, plan_of(op, view));
}
template <class Launch>
std::unique_ptr<NodeKernels> make_own(const layers::Tanh& op, const NodeView& view) {
    return std::make_unique<MapKernels<Launch, TanhOf, TanhSlope>>(view, plan_of(op, view));
}
template <class Launch>
std::unique_ptr<NodeKernels> make_own(const layers::Sigmoid& op, const NodeView& view) {
    return std::make_unique<MapKernels<Launch, SigmoidOf, SigmoidSlope>>(view, plan_of(op, view));
}
template <class Launch>
std::unique_ptr<NodeKernels> make_own(const layers::Gelu& op, const NodeView& view) {
    if (op.tanh)
        return std::make_unique<MapKernels<Launch, GeluTanhOf, GeluTanhSlope>>(view, plan_of(op, view));
    return std::make_unique<MapKernels<Launch, GeluOf, GeluSlope>>(view, plan_of(op, view));
}
template <class Launch>
std::unique_ptr<NodeKernels> make_own(const layers::Bias& op, const NodeView& view) {
    return std::make_unique<AddedRowsKernels<Launch>>(view, plan_of(op, view));
}
template <class Launch>
std::unique_ptr<NodeKernels> make_own(const layers::PositionEmbedding& op, const NodeView& view) {
    return std::make_unique<AddedRowsKernels<Launch>>(view, plan_of(op, view));
}
template <class Launch>
std::unique_ptr<NodeKernels> make_own(const layers::Add& op, const NodeView& view) {
    return std::make_unique<AddKernels<Launch>>(view, plan_of(op, view));
}
template <class Launch>
std::unique_ptr<NodeKernels> make_own(const layers::Concat& op, const NodeView& view) {
    return std::make_unique<ConcatKernels<Launch>>(view, plan_of(op, view));
}
template <class Launch>
std::unique_ptr<NodeKernels> make_own(const layers::Dropout& op, const NodeView& view) {
    return std::make_unique<DropoutKernels<Launch>>(op, view, plan_of(op, view));
}

}  // namespace trireme::cuda
