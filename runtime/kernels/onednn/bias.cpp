// A bias along the last axis: forward by oneDNN's broadcast addition, backward by our column sums.
#include "runtime/kernels/onednn/column_sum.hpp"
#include "runtime/kernels/onednn/node_kernels.hpp"

namespace trireme::onednn {
namespace {

class BiasKernels final : public OnednnKernels {
  public:
    explicit BiasKernels(const NodeView& view)
        : OnednnKernels(view),
          elements_(view.outputs()),
          input_(view.input_dtype()),
          output_(view.output_dtype()) {
        const std::int64_t channels = view.input[view.input.rank() - 1];
        const dnnl::memory::desc matrix = plain({view.rows(), channels}, input_);
        const dnnl::memory::desc result = plain({view.rows(), channels}, output_);
        const dnnl::memory::desc vector = plain({1, channels});
        const dnnl::binary::primitive_desc pd(context_.engine, dnnl::algorithm::binary_add, matrix, vector,
                                              result, attributes());
        description_ = pd.impl_info_str();
        needs_.forward_scratch = Bytes(static_cast<std::int64_t>(pd.scratchpad_desc().get_size()));
        forward_ = {context_,
                    what("forward"),
                    dnnl::binary(pd),
                    {{DNNL_ARG_SRC_0, matrix},
                     {DNNL_ARG_SRC_1, vector},
                     {DNNL_ARG_DST, result},
                     {DNNL_ARG_SCRATCHPAD, pd.scratchpad_desc()}}};
        if (!training()) return;
        bias_gradient_ = ColumnSum(view.rows(), channels, threads(), output_);
        needs_.backward_scratch = bias_gradient_.scratch();
    }

    void forward(Stream&, const KernelBuffers& b) override {
        use_threads();
        forward_.run({b.inputs.front(), b.params.front(), b.output, b.scratch});
    }
    void backward_weight(Stream&, const KernelBuffers& b) override {
        use_threads();
        bias_gradient_.run(b.d_output, floats(b.d_params.front()), floats(b.scratch));
    }
    void backward_input(Stream&, const KernelBuffers& b) override {
        copy_values({b.d_output, output_}, {b.d_inputs.front(), input_}, elements_);
    }

  private:
    std::int64_t elements_;
    DType input_;
    DType output_;
    PrimitiveCall forward_;
    ColumnSum bias_gradient_;
};

}  // namespace

std::unique_ptr<NodeKernels> make_kernels(const layers::Bias&, const NodeView& view) {
    return std::make_unique<BiasKernels>(view);
}

}  // namespace trireme::onednn
