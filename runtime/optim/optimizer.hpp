// Optimizers as element rules: how one element of a parameter changes, given its gradient, its state and a
// few numbers that are the same for the whole parameter. They apply to any range of elements, so that
// replicated and sharded updates, one thread or many, are the same code and give the same bits.
//
//   sgd    d = g + wd w;  v = mu v + d;  w -= lr v  (Nesterov: w -= lr (d + mu v))          as PyTorch's
//   adamw  m, v: moments of g;  w = (1 - lr wd) w - lr m^ / (sqrt(v^) + eps)                 as PyTorch's
//   lars   v = mu v + lr T (g + wd w);  w -= v,   T = trust |w| / (|g| + wd |w|)
//   lamb   m, v: moments of g;  r = m^ / (sqrt(v^) + eps) + wd w;  w -= lr T r,   T = |w| / |r|
//
// m^ and v^ are the moments divided by 1 - beta^t. T is one number for each parameter: 1 where one of its
// norms is 0, and for biases and scales (param_groups.hpp). In lars the rate stands inside the velocity, as
// in its paper, so that a falling rate does not speed up what is on its way. After any rule, where `ema` is
// set: average = ema average + (1 - ema) w.
//
// Papers: Sutskever et al. 2013 (Nesterov momentum); Loshchilov, Hutter 2019 (adamw); You, Gitman, Ginsburg
// 2017, arXiv:1708.03888 (lars); You et al. 2020, arXiv:1904.00962 (lamb).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/optim/element_math.hpp"

namespace trireme {

/// Settings of the parameters whose names `match` has a pattern for (param_groups.hpp).
struct ParamGroup {
    std::string name;
    std::string match;
    std::optional<double> lr;  ///< at the height of the schedule, as OptimizerSpec::lr; empty: that one
    std::optional<double> weight_decay;
};

struct OptimizerSpec {
    std::string name = "sgd";  ///< sgd, adamw, lars or lamb
    double lr = 0.01;
    double momentum = 0;  ///< sgd, lars
    bool nesterov = false;
    double weight_decay = 0;  ///< sgd, lars: added to the gradient; adamw, lamb: decoupled
    double beta1 = 0.9;
    double beta2 = 0.999;
    double eps = 1e-8;
    double trust = 0.001;              ///< lars: its trust coefficient
    double clip = 0;                   ///< largest norm of the mean gradient; 0: any
    double ema = 0;                    ///< decay of the moving average of parameters; 0: none
    std::vector<ParamGroup> groups{};  ///< a parameter belongs to the first that matches
    std::string frozen{};              ///< parameters that get no update, patterns as ParamGroup::match
};

/// What changes from step to step.
struct UpdateScalars {
    double lr = 0;
    double gradient_scale = 1;  ///< 1 / samples of the step: gradients arrive as sums
    std::int64_t update = 1;    ///< updates so far, this one included (Adam's t)
};

/// Name of the state tensor that holds the moving average of parameters.
inline constexpr const char* ema_state_name = "ema";

[[nodiscard]] rules::Constants constants_of(const OptimizerSpec& spec);

/// Names of the state tensors of an optimizer, each with the parameter's shape: those of its rule, which
/// start at zero, then the moving average, where there is one.
[[nodiscard]] std::vector<std::string> state_names(const OptimizerSpec& spec);

/// Updates a range of elements, and the moving average with it. `state` has one span for each name of
/// `state_names`. All spans are equally long. For lamb, `advance_moments` must have seen the range before.
void update(const OptimizerSpec& spec, const RangeScalars& scalars, std::span<float> weights,
            std::span<const float> gradients, std::span<const std::span<float>> state);

/// lamb's first pass over a range of at most `norm_block` elements: brings the moments up to date and returns
/// the sum of squares of r, which decides T.
[[nodiscard]] double advance_moments(const OptimizerSpec& spec, const RangeScalars& scalars,
                                     std::span<const float> weights, std::span<const float> gradients,
                                     std::span<const std::span<float>> state);

}  // namespace trireme
