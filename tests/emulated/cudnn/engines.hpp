// Which engines a graph is offered, in the order of the heuristics. Those that no job may run come first, and
// what they compute is visibly wrong: a choice that does not look at notes shows.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include <cudnn.h>

#include "tests/emulated/cudnn/graph.hpp"

namespace trireme::emulated::dnn {

/// What becomes of the operands and sums of products.
enum class Arithmetic : std::uint8_t {
    fp32,      ///< operands as they are, sums in fp32
    tf32,      ///< fp32 operands rounded to TF32
    narrow,    ///< fp32 operands rounded to bf16
    reduced,   ///< sums that are off by 1/16: no job may reduce in less than fp32
    unsteady,  ///< the last bits differ from run to run
};

struct KnobChoice {
    cudnnBackendKnobType_t type;
    std::int64_t value;
};

struct EngineConfig {
    std::int64_t index = 0;
    std::vector<KnobChoice> knobs = {};
    std::vector<cudnnBackendNumericalNote_t> notes = {};
    std::int64_t workspace = 0;
    Arithmetic arithmetic = Arithmetic::fp32;
    bool can_be_built = true;
};

struct PlannedConfig {
    EngineConfig config;
    std::shared_ptr<const Graph> graph;
};

/// Throws Refusal for a mode that it does not know. Empty where no engine has the graph.
[[nodiscard]] std::vector<EngineConfig> engines_of(const Graph& graph, cudnnBackendHeurMode_t mode);

}  // namespace trireme::emulated::dnn
