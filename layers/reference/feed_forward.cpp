// The two linear layers and the activation between them, by the reference of each.
#include "layers/reference/kernels.hpp"

namespace trireme::layers::reference {
namespace {

using Values = std::vector<double>;

Shape with_last(const Shape& shape, std::int64_t extent) {
    std::vector<std::int64_t> dims = shape.dims();
    dims.back() = extent;
    return Shape(std::move(dims));
}

/// What forward computes on its way.
class Hidden {
  public:
    Hidden(const FeedForward& op, const Extents& e, const std::vector<std::span<const double>>& inputs,
           const std::vector<std::span<const double>>& params)
        : shapes_{with_last(e.output, op.hidden_features)},
          product(static_cast<std::size_t>(shapes_.front().elements().value * e.batch)),
          activated(product.size()) {
        run(Linear{.out_features = op.hidden_features, .bias = true}, {e.inputs, shape(), e.batch},
            {.inputs = inputs, .params = {params[0], params[1]}, .output = product});
        const Extents same{shapes_, shape(), e.batch};
        if (op.activation_inside == HiddenActivation::relu) {
            run(Relu{}, same, {.inputs = {product}, .params = {}, .output = activated});
        } else {
            run(Gelu{.tanh = true}, same, {.inputs = {product}, .params = {}, .output = activated});
        }
    }
    [[nodiscard]] const Shape& shape() const { return shapes_.front(); }
    [[nodiscard]] const std::vector<Shape>& shapes() const { return shapes_; }

  private:
    std::vector<Shape> shapes_;

  public:
    Values product;    ///< w1 in + b1
    Values activated;  ///< h
};

}  // namespace

void run(const FeedForward& op, const Extents& e, const ForwardIo& io) {
    const Hidden between(op, e, io.inputs, io.params);
    run(Linear{.out_features = op.out_features, .bias = true}, {between.shapes(), e.output, e.batch},
        {.inputs = {between.activated}, .params = {io.params[2], io.params[3]}, .output = io.output});
}

void run_back(const FeedForward& op, const Extents& e, const BackwardIo& io) {
    const Hidden between(op, e, io.inputs, io.params);
    Values d_activated(between.activated.size());
    Values d_product(between.product.size());
    run_back(Linear{.out_features = op.out_features, .bias = true}, {between.shapes(), e.output, e.batch},
             {.inputs = {between.activated},
              .params = {io.params[2], io.params[3]},
              .output = {},
              .d_output = io.d_output,
              .d_inputs = {d_activated},
              .d_params = {wanted(io.d_params, 2), wanted(io.d_params, 3)}});
    const Extents same{between.shapes(), between.shape(), e.batch};
    const BackwardIo inside{.inputs = {between.product},
                            .params = {},
                            .output = between.activated,
                            .d_output = d_activated,
                            .d_inputs = {d_product},
                            .d_params = {}};
    if (op.activation_inside == HiddenActivation::relu) {
        run_back(Relu{}, same, inside);
    } else {
        run_back(Gelu{.tanh = true}, same, inside);
    }
    run_back(Linear{.out_features = op.hidden_features, .bias = true}, {e.inputs, between.shape(), e.batch},
             {.inputs = io.inputs,
              .params = {io.params[0], io.params[1]},
              .output = {},
              .d_output = d_product,
              .d_inputs = io.d_inputs,
              .d_params = {wanted(io.d_params, 0), wanted(io.d_params, 1)}});
}

}  // namespace trireme::layers::reference
