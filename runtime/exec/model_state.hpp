// Parameters and optimizer state of one rank: arenas with the layout of the gradient buckets, so that an
// update is a walk over equal offsets. Everything is addressed by the parameter's name from outside.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "layers/graph.hpp"
#include "runtime/core/memory_space.hpp"
#include "runtime/optim/optimizer.hpp"
#include "runtime/plan/grad_buckets.hpp"

namespace trireme {

class ModelState {
  public:
    ModelState(const layers::ModelGraph& graph, const GradBuckets& buckets, const OptimizerSpec& optimizer,
               MemorySpace& memory);

    /// Initial values from (seed, name, element); optimizer state is zero.
    void initialise(std::uint64_t seed);

    [[nodiscard]] std::span<float> param(layers::ParamId p) const;
    /// State tensor `k` (of state_names) of a parameter.
    [[nodiscard]] std::span<float> state(std::size_t k, layers::ParamId p) const;
    [[nodiscard]] const std::vector<std::string>& state_tensor_names() const { return state_names_; }
    [[nodiscard]] const layers::ModelGraph& graph() const { return *graph_; }
    [[nodiscard]] const OptimizerSpec& optimizer() const { return optimizer_; }
    [[nodiscard]] Bytes parameter_bytes() const { return params_.size(); }
    [[nodiscard]] Bytes optimizer_bytes() const;

    /// Applies the optimizer to every parameter. `gradients`: the bucket arena.
    void apply(const UpdateScalars& scalars, std::span<const float> gradients);

    /// Parameters in name order.
    [[nodiscard]] std::vector<layers::ParamId> by_name() const;
    /// SHA-256 over the parameters in name order, fp32 little-endian.
    [[nodiscard]] std::string params_sha256() const;
    /// SHA-256 over parameters, optimizer state (both in name order) and `cursor`, the text of the position.
    [[nodiscard]] std::string state_sha256(std::string_view cursor) const;

  private:
    [[nodiscard]] std::span<float> place(const Region& arena, layers::ParamId p) const;

    const layers::ModelGraph* graph_;
    const GradBuckets* buckets_;
    OptimizerSpec optimizer_;
    std::vector<std::string> state_names_;
    Region params_;
    std::vector<Region> states_;
};

}  // namespace trireme
