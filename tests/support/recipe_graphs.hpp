// Every graph that the recipes ask of cuDNN, collected without a device.
#pragma once

#include <cstdint>
#include <map>
#include <ostream>
#include <string>
#include <vector>

#include "jobs/spec/job_spec.hpp"
#include "runtime/kernels/rules/cudnn_plans.hpp"

namespace trireme::test {

/// One way to train: what the network's elements are, and which plans may serve.
struct Precision {
    std::string name;
    DType dtype = DType::f32;
    bool tf32 = false;

    /// For GoogleTest, whose own words would have addresses in them.
    friend void PrintTo(const Precision& precision, std::ostream* out) { *out << precision.name; }
};
[[nodiscard]] std::vector<Precision> precisions();

/// The job files in a folder.
[[nodiscard]] std::vector<jobs::JobSpec> recipes(const std::string& folder);

struct RecipeGraphs {
    std::map<std::string, cudnn::GraphSpec> graphs;  ///< by their text
    std::map<std::string, std::string> refused;      ///< by node: why the rules do not ask cuDNN
    /// Convolutions of networks with batch norm, with their whole batch: what fusions are made of.
    std::map<std::string, cudnn::ConvGeometry> normalized;
};

/// In training and evaluation on one rank, and leaf by leaf in canonical mode.
[[nodiscard]] RecipeGraphs graphs_of_recipes(const std::vector<jobs::JobSpec>& recipes,
                                             const Precision& precision, int sm);

}  // namespace trireme::test
