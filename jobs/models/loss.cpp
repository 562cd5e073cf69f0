#include "jobs/models/loss.hpp"

#include <array>

#include <fmt/format.h>

namespace trireme::jobs {
namespace {

constexpr std::array kinds{LossKind::cross_entropy, LossKind::bce, LossKind::mse};

}  // namespace

std::string_view name_of(LossKind kind) {
    switch (kind) {
        case LossKind::cross_entropy:
            return "cross-entropy";
        case LossKind::bce:
            return "bce";
        case LossKind::mse:
            return "mse";
    }
    return "?";
}

std::vector<std::string> loss_names() {
    std::vector<std::string> names;
    for (LossKind kind : kinds) names.emplace_back(name_of(kind));
    return names;
}

std::optional<LossKind> loss_named(std::string_view name) {
    for (LossKind kind : kinds) {
        if (name_of(kind) == name) return kind;
    }
    return std::nullopt;
}

layers::Op loss_op(LossKind kind, double label_smoothing) {
    if (kind == LossKind::bce) return layers::BceWithLogits{};
    if (kind == LossKind::mse) return layers::MeanSquaredError{};
    return layers::SoftmaxCrossEntropy{.label_smoothing = label_smoothing};
}

std::optional<LossKind> loss_kind_of(const layers::Op& op) {
    if (std::holds_alternative<layers::SoftmaxCrossEntropy>(op)) return LossKind::cross_entropy;
    if (std::holds_alternative<layers::BceWithLogits>(op)) return LossKind::bce;
    if (std::holds_alternative<layers::MeanSquaredError>(op)) return LossKind::mse;
    return std::nullopt;
}

LossKind loss_for_targets(std::string_view target_kind) {
    if (target_kind == "multi-hot") return LossKind::bce;
    return target_kind == "float" ? LossKind::mse : LossKind::cross_entropy;
}

std::string refuses_targets(LossKind kind, std::string_view target_kind) {
    const bool fits = kind == LossKind::cross_entropy ? target_kind == "class"
                      : kind == LossKind::bce         ? target_kind == "multi-hot"
                                                      : target_kind == "multi-hot" || target_kind == "float";
    if (fits) return "";
    return fmt::format("the loss {} is not for a data set whose targets are of kind {}: use {}",
                       name_of(kind), target_kind, name_of(loss_for_targets(target_kind)));
}

}  // namespace trireme::jobs
