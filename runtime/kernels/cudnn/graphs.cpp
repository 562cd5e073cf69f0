#include "runtime/kernels/cudnn/graphs.hpp"

#include <cmath>
#include <memory>

#include <cudnn_frontend.h>

#include "runtime/core/error.hpp"

namespace trireme::cudnn {
namespace {

namespace fe = cudnn_frontend;
namespace fg = cudnn_frontend::graph;
using Tensor = std::shared_ptr<fg::Tensor_attributes>;

fe::DataType_t type_of(DType dtype) {
    switch (dtype) {
        case DType::f32:
            return fe::DataType_t::FLOAT;
        case DType::bf16:
            return fe::DataType_t::BFLOAT16;
        case DType::f16:
            return fe::DataType_t::HALF;
        default:
            throw InternalError("cuDNN is given fp32, bf16 and fp16");
    }
}

template <std::size_t N>
std::vector<std::int64_t> list(const std::array<std::int64_t, N>& values) {
    return {values.begin(), values.end()};
}

/// Makes the tensors of a spec in their order: what a graph reads by `read`, what it writes by `write`, which
/// names the result of an operation.
class GraphBuilder {
  public:
    GraphBuilder(const GraphSpec& spec, fg::Graph& graph)
        : spec_(spec), graph_(graph), tensors_(tensors_of(spec)) {
        graph.set_io_data_type(type_of(spec.dtype))
            .set_intermediate_data_type(fe::DataType_t::FLOAT)
            .set_compute_data_type(fe::DataType_t::FLOAT);
    }
    ~GraphBuilder() = default;
    GraphBuilder(const GraphBuilder&) = delete;
    GraphBuilder& operator=(const GraphBuilder&) = delete;

    [[nodiscard]] Tensor read() {
        const GraphTensor& is = tensors_.at(next_);
        return graph_.tensor(fg::Tensor_attributes()
                                 .set_name(std::string(is.name))
                                 .set_uid(tensor_id(next_++))
                                 .set_dim(list(is.extents))
                                 .set_stride(list(is.strides))
                                 .set_data_type(type_of(is.dtype)));
    }
    void write(const Tensor& result) {
        const GraphTensor& is = tensors_.at(next_);
        ensure(is.written, "a result of a graph is a tensor that is written");
        result->set_output(true)
            .set_uid(tensor_id(next_++))
            .set_dim(list(is.extents))
            .set_stride(list(is.strides))
            .set_data_type(type_of(is.dtype));
    }
    /// Gives a value between two operations the extents of a tensor that lies in memory.
    void shape_as(const Tensor& value, std::string_view name) const {
        for (const GraphTensor& is : tensors_) {
            if (is.name == name) value->set_dim(list(is.extents)).set_stride(list(is.strides));
        }
    }
    void expect_complete() const { ensure(next_ == tensors_.size(), "a graph has all tensors of its spec"); }

    [[nodiscard]] Tensor pointwise(fe::PointwiseMode_t mode, const Tensor& a, const Tensor& b) {
        return graph_.pointwise(a, b, fg::Pointwise_attributes().set_mode(mode));
    }
    [[nodiscard]] Tensor relu(const Tensor& x) {
        return graph_.pointwise(x, fg::Pointwise_attributes().set_mode(fe::PointwiseMode_t::RELU_FWD));
    }
    /// relu(scale x + shift)
    [[nodiscard]] Tensor normalized() {
        const Tensor x = read();
        const Tensor scaled = pointwise(fe::PointwiseMode_t::MUL, x, read());
        return relu(pointwise(fe::PointwiseMode_t::ADD, scaled, read()));
    }
    [[nodiscard]] Tensor convolve(const Tensor& x, const Tensor& weight) {
        return graph_.conv_fprop(x, weight, placed(fg::Conv_fprop_attributes()));
    }
    [[nodiscard]] Tensor input_gradient(const Tensor& d_y, const Tensor& weight) {
        return graph_.conv_dgrad(d_y, weight, placed(fg::Conv_dgrad_attributes()));
    }
    [[nodiscard]] Tensor weight_gradient(const Tensor& d_y, const Tensor& x) {
        return graph_.conv_wgrad(d_y, x, placed(fg::Conv_wgrad_attributes()));
    }
    void write_statistics(const Tensor& y) {
        const auto [sum, squares] = graph_.genstats(y, fg::Genstats_attributes());
        write(sum);
        write(squares);
    }

  private:
    template <class Attributes>
    [[nodiscard]] Attributes placed(Attributes attributes) const {
        const ConvGeometry& g = spec_.conv;
        attributes.set_padding(list(g.padding)).set_stride(list(g.stride)).set_dilation(list(g.dilation));
        return attributes;
    }

    const GraphSpec& spec_;
    fg::Graph& graph_;
    std::vector<GraphTensor> tensors_;
    std::size_t next_ = 0;
};

void conv_forward(const GraphSpec& spec, GraphBuilder& build) {
    const Tensor x = build.read();
    Tensor y = build.convolve(x, build.read());
    if (spec.bias) y = build.pointwise(fe::PointwiseMode_t::ADD, y, build.read());
    if (spec.residual) y = build.pointwise(fe::PointwiseMode_t::ADD, y, build.read());
    if (spec.relu) y = build.relu(y);
    build.write(y);
}

void conv_statistics(GraphBuilder& build, const Tensor& x) {
    const Tensor y = build.convolve(x, build.read());
    build.write(y);
    build.write_statistics(y);
}

/// The normalised x is made again, so that its sign tells where the gradient passes.
void input_gradient_norm_sums(GraphBuilder& build, fg::Graph& graph) {
    const Tensor d_y = build.read();
    const Tensor gradient = build.input_gradient(d_y, build.read());
    build.shape_as(gradient, "x");
    const Tensor x = build.read();
    const Tensor mean = build.read();
    const Tensor deviation = build.read();
    const Tensor scale = build.read();
    const Tensor shift = build.read();
    const Tensor centred = build.pointwise(fe::PointwiseMode_t::SUB, x, mean);
    const Tensor unit = build.pointwise(fe::PointwiseMode_t::MUL, centred, deviation);
    const Tensor scaled = build.pointwise(fe::PointwiseMode_t::MUL, unit, scale);
    const Tensor normed = build.pointwise(fe::PointwiseMode_t::ADD, scaled, shift);
    const Tensor d = build.pointwise(fe::PointwiseMode_t::RELU_BWD, gradient, normed);
    build.write(d);
    for (const Tensor& sums : graph.dbn_weight(d, x, mean, deviation, scale, fg::DBN_weight_attributes())) {
        build.write(sums);
    }
}

template <class Attributes>
Attributes causal(const GraphSpec& spec, Attributes attributes) {
    attributes.set_causal_mask(true).set_attn_scale(
        static_cast<float>(1 / std::sqrt(static_cast<double>(spec.attention.width))));
    return attributes;
}

void attention_forward(const GraphSpec& spec, GraphBuilder& build, fg::Graph& graph) {
    const Tensor q = build.read();
    const Tensor k = build.read();
    const Tensor v = build.read();
    const auto [out, stats] =
        graph.sdpa(q, k, v, causal(spec, fg::SDPA_attributes().set_generate_stats(spec.keeps)));
    build.write(out);
    if (spec.keeps) build.write(stats);
}

void attention_backward(const GraphSpec& spec, GraphBuilder& build, fg::Graph& graph) {
    std::array<Tensor, 6> t;
    for (Tensor& tensor : t) tensor = build.read();
    const auto attributes =
        causal(spec, fg::SDPA_backward_attributes().set_deterministic_algorithm(spec.deterministic));
    for (const Tensor& gradient : graph.sdpa_backward(t[0], t[1], t[2], t[3], t[4], t[5], attributes))
        build.write(gradient);
}

}  // namespace

void describe(const GraphSpec& spec, fg::Graph& graph) {
    GraphBuilder build(spec, graph);
    switch (spec.kind) {
        case GraphKind::conv_forward:
            conv_forward(spec, build);
            break;
        case GraphKind::conv_input_gradient: {
            const Tensor d_y = build.read();
            build.write(build.input_gradient(d_y, build.read()));
            break;
        }
        case GraphKind::conv_weight_gradient: {
            const Tensor x = build.read();
            build.write(build.weight_gradient(build.read(), x));
            break;
        }
        case GraphKind::attention_forward:
            attention_forward(spec, build, graph);
            break;
        case GraphKind::attention_backward:
            attention_backward(spec, build, graph);
            break;
        case GraphKind::conv_statistics:
            conv_statistics(build, build.read());
            break;
        case GraphKind::normalized_conv_statistics:
            conv_statistics(build, build.normalized());
            break;
        case GraphKind::normalized_weight_gradient: {
            const Tensor x = build.normalized();
            build.write(build.weight_gradient(build.read(), x));
            break;
        }
        case GraphKind::input_gradient_norm_sums:
            input_gradient_norm_sums(build, graph);
            break;
    }
    build.expect_complete();
}

}  // namespace trireme::cudnn
