#include "tests/emulated/cudnn/engines.hpp"

#include <cstdlib>
#include <string_view>

#include "tests/emulated/cudnn/refusals.hpp"

namespace trireme::emulated::dnn {
namespace {

constexpr std::int64_t huge = std::int64_t{1} << 40;

/// NVIDIA's variable that keeps every library from rounding fp32 to TF32.
bool tf32_is_off() {
    const char* value = std::getenv("NVIDIA_TF32_OVERRIDE");
    return value != nullptr && std::string_view(value) == "0";
}

EngineConfig reducing() {
    return {.index = 0,
            .knobs = {{CUDNN_KNOB_TYPE_TILE_SIZE, 5}},
            .notes = {CUDNN_NUMERICAL_NOTE_TENSOR_CORE, CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION},
            .arithmetic = Arithmetic::reduced};
}

/// Of fp32 operands: those of TF32 are no conversion in cuDNN's notes.
EngineConfig converting() {
    return {.index = 7,
            .notes = {CUDNN_NUMERICAL_NOTE_TENSOR_CORE, CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS},
            .arithmetic = Arithmetic::narrow};
}

EngineConfig on_tensor_cores(bool fp32, std::int64_t tile, std::int64_t workspace) {
    return {.index = 4,
            .knobs = {{CUDNN_KNOB_TYPE_TILE_SIZE, tile}, {CUDNN_KNOB_TYPE_TILEK, 0}},
            .notes = {CUDNN_NUMERICAL_NOTE_TENSOR_CORE},
            .workspace = workspace,
            .arithmetic = fp32 ? Arithmetic::tf32 : Arithmetic::fp32};
}

EngineConfig plain(std::int64_t index) { return {.index = index}; }

std::vector<EngineConfig> usual_engines(bool fp32) {
    std::vector<EngineConfig> engines{
        reducing(),
        {.index = 1, .notes = {CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC}, .arithmetic = Arithmetic::unsteady},
        {.index = 2, .can_be_built = false},
        {.index = 3, .workspace = huge},
    };
    if (fp32) engines.push_back(converting());
    if (!fp32 || !tf32_is_off()) {
        engines.push_back(on_tensor_cores(fp32, 4, 4096));
        engines.push_back(on_tensor_cores(fp32, 8, 8192));
    }
    engines.push_back(plain(5));
    return engines;
}

}  // namespace

std::vector<EngineConfig> engines_of(const Graph& graph, cudnnBackendHeurMode_t mode) {
    switch (mode) {
        case CUDNN_HEUR_MODE_A:
            return usual_engines(graph.multiplies_fp32());
        case CUDNN_HEUR_MODE_FALLBACK:
            return {plain(5), plain(6)};
        default:
            refuse(CUDNN_STATUS_NOT_SUPPORTED, "heuristics of mode {} are not known here",
                   static_cast<int>(mode));
    }
}

}  // namespace trireme::emulated::dnn
