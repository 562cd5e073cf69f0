#include "tests/async/async_kernels.hpp"

#include <fmt/format.h>

#include "runtime/kernels/node_view.hpp"

namespace trireme::async {
namespace {

Access of(const void* memory, std::int64_t bytes, bool writes) {
    return {static_cast<const std::byte*>(memory), bytes, writes};
}

/// Collects what a pass touches; what is not there is left out.
class Touched {
  public:
    void reads(const std::byte* memory, std::int64_t bytes) { add(memory, bytes, false); }
    void writes(const std::byte* memory, std::int64_t bytes) { add(memory, bytes, true); }
    [[nodiscard]] std::vector<Access> list() && { return std::move(list_); }

  private:
    void add(const std::byte* memory, std::int64_t bytes, bool writes) {
        if (memory != nullptr && bytes > 0) list_.push_back(of(memory, bytes, writes));
    }
    std::vector<Access> list_;
};

class AsyncKernels final : public NodeKernels {
  public:
    AsyncKernels(std::unique_ptr<NodeKernels> inner, const KernelRequest& request,
                 std::unique_ptr<Stream> stream)
        : inner_(std::move(inner)), needs_(inner_->needs()), at_once_(std::move(stream)) {
        const NodeView view(request);
        name_ = view.node.name;
        for (std::size_t i = 0; i < view.node.inputs.size(); ++i) {
            const layers::TensorSpec& tensor = request.graph->tensor(view.node.inputs[i]);
            inputs_.push_back(bytes_of(tensor.shape.elements() * request.batch, tensor.dtype).value);
        }
        output_ = view.outputs() * size_of(view.output_dtype());
        for (layers::ParamId p : view.node.params)
            params_.push_back(bytes_of(request.graph->param(p).shape.elements(), DType::f32).value);
        for (layers::BufferId b : view.node.buffers)
            buffers_.push_back(bytes_of(request.graph->buffer(b).shape.elements(), DType::f32).value);
        statistics_ = layers::statistics_of(view.node.op, view.input) * size_of(DType::f32);
    }

    [[nodiscard]] KernelNeeds needs() const override { return needs_; }
    [[nodiscard]] std::string describe() const override { return inner_->describe(); }

    void pack_forward(Stream& stream, const KernelBuffers& b) override {
        Touched touched;
        parameters(touched, b);
        touched.writes(b.forward_weights, needs_.forward_weights.value);
        touched.writes(b.scratch, needs_.forward_scratch.value);
        if (needs_.forward_weights.value > 0)
            launch("pack", stream, b, std::move(touched), &NodeKernels::pack_forward);
    }
    void pack_backward(Stream& stream, const KernelBuffers& b) override {
        Touched touched;
        parameters(touched, b);
        touched.writes(b.backward_weights, needs_.backward_weights.value);
        touched.writes(b.scratch, needs_.backward_scratch.value);
        if (needs_.backward_weights.value > 0)
            launch("pack backward", stream, b, std::move(touched), &NodeKernels::pack_backward);
    }
    void forward(Stream& stream, const KernelBuffers& b) override {
        Touched touched;
        for (std::size_t i = 0; i < inputs_.size(); ++i) touched.reads(b.inputs[i], inputs_[i]);
        parameters(touched, b);
        for (std::size_t i = 0; i < buffers_.size(); ++i) touched.reads(b.buffers[i], buffers_[i]);
        touched.reads(b.forward_weights, needs_.forward_weights.value);
        touched.writes(b.output, output_);
        touched.writes(b.saved, needs_.saved.value);
        touched.writes(b.scratch, needs_.forward_scratch.value);
        touched.writes(b.statistics, statistics_);
        launch("forward", stream, b, std::move(touched), &NodeKernels::forward);
    }
    void backward_activation(Stream& stream, const KernelBuffers& b) override {
        Touched touched = backward_reads(b);
        touched.writes(b.d_output, output_);
        launch("backward-activation", stream, b, std::move(touched), &NodeKernels::backward_activation);
    }
    void backward_weight(Stream& stream, const KernelBuffers& b) override {
        Touched touched = backward_reads(b);
        for (std::size_t i = 0; i < params_.size(); ++i) touched.writes(b.d_params[i], params_[i]);
        launch("backward-weight", stream, b, std::move(touched), &NodeKernels::backward_weight);
    }
    void backward_input(Stream& stream, const KernelBuffers& b) override {
        Touched touched = backward_reads(b);
        touched.reads(b.backward_weights, needs_.backward_weights.value);
        for (std::size_t i = 0; i < b.d_inputs.size(); ++i) touched.writes(b.d_inputs[i], inputs_[i]);
        launch("backward-input", stream, b, std::move(touched), &NodeKernels::backward_input);
    }

  private:
    using Pass = void (NodeKernels::*)(Stream&, const KernelBuffers&);

    void parameters(Touched& touched, const KernelBuffers& b) const {
        for (std::size_t i = 0; i < params_.size(); ++i) touched.reads(b.params[i], params_[i]);
    }

    /// What the backward passes share is made by the first of them and kept in `saved`.
    [[nodiscard]] Touched backward_reads(const KernelBuffers& b) const {
        Touched touched;
        for (std::size_t i = 0; needs_.backward_reads_input && i < inputs_.size(); ++i) {
            if ((needs_.backward_skips_inputs >> i & 1) == 0) touched.reads(b.inputs[i], inputs_[i]);
        }
        if (needs_.backward_reads_output) touched.reads(b.output, output_);
        parameters(touched, b);
        touched.reads(b.d_output, output_);
        touched.writes(b.saved, needs_.saved.value);
        touched.writes(b.scratch, needs_.backward_scratch.value);
        return touched;
    }

    /// The buffers of a launch are copied, as arguments of a kernel are.
    void launch(std::string_view pass, Stream& stream, const KernelBuffers& b, Touched touched, Pass run) {
        const LaunchContext context = b.context == nullptr ? LaunchContext{} : *b.context;
        touched.reads(reinterpret_cast<const std::byte*>(context.loss_scale), sizeof(float));
        touched.reads(reinterpret_cast<const std::byte*>(context.stream), sizeof(std::uint64_t));
        queue_of(stream).launch(fmt::format("{} {}", pass, name_), std::move(touched).list(),
                                [this, run, context, buffers = b]() mutable {
                                    buffers.context = &context;
                                    ((*inner_).*run)(*at_once_, buffers);
                                });
    }

    std::unique_ptr<NodeKernels> inner_;
    KernelNeeds needs_;
    std::unique_ptr<Stream> at_once_;
    std::string name_;
    std::vector<std::int64_t> inputs_;  // bytes of one launch, and so are the others
    std::int64_t output_ = 0;
    std::vector<std::int64_t> params_;
    std::vector<std::int64_t> buffers_;
    std::int64_t statistics_ = 0;
};

}  // namespace

KernelOffer AsyncProvider::offer(const KernelRequest& request) const {
    KernelOffer offer = inner_->offer(request);
    if (offer.kernels == nullptr) return offer;
    return {std::make_unique<AsyncKernels>(std::move(offer.kernels), request, streams_.make_stream()), ""};
}

}  // namespace trireme::async
