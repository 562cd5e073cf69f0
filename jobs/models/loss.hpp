// The losses that a network can end with, as jobs and model files name them.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "layers/ops.hpp"

namespace trireme::jobs {

enum class LossKind { cross_entropy, bce, mse };

/// Label smoothing stays below 1, where every class would be as right as the label.
inline constexpr double most_label_smoothing = 0.999;

/// "cross-entropy", "bce", "mse".
[[nodiscard]] std::vector<std::string> loss_names();
[[nodiscard]] std::string_view name_of(LossKind kind);
/// Empty when there is no such loss.
[[nodiscard]] std::optional<LossKind> loss_named(std::string_view name);

/// The op; only the cross-entropy takes a label smoothing.
[[nodiscard]] layers::Op loss_op(LossKind kind, double label_smoothing);
/// What kind of loss an op is; empty for all other ops.
[[nodiscard]] std::optional<LossKind> loss_kind_of(const layers::Op& op);

/// The loss that fits the targets of a data set ("class", "multi-hot" or "float").
[[nodiscard]] LossKind loss_for_targets(std::string_view target_kind);
/// Why the loss cannot be taken of such targets, with the remedy; empty when it can.
[[nodiscard]] std::string refuses_targets(LossKind kind, std::string_view target_kind);

}  // namespace trireme::jobs
