// Softmax cross-entropy of each row of logits, in loops of our own: oneDNN has no such primitive, and softmax
// and log as two would pass over memory twice. loss = log(sum exp(x - m)) + m - x[label], m the largest
// logit, so that no exponential overflows. Backward computes the softmax again from the logits; nothing is
// saved. With label smoothing s, x[label] becomes (1 - s) x[label] + s mean(x). Where a sample has several
// positions, each is a row, and the sample's loss their mean, added in order.
#include <cmath>
#include <cstring>

#include <fmt/format.h>

#include "runtime/core/error.hpp"
#include "runtime/kernels/loss_gradient.hpp"
#include "runtime/kernels/onednn/node_kernels.hpp"
#include "runtime/kernels/onednn/vector_loops.hpp"
#include "runtime/kernels/onednn/vector_math.hpp"

namespace trireme::onednn {
namespace {

[[gnu::always_inline]] inline float sum_of_exp(const float* x, std::int64_t n, float largest) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (std::int64_t i = 0; i < n; ++i) sum += exp_of_nonpositive(x[i] - largest);
    return sum;
}

/// Sum of `largest` - x, which is what smoothing averages: small where the logits are large but alike.
[[gnu::always_inline]] inline float sum_below(const float* x, std::int64_t n, float largest) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (std::int64_t i = 0; i < n; ++i) sum += largest - x[i];
    return sum;
}

class SoftmaxCrossEntropyKernels final : public OnednnKernels {
  public:
    SoftmaxCrossEntropyKernels(const layers::SoftmaxCrossEntropy& op, const NodeView& view)
        : OnednnKernels(view),
          smoothing_(static_cast<float>(op.label_smoothing)),
          at_label_(static_cast<float>(1 - op.label_smoothing)),
          classes_(view.input[view.input.rank() - 1]),
          rows_(view.rows()),
          positions_(rows_ / view.request.batch),
          workers_(workers_for(rows_ * classes_, rows_, values_per_worker)) {
        description_ = "loop:fp32";
        needs_.backward_reads_input = training();
        if (positions_ > 1) needs_.forward_scratch = Bytes(rows_ * std::int64_t{sizeof(float)});
    }

    void forward(Stream&, const KernelBuffers& b) override {
        check_labels(b.inputs[1]);
        const float* logits = floats(b.inputs[0]);
        float* loss = positions_ > 1 ? floats(b.scratch) : floats(b.output);
        cpu::parallel_ranges(workers_, rows_, [&](int, std::int64_t begin, std::int64_t end) {
            run_vectors(
                vectors_, [&]() __attribute__((always_inline)) {
                    for (std::int64_t row = begin; row < end; ++row) {
                        const float* x = logits + row * classes_;
                        const float largest = largest_of(x, classes_);
                        const float sum = sum_of_exp(x, classes_, largest);
                        loss[row] = std::log(sum) + below_largest(x, label(b.inputs[1], row), largest);
                    }
                });
        });
        if (positions_ > 1) average(loss, floats(b.output));
    }

    void backward_input(Stream&, const KernelBuffers& b) override {
        const float* logits = floats(b.inputs[0]);
        float* gradient = floats(b.d_inputs[0]);
        const float share = loss_gradient(b) / static_cast<float>(positions_);
        cpu::parallel_ranges(workers_, rows_, [&](int, std::int64_t begin, std::int64_t end) {
            run_vectors(
                vectors_, [&]() __attribute__((always_inline)) {
                    for (std::int64_t row = begin; row < end; ++row) {
                        write_gradient(logits + row * classes_, label(b.inputs[1], row), share,
                                       gradient + row * classes_);
                    }
                });
        });
    }

  private:
    static constexpr std::int64_t values_per_worker = 8 * 1024;

    [[gnu::always_inline]] static std::int32_t label(const std::byte* labels, std::int64_t row) {
        std::int32_t value = 0;
        std::memcpy(&value, labels + row * static_cast<std::int64_t>(sizeof(value)), sizeof(value));
        return value;
    }

    void check_labels(const std::byte* labels) const {
        for (std::int64_t row = 0; row < rows_; ++row) {
            const std::int32_t value = label(labels, row);
            if (value >= 0 && value < classes_) continue;
            throw DataError(fmt::format(
                "{}: sample {} of the batch has class {}, but the logits have {} classes (0 to {})",
                what("forward"), row / positions_, value, classes_, classes_ - 1));
        }
    }

    /// The mean of the rows of each sample.
    void average(const float* rows, float* loss) const {
        for (std::int64_t n = 0; n < rows_ / positions_; ++n) {
            double sum = 0;
            for (std::int64_t i = 0; i < positions_; ++i)
                sum += static_cast<double>(rows[n * positions_ + i]);
            loss[n] = static_cast<float>(sum / static_cast<double>(positions_));
        }
    }

    /// How far the target's logit lies below the largest one; smoothed, the mean over the target's classes.
    [[nodiscard, gnu::always_inline]] float below_largest(const float* x, std::int64_t label,
                                                          float largest) const {
        const float below = largest - x[label];
        if (smoothing_ == 0) return below;
        return at_label_ * below +
               smoothing_ * (sum_below(x, classes_, largest) / static_cast<float>(classes_));
    }

    [[gnu::always_inline]] void write_gradient(const float* x, std::int64_t label, float share,
                                               float* gradient) const {
        const float largest = largest_of(x, classes_);
        std::copy(x, x + classes_, gradient);
        const float scale = share / exponentiate(gradient, classes_, largest);
        const float everywhere = share * smoothing_ / static_cast<float>(classes_);
#pragma omp simd
        for (std::int64_t i = 0; i < classes_; ++i) gradient[i] = gradient[i] * scale - everywhere;
        gradient[label] -= share * at_label_;
    }

    float smoothing_;
    float at_label_;  ///< 1 - smoothing
    std::int64_t classes_;
    std::int64_t rows_;
    std::int64_t positions_;  ///< rows of one sample
    int workers_;
    VectorSet vectors_ = vector_set();
};

}  // namespace

std::unique_ptr<NodeKernels> make_kernels(const layers::SoftmaxCrossEntropy& op, const NodeView& view) {
    return std::make_unique<SoftmaxCrossEntropyKernels>(op, view);
}

}  // namespace trireme::onednn
