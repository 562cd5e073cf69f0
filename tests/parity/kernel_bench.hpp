// Runs the kernels of one provider for one op in device memory as the executor would, next to the fp64
// reference.
//
// The bench is unkind on purpose: memory that a kernel must write is filled with NaN first, what it may not
// read any more (activations that it did not ask to keep) is spoilt before backward, and each buffer ends in
// a guard.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "runtime/available_backends.hpp"
#include "tests/parity/op_case.hpp"

namespace trireme::parity {

/// All that one pass through forward and backward gives, as doubles.
struct Results {
    std::vector<double> output;
    std::vector<double> statistics;             ///< of a batch norm in training
    std::vector<std::vector<double>> d_inputs;  ///< without that of a loss's target
    std::vector<std::vector<double>> d_params;
};

/// Values of one input: fp32, or class indices.
struct Operand {
    std::vector<float> floats;
    std::vector<std::int32_t> classes;
    [[nodiscard]] std::vector<double> values() const;
};

/// What a run does otherwise than the plain one; results must be the same, bit for bit.
struct RunOptions {
    bool forward_in_place = false;      ///< the output lies where the first input does
    int backward_in_place = -1;         ///< the gradient of this input lies where that of the output does
    bool input_gradient_first = false;  ///< backward_input before backward_weight
};

class KernelBench {
  public:
    KernelBench(Backend& backend, const KernelProvider& provider, const OpCase& op_case, std::int64_t batch,
                int threads);

    /// The provider's name.
    [[nodiscard]] std::string_view provider() const { return provider_.name(); }
    /// Why the provider does not take the op; empty when it does.
    [[nodiscard]] std::string refusal() const;
    /// Of kernels for training.
    [[nodiscard]] KernelNeeds needs() const;
    /// Forward, then all backward passes.
    [[nodiscard]] Results train(const RunOptions& options = {});
    /// Forward of kernels that were made for inference; gradients stay empty.
    [[nodiscard]] Results infer();
    /// Forward and the parameters' gradients of kernels made for a first layer, which needs no input
    /// gradient.
    [[nodiscard]] Results train_first_layer();
    /// What the reference gives for the same fp32 values; its backward takes relu masks and slopes from
    /// `output`, the values that the kernel itself gave, so that a rounding at a kink is counted once.
    [[nodiscard]] Results reference(const std::vector<double>& output) const;
    /// The reference's output in evaluation.
    [[nodiscard]] std::vector<double> reference_inference() const;
    /// What the provider says it chose.
    [[nodiscard]] std::string describe() const;

  private:
    [[nodiscard]] KernelRequest request(bool training, bool input_gradient) const;
    [[nodiscard]] Results run(const KernelRequest& request, const RunOptions& options = {});
    [[nodiscard]] DType dtype_of(layers::TensorId id) const { return graph_.tensor(id).dtype; }
    void run_backward(NodeKernels& kernels, Stream& stream, KernelBuffers& b, bool input_gradient,
                      const RunOptions& options, Results& results) const;
    [[nodiscard]] const layers::Node& node() const { return graph_.nodes().back(); }
    [[nodiscard]] bool is_loss() const { return layers::is_loss(case_.op); }
    [[nodiscard]] std::vector<Shape> input_shapes() const;
    [[nodiscard]] Shape output_shape() const { return graph_.tensor(node().output).shape; }
    /// Inputs with a gradient: all but symbols and a loss's target, which stands last.
    [[nodiscard]] std::size_t gradients() const {
        if (layers::input_dtype(case_.op, 0) == DType::i32) return 0;
        return inputs_.size() - (is_loss() ? 1 : 0);
    }
    [[nodiscard]] bool fused() const;

    Backend& backend_;
    const KernelProvider& provider_;
    OpCase case_;
    std::int64_t batch_;
    int threads_;
    layers::ModelGraph graph_;  ///< the node is its last one
    LaunchContext context_{7, 3, 41};
    std::vector<Operand> inputs_;
    std::vector<std::vector<float>> params_;
    std::vector<std::vector<float>> buffers_;
    std::size_t statistics_ = 0;  ///< how many
    std::vector<float> d_output_;
};

}  // namespace trireme::parity
