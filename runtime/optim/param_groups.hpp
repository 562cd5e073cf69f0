// Which settings each parameter is updated with: patterns over parameter names, resolved once, before the
// first step.
//
// A group's `match` is one pattern or several with commas between: `*` stands for any characters (none too,
// dots too), `?` for one. A pattern must fit the whole name. A parameter belongs to the first group that
// matches it.
//
// Large-batch rules (lars, lamb) scale each parameter's step by norms, which says little for a parameter of
// one axis: biases and the scales and shifts of norm layers take plain steps (T = 1) and no weight decay. A
// group that names weight_decay gives them that one; the steps stay plain.
#pragma once

#include <string_view>
#include <vector>

#include "layers/graph.hpp"
#include "runtime/optim/optimizer.hpp"

namespace trireme {

/// Settings of one parameter.
struct ParamSettings {
    double lr_factor = 1;  ///< times the rate of the step
    double weight_decay = 0;
    bool adapted = true;  ///< lars, lamb: T follows the norms
    bool operator==(const ParamSettings&) const = default;
};

/// True where `name` as a whole fits one of the patterns in `match`.
[[nodiscard]] bool matches_name(std::string_view match, std::string_view name);

/// Settings of every parameter, by ParamId. Throws ConfigError for a group that no parameter belongs to,
/// naming it and the nearest names.
[[nodiscard]] std::vector<ParamSettings> param_settings(const OptimizerSpec& spec,
                                                        const layers::ModelGraph& graph);

}  // namespace trireme
