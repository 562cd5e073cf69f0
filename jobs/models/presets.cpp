#include "jobs/models/presets.hpp"

#include <fmt/format.h>

#include "layers/build.hpp"

namespace trireme::jobs::presets {
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

}  // namespace

ModelGraph lenet(const ModelFrame& frame) {
    ModelGraph graph = frame.start("lenet");
    TensorId x = conv_stage(graph, "1", 20, 5, graph.input());
    x = conv_stage(graph, "2", 50, 5, x);
    x = graph.add("flatten", Flatten{}, {x});
    x = graph.add("relu3", Relu{}, {dense(graph, "fc1", 500, x)});
    frame.finish(graph, dense(graph, "fc2", frame.outputs, x));
    return graph;
}

ModelGraph mlp(const ModelFrame& frame, const std::vector<std::int64_t>& hidden) {
    ModelGraph graph = frame.start("mlp");
    TensorId x = frame.input.rank() > 1 ? graph.add("flatten", Flatten{}, {graph.input()}) : graph.input();
    int index = 1;
    for (std::int64_t width : hidden) {
        x = graph.add(fmt::format("relu{}", index), Relu{},
                      {dense(graph, fmt::format("fc{}", index), width, x)});
        ++index;
    }
    frame.finish(graph, dense(graph, fmt::format("fc{}", index), frame.outputs, x));
    return graph;
}

}  // namespace trireme::jobs::presets
