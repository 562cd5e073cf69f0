// Initial parameter values: a function of (seed, parameter name, element), the same however parameters are
// sharded.
#pragma once

#include <cstdint>
#include <span>

#include "layers/graph.hpp"

namespace trireme::layers {

/// Fills `values` with elements [first, first + values.size()) of the row-major parameter.
void initial_values(const ParamSpec& spec, std::uint64_t seed, std::int64_t first, std::span<float> values);

}  // namespace trireme::layers
