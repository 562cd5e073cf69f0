// Convolution on plain NHWC activations. Weights lie as [out, in / groups, kh, kw] in fp32; forward and input
// gradient let oneDNN choose their own layout and read planned compute copies (WeightCopy). The weight's
// gradient comes in a layout of oneDNN's too and is reordered once into its place.
//
// With bf16 on either side both operands of every product are bf16: an fp32 operand beside it (the samples in
// front of a first layer) is converted in scratch. Weight gradients are fp32 sums.
//
// A fused residual is added in registers, once the sum is complete: that costs one read of it. The output
// never lies where the residual does: some kernels keep partial sums there, and those that start from what
// lies there round otherwise, so that bits would depend on the memory plan. The residual's gradient is that
// of the output behind the relu's mask, and takes the place of it where nobody reads it again.
#include <array>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>

#include <fmt/format.h>

#include "runtime/core/error.hpp"
#include "runtime/kernels/onednn/column_sum.hpp"
#include "runtime/kernels/onednn/copies.hpp"
#include "runtime/kernels/onednn/node_kernels.hpp"
#include "runtime/kernels/onednn/tap_gradient.hpp"

namespace trireme::onednn {
namespace {

using desc = dnnl::memory::desc;
using dims = dnnl::memory::dims;

/// The memory and the attributes of one convolution as oneDNN names them.
struct Geometry {
    desc input;   ///< as the tensor lies
    desc output;  ///< as the tensor lies
    desc x;       ///< as products read it: of the type that the node computes in
    desc d_y;     ///< the output's gradient as products read it
    desc weight;  ///< plain, as the parameter lies
    desc bias;    ///< the zero descriptor where there is none, and so is
    desc residual;
    dims weight_dims;
    dims stride;
    dims dilation;  ///< counted from 0
    dims padding;
    DType compute = DType::f32;
    DType residual_type = DType::f32;
    bool relu = false;
    std::int64_t channels_in_group = 0;
    std::int64_t taps = 1;  ///< places of the kernel

    /// The weight in a layout that oneDNN is free to choose.
    [[nodiscard]] desc weight_any(DType dtype) const {
        return {weight_dims, type_of(dtype), dnnl::memory::format_tag::any};
    }
};

Geometry geometry_of(const layers::Conv2d& op, const NodeView& view) {
    const auto image = [&](const Shape& shape, DType dtype) {
        return desc({view.request.batch, shape[2], shape[0], shape[1]}, type_of(dtype),
                    dnnl::memory::format_tag::nhwc);
    };
    const std::int64_t in = view.input[2] / op.groups;
    const std::int64_t out = op.out_channels / op.groups;
    Geometry g;
    g.compute = view.compute_dtype();
    g.input = image(view.input, view.input_dtype());
    g.output = image(view.output, view.output_dtype());
    g.x = image(view.input, g.compute);
    g.d_y = image(view.output, g.compute);
    g.weight_dims = {out, in, op.kernel[0], op.kernel[1]};
    if (op.groups > 1) g.weight_dims.insert(g.weight_dims.begin(), op.groups);
    g.weight = plain(g.weight_dims);
    if (op.bias) g.bias = plain({op.out_channels});
    if (op.residual) g.residual = image(view.output, view.input_dtype(1));
    g.stride = {op.stride[0], op.stride[1]};
    g.dilation = {op.dilation[0] - 1, op.dilation[1] - 1};
    g.padding = {op.padding[0], op.padding[1]};
    g.residual_type = op.residual ? view.input_dtype(1) : DType::f32;
    g.relu = op.activation == layers::Activation::relu;
    g.channels_in_group = in;
    g.taps = op.kernel[0] * op.kernel[1];
    return g;
}

class ConvKernels final : public OnednnKernels {
  public:
    ConvKernels(const layers::Conv2d& op, const NodeView& view)
        : OnednnKernels(view),
          geometry_(geometry_of(op, view)),
          residual_(op.residual ? Residual::read : Residual::none),
          outputs_(view.outputs()),
          output_type_(view.output_dtype()) {
        const auto forward_pd = make_forward();
        if (!training()) return;
        needs_.backward_reads_input = true;
        needs_.backward_reads_output = geometry_.relu;
        needs_.backward_skips_inputs = op.residual ? 2 : 0;
        needs_.backward_in_place = op.residual ? 2 : 0;
        // Hints for the backward passes must not carry a post-op.
        const auto hint = geometry_.relu || op.residual ? forward_description(attributes()) : forward_pd;
        if (TapGradient::pays(op, view.input, view.output)) {
            make_tap_gradient(op, view);
        } else {
            make_weight_gradient(hint);
        }
        if (view.request.input_gradient) make_input_gradient(hint);
        if (geometry_.relu)
            relu_mask_ = relu_mask_call(context_, what("backward of relu"), outputs_, output_type_);
    }

    void pack_forward(Stream&, const KernelBuffers& b) override {
        use_threads();
        forward_weight_.pack(b.params[0], b.forward_weights, b.scratch);
    }
    void pack_backward(Stream&, const KernelBuffers& b) override {
        use_threads();
        input_weight_.pack(b.params[0], b.backward_weights, b.scratch);
    }
    void forward(Stream&, const KernelBuffers& b) override {
        use_threads();
        const void* x = forward_x_.read(b.inputs[0], b.scratch);
        const void* weight = forward_weight_.read(b.params[0], b.forward_weights);
        std::array<const void*, 6> data{x, weight, b.output, b.scratch + forward_scratchpad_};
        std::size_t count = 4;
        if (has_bias()) data[count++] = b.params[1];
        if (residual_ == Residual::read) data[count++] = b.inputs[1];
        if (residual_ == Residual::copied) {
            copy_values({b.inputs[1], geometry_.residual_type}, {b.output, output_type_}, outputs_);
        }
        forward_.run(std::span(data).first(count));
    }
    void backward_activation(Stream&, const KernelBuffers& b) override {
        if (!geometry_.relu) return;
        use_threads();
        relu_mask_.run({b.output, b.d_output, b.d_output});
    }
    void backward_weight(Stream&, const KernelBuffers& b) override {
        use_threads();
        const void* x = gradient_x_.read(b.inputs[0], b.scratch);
        const void* d_y = gradient_d_y_.read(b.d_output, b.scratch);
        if (taps_) {
            taps_->run(static_cast<const std::byte*>(x), static_cast<const std::byte*>(d_y), b.d_params[0],
                       b.scratch);
            if (has_bias()) bias_gradient_.run(b.d_output, floats(b.d_params[1]), floats(b.scratch));
            return;
        }
        std::byte* gradient = gradient_weight_.target(b.d_params[0], b.scratch);
        std::byte* scratchpad = b.scratch + weight_scratchpad_;
        if (has_bias()) {
            weight_gradient_.run({x, d_y, gradient, scratchpad, b.d_params[1]});
        } else {
            weight_gradient_.run({x, d_y, gradient, scratchpad});
        }
        gradient_weight_.finish(b.d_params[0], b.scratch);
    }
    void backward_input(Stream&, const KernelBuffers& b) override {
        use_threads();
        if (std::byte* d_residual = residual_ == Residual::none ? nullptr : b.d_inputs[1];
            d_residual != nullptr && d_residual != b.d_output) {
            copy_values({b.d_output, output_type_}, {d_residual, geometry_.residual_type}, outputs_);
        }
        if (b.d_inputs[0] == nullptr) return;
        const void* d_y = input_d_y_.read(b.d_output, b.scratch);
        const void* weight = input_weight_.read(b.params[0], b.backward_weights);
        input_gradient_.run({d_y, weight, b.d_inputs[0], b.scratch + input_scratchpad_});
    }

  private:
    /// How forward adds a residual: it reads it beside the other operands, or finds it in the output, where
    /// we copy it to, converted where the types differ.
    enum class Residual { none, read, copied };

    [[nodiscard]] bool has_bias() const { return !geometry_.bias.is_zero(); }

    [[nodiscard]] dnnl::primitive_attr epilogue(Residual residual) const {
        dnnl::post_ops post;
        if (residual == Residual::read) post.append_binary(dnnl::algorithm::binary_add, geometry_.residual);
        if (residual == Residual::copied) post.append_sum();
        return attributes(geometry_.relu, post);
    }

    [[nodiscard]] dnnl::convolution_forward::primitive_desc forward_description(
        const dnnl::primitive_attr& attr) const {
        const Geometry& g = geometry_;
        const auto kind = training() ? dnnl::prop_kind::forward_training : dnnl::prop_kind::forward_inference;
        return {context_.engine,
                kind,
                dnnl::algorithm::convolution_direct,
                g.x,
                g.weight_any(g.compute),
                g.bias,
                g.output,
                g.stride,
                g.dilation,
                g.padding,
                g.padding,
                attr};
    }

    /// Chooses how a residual is added as well. Where no kernel of a processor can read it (matrix products
    /// on one without AVX-512), oneDNN falls back to a loop that is 30 times slower; a copy is one pass more.
    dnnl::convolution_forward::primitive_desc choose_forward() {
        const auto with = [&](Residual residual) {
            return chosen(false, [&] { return forward_description(epilogue(residual)); });
        };
        auto pd = with(residual_);
        if (residual_ == Residual::none || !is_slow(pd)) return pd;
        auto other = with(Residual::copied);
        if (is_slow(other)) return pd;
        residual_ = Residual::copied;
        return other;
    }
    [[nodiscard]] static bool is_slow(const dnnl::convolution_forward::primitive_desc& pd) {
        return std::string_view(pd.impl_info_str()).starts_with("ref");
    }

    dnnl::convolution_forward::primitive_desc make_forward() {
        const auto pd = choose_forward();
        description_ = pd.impl_info_str();
        ScratchLayout layout;
        forward_x_ = {context_, what("input in bf16"), layout, geometry_.input, geometry_.x};
        forward_scratchpad_ = layout.take(pd.scratchpad_desc());
        forward_weight_ = {context_, what("weight for forward"), geometry_.weight, pd.weights_desc()};
        needs_.forward_weights = forward_weight_.size();
        needs_.forward_scratch = std::max(layout.total(), forward_weight_.scratch());
        std::vector<PrimitiveCall::Argument> arguments{{DNNL_ARG_SRC, geometry_.x},
                                                       {DNNL_ARG_WEIGHTS, pd.weights_desc()},
                                                       {DNNL_ARG_DST, geometry_.output},
                                                       {DNNL_ARG_SCRATCHPAD, pd.scratchpad_desc()}};
        if (has_bias()) arguments.emplace_back(DNNL_ARG_BIAS, geometry_.bias);
        if (residual_ == Residual::read) {
            arguments.emplace_back(DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, geometry_.residual);
        }
        forward_ = {context_, what("forward"), dnnl::convolution_forward(pd), arguments};
        return pd;
    }

    void make_weight_gradient(const dnnl::convolution_forward::primitive_desc& hint) {
        const Geometry& g = geometry_;
        const dnnl::convolution_backward_weights::primitive_desc pd(
            context_.engine, dnnl::algorithm::convolution_direct, g.x, g.weight_any(DType::f32), g.bias,
            g.d_y, g.stride, g.dilation, g.padding, g.padding, hint, attributes());
        describe_pass("weight gradient", pd.impl_info_str());
        ScratchLayout layout;
        gradient_x_ = {context_, what("input in bf16"), layout, g.input, g.x};
        gradient_d_y_ = {context_, what("output gradient in bf16"), layout, g.output, g.d_y};
        gradient_weight_ = {context_, what("weight gradient"),  layout, pd.diff_weights_desc(),
                            g.weight, ScratchCopy::Pass::writes};
        weight_scratchpad_ = layout.take(pd.scratchpad_desc());
        needs_.backward_scratch = std::max(needs_.backward_scratch, layout.total());
        std::vector<PrimitiveCall::Argument> arguments{{DNNL_ARG_SRC, g.x},
                                                       {DNNL_ARG_DIFF_DST, g.d_y},
                                                       {DNNL_ARG_DIFF_WEIGHTS, pd.diff_weights_desc()},
                                                       {DNNL_ARG_SCRATCHPAD, pd.scratchpad_desc()}};
        if (has_bias()) arguments.emplace_back(DNNL_ARG_DIFF_BIAS, g.bias);
        weight_gradient_ = {context_, what("weight gradient"), dnnl::convolution_backward_weights(pd),
                            arguments};
    }

    void make_tap_gradient(const layers::Conv2d& op, const NodeView& view) {
        ScratchLayout layout;
        gradient_x_ = {context_, what("input in bf16"), layout, geometry_.input, geometry_.x};
        gradient_d_y_ = {context_, what("output gradient in bf16"), layout, geometry_.output, geometry_.d_y};
        taps_.emplace(context_, what("weight gradient"), op, view.input, view.output, view.request.batch,
                      geometry_.compute, threads(), layout);
        describe_pass("weight gradient", taps_->implementation());
        needs_.backward_scratch = layout.total();
        if (!has_bias()) return;
        bias_gradient_ =
            ColumnSum(view.outputs() / op.out_channels, op.out_channels, threads(), view.output_dtype());
        needs_.backward_scratch = std::max(needs_.backward_scratch, bias_gradient_.scratch());
    }

    void make_input_gradient(const dnnl::convolution_forward::primitive_desc& hint) {
        const Geometry& g = geometry_;
        const auto pd = chosen(true, [&] {
            return dnnl::convolution_backward_data::primitive_desc(
                context_.engine, dnnl::algorithm::convolution_direct, g.input, g.weight_any(g.compute), g.d_y,
                g.stride, g.dilation, g.padding, g.padding, hint, attributes());
        });
        describe_pass("input gradient", pd.impl_info_str());
        ScratchLayout layout;
        input_d_y_ = {context_, what("output gradient in bf16"), layout, g.output, g.d_y};
        input_scratchpad_ = layout.take(pd.scratchpad_desc());
        input_weight_ = {context_, what("weight for the input gradient"), g.weight, pd.weights_desc()};
        needs_.backward_weights = input_weight_.size();
        needs_.backward_scratch =
            std::max({needs_.backward_scratch, layout.total(), input_weight_.scratch()});
        input_gradient_ = {context_,
                           what("input gradient"),
                           dnnl::convolution_backward_data(pd),
                           {{DNNL_ARG_DIFF_DST, g.d_y},
                            {DNNL_ARG_WEIGHTS, pd.weights_desc()},
                            {DNNL_ARG_DIFF_SRC, g.input},
                            {DNNL_ARG_SCRATCHPAD, pd.scratchpad_desc()}}};
    }

    /// oneDNN lists its batch-reduce kernels first, and they are the best but in two cases (measured in
    /// docs/kernels-cpu.md): in fp32 the input gradient where the input channels leave a part of a vector
    /// over, 15 % slower, and in bf16 on rows of few pixels, each of which is a product of its own, 40 %
    /// slower.
    [[nodiscard]] bool direct_is_faster(bool input_gradient) const {
        constexpr std::int64_t vector_floats = 16;
        constexpr std::int64_t few_pixels = 4;
        if (geometry_.compute == DType::bf16) {
            return geometry_.taps > 1 && geometry_.output.get_dims().back() <= few_pixels;
        }
        return input_gradient && geometry_.channels_in_group % vector_floats != 0;
    }

    /// make() gives a primitive descriptor with oneDNN's first choice; the result is the one of its direct
    /// kernel for AVX-512 where that is faster and there is one.
    template <class Make>
    [[nodiscard]] std::invoke_result_t<Make> chosen(bool input_gradient, const Make& make) const {
        auto first = make();
        const std::string_view name = first.impl_info_str();
        const bool batch_reduce =
            name.starts_with("brg") && name.find("avx512_core") != std::string_view::npos;
        if (!batch_reduce || !direct_is_faster(input_gradient)) return first;
        const std::string_view direct =
            geometry_.compute == DType::bf16 ? "jit_bf16:avx512_core_bf16" : "jit:avx512_core";
        auto other = make();
        while (other.next_impl()) {
            if (std::string_view(other.impl_info_str()) == direct) return other;
        }
        return first;
    }

    /// Passes whose implementation differs from forward's are named.
    void describe_pass(std::string_view pass, std::string_view implementation) {
        if (description_ == implementation) return;
        description_ += fmt::format(", {} {}", pass, implementation);
    }

    Geometry geometry_;
    Residual residual_;
    std::int64_t outputs_;
    DType output_type_;
    PrimitiveCall forward_;
    PrimitiveCall weight_gradient_;
    std::optional<TapGradient> taps_;  ///< instead of weight_gradient_
    ColumnSum bias_gradient_;          ///< beside taps_
    PrimitiveCall input_gradient_;
    PrimitiveCall relu_mask_;
    WeightCopy forward_weight_;
    WeightCopy input_weight_;
    ScratchCopy forward_x_;
    ScratchCopy gradient_x_;
    ScratchCopy gradient_d_y_;
    ScratchCopy gradient_weight_;
    ScratchCopy input_d_y_;
    std::int64_t forward_scratchpad_ = 0;
    std::int64_t weight_scratchpad_ = 0;
    std::int64_t input_scratchpad_ = 0;
};

}  // namespace

std::unique_ptr<NodeKernels> make_kernels(const layers::Conv2d& op, const NodeView& view) {
    return std::make_unique<ConvKernels>(op, view);
}

}  // namespace trireme::onednn
