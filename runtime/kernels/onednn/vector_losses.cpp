// Losses that compare two vectors of each sample and average over their elements: binary cross-entropy with
// logits, and the squared error. Loops of our own; nothing is saved, backward computes from the inputs again.
#include <cmath>

#include <fmt/format.h>

#include "runtime/core/error.hpp"
#include "runtime/kernels/loss_gradient.hpp"
#include "runtime/kernels/onednn/node_kernels.hpp"

namespace trireme::onednn {
namespace {

/// -t log(sigmoid(x)) - (1 - t) log(1 - sigmoid(x)), written so that no exponential overflows.
struct BinaryCrossEntropy {
    static constexpr bool probabilities = true;
    /// A logit that is NaN gives NaN: std::max returns its first argument then.
    static float loss(float x, float t) {
        return std::max(x, 0.0F) - x * t + std::log1p(std::exp(-std::abs(x)));
    }
    static float slope(float x, float t) {
        const float z = std::exp(-std::abs(x));
        return (x >= 0 ? 1.0F : z) / (1.0F + z) - t;
    }
};

struct SquaredError {
    static constexpr bool probabilities = false;
    static float loss(float x, float t) { return (x - t) * (x - t); }
    static float slope(float x, float t) { return 2.0F * (x - t); }
};

/// Rule has loss(x, t), slope(x, t), its derivative by x, and whether targets must lie in [0, 1].
template <class Rule>
class VectorLossKernels final : public OnednnKernels {
  public:
    explicit VectorLossKernels(const NodeView& view)
        : OnednnKernels(view),
          outputs_(view.input[view.input.rank() - 1]),
          rows_(view.rows()),
          workers_(workers_for(rows_ * outputs_, rows_, values_per_worker)) {
        description_ = "loop:fp32";
        needs_.backward_reads_input = training();
    }

    void forward(Stream&, const KernelBuffers& b) override {
        const float* x = floats(b.inputs[0]);
        const float* target = floats(b.inputs[1]);
        float* loss = floats(b.output);
        if constexpr (Rule::probabilities) check_targets(target);
        cpu::parallel_ranges(workers_, rows_, [&](int, std::int64_t begin, std::int64_t end) {
            for (std::int64_t row = begin; row < end; ++row) {
                double sum = 0;
                for (std::int64_t i = row * outputs_; i < (row + 1) * outputs_; ++i) {
                    sum += static_cast<double>(Rule::loss(x[i], target[i]));
                }
                loss[row] = static_cast<float>(sum / static_cast<double>(outputs_));
            }
        });
    }

    void backward_input(Stream&, const KernelBuffers& b) override {
        const float* x = floats(b.inputs[0]);
        const float* target = floats(b.inputs[1]);
        float* d_x = floats(b.d_inputs[0]);
        const auto n = static_cast<float>(outputs_);
        const float scale = loss_gradient(b);
        cpu::parallel_ranges(workers_, rows_, [&](int, std::int64_t begin, std::int64_t end) {
            for (std::int64_t i = begin * outputs_; i < end * outputs_; ++i) {
                d_x[i] = Rule::slope(x[i], target[i]) / n * scale;
            }
        });
    }

  private:
    /// An exponential and a logarithm an element.
    static constexpr std::int64_t values_per_worker = 4 * 1024;

    void check_targets(const float* target) const {
        for (std::int64_t i = 0; i < rows_ * outputs_; ++i) {
            if (target[i] >= 0.0F && target[i] <= 1.0F) continue;
            throw DataError(fmt::format(
                "{}: sample {} of the batch has the target {} for output {}, but targets of this loss are "
                "probabilities from 0 to 1: look at the data set with `trireme data inspect`",
                what("forward"), i / outputs_, target[i], i % outputs_));
        }
    }

    std::int64_t outputs_;
    std::int64_t rows_;
    int workers_;
};

}  // namespace

std::unique_ptr<NodeKernels> make_kernels(const layers::BceWithLogits&, const NodeView& view) {
    return std::make_unique<VectorLossKernels<BinaryCrossEntropy>>(view);
}

std::unique_ptr<NodeKernels> make_kernels(const layers::MeanSquaredError&, const NodeView& view) {
    return std::make_unique<VectorLossKernels<SquaredError>>(view);
}

}  // namespace trireme::onednn
