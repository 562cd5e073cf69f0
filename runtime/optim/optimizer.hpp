// Optimizers as element rules: how one element of a parameter changes, given its gradient and its state. They
// apply to any range of elements, so that replicated and sharded updates are the same code. Formulas as in
// PyTorch.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace trireme {

struct OptimizerSpec {
    std::string name =
        "sgd";  ///< sgd (Sutskever et al. 2013 for Nesterov) or adamw (Loshchilov, Hutter 2019)
    double lr = 0.01;
    double momentum = 0;
    bool nesterov = false;
    double weight_decay = 0;  ///< sgd: added to the gradient; adamw: decoupled
    double beta1 = 0.9;
    double beta2 = 0.999;
    double eps = 1e-8;
};

/// What changes from step to step.
struct UpdateScalars {
    double lr = 0;
    double gradient_scale = 1;  ///< 1 / samples of the step: gradients arrive as sums
    std::int64_t update = 1;    ///< updates so far, this one included (Adam's t)
};

/// Names of the state tensors of an optimizer, each with the parameter's shape, starting at zero.
[[nodiscard]] std::vector<std::string> state_names(const OptimizerSpec& spec);

/// Updates a range of elements. `state` has one span for each name of `state_names`. All spans are equally
/// long.
void update(const OptimizerSpec& spec, const UpdateScalars& scalars, std::span<float> weights,
            std::span<const float> gradients, std::span<const std::span<float>> state);

}  // namespace trireme
