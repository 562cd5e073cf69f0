// relu, tanh and sigmoid: forward from the input, backward from the output, so that the input may go. gelu:
// its output does not tell its input (it falls, then rises), so backward reads the input. Where input and
// output differ in type, the function is fp32 and the other goes through scratch.
#include "runtime/kernels/onednn/copies.hpp"
#include "runtime/kernels/onednn/node_kernels.hpp"

namespace trireme::onednn {
namespace {

class ElementwiseKernels final : public OnednnKernels {
  public:
    /// What oneDNN's backward of an algorithm reads.
    enum class Reads { input, output };

    ElementwiseKernels(const NodeView& view, dnnl::algorithm algorithm, Reads reads)
        : OnednnKernels(view), reads_(reads) {
        const dnnl::memory::desc input = plain({view.outputs()}, view.input_dtype());
        const dnnl::memory::desc output = plain({view.outputs()}, view.output_dtype());
        const dnnl::memory::desc flat = plain({view.outputs()}, view.widest_dtype());
        const dnnl::eltwise_forward::primitive_desc forward_pd(context_.engine,
                                                               dnnl::prop_kind::forward_training, algorithm,
                                                               flat, flat, 0.0F, 0.0F, attributes());
        description_ = forward_pd.impl_info_str();
        const dnnl::memory::desc scratch = forward_pd.scratchpad_desc();
        ScratchLayout layout;
        forward_x_ = {context_, what("input"), layout, input, flat};
        y_ = {context_, what("output"), layout, flat, output, ScratchCopy::Pass::writes};
        forward_scratchpad_ = layout.take(scratch);
        needs_.forward_scratch = layout.total();
        needs_.forward_in_place = true;
        forward_ = {context_,
                    what("forward"),
                    dnnl::eltwise_forward(forward_pd),
                    {{DNNL_ARG_SRC, flat}, {DNNL_ARG_DST, flat}, {DNNL_ARG_SCRATCHPAD, scratch}}};
        if (!training()) return;
        const dnnl::eltwise_backward::primitive_desc pd(context_.engine, algorithm, flat, flat, flat, 0.0F,
                                                        0.0F, forward_pd, attributes());
        needs_.backward_reads_input = reads == Reads::input;
        needs_.backward_reads_output = reads == Reads::output;
        ScratchLayout backward_layout;
        kept_ = {context_, what(reads == Reads::input ? "input" : "output"), backward_layout,
                 reads == Reads::input ? input : output, flat};
        d_y_ = {context_, what("output gradient"), backward_layout, output, flat};
        d_x_ = {context_, what("input gradient"), backward_layout, flat, input, ScratchCopy::Pass::writes};
        backward_scratchpad_ = backward_layout.take(pd.scratchpad_desc());
        needs_.backward_scratch = backward_layout.total();
        needs_.backward_in_place = 1;
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
        const void* x = forward_x_.read(b.inputs.front(), b.scratch);
        std::byte* y = y_.target(b.output, b.scratch);
        forward_.run({x, y, b.scratch + forward_scratchpad_});
        y_.finish(b.output, b.scratch);
    }
    void backward_input(Stream&, const KernelBuffers& b) override {
        use_threads();
        const void* values = kept_.read(reads_ == Reads::input ? b.inputs.front() : b.output, b.scratch);
        const void* d_y = d_y_.read(b.d_output, b.scratch);
        std::byte* d_x = d_x_.target(b.d_inputs.front(), b.scratch);
        backward_.run({values, d_y, d_x, b.scratch + backward_scratchpad_});
        d_x_.finish(b.d_inputs.front(), b.scratch);
    }

  private:
    Reads reads_;
    PrimitiveCall forward_;
    PrimitiveCall backward_;
    ScratchCopy forward_x_;
    ScratchCopy y_;
    ScratchCopy kept_;
    ScratchCopy d_x_;
    ScratchCopy d_y_;
    std::int64_t forward_scratchpad_ = 0;
    std::int64_t backward_scratchpad_ = 0;
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
