// Max and average pooling. Max keeps which element of each window won as `saved`, so backward reads neither
// input nor output. Where input and output differ in type, the pool is fp32 and the other goes through
// scratch.
#include "runtime/kernels/onednn/copies.hpp"
#include "runtime/kernels/onednn/node_kernels.hpp"

namespace trireme::onednn {
namespace {

using dims = dnnl::memory::dims;

class PoolKernels final : public OnednnKernels {
  public:
    PoolKernels(const layers::Pool2d& op, const NodeView& view)
        : OnednnKernels(view), relu_(op.activation == layers::Activation::relu) {
        const bool max = op.kind == layers::PoolKind::max;
        const auto algorithm =
            max ? dnnl::algorithm::pooling_max : dnnl::algorithm::pooling_avg_include_padding;
        const auto kind = training() ? dnnl::prop_kind::forward_training : dnnl::prop_kind::forward_inference;
        const dnnl::memory::desc input = image(view.request.batch, view.input, view.input_dtype());
        const dnnl::memory::desc output = image(view.request.batch, view.output, view.output_dtype());
        const dnnl::memory::desc x = image(view.request.batch, view.input, view.widest_dtype());
        const dnnl::memory::desc y = image(view.request.batch, view.output, view.widest_dtype());
        const dims strides{op.stride[0], op.stride[1]};
        const dims kernel{op.kernel[0], op.kernel[1]};
        const dims padding{op.padding[0], op.padding[1]};
        const dims no_gaps{0, 0};
        const dnnl::pooling_forward::primitive_desc pd(context_.engine, kind, algorithm, x, y, strides,
                                                       kernel, no_gaps, padding, padding, attributes(relu_));
        description_ = pd.impl_info_str();
        const dnnl::memory::desc workspace = pd.workspace_desc();
        needs_.saved = Bytes(static_cast<std::int64_t>(workspace.get_size()));
        ScratchLayout layout;
        x_ = {context_, what("input"), layout, input, x};
        y_ = {context_, what("output"), layout, y, output, ScratchCopy::Pass::writes};
        forward_scratchpad_ = layout.take(pd.scratchpad_desc());
        needs_.forward_scratch = layout.total();
        forward_ = {context_,
                    what("forward"),
                    dnnl::pooling_forward(pd),
                    {{DNNL_ARG_SRC, x},
                     {DNNL_ARG_DST, y},
                     {DNNL_ARG_WORKSPACE, workspace},
                     {DNNL_ARG_SCRATCHPAD, pd.scratchpad_desc()}}};
        if (!training()) return;
        needs_.backward_reads_output = relu_;
        if (relu_)
            relu_mask_ =
                relu_mask_call(context_, what("backward of relu"), view.outputs(), view.output_dtype());
        // What forward did behind the pooling is no concern of its backward.
        const dnnl::pooling_forward::primitive_desc bare(context_.engine, kind, algorithm, x, y, strides,
                                                         kernel, no_gaps, padding, padding, attributes());
        const dnnl::pooling_backward::primitive_desc back(context_.engine, algorithm, x, y, strides, kernel,
                                                          no_gaps, padding, padding, bare, attributes());
        ScratchLayout backward_layout;
        d_x_ = {context_, what("input gradient"), backward_layout, x, input, ScratchCopy::Pass::writes};
        d_y_ = {context_, what("output gradient"), backward_layout, output, y};
        backward_scratchpad_ = backward_layout.take(back.scratchpad_desc());
        needs_.backward_scratch = backward_layout.total();
        backward_ = {context_,
                     what("backward"),
                     dnnl::pooling_backward(back),
                     {{DNNL_ARG_DIFF_DST, y},
                      {DNNL_ARG_DIFF_SRC, x},
                      {DNNL_ARG_WORKSPACE, workspace},
                      {DNNL_ARG_SCRATCHPAD, back.scratchpad_desc()}}};
    }

    void forward(Stream&, const KernelBuffers& b) override {
        use_threads();
        const void* x = x_.read(b.inputs.front(), b.scratch);
        std::byte* y = y_.target(b.output, b.scratch);
        forward_.run({x, y, b.saved, b.scratch + forward_scratchpad_});
        y_.finish(b.output, b.scratch);
    }
    void backward_activation(Stream&, const KernelBuffers& b) override {
        if (!relu_) return;
        use_threads();
        relu_mask_.run({b.output, b.d_output, b.d_output});
    }
    void backward_input(Stream&, const KernelBuffers& b) override {
        use_threads();
        const void* d_y = d_y_.read(b.d_output, b.scratch);
        std::byte* d_x = d_x_.target(b.d_inputs.front(), b.scratch);
        backward_.run({d_y, d_x, b.saved, b.scratch + backward_scratchpad_});
        d_x_.finish(b.d_inputs.front(), b.scratch);
    }

  private:
    static dnnl::memory::desc image(std::int64_t batch, const Shape& shape, DType dtype) {
        return {{batch, shape[2], shape[0], shape[1]}, type_of(dtype), dnnl::memory::format_tag::nhwc};
    }

    bool relu_;
    PrimitiveCall forward_;
    PrimitiveCall backward_;
    PrimitiveCall relu_mask_;
    ScratchCopy x_;
    ScratchCopy y_;
    ScratchCopy d_x_;
    ScratchCopy d_y_;
    std::int64_t forward_scratchpad_ = 0;
    std::int64_t backward_scratchpad_ = 0;
};

}  // namespace

std::unique_ptr<NodeKernels> make_kernels(const layers::Pool2d& op, const NodeView& view) {
    return std::make_unique<PoolKernels>(op, view);
}

}  // namespace trireme::onednn
