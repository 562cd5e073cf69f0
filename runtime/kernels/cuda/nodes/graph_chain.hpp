// A chain of convolutions and batch norms: cuDNN's graphs, and what our own kernels do between them
// (rules/cudnn_chain_plans.hpp says what is joined, and what lies where).
#pragma once

#include "runtime/kernels/cuda/nodes/for_each_row.hpp"
#include "runtime/kernels/cuda/nodes/graph_kernels.hpp"
#include "runtime/kernels/cuda/nodes/sum_columns.hpp"
#include "runtime/kernels/cuda/nodes/take_moments.hpp"
#include "runtime/kernels/cuda/nodes/typed_memory.hpp"
#include "runtime/kernels/rules/cudnn_chain_plans.hpp"

namespace trireme::cudnn {

template <class Launch, class Graphs>
class ChainKernels final : public GraphKernels<Graphs> {
  public:
    ChainKernels(const layers::ConvNormChain& op, ChainPlan plan, std::shared_ptr<Graphs> graphs)
        : GraphKernels<Graphs>(plan.rules, std::move(graphs)), op_(op), plan_(std::move(plan)) {
        for (const ChainLinkPlan& link : plan_.links) {
            Link made;
            made.forward = run_by(link.forward);
            if (plan_.training) made.weight_gradient = run_by(link.weight_gradient);
            if (link.input_gradient) made.input_gradient = run_by(*link.input_gradient);
            links_.push_back(std::move(made));
        }
    }

    void pack_forward(Stream& stream, const KernelBuffers& b) override {
        for (std::size_t k = 0; k < links_.size(); ++k)
            pack_weights(stream, b, k, b.forward_weights + plan_.links[k].weights);
    }
    void pack_backward(Stream& stream, const KernelBuffers& b) override {
        pack_weights(stream, b, 0, b.backward_weights);
    }

    void forward(Stream& stream, const KernelBuffers& b) override {
        const std::size_t last = links_.size() - 1;
        if (!plan_.training) return evaluate(stream, b);
        float* statistics = cuda::values_of<float>(b.statistics);
        for (std::size_t k = 0; k <= last; ++k) {
            const MomentsSink moments{channels(k), op_.links[k].norm.eps, mean(b, k), inverse_deviation(b, k),
                                      statistics};
            convolve(stream, b, k, moments);
            statistics += 3 * channels(k);
        }
        cuda::Normalise rule = norm_of(b, last, y(b, last));
        rule.residual = residual(b);
        rule.relu = relu();
        rule.mask = last_mask(b);
        rule.y = tensor(b.output);
        cuda::for_each_row<Launch>(stream, tiling(last), rule);
    }

    void backward_activation(Stream&, const KernelBuffers&) override {}

    void backward_weight(Stream& stream, const KernelBuffers& b) override {
        const std::size_t last = links_.size() - 1;
        const cuda::Source d = tensor(b.d_output).source();
        sum_norm_gradient(stream, b, last, d, last_mask(b));
        replace_by_gradient(stream, b, last, d, last_mask(b));
        for (std::size_t k = last;; --k) {
            if (k > 0) normalise_again(stream, b, k);
            take_weight_gradient(stream, b, k);
            if (k == 0) return;
            pass_gradient(stream, b, k);
        }
    }

    void backward_input(Stream& stream, const KernelBuffers& b) override {
        if (b.d_inputs[0] != nullptr) {
            Planned& graph = links_[0].input_gradient.graph;
            graph.operands.assign({y(b, 0).memory, b.backward_weights, b.d_inputs[0]});
            this->run(graph, stream, workspace(b, plan_.backward_parts));
        }
        const bool adds = op_.residual == layers::ChainResidual::input;
        if (op_.residual == layers::ChainResidual::none) return;
        std::byte* to = b.d_inputs[adds ? 0 : 1];
        if (to == nullptr || (to == b.d_output && !relu())) return;
        cuda::for_each_row<Launch>(
            stream, tiling(links_.size() - 1),
            cuda::ResidualGradient{tensor(b.d_output).source(), last_mask(b), adds, tensor(to)});
    }

  private:
    using Planned = typename GraphKernels<Graphs>::Planned;
    using MomentsSink = cuda::MomentsSink;

    /// How a graph is run: as it was asked for, or apart, as its convolution alone.
    struct RunBy {
        Planned graph;
        bool joined = false;
    };
    struct Link {
        RunBy forward;
        RunBy weight_gradient;
        RunBy input_gradient;
    };

    [[nodiscard]] RunBy run_by(const JoinedGraph& graph) {
        if (graph.joined) {
            RunBy joined{this->planned_if_there(*graph.joined), true};
            if (joined.graph.plan != nullptr) return joined;
            this->note("apart:" + std::string(name_of(graph.joined->kind)));
        }
        return {this->planned(graph.plain), false};
    }

    [[nodiscard]] static std::byte* workspace(const KernelBuffers& b, const ChainParts& parts) {
        return aligned_up(b.scratch + parts.workspace, workspace_alignment);
    }
    [[nodiscard]] cuda::Sink tensor(std::byte* memory) const { return {memory, plan_.dtype}; }
    [[nodiscard]] cuda::Source tensor(const std::byte* memory) const { return {memory, plan_.dtype}; }

    [[nodiscard]] const ConvGeometry& geometry(std::size_t k) const { return plan_.links[k].geometry(); }
    [[nodiscard]] const cuda::Tiling& tiling(std::size_t k) const { return plan_.links[k].tiling; }
    [[nodiscard]] std::int64_t channels(std::size_t k) const { return tiling(k).channels; }
    [[nodiscard]] bool relu() const { return op_.activation == layers::Activation::relu; }

    /// Raw result of the convolution of a link; its gradient from backward's pass over it on.
    [[nodiscard]] cuda::Sink y(const KernelBuffers& b, std::size_t k) const {
        return tensor(b.saved + plan_.links[k].y);
    }
    [[nodiscard]] float* mean(const KernelBuffers& b, std::size_t k) const {
        return cuda::values_of<float>(b.saved, plan_.links[k].mean);
    }
    [[nodiscard]] float* inverse_deviation(const KernelBuffers& b, std::size_t k) const {
        return cuda::values_of<float>(b.saved, plan_.links[k].inverse_deviation);
    }
    [[nodiscard]] cuda::Sink scale(const KernelBuffers& b, std::size_t k) const {
        return tensor(b.saved + plan_.links[k].scale);
    }
    [[nodiscard]] cuda::Sink shift(const KernelBuffers& b, std::size_t k) const {
        return tensor(b.saved + plan_.links[k].shift);
    }
    [[nodiscard]] cuda::ReluMask last_mask(const KernelBuffers& b) const {
        if (!relu()) return {};
        return {cuda::values_of<std::uint8_t>(b.saved, plan_.mask),
                ChainPlan::mask_row_bytes(plan_.links.back())};
    }
    /// Of the relu behind link k - 1, which the convolution of link k reads.
    [[nodiscard]] cuda::ReluMask inner_mask(const KernelBuffers& b, std::size_t k) const {
        return {cuda::values_of<std::uint8_t>(b.scratch, plan_.backward_parts.mask),
                ChainPlan::mask_row_bytes(plan_.links[k - 1])};
    }
    [[nodiscard]] static const std::byte* weight_of_norm(const KernelBuffers& b, std::size_t k) {
        return b.params[3 * k + 1];
    }
    [[nodiscard]] static const std::byte* bias_of_norm(const KernelBuffers& b, std::size_t k) {
        return b.params[3 * k + 2];
    }
    [[nodiscard]] cuda::Source residual(const KernelBuffers& b) const {
        if (op_.residual == layers::ChainResidual::none) return {};
        return tensor(b.inputs[op_.residual == layers::ChainResidual::input ? 0 : 1]);
    }

    /// The norm of link k over its raw result, with nothing behind it.
    [[nodiscard]] cuda::Normalise norm_of(const KernelBuffers& b, std::size_t k, const cuda::Sink& x) const {
        cuda::Normalise rule{.x = x.source(),
                             .residual = {},
                             .weight = cuda::fp32_source(weight_of_norm(b, k)),
                             .bias = cuda::fp32_source(bias_of_norm(b, k)),
                             .mean = nullptr,
                             .inverse_deviation = nullptr,
                             .variance = nullptr,
                             .eps = op_.links[k].norm.eps,
                             .relu = false,
                             .mask = {},
                             .y = {}};
        if (plan_.training) {
            rule.mean = mean(b, k);
            rule.inverse_deviation = inverse_deviation(b, k);
        } else {
            rule.mean = cuda::values_of<float>(b.buffers[2 * k]);
            rule.variance = cuda::values_of<float>(b.buffers[2 * k + 1]);
        }
        return rule;
    }

    /// y of link k and its moments; and its norm folded, where another link reads it.
    void convolve(Stream& stream, const KernelBuffers& b, std::size_t k, const MomentsSink& moments) {
        const ChainParts& parts = plan_.forward_parts;
        RunBy& forward = links_[k].forward;
        const std::byte* weights = b.forward_weights + plan_.links[k].weights;
        Operands& operands = forward.graph.operands;
        if (forward.joined) {
            auto* sum = cuda::values_of<float>(b.scratch, parts.sum);
            auto* squares = cuda::values_of<float>(b.scratch, parts.squares);
            operands.assign({k == 0 ? b.inputs[0] : y(b, k - 1).memory});
            if (k > 0) operands.insert(operands.end(), {scale(b, k - 1).memory, shift(b, k - 1).memory});
            operands.insert(operands.end(),
                            {weights, y(b, k).memory, b.scratch + parts.sum, b.scratch + parts.squares});
            this->run(forward.graph, stream, workspace(b, parts));
            Launch::each(stream, channels(k),
                         cuda::MomentsOfSums{static_cast<double>(tiling(k).rows), sum, squares, moments});
        } else {
            const std::byte* x = b.inputs[0];
            if (k > 0) {
                cuda::Normalise rule = norm_of(b, k - 1, y(b, k - 1));
                rule.relu = true;
                rule.y = tensor(b.scratch + parts.inner[0]);
                cuda::for_each_row<Launch>(stream, tiling(k - 1), rule);
                x = rule.y.memory;
            }
            operands.assign({x, weights, y(b, k).memory});
            this->run(forward.graph, stream, workspace(b, parts));
            cuda::take_moments<Launch>(stream, tiling(k), y(b, k).source(), moments, workspace(b, parts));
        }
        if (k + 1 == links_.size()) return;
        Launch::each(
            stream, channels(k),
            cuda::FoldNorm{cuda::fp32_source(weight_of_norm(b, k)), cuda::fp32_source(bias_of_norm(b, k)),
                           moments.mean, moments.inverse_deviation, scale(b, k), shift(b, k)});
    }

    /// Each convolution into one of two tensors in turn, where its norm is taken in place; the last into the
    /// output.
    void evaluate(Stream& stream, const KernelBuffers& b) {
        const ChainParts& parts = plan_.forward_parts;
        const std::byte* x = b.inputs[0];
        for (std::size_t k = 0; k < links_.size(); ++k) {
            const bool last = k + 1 == links_.size();
            const cuda::Sink to = tensor(last ? b.output : b.scratch + parts.inner[k % 2]);
            Planned& graph = links_[k].forward.graph;
            graph.operands.assign({x, b.forward_weights + plan_.links[k].weights, to.memory});
            this->run(graph, stream, workspace(b, parts));
            cuda::Normalise rule = norm_of(b, k, to);
            if (last) rule.residual = residual(b);
            rule.relu = !last || relu();
            rule.y = to;
            cuda::for_each_row<Launch>(stream, tiling(k), rule);
            x = to.memory;
        }
    }

    /// What joined graphs make for themselves: the normalised input of link k, and its relu's mask.
    void normalise_again(Stream& stream, const KernelBuffers& b, std::size_t k) {
        const bool tensor_wanted = !links_[k].weight_gradient.joined;
        const bool mask_wanted = !links_[k].input_gradient.joined;
        if (!tensor_wanted && !mask_wanted) return;
        cuda::Normalise rule = norm_of(b, k - 1, y(b, k - 1));
        rule.relu = true;
        if (mask_wanted) rule.mask = inner_mask(b, k);
        if (tensor_wanted) rule.y = tensor(b.scratch + plan_.backward_parts.inner[0]);
        cuda::for_each_row<Launch>(stream, tiling(k - 1), rule);
    }

    void take_weight_gradient(Stream& stream, const KernelBuffers& b, std::size_t k) {
        const ChainParts& parts = plan_.backward_parts;
        RunBy& gradient = links_[k].weight_gradient;
        Operands& operands = gradient.graph.operands;
        if (k == 0) {
            operands.assign({b.inputs[0]});
        } else if (gradient.joined) {
            operands.assign({y(b, k - 1).memory, scale(b, k - 1).memory, shift(b, k - 1).memory});
        } else {
            operands.assign({b.scratch + parts.inner[0]});
        }
        operands.insert(operands.end(), {y(b, k).memory, b.scratch + parts.d_w});
        this->run(gradient.graph, stream, workspace(b, parts));
        cuda::unpack_gradient<Launch>(stream, weights(k), tensor(b.scratch + parts.d_w).source(),
                                      {b.d_params[3 * k], DType::f32});
    }

    /// From the gradient of link k's raw result to that of the link before, and the gradients of the norm
    /// between them.
    void pass_gradient(Stream& stream, const KernelBuffers& b, std::size_t k) {
        const ChainParts& parts = plan_.backward_parts;
        RunBy& gradient = links_[k].input_gradient;
        std::byte* packed = b.scratch + parts.weights;
        std::byte* d = b.scratch + parts.inner[0];
        pack_weights(stream, b, k, packed);
        Operands& operands = gradient.graph.operands;
        operands.assign({y(b, k).memory, packed});
        cuda::ReluMask mask = inner_mask(b, k);
        if (gradient.joined) {
            operands.insert(operands.end(), {y(b, k - 1).memory, b.saved + plan_.links[k - 1].mean,
                                             b.saved + plan_.links[k - 1].inverse_deviation,
                                             weight_of_norm(b, k - 1), bias_of_norm(b, k - 1), d,
                                             b.d_params[3 * (k - 1) + 1], b.d_params[3 * (k - 1) + 2]});
            for (const std::int64_t part : parts.unused) operands.push_back(b.scratch + part);
            this->run(gradient.graph, stream, workspace(b, parts));
            mask = {};
        } else {
            operands.push_back(d);
            this->run(gradient.graph, stream, workspace(b, parts));
            sum_norm_gradient(stream, b, k - 1, tensor(d).source(), mask);
        }
        replace_by_gradient(stream, b, k - 1, tensor(d).source(), mask);
    }

    /// The gradients of a norm's weight and bias, which are the sums that the gradient of its input takes.
    void sum_norm_gradient(Stream& stream, const KernelBuffers& b, std::size_t k, const cuda::Source& d,
                           const cuda::ReluMask& mask) const {
        const cuda::NormSums terms{y(b, k).source(), d, mask, mean(b, k)};
        const cuda::KeepNormSums finish{inverse_deviation(b, k), d_bias(b, k), d_weight(b, k), nullptr,
                                        nullptr};
        cuda::sum_columns<Launch>(stream, tiling(k), terms, finish, workspace(b, plan_.backward_parts));
    }
    /// The gradient of link k's raw result takes its place.
    void replace_by_gradient(Stream& stream, const KernelBuffers& b, std::size_t k, const cuda::Source& d,
                             const cuda::ReluMask& mask) const {
        cuda::for_each_row<Launch>(stream, tiling(k),
                                   cuda::NormInputGradient{.x = y(b, k).source(),
                                                           .d = d,
                                                           .mask = mask,
                                                           .weight = cuda::fp32_source(weight_of_norm(b, k)),
                                                           .mean = mean(b, k),
                                                           .inverse_deviation = inverse_deviation(b, k),
                                                           .sum = d_bias(b, k),
                                                           .product = d_weight(b, k),
                                                           .n_values = static_cast<float>(tiling(k).rows),
                                                           .d_x = y(b, k),
                                                           .d_residual = {}});
    }
    [[nodiscard]] static float* d_weight(const KernelBuffers& b, std::size_t k) {
        return cuda::values_of<float>(b.d_params[3 * k + 1]);
    }
    [[nodiscard]] static float* d_bias(const KernelBuffers& b, std::size_t k) {
        return cuda::values_of<float>(b.d_params[3 * k + 2]);
    }

    [[nodiscard]] cuda::WeightShape weights(std::size_t k) const { return weight_shape(geometry(k)); }
    void pack_weights(Stream& stream, const KernelBuffers& b, std::size_t k, std::byte* copy) const {
        cuda::pack_weights<Launch>(stream, weights(k), cuda::fp32_source(b.params[3 * k]), tensor(copy));
    }

    layers::ConvNormChain op_;
    ChainPlan plan_;
    std::vector<Link> links_;
};

}  // namespace trireme::cudnn
