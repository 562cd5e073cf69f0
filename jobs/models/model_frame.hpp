// The two ends of a network: the sample that goes in, and the target and loss at its end. They follow from
// the job, the data set and the network's own wishes, by the same rules for presets and model files.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "jobs/models/model_spec.hpp"
#include "layers/graph.hpp"

namespace trireme::jobs {

/// What a preset or a model file says about its ends.
struct FrameWishes {
    std::optional<Shape> input;                   ///< counts where neither data set nor job tells one
    std::optional<std::int64_t> classes;          ///< of a file: counts before the data set's
    std::optional<std::int64_t> classes_if_none;  ///< of a preset: counts where nobody tells
    std::optional<LossKind> loss;                 ///< counts where the job tells none
    double label_smoothing = 0;                   ///< of `loss`
};

struct ModelFrame {
    Shape input;
    std::int64_t outputs = 0;  ///< classes or length of the target vector; 0: not known, and not needed
    Shape target;              ///< {} for a class index (i32), {outputs} for a vector (fp32)
    DType target_dtype = DType::i32;
    layers::Op loss;

    [[nodiscard]] layers::ModelGraph start(const std::string& name) const {
        return layers::ModelGraph(name, input, target, target_dtype);
    }
    /// Appends the loss behind the network's outputs.
    void finish(layers::ModelGraph& graph, layers::TensorId outputs_tensor,
                const std::string& name = "loss") const {
        graph.add(name, loss, {outputs_tensor, graph.target()});
    }
};

/// What does not fit goes to `mistakes`, a sentence each.
[[nodiscard]] ModelFrame frame_of(const ModelSpec& spec, const FrameWishes& wishes,
                                  std::vector<std::string>& mistakes);
/// The same for those who have nothing else to tell: throws ConfigError with all mistakes.
[[nodiscard]] ModelFrame frame_of(const ModelSpec& spec, const FrameWishes& wishes);

}  // namespace trireme::jobs
