#include <fmt/format.h>

#include "jobs/models/presets.hpp"
#include "layers/build.hpp"
#include "runtime/core/error.hpp"

namespace trireme::jobs::presets {
namespace {

using namespace layers;

/// 0 stands for a max pool.
constexpr std::array<std::int64_t, 13> configuration_a{64, 0, 128, 0, 256, 256, 0, 512, 512, 0, 512, 512, 0};
/// Height and width that the classifier was made for.
constexpr std::int64_t pooled = 7;

std::string part(std::string_view group, int index) { return fmt::format("{}.{}", group, index); }

TensorId features(ModelGraph& graph) {
    TensorId x = graph.input();
    int index = 0;
    for (std::int64_t channels : configuration_a) {
        if (channels == 0) {
            x = graph.add(part("features", index++), Pool2d{}, {x});
            continue;
        }
        Conv2d conv;
        conv.out_channels = channels;
        conv.kernel = {3, 3};
        conv.padding = {1, 1};
        x = conv_bias(graph, part("features", index++), conv, x);
        x = graph.add(part("features", index++), Relu{}, {x});
    }
    return x;
}

TensorId pool_to_classifier(ModelGraph& graph, TensorId x) {
    const Shape shape = graph.tensor(x).shape;
    if (shape[0] <= pooled && shape[1] <= pooled) return x;
    if (shape[0] % pooled != 0 || shape[1] % pooled != 0) {
        throw ConfigError(fmt::format(
            "vgg11: samples of {} give features of {}, which no windows of one size cut into 7x7: use "
            "samples whose height and width are multiples of 224, or below 256",
            graph.tensor(graph.input()).shape.str(), shape.str()));
    }
    Pool2d pool;
    pool.kind = PoolKind::average;
    pool.kernel = {shape[0] / pooled, shape[1] / pooled};
    pool.stride = pool.kernel;
    return graph.add("avgpool", pool, {x});
}

}  // namespace

ModelGraph vgg11(const ModelFrame& frame) {
    constexpr std::int64_t width = 4096;
    ModelGraph graph = frame.start("vgg11");
    TensorId x = graph.add("flatten", Flatten{}, {pool_to_classifier(graph, features(graph))});
    Linear linear;
    for (int index = 0; index < 6; index += 3) {
        linear.out_features = width;
        x = linear_bias(graph, part("classifier", index), linear, x);
        x = graph.add(part("classifier", index + 1), Relu{}, {x});
        x = graph.add(part("classifier", index + 2), Dropout{}, {x});
    }
    linear.out_features = frame.outputs;
    frame.finish(graph, linear_bias(graph, part("classifier", 6), linear, x));
    return graph;
}

}  // namespace trireme::jobs::presets
