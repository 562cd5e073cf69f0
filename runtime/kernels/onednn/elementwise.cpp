// relu, tanh and sigmoid: forward from the input, backward from the output, so that the input may go. gelu:
// its output does not tell its input (it falls, then rises), so backward reads the input.
#include "runtime/kernels/onednn/node_kernels.hpp"

namespace trireme::onednn {
namespace {

class ElementwiseKernels final : public OnednnKernels {
  public:
    /// What oneDNN's backward of an algorithm reads.
    enum class Reads { input, output };

    ElementwiseKernels(const NodeView& view, dnnl::algorithm algorithm, Reads reads)
        : OnednnKernels(view), reads_(reads) {
        const dnnl::memory::desc flat = plain({view.outputs()});
        const dnnl::eltwise_forward::primitive_desc forward_pd(context_.engine,
                                                               dnnl::prop_kind::forward_training, algorithm,
                                                               flat, flat, 0.0F, 0.0F, attributes());
        description_ = forward_pd.impl_info_str();
        const dnnl::memory::desc scratch = forward_pd.scratchpad_desc();
        needs_.forward_scratch = Bytes(static_cast<std::int64_t>(scratch.get_size()));
        forward_ = {context_,
                    what("forward"),
                    dnnl::eltwise_forward(forward_pd),
                    {{DNNL_ARG_SRC, flat}, {DNNL_ARG_DST, flat}, {DNNL_ARG_SCRATCHPAD, scratch}}};
        if (!training()) return;
        const dnnl::eltwise_backward::primitive_desc pd(context_.engine, algorithm, flat, flat, flat, 0.0F,
                                                        0.0F, forward_pd, attributes());
        needs_.backward_reads_input = reads == Reads::input;
        needs_.backward_reads_output = reads == Reads::output;
        needs_.backward_scratch = Bytes(static_cast<std::int64_t>(pd.scratchpad_desc().get_size()));
        backward_ = {context_,
                     what("backward"),
                     dnnl::eltwise_backward(pd),
                     {{reads == Reads::input ? DNNL_ARG_SRC : DNNL_ARG_DST, flat},
                      {DNNL_ARG_DIFF_DST, flat},
                      {DNNL_ARG_DIFF_SRC, flat},
                      {DNNL_ARG_SCRATCHPAD, pd.scratchpad_desc()}}};
    }

    void forward(Stream&, const KernelBuffers& b) override {
        use_threads();
        forward_.run({b.inputs.front(), b.output, b.scratch});
    }
    void backward_input(Stream&, const KernelBuffers& b) override {
        use_threads();
        const std::byte* values = reads_ == Reads::input ? b.inputs.front() : b.output;
        backward_.run({values, b.d_output, b.d_inputs.front(), b.scratch});
    }

  private:
    Reads reads_;
    PrimitiveCall forward_;
    PrimitiveCall backward_;
};

}  // namespace

std::unique_ptr<NodeKernels> make_kernels(const layers::Relu&, const NodeView& view) {
    return std::make_unique<ElementwiseKernels>(view, dnnl::algorithm::eltwise_relu_use_dst_for_bwd,
                                                ElementwiseKernels::Reads::output);
}

std::unique_ptr<NodeKernels> make_kernels(const layers::Tanh&, const NodeView& view) {
    return std::make_unique<ElementwiseKernels>(view, dnnl::algorithm::eltwise_tanh_use_dst_for_bwd,
                                                ElementwiseKernels::Reads::output);
}

std::unique_ptr<NodeKernels> make_kernels(const layers::Sigmoid&, const NodeView& view) {
    return std::make_unique<ElementwiseKernels>(view, dnnl::algorithm::eltwise_logistic_use_dst_for_bwd,
                                                ElementwiseKernels::Reads::output);
}

std::unique_ptr<NodeKernels> make_kernels(const layers::Gelu& op, const NodeView& view) {
    const auto algorithm = op.tanh ? dnnl::algorithm::eltwise_gelu_tanh : dnnl::algorithm::eltwise_gelu_erf;
    return std::make_unique<ElementwiseKernels>(view, algorithm, ElementwiseKernels::Reads::input);
}

}  // namespace trireme::onednn
