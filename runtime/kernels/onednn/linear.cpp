// Linear layers as three matrix products. In fp32 on the plain weight [out, in]: no packed copy is needed,
// because oneDNN's matmul takes the transposed weight as it lies and packs in our scratch
// (docs/kernels-cpu.md has the comparison with its inner product). In bf16 the weight must be converted
// anyway, so forward and input gradient read planned compute copies in the layout that oneDNN likes best;
// operands that are fp32 (the gradient of logits) are converted in scratch, and the weight's gradient is an
// fp32 sum.
#include <fmt/format.h>

#include "runtime/kernels/onednn/column_sum.hpp"
#include "runtime/kernels/onednn/copies.hpp"
#include "runtime/kernels/onednn/node_kernels.hpp"

namespace trireme::onednn {
namespace {

using desc = dnnl::memory::desc;

/// The transpose of a row-major matrix [columns, rows], as it lies.
desc transposed(std::int64_t rows, std::int64_t columns, DType dtype) {
    return {{rows, columns}, type_of(dtype), dnnl::memory::dims{1, rows}};
}

class LinearKernels final : public OnednnKernels {
  public:
    LinearKernels(const layers::Linear& op, const NodeView& view)
        : OnednnKernels(view),
          bias_(op.bias),
          relu_(op.activation == layers::Activation::relu),
          compute_(view.compute_dtype()),
          input_(view.input_dtype()),
          output_(view.output_dtype()),
          rows_(view.rows()),
          in_(view.input[view.input.rank() - 1]),
          out_(op.out_features) {
        make_forward();
        if (!training()) return;
        needs_.backward_reads_input = true;
        needs_.backward_reads_output = relu_;
        make_weight_gradient();
        if (view.request.input_gradient) make_input_gradient();
        if (relu_) relu_mask_ = relu_mask_call(context_, what("backward of relu"), rows_ * out_, output_);
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
        std::byte* scratchpad = b.scratch + forward_scratchpad_;
        if (bias_) {
            forward_.run({x, weight, b.output, scratchpad, b.params[1]});
        } else {
            forward_.run({x, weight, b.output, scratchpad});
        }
    }
    void backward_activation(Stream&, const KernelBuffers& b) override {
        if (!relu_) return;
        use_threads();
        relu_mask_.run({b.output, b.d_output, b.d_output});
    }
    void backward_weight(Stream&, const KernelBuffers& b) override {
        use_threads();
        const void* x = gradient_x_.read(b.inputs[0], b.scratch);
        for (Piece& piece : weight_pieces_) {
            const void* d_y = piece.d_y.read(b.d_output + piece.first * size_of(output_), b.scratch);
            piece.product.run({d_y, x, b.d_params[0] + piece.first * in_ * size_of(DType::f32),
                               b.scratch + piece.scratchpad});
        }
        if (bias_) bias_gradient_.run(b.d_output, floats(b.d_params[1]), floats(b.scratch));
    }
    void backward_input(Stream&, const KernelBuffers& b) override {
        use_threads();
        const void* weight = input_weight_.read(b.params[0], b.backward_weights);
        for (Piece& piece : input_pieces_) {
            const void* d_y = piece.d_y.read(b.d_output + piece.first * out_ * size_of(output_), b.scratch);
            piece.product.run({d_y, weight, b.d_inputs[0] + piece.first * in_ * size_of(input_),
                               b.scratch + piece.scratchpad});
        }
    }

  private:
    PrimitiveCall product(std::string_view pass, const dnnl::matmul::primitive_desc& pd, bool bias) {
        std::vector<PrimitiveCall::Argument> arguments{{DNNL_ARG_SRC, pd.src_desc()},
                                                       {DNNL_ARG_WEIGHTS, pd.weights_desc()},
                                                       {DNNL_ARG_DST, pd.dst_desc()},
                                                       {DNNL_ARG_SCRATCHPAD, pd.scratchpad_desc()}};
        if (bias) arguments.emplace_back(DNNL_ARG_BIAS, plain({1, out_}));
        return {context_, what(pass), dnnl::matmul(pd), arguments};
    }

    /// The weight as a product reads it: as it lies, or, in bf16, in whatever layout.
    [[nodiscard]] desc weight_wanted(const desc& as_it_lies) const {
        if (compute_ == DType::f32) return as_it_lies;
        return {as_it_lies.get_dims(), type_of(compute_), dnnl::memory::format_tag::any};
    }

    void make_forward() {
        const desc lies = transposed(in_, out_, DType::f32);
        const desc x = plain({rows_, in_}, compute_);
        const desc w = weight_wanted(lies);
        const desc y = plain({rows_, out_}, output_);
        const dnnl::primitive_attr attr = attributes(relu_);
        const auto pd = bias_ ? dnnl::matmul::primitive_desc(context_.engine, x, w, plain({1, out_}), y, attr)
                              : dnnl::matmul::primitive_desc(context_.engine, x, w, y, attr);
        description_ = fmt::format("matmul {}", pd.impl_info_str());
        ScratchLayout layout;
        forward_x_ = {context_, what("input in bf16"), layout, plain({rows_, in_}, input_), x};
        forward_scratchpad_ = layout.take(pd.scratchpad_desc());
        forward_weight_ = {context_, what("weight for forward"), lies, pd.weights_desc()};
        needs_.forward_weights = forward_weight_.size();
        needs_.forward_scratch = std::max(layout.total(), forward_weight_.scratch());
        forward_ = product("forward", pd, bias_);
    }

    /// Where the output's gradient must be converted, products take it in pieces, so that the copies of a
    /// head over a large vocabulary stay small: the weight's gradient in columns, the input's in rows.
    struct Piece {
        std::int64_t first = 0;
        std::int64_t count = 0;
        ScratchCopy d_y;
        PrimitiveCall product;
        std::int64_t scratchpad = 0;
    };
    [[nodiscard]] std::vector<Piece> pieces_of(std::int64_t extent) const {
        constexpr std::int64_t most_bytes = std::int64_t{16} << 20;
        const std::int64_t bytes = output_ == compute_ ? 1 : rows_ * out_ * size_of(compute_);
        const std::int64_t count = std::min(extent, (bytes + most_bytes - 1) / most_bytes);
        std::vector<Piece> pieces(static_cast<std::size_t>(count));
        for (std::int64_t i = 0; i < count; ++i) {
            Piece& piece = pieces[static_cast<std::size_t>(i)];
            piece.first = extent * i / count;
            piece.count = extent * (i + 1) / count - piece.first;
        }
        return pieces;
    }

    void make_weight_gradient() {
        ScratchLayout shared;
        gradient_x_ = {context_, what("input in bf16"), shared, plain({rows_, in_}, input_),
                       plain({rows_, in_}, compute_)};
        weight_pieces_ = pieces_of(out_);
        for (Piece& piece : weight_pieces_) {
            ScratchLayout layout = shared;
            const desc columns({rows_, piece.count}, type_of(output_), dnnl::memory::dims{out_, 1});
            const desc alone = plain({rows_, piece.count}, compute_);
            piece.d_y = {context_, what("output gradient in bf16"), layout, columns,
                         output_ == compute_ ? columns : alone};
            const dnnl::matmul::primitive_desc pd(context_.engine, transposed(piece.count, rows_, compute_),
                                                  plain({rows_, in_}, compute_), plain({piece.count, in_}),
                                                  attributes());
            piece.scratchpad = layout.take(pd.scratchpad_desc());
            piece.product = product("weight gradient", pd, false);
            needs_.backward_scratch = std::max(needs_.backward_scratch, layout.total());
        }
        if (!bias_) return;
        bias_gradient_ = ColumnSum(rows_, out_, threads(), output_);
        needs_.backward_scratch = std::max(needs_.backward_scratch, bias_gradient_.scratch());
    }

    void make_input_gradient() {
        const desc lies = plain({out_, in_});
        desc weight = weight_wanted(lies);
        input_pieces_ = pieces_of(rows_);
        for (Piece& piece : input_pieces_) {
            const desc d_y = plain({piece.count, out_}, compute_);
            const dnnl::matmul::primitive_desc pd(context_.engine, d_y, weight,
                                                  plain({piece.count, in_}, input_), attributes());
            weight = pd.weights_desc();  // the first piece chooses for all
            ScratchLayout layout;
            piece.d_y = {context_, what("output gradient in bf16"), layout,
                         plain({piece.count, out_}, output_), d_y};
            piece.scratchpad = layout.take(pd.scratchpad_desc());
            piece.product = product("input gradient", pd, false);
            needs_.backward_scratch = std::max(needs_.backward_scratch, layout.total());
        }
        input_weight_ = {context_, what("weight for the input gradient"), lies, weight};
        needs_.backward_weights = input_weight_.size();
        needs_.backward_scratch = std::max(needs_.backward_scratch, input_weight_.scratch());
    }

    bool bias_;
    bool relu_;
    DType compute_;
    DType input_;
    DType output_;
    std::int64_t rows_;
    std::int64_t in_;
    std::int64_t out_;
    PrimitiveCall forward_;
    PrimitiveCall relu_mask_;
    ColumnSum bias_gradient_;
    WeightCopy forward_weight_;
    WeightCopy input_weight_;
    ScratchCopy forward_x_;
    ScratchCopy gradient_x_;
    std::vector<Piece> weight_pieces_;
    std::vector<Piece> input_pieces_;
    std::int64_t forward_scratchpad_ = 0;
};

}  // namespace

std::unique_ptr<NodeKernels> make_kernels(const layers::Linear& op, const NodeView& view) {
    return std::make_unique<LinearKernels>(op, view);
}

}  // namespace trireme::onednn
