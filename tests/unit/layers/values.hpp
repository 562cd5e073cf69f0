// Reproducible test values, and the networks that several tests use.
#pragma once

#include <string_view>
#include <vector>

#include "layers/build.hpp"
#include "layers/graph.hpp"
#include "layers/init.hpp"
#include "layers/reference/reference.hpp"
#include "runtime/core/philox.hpp"

namespace trireme::layers {

/// `count` values in [-1, 1), a function of `purpose`.
inline std::vector<double> random_values(std::string_view purpose, std::int64_t count) {
    const RandomStream stream(1, purpose);
    std::vector<double> values;
    for (std::int64_t i = 0; i < count; ++i) {
        values.push_back(2.0 * stream.uniform(static_cast<std::uint64_t>(i)) - 1.0);
    }
    return values;
}

inline std::vector<double> random_classes(std::string_view purpose, std::int64_t count,
                                          std::uint64_t classes) {
    const RandomStream stream(1, purpose);
    std::vector<double> values;
    for (std::int64_t i = 0; i < count; ++i) {
        values.push_back(static_cast<double>(stream.below(static_cast<std::uint64_t>(i), classes)));
    }
    return values;
}

/// Fills all parameters; biases too, so that none of them hides behind a zero.
inline void randomize(reference::Model& model, const ModelGraph& graph) {
    for (std::size_t p = 0; p < graph.params().size(); ++p) {
        const ParamSpec& spec = graph.params()[p];
        const std::vector<double> values = random_values(spec.name, spec.shape.elements().value);
        const double scale = spec.init.kind == Init::Kind::uniform ? spec.init.scale : 0.1;
        std::span<double> param = model.param(static_cast<ParamId>(p));
        for (std::size_t i = 0; i < values.size(); ++i) param[i] = scale * values[i];
    }
}

/// LeNet of 20, 50 and 500, on MNIST's images.
inline ModelGraph lenet() {
    ModelGraph g("lenet", {28, 28, 1}, {}, DType::i32);
    TensorId t = conv_bias(g, "conv1", {.out_channels = 20, .kernel = {5, 5}}, g.input());
    t = g.add("relu1", Relu{}, {t});
    t = g.add("pool1", Pool2d{}, {t});
    t = conv_bias(g, "conv2", {.out_channels = 50, .kernel = {5, 5}}, t);
    t = g.add("relu2", Relu{}, {t});
    t = g.add("pool2", Pool2d{}, {t});
    t = g.add("flatten", Flatten{}, {t});
    t = linear_bias(g, "fc1", {.out_features = 500}, t);
    t = g.add("relu3", Relu{}, {t});
    t = linear_bias(g, "fc2", {.out_features = 10}, t);
    g.add("loss", SoftmaxCrossEntropy{}, {t, g.target()});
    return g;
}

/// A few hundred parameters with every kind of op but the average pool and sigmoid; quick to differentiate.
inline ModelGraph tiny() {
    ModelGraph g("tiny", {7, 6, 2}, {}, DType::i32);
    TensorId t = conv_bias(g, "conv1", {.out_channels = 4, .kernel = {3, 2}, .padding = {1, 0}}, g.input());
    t = g.add("relu1", Relu{}, {t});
    t = g.add("pool1", Pool2d{}, {t});
    t = g.add("flatten", Flatten{}, {t});
    t = linear_bias(g, "fc1", {.out_features = 5}, t);
    t = g.add("tanh1", Tanh{}, {t});
    t = linear_bias(g, "fc2", {.out_features = 3}, t);
    g.add("loss", SoftmaxCrossEntropy{}, {t, g.target()});
    return g;
}

}  // namespace trireme::layers
