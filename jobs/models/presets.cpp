#include <fmt/format.h>

#include "jobs/models/model_spec.hpp"
#include "layers/build.hpp"
#include "runtime/core/error.hpp"

namespace trireme::jobs {
namespace {

using namespace layers;

/// Convolution, ReLU, 2 x 2 max pooling.
TensorId conv_stage(ModelGraph& graph, const std::string& index, std::int64_t channels, std::int64_t kernel,
                    TensorId x) {
    Conv2d conv;
    conv.out_channels = channels;
    conv.kernel = {kernel, kernel};
    x = conv_bias(graph, "conv" + index, conv, x);
    x = graph.add("relu" + index, Relu{}, {x});
    return graph.add("pool" + index, Pool2d{}, {x});
}

TensorId dense(ModelGraph& graph, const std::string& name, std::int64_t features, TensorId x) {
    Linear linear;
    linear.out_features = features;
    return linear_bias(graph, name, linear, x);
}

ModelGraph lenet(const Shape& input, std::int64_t classes) {
    ModelGraph graph("lenet", input, Shape{}, DType::i32);
    TensorId x = conv_stage(graph, "1", 20, 5, graph.input());
    x = conv_stage(graph, "2", 50, 5, x);
    x = graph.add("flatten", Flatten{}, {x});
    x = graph.add("relu3", Relu{}, {dense(graph, "fc1", 500, x)});
    x = dense(graph, "fc2", classes, x);
    graph.add("loss", SoftmaxCrossEntropy{}, {x, graph.target()});
    return graph;
}

ModelGraph mlp(const Shape& input, std::int64_t classes, const std::vector<std::int64_t>& hidden) {
    ModelGraph graph("mlp", input, Shape{}, DType::i32);
    TensorId x = input.rank() > 1 ? graph.add("flatten", Flatten{}, {graph.input()}) : graph.input();
    int index = 1;
    for (std::int64_t width : hidden) {
        x = graph.add(fmt::format("relu{}", index), Relu{},
                      {dense(graph, fmt::format("fc{}", index), width, x)});
        ++index;
    }
    x = dense(graph, fmt::format("fc{}", index), classes, x);
    graph.add("loss", SoftmaxCrossEntropy{}, {x, graph.target()});
    return graph;
}

}  // namespace

std::vector<std::string> preset_names() { return {"lenet", "mlp"}; }

ModelGraph build_model(const ModelSpec& spec) {
    const Shape input = spec.input.value_or(Shape{28, 28, 1});
    const std::int64_t classes = spec.classes.value_or(10);
    if (spec.name == "mlp") return mlp(input, classes, spec.hidden);
    if (spec.name == "lenet") return lenet(input, classes);
    throw ConfigError(fmt::format("model.name = {}: no such preset", spec.name));
}

}  // namespace trireme::jobs
