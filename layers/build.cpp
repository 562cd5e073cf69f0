#include "layers/build.hpp"

#include <fmt/format.h>

#include "runtime/core/error.hpp"

namespace trireme::layers {
namespace {

template <class O>
void check_bare(const std::string& name, const O& op) {
    if (op.bias || op.activation != Activation::none) {
        throw ConfigError(
            fmt::format("node {}: {}({}) has a bias or an activation of its own already: leave both "
                        "to the nodes behind it",
                        name, name_of(op), attributes_of(op)));
    }
}

template <class O>
TensorId with_bias(ModelGraph& graph, const std::string& name, const O& op, TensorId input) {
    check_bare(name, op);
    const TensorId product = graph.add(name, op, {input});
    const Shape shape = graph.tensor(product).shape;
    const ParamId bias = graph.add_param({name + ".bias", {shape[shape.rank() - 1]}, {}});
    return graph.add_with_params(name + "_bias", Bias{}, {product}, {bias});
}

}  // namespace

TensorId conv_bias(ModelGraph& graph, const std::string& name, const Conv2d& op, TensorId input) {
    return with_bias(graph, name, op, input);
}

TensorId linear_bias(ModelGraph& graph, const std::string& name, const Linear& op, TensorId input) {
    return with_bias(graph, name, op, input);
}

TensorId conv_bn(ModelGraph& graph, const std::string& conv_name, const std::string& bn_name,
                 const Conv2d& op, TensorId input) {
    check_bare(conv_name, op);
    return graph.add(bn_name, BatchNorm{}, {graph.add(conv_name, op, {input})});
}

}  // namespace trireme::layers
