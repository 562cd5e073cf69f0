// Initial parameter values: a function of (seed, parameter name, element), the same however parameters are
// sharded. Element i of a parameter is a pure function of the Philox stream (seed, "init/<parameter name>").
//
// Uniform values take integer arithmetic and one correctly rounded product: the same bits on every machine.
// Normal values go through log, sin and cos in double precision, which C libraries round differently: the
// same bits are promised for one libm only.
#pragma once

#include <cstdint>
#include <span>

#include "layers/graph.hpp"

namespace trireme::layers {

/// Fills `values` with elements [first, first + values.size()) of the row-major parameter. Throws
/// InternalError when that range leaves the parameter.
void initial_values(const ParamSpec& spec, std::uint64_t seed, std::int64_t first, std::span<float> values);

}  // namespace trireme::layers
