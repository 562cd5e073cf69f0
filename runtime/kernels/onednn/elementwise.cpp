// relu, tanh and sigmoid: forward from the input, backward from the output, so that the input may go.
#include "runtime/kernels/onednn/node_kernels.hpp"

namespace trireme::onednn {
namespace {

class ElementwiseKernels final : public OnednnKernels {
  public:
    ElementwiseKernels(const NodeView& view, dnnl::algorithm algorithm) : OnednnKernels(view) {
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
        needs_.backward_reads_output = true;
        needs_.backward_scratch = Bytes(static_cast<std::int64_t>(pd.scratchpad_desc().get_size()));
        backward_ = {context_,
                     what("backward"),
                     dnnl::eltwise_backward(pd),
                     {{DNNL_ARG_DST, flat},
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
        backward_.run({b.output, b.d_output, b.d_inputs.front(), b.scratch});
    }

  private:
    PrimitiveCall forward_;
    PrimitiveCall backward_;
};

}  // namespace

std::unique_ptr<NodeKernels> make_kernels(const layers::Relu&, const NodeView& view) {
    return std::make_unique<ElementwiseKernels>(view, dnnl::algorithm::eltwise_relu_use_dst_for_bwd);
}

std::unique_ptr<NodeKernels> make_kernels(const layers::Tanh&, const NodeView& view) {
    return std::make_unique<ElementwiseKernels>(view, dnnl::algorithm::eltwise_tanh_use_dst_for_bwd);
}

std::unique_ptr<NodeKernels> make_kernels(const layers::Sigmoid&, const NodeView& view) {
    return std::make_unique<ElementwiseKernels>(view, dnnl::algorithm::eltwise_logistic_use_dst_for_bwd);
}

}  // namespace trireme::onednn
