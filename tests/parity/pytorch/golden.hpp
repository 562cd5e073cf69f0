// golden.json, and the weights and batches that its values belong to: make_golden.py beside this file makes
// the same ones from the same random streams.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "layers/graph.hpp"

namespace trireme::parity {

/// The whole file. Throws when it is missing or not JSON.
[[nodiscard]] const nlohmann::json& golden();
[[nodiscard]] std::uint64_t golden_seed();

/// The preset `case["model"]` with the input and the classes of the case.
[[nodiscard]] layers::ModelGraph golden_graph(const nlohmann::json& golden_case);

/// The runtime's initial values; a parameter with one axis has a random offset in [-0.25, 0.25) on top. Exact
/// in fp64, not in fp32.
[[nodiscard]] std::vector<double> golden_weights(const layers::ParamSpec& spec);

struct GoldenBatch {
    std::vector<double> x;        ///< [batch, height, width, channels], exact in fp32
    std::vector<double> classes;  ///< [batch]
};

/// Batch `instance` of a case.
[[nodiscard]] GoldenBatch golden_batch(const nlohmann::json& golden_case, std::uint64_t instance = 0);

}  // namespace trireme::parity
