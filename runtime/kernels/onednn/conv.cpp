// Convolution on plain NHWC activations. Weights lie as [out, in / groups, kh, kw]; each pass lets oneDNN
// choose its own layout for them and reorders into (or out of) a packed copy in scratch. The packed copies
// are members of their own (PackedWeight), so that a memory plan can later keep them from one update to the
// next.
#include <string_view>

#include <fmt/format.h>

#include "runtime/core/error.hpp"
#include "runtime/kernels/onednn/node_kernels.hpp"

namespace trireme::onednn {
namespace {

using desc = dnnl::memory::desc;
using dims = dnnl::memory::dims;

/// The memory and the attributes of one convolution as oneDNN names them.
struct Geometry {
    desc x;
    desc y;
    desc weight;      ///< plain, as the parameter lies
    desc weight_any;  ///< the same extents, layout free
    desc bias;        ///< the zero descriptor where there is none
    dims stride;
    dims dilation;  ///< counted from 0
    dims padding;
    bool relu = false;
    std::int64_t channels_in_group = 0;
};

Geometry geometry_of(const layers::Conv2d& op, const NodeView& view) {
    const auto f32 = dnnl::memory::data_type::f32;
    const auto nhwc = dnnl::memory::format_tag::nhwc;
    const std::int64_t in = view.input[2] / op.groups;
    const std::int64_t out = op.out_channels / op.groups;
    dims weight{out, in, op.kernel[0], op.kernel[1]};
    if (op.groups > 1) weight.insert(weight.begin(), op.groups);
    Geometry g;
    g.x = desc({view.request.batch, view.input[2], view.input[0], view.input[1]}, f32, nhwc);
    g.y = desc({view.request.batch, op.out_channels, view.output[0], view.output[1]}, f32, nhwc);
    g.weight = plain(weight);
    g.weight_any = desc(weight, f32, dnnl::memory::format_tag::any);
    if (op.bias) g.bias = plain({op.out_channels});
    g.stride = {op.stride[0], op.stride[1]};
    g.dilation = {op.dilation[0] - 1, op.dilation[1] - 1};
    g.padding = {op.padding[0], op.padding[1]};
    g.relu = op.activation == layers::Activation::relu;
    g.channels_in_group = in;
    return g;
}

/// A copy of the weight (or of its gradient) in the layout of one pass, in that pass's scratch.
struct PackedWeight {
    PrimitiveCall reorder;  ///< does nothing where the pass takes the plain layout
    std::int64_t offset = 0;
    std::int64_t reorder_scratch = 0;

    /// The weight as the pass reads it.
    const void* pack(const std::byte* weight, std::byte* scratch) {
        if (!reorder.needed()) return weight;
        reorder.run({weight, scratch + offset, scratch + reorder_scratch});
        return scratch + offset;
    }
    /// Where the pass writes a gradient that unpack() then brings into place.
    std::byte* target(std::byte* gradient, std::byte* scratch) const {
        return reorder.needed() ? scratch + offset : gradient;
    }
    void unpack(std::byte* gradient, std::byte* scratch) {
        if (reorder.needed()) reorder.run({scratch + offset, gradient, scratch + reorder_scratch});
    }
};

class ConvKernels final : public OnednnKernels {
  public:
    ConvKernels(const layers::Conv2d& op, const NodeView& view)
        : OnednnKernels(view), geometry_(geometry_of(op, view)) {
        const auto forward_pd = make_forward();
        if (!training()) return;
        needs_.backward_reads_input = true;
        needs_.backward_reads_output = geometry_.relu;
        // Hints for the backward passes must not carry a post-op.
        const auto hint = geometry_.relu ? forward_description(false) : forward_pd;
        make_weight_gradient(hint);
        if (view.request.input_gradient) make_input_gradient(hint);
        if (geometry_.relu) relu_mask_ = relu_mask_call(context_, what("backward of relu"), view.outputs());
    }

    void forward(Stream&, const KernelBuffers& b) override {
        use_threads();
        const void* weight = forward_weight_.pack(b.params[0], b.scratch);
        std::byte* scratchpad = b.scratch + forward_scratchpad_;
        if (has_bias()) {
            forward_.run({b.inputs[0], weight, b.output, scratchpad, b.params[1]});
        } else {
            forward_.run({b.inputs[0], weight, b.output, scratchpad});
        }
    }
    void backward_activation(Stream&, const KernelBuffers& b) override {
        if (!geometry_.relu) return;
        use_threads();
        relu_mask_.run({b.output, b.d_output, b.d_output});
    }
    void backward_weight(Stream&, const KernelBuffers& b) override {
        use_threads();
        std::byte* gradient = gradient_weight_.target(b.d_params[0], b.scratch);
        std::byte* scratchpad = b.scratch + weight_scratchpad_;
        if (has_bias()) {
            weight_gradient_.run({b.inputs[0], b.d_output, gradient, scratchpad, b.d_params[1]});
        } else {
            weight_gradient_.run({b.inputs[0], b.d_output, gradient, scratchpad});
        }
        gradient_weight_.unpack(b.d_params[0], b.scratch);
    }
    void backward_input(Stream&, const KernelBuffers& b) override {
        use_threads();
        const void* weight = input_weight_.pack(b.params[0], b.scratch);
        input_gradient_.run({b.d_output, weight, b.d_inputs[0], b.scratch + input_scratchpad_});
    }

  private:
    [[nodiscard]] bool has_bias() const { return !geometry_.bias.is_zero(); }

    [[nodiscard]] dnnl::convolution_forward::primitive_desc forward_description(bool relu) const {
        const Geometry& g = geometry_;
        const auto kind = training() ? dnnl::prop_kind::forward_training : dnnl::prop_kind::forward_inference;
        return {context_.engine,
                kind,
                dnnl::algorithm::convolution_direct,
                g.x,
                g.weight_any,
                g.bias,
                g.y,
                g.stride,
                g.dilation,
                g.padding,
                g.padding,
                attributes(relu)};
    }

    dnnl::convolution_forward::primitive_desc make_forward() {
        auto pd = forward_description(geometry_.relu);
        description_ = pd.impl_info_str();
        ScratchLayout layout;
        forward_weight_ = packed(layout, geometry_.weight, pd.weights_desc(), "weight for forward");
        forward_scratchpad_ = layout.take(pd.scratchpad_desc());
        needs_.forward_scratch = layout.total();
        std::vector<PrimitiveCall::Argument> arguments{{DNNL_ARG_SRC, geometry_.x},
                                                       {DNNL_ARG_WEIGHTS, pd.weights_desc()},
                                                       {DNNL_ARG_DST, geometry_.y},
                                                       {DNNL_ARG_SCRATCHPAD, pd.scratchpad_desc()}};
        if (has_bias()) arguments.emplace_back(DNNL_ARG_BIAS, geometry_.bias);
        forward_ = {context_, what("forward"), dnnl::convolution_forward(pd), arguments};
        return pd;
    }

    void make_weight_gradient(const dnnl::convolution_forward::primitive_desc& hint) {
        const Geometry& g = geometry_;
        const dnnl::convolution_backward_weights::primitive_desc pd(
            context_.engine, dnnl::algorithm::convolution_direct, g.x, g.weight_any, g.bias, g.y, g.stride,
            g.dilation, g.padding, g.padding, hint, attributes());
        describe_pass("weight gradient", pd.impl_info_str());
        ScratchLayout layout;
        gradient_weight_ = packed(layout, pd.diff_weights_desc(), g.weight, "weight gradient");
        weight_scratchpad_ = layout.take(pd.scratchpad_desc());
        needs_.backward_scratch = std::max(needs_.backward_scratch, layout.total());
        std::vector<PrimitiveCall::Argument> arguments{{DNNL_ARG_SRC, g.x},
                                                       {DNNL_ARG_DIFF_DST, g.y},
                                                       {DNNL_ARG_DIFF_WEIGHTS, pd.diff_weights_desc()},
                                                       {DNNL_ARG_SCRATCHPAD, pd.scratchpad_desc()}};
        if (has_bias()) arguments.emplace_back(DNNL_ARG_DIFF_BIAS, g.bias);
        weight_gradient_ = {context_, what("weight gradient"), dnnl::convolution_backward_weights(pd),
                            arguments};
    }

    void make_input_gradient(const dnnl::convolution_forward::primitive_desc& hint) {
        const Geometry& g = geometry_;
        dnnl::convolution_backward_data::primitive_desc pd(
            context_.engine, dnnl::algorithm::convolution_direct, g.x, g.weight_any, g.y, g.stride,
            g.dilation, g.padding, g.padding, hint, attributes());
        prefer_direct(pd, hint);
        describe_pass("input gradient", pd.impl_info_str());
        ScratchLayout layout;
        input_weight_ = packed(layout, g.weight, pd.weights_desc(), "weight for the input gradient");
        input_scratchpad_ = layout.take(pd.scratchpad_desc());
        needs_.backward_scratch = std::max(needs_.backward_scratch, layout.total());
        input_gradient_ = {context_,
                           what("input gradient"),
                           dnnl::convolution_backward_data(pd),
                           {{DNNL_ARG_DIFF_DST, g.y},
                            {DNNL_ARG_WEIGHTS, pd.weights_desc()},
                            {DNNL_ARG_DIFF_SRC, g.x},
                            {DNNL_ARG_SCRATCHPAD, pd.scratchpad_desc()}}};
    }

    /// oneDNN lists its batch-reduce input gradient first, but where the input channels leave a part of a
    /// vector over, the direct kernel of the same instruction set is 15 % faster (docs/kernels-cpu.md).
    void prefer_direct(dnnl::convolution_backward_data::primitive_desc& pd,
                       const dnnl::convolution_forward::primitive_desc& hint) const {
        constexpr std::int64_t vector_floats = 16;
        if (geometry_.channels_in_group % vector_floats == 0) return;
        const std::string_view first = pd.impl_info_str();
        if (!first.starts_with("brg") || first.find("avx512_core") == std::string_view::npos) return;
        const Geometry& g = geometry_;
        dnnl::convolution_backward_data::primitive_desc other(
            context_.engine, dnnl::algorithm::convolution_direct, g.x, g.weight_any, g.y, g.stride,
            g.dilation, g.padding, g.padding, hint, attributes());
        while (other.next_impl()) {
            if (std::string_view(other.impl_info_str()) != "jit:avx512_core") continue;
            pd = other;
            return;
        }
    }

    PackedWeight packed(ScratchLayout& layout, const desc& from, const desc& to, std::string_view name) {
        PackedWeight result;
        std::size_t reorder_scratch = 0;
        result.reorder = reorder_call(context_, what(name), from, to, reorder_scratch);
        if (!result.reorder.needed()) return result;
        result.offset = layout.take(std::max(from.get_size(), to.get_size()));
        result.reorder_scratch = layout.take(reorder_scratch);
        return result;
    }

    /// Passes whose implementation differs from forward's are named.
    void describe_pass(std::string_view pass, std::string_view implementation) {
        if (description_ == implementation) return;
        description_ += fmt::format(", {} {}", pass, implementation);
    }

    Geometry geometry_;
    PrimitiveCall forward_;
    PrimitiveCall weight_gradient_;
    PrimitiveCall input_gradient_;
    PrimitiveCall relu_mask_;
    PackedWeight forward_weight_;
    PackedWeight gradient_weight_;
    PackedWeight input_weight_;
    std::int64_t forward_scratchpad_ = 0;
    std::int64_t weight_scratchpad_ = 0;
    std::int64_t input_scratchpad_ = 0;
};

}  // namespace

std::unique_ptr<NodeKernels> make_kernels(const layers::Conv2d& op, const NodeView& view) {
    return std::make_unique<ConvKernels>(op, view);
}

}  // namespace trireme::onednn
