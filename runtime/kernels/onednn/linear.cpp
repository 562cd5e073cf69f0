// Linear layers as three matrix products on the plain weight [out, in]: no packed copy is needed, because
// oneDNN's matmul takes the transposed weight as it lies and packs in our scratch (docs/kernels-cpu.md has
// the comparison with its inner product).
#include <fmt/format.h>

#include "runtime/kernels/onednn/column_sum.hpp"
#include "runtime/kernels/onednn/node_kernels.hpp"

namespace trireme::onednn {
namespace {

using desc = dnnl::memory::desc;

/// The transpose of a row-major matrix [columns, rows], as it lies.
desc transposed(std::int64_t rows, std::int64_t columns) {
    return {{rows, columns}, dnnl::memory::data_type::f32, dnnl::memory::dims{1, rows}};
}

class LinearKernels final : public OnednnKernels {
  public:
    LinearKernels(const layers::Linear& op, const NodeView& view)
        : OnednnKernels(view),
          bias_(op.bias),
          relu_(op.activation == layers::Activation::relu),
          rows_(view.rows()),
          in_(view.input[view.input.rank() - 1]),
          out_(op.out_features) {
        make_forward();
        if (!training()) return;
        needs_.backward_reads_input = true;
        needs_.backward_reads_output = relu_;
        make_weight_gradient();
        if (view.request.input_gradient) make_input_gradient();
        if (relu_) relu_mask_ = relu_mask_call(context_, what("backward of relu"), rows_ * out_);
    }

    void forward(Stream&, const KernelBuffers& b) override {
        use_threads();
        if (bias_) {
            forward_.run({b.inputs[0], b.params[0], b.output, b.scratch, b.params[1]});
        } else {
            forward_.run({b.inputs[0], b.params[0], b.output, b.scratch});
        }
    }
    void backward_activation(Stream&, const KernelBuffers& b) override {
        if (!relu_) return;
        use_threads();
        relu_mask_.run({b.output, b.d_output, b.d_output});
    }
    void backward_weight(Stream&, const KernelBuffers& b) override {
        use_threads();
        weight_gradient_.run({b.d_output, b.inputs[0], b.d_params[0], b.scratch});
        if (!bias_) return;
        bias_gradient_.run(reinterpret_cast<const float*>(b.d_output),
                           reinterpret_cast<float*>(b.d_params[1]), reinterpret_cast<float*>(b.scratch));
    }
    void backward_input(Stream&, const KernelBuffers& b) override {
        use_threads();
        input_gradient_.run({b.d_output, b.params[0], b.d_inputs[0], b.scratch});
    }

  private:
    PrimitiveCall product(std::string_view pass, const dnnl::matmul::primitive_desc& pd, bool bias,
                          Bytes& scratch) {
        scratch = std::max(scratch, Bytes(static_cast<std::int64_t>(pd.scratchpad_desc().get_size())));
        std::vector<PrimitiveCall::Argument> arguments{{DNNL_ARG_SRC, pd.src_desc()},
                                                       {DNNL_ARG_WEIGHTS, pd.weights_desc()},
                                                       {DNNL_ARG_DST, pd.dst_desc()},
                                                       {DNNL_ARG_SCRATCHPAD, pd.scratchpad_desc()}};
        if (bias) arguments.emplace_back(DNNL_ARG_BIAS, plain({1, out_}));
        return {context_, what(pass), dnnl::matmul(pd), arguments};
    }

    void make_forward() {
        const desc x = plain({rows_, in_});
        const desc w = transposed(in_, out_);
        const desc y = plain({rows_, out_});
        const dnnl::primitive_attr attr = attributes(relu_);
        const auto pd = bias_ ? dnnl::matmul::primitive_desc(context_.engine, x, w, plain({1, out_}), y, attr)
                              : dnnl::matmul::primitive_desc(context_.engine, x, w, y, attr);
        description_ = fmt::format("matmul {}", pd.impl_info_str());
        forward_ = product("forward", pd, bias_, needs_.forward_scratch);
    }

    void make_weight_gradient() {
        const dnnl::matmul::primitive_desc pd(context_.engine, transposed(out_, rows_), plain({rows_, in_}),
                                              plain({out_, in_}), attributes());
        weight_gradient_ = product("weight gradient", pd, false, needs_.backward_scratch);
        if (!bias_) return;
        bias_gradient_ = ColumnSum(rows_, out_, threads());
        needs_.backward_scratch = std::max(needs_.backward_scratch, bias_gradient_.scratch());
    }

    void make_input_gradient() {
        const dnnl::matmul::primitive_desc pd(context_.engine, plain({rows_, out_}), plain({out_, in_}),
                                              plain({rows_, in_}), attributes());
        input_gradient_ = product("input gradient", pd, false, needs_.backward_scratch);
    }

    bool bias_;
    bool relu_;
    std::int64_t rows_;
    std::int64_t in_;
    std::int64_t out_;
    PrimitiveCall forward_;
    PrimitiveCall weight_gradient_;
    PrimitiveCall input_gradient_;
    PrimitiveCall relu_mask_;
    ColumnSum bias_gradient_;
};

}  // namespace

std::unique_ptr<NodeKernels> make_kernels(const layers::Linear& op, const NodeView& view) {
    return std::make_unique<LinearKernels>(op, view);
}

}  // namespace trireme::onednn
