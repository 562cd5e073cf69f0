// The truth: every op forward and backward in double precision, written as the formula stands, and a
// whole-model evaluator. All other kernels are tested against this. Slow on purpose.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "layers/graph.hpp"
#include "runtime/core/launch_context.hpp"

namespace trireme::layers::reference {

/// Memory of one node for `batch` samples; class indices are stored as doubles. Layout as in ops.hpp.
struct ForwardIo {
    std::vector<std::span<const double>> inputs;
    std::vector<std::span<const double>> params;
    std::span<double> output;
    bool training = false;                              ///< batch norm and dropout differ
    std::vector<std::span<const double>> buffers = {};  ///< read in evaluation
    std::span<double> statistics = {};  ///< statistics_of values, written in training; empty: not wanted
    LaunchContext context = {};         ///< what a dropout draws its mask by,
    std::string_view node_name = {};    ///< with the name of its node
};

struct BackwardIo {
    std::vector<std::span<const double>> inputs;
    std::vector<std::span<const double>> params;
    std::span<const double> output;
    std::span<const double> d_output;  ///< of a loss: empty means one for each sample
    /// Overwritten; an empty span means that this gradient is not wanted.
    std::vector<std::span<double>> d_inputs;
    std::vector<std::span<double>> d_params;
    bool training = false;  ///< as in forward, and so are the rest
    std::vector<std::span<const double>> buffers = {};
    LaunchContext context = {};
    std::string_view node_name = {};
};

/// Both throw InternalError where a span has not the size that shapes and batch give, and DataError where a
/// class index is outside the logits or the target of a bce outside [0, 1].
void forward(const Op& op, const std::vector<Shape>& input_shapes, const Shape& output_shape,
             std::int64_t batch, const ForwardIo& io);
void backward(const Op& op, const std::vector<Shape>& input_shapes, const Shape& output_shape,
              std::int64_t batch, const BackwardIo& io);

/// How a whole graph is run.
struct Mode {
    bool training = true;
    LaunchContext context = {};
};

/// Runs a whole graph, which must outlive it. Parameters start as zeros, buffers as their specs say. A tensor
/// that several nodes read, or a parameter that several nodes use, gets the sum of their gradients. Gradients
/// are of the sum of the samples' losses.
class Model {
  public:
    explicit Model(const ModelGraph& graph);

    [[nodiscard]] std::span<double> param(ParamId id);
    [[nodiscard]] std::span<double> buffer(BufferId id);
    [[nodiscard]] std::span<const double> param_gradient(ParamId id) const;
    [[nodiscard]] std::span<const double> input_gradient() const;
    /// x: batch samples as the graph's input; target: batch times the target's elements.
    void forward(std::int64_t batch, std::span<const double> x, std::span<const double> target,
                 const Mode& mode = {});
    /// After forward, in its mode. Overwrites all parameter gradients.
    void backward();
    /// After a forward in training: the step's update of all running statistics, as told at BatchNorm, with
    /// that forward as the only launch of the step.
    void update_buffers();
    /// What the node wrote in the last forward in training; statistics_of its op.
    [[nodiscard]] std::span<const double> statistics(NodeId id) const;
    /// Sum of the samples' losses.
    [[nodiscard]] double loss_sum() const;
    [[nodiscard]] std::span<const double> value(TensorId id) const;

  private:
    void update_running(const NormSpec& norm, std::span<const double> statistics, std::span<double> mean,
                        std::span<double> variance) const;

    const ModelGraph* graph_;
    std::int64_t batch_ = 0;
    Mode mode_;
    std::vector<std::vector<double>> params_;
    std::vector<std::vector<double>> param_gradients_;
    std::vector<std::vector<double>> buffers_;
    std::vector<std::vector<double>> statistics_;  ///< by node
    std::vector<std::vector<double>> values_;
    std::vector<double> input_gradient_;
};

}  // namespace trireme::layers::reference
