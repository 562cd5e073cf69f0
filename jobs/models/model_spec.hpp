// What a job asks of its network.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "layers/graph.hpp"

namespace trireme::jobs {

struct ModelSpec {
    std::string name;                     ///< preset
    std::optional<Shape> input;           ///< sample shape; empty: the preset's
    std::optional<std::int64_t> classes;  ///< empty: the preset's
    std::vector<std::int64_t> hidden;     ///< mlp
};

/// Names of the presets.
[[nodiscard]] std::vector<std::string> preset_names();

/// Builds the graph: bias and activations as nodes of their own; fusions are rewrites. Throws ConfigError.
///
///     lenet   28x28x1, 10 classes: conv 20 5x5, pool, conv 50 5x5, pool, 500, classes (ReLU between), after
///     LeCun et al.
///             1998 in the sizes that Caffe's example made common; 431,080 parameters
///     mlp     28x28x1, 10 classes: model.hidden widths with ReLU between
[[nodiscard]] layers::ModelGraph build_model(const ModelSpec& spec);

}  // namespace trireme::jobs
