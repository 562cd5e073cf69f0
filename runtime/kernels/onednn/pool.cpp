// Max and average pooling. Max keeps which element of each window won as `saved`, so backward reads neither
// input nor output.
#include "runtime/kernels/onednn/node_kernels.hpp"

namespace trireme::onednn {
namespace {

using dims = dnnl::memory::dims;

class PoolKernels final : public OnednnKernels {
  public:
    PoolKernels(const layers::Pool2d& op, const NodeView& view) : OnednnKernels(view) {
        const bool max = op.kind == layers::PoolKind::max;
        const auto algorithm =
            max ? dnnl::algorithm::pooling_max : dnnl::algorithm::pooling_avg_include_padding;
        const auto kind = training() ? dnnl::prop_kind::forward_training : dnnl::prop_kind::forward_inference;
        const dnnl::memory::desc x = image(view.request.batch, view.input);
        const dnnl::memory::desc y = image(view.request.batch, view.output);
        const dims strides{op.stride[0], op.stride[1]};
        const dims kernel{op.kernel[0], op.kernel[1]};
        const dims padding{op.padding[0], op.padding[1]};
        const dims no_gaps{0, 0};
        const dnnl::pooling_forward::primitive_desc pd(context_.engine, kind, algorithm, x, y, strides,
                                                       kernel, no_gaps, padding, padding, attributes());
        description_ = pd.impl_info_str();
        const dnnl::memory::desc workspace = pd.workspace_desc();
        needs_.saved = Bytes(static_cast<std::int64_t>(workspace.get_size()));
        needs_.forward_scratch = Bytes(static_cast<std::int64_t>(pd.scratchpad_desc().get_size()));
        forward_ = {context_,
                    what("forward"),
                    dnnl::pooling_forward(pd),
                    {{DNNL_ARG_SRC, x},
                     {DNNL_ARG_DST, y},
                     {DNNL_ARG_WORKSPACE, workspace},
                     {DNNL_ARG_SCRATCHPAD, pd.scratchpad_desc()}}};
        if (!training()) return;
        const dnnl::pooling_backward::primitive_desc back(context_.engine, algorithm, x, y, strides, kernel,
                                                          no_gaps, padding, padding, pd, attributes());
        needs_.backward_scratch = Bytes(static_cast<std::int64_t>(back.scratchpad_desc().get_size()));
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
        forward_.run({b.inputs.front(), b.output, b.saved, b.scratch});
    }
    void backward_input(Stream&, const KernelBuffers& b) override {
        use_threads();
        backward_.run({b.d_output, b.d_inputs.front(), b.saved, b.scratch});
    }

  private:
    static dnnl::memory::desc image(std::int64_t batch, const Shape& shape) {
        return {{batch, shape[2], shape[0], shape[1]},
                dnnl::memory::data_type::f32,
                dnnl::memory::format_tag::nhwc};
    }

    PrimitiveCall forward_;
    PrimitiveCall backward_;
};

}  // namespace

std::unique_ptr<NodeKernels> make_kernels(const layers::Pool2d& op, const NodeView& view) {
    return std::make_unique<PoolKernels>(op, view);
}

}  // namespace trireme::onednn
