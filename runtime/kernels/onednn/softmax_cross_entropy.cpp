// Softmax cross-entropy of each row of logits, in loops of our own: oneDNN has no such primitive, and softmax
// and log as two would pass over memory twice. loss = log(sum exp(x - m)) + m - x[label], m the largest
// logit, so that no exponential overflows. Backward computes the softmax again from the logits; nothing is
// saved. With label smoothing s, x[label] becomes (1 - s) x[label] + s mean(x).
#include <bit>
#include <cmath>
#include <cstring>

#include <fmt/format.h>

#include "runtime/core/error.hpp"
#include "runtime/kernels/onednn/node_kernels.hpp"

namespace trireme::onednn {
namespace {

/// exp(x) for x <= 0 within 2 units in the last place, in operations that vectorise: x = n ln 2 + r with
/// |r| <= ln 2 / 2, and the Taylor polynomial of degree 7 in r (its remainder is below 6e-9). Below the
/// smallest normal number the result is that number; NaN stays NaN.
inline float exp_of_nonpositive(float x) {
    constexpr float lowest = -87.33F;
    constexpr float log2_e = 1.44269504F;
    // ln 2 in two parts, the first with few bits, so that n times it is exact.
    constexpr float ln2_high = 0.693359375F;
    constexpr float ln2_low = -2.12194440e-4F;
    const float clamped = x < lowest ? lowest : x;
    const float countable = clamped == clamped ? clamped : 0.0F;
    const auto n = static_cast<std::int32_t>(countable * log2_e - 0.5F);
    const auto nf = static_cast<float>(n);
    const float r = (clamped - nf * ln2_high) - nf * ln2_low;
    float p = 1.0F / 5040;
    p = p * r + 1.0F / 720;
    p = p * r + 1.0F / 120;
    p = p * r + 1.0F / 24;
    p = p * r + 1.0F / 6;
    p = p * r + 0.5F;
    p = p * r + 1.0F;
    p = p * r + 1.0F;
    return p * std::bit_cast<float>((n + 127) << 23);
}

float largest_of(const float* x, std::int64_t n) {
    float largest = x[0];
#pragma omp simd reduction(max : largest)
    for (std::int64_t i = 1; i < n; ++i) largest = x[i] > largest ? x[i] : largest;
    return largest;
}

float sum_of_exp(const float* x, std::int64_t n, float largest) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (std::int64_t i = 0; i < n; ++i) sum += exp_of_nonpositive(x[i] - largest);
    return sum;
}

/// Sum of `largest` - x, which is what smoothing averages: small where the logits are large but alike.
float sum_below(const float* x, std::int64_t n, float largest) {
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
          workers_(workers_for(rows_ * classes_, rows_, values_per_worker)) {
        description_ = "loop:fp32";
        needs_.backward_reads_input = training();
    }

    void forward(Stream&, const KernelBuffers& b) override {
        check_labels(b.inputs[1]);
        const auto* logits = reinterpret_cast<const float*>(b.inputs[0]);
        auto* loss = reinterpret_cast<float*>(b.output);
        cpu::parallel_ranges(workers_, rows_, [&](int, std::int64_t begin, std::int64_t end) {
            for (std::int64_t row = begin; row < end; ++row) {
                const float* x = logits + row * classes_;
                const float largest = largest_of(x, classes_);
                const float sum = sum_of_exp(x, classes_, largest);
                loss[row] = std::log(sum) + below_largest(x, label(b.inputs[1], row), largest);
            }
        });
    }

    void backward_input(Stream&, const KernelBuffers& b) override {
        const auto* logits = reinterpret_cast<const float*>(b.inputs[0]);
        auto* gradient = reinterpret_cast<float*>(b.d_inputs[0]);
        cpu::parallel_ranges(workers_, rows_, [&](int, std::int64_t begin, std::int64_t end) {
            for (std::int64_t row = begin; row < end; ++row) {
                write_gradient(logits + row * classes_, label(b.inputs[1], row), gradient + row * classes_);
            }
        });
    }

  private:
    static constexpr std::int64_t values_per_worker = 8 * 1024;

    static std::int32_t label(const std::byte* labels, std::int64_t row) {
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
                what("forward"), row, value, classes_, classes_ - 1));
        }
    }

    /// How far the target's logit lies below the largest one; smoothed, the mean over the target's classes.
    [[nodiscard]] float below_largest(const float* x, std::int64_t label, float largest) const {
        const float below = largest - x[label];
        if (smoothing_ == 0) return below;
        return at_label_ * below +
               smoothing_ * (sum_below(x, classes_, largest) / static_cast<float>(classes_));
    }

    void write_gradient(const float* x, std::int64_t label, float* gradient) const {
        const float largest = largest_of(x, classes_);
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (std::int64_t i = 0; i < classes_; ++i) {
            gradient[i] = exp_of_nonpositive(x[i] - largest);
            sum += gradient[i];
        }
        const float scale = 1.0F / sum;
        const float everywhere = smoothing_ / static_cast<float>(classes_);
#pragma omp simd
        for (std::int64_t i = 0; i < classes_; ++i) gradient[i] = gradient[i] * scale - everywhere;
        gradient[label] -= at_label_;
    }

    float smoothing_;
    float at_label_;  ///< 1 - smoothing
    std::int64_t classes_;
    std::int64_t rows_;
    int workers_;
};

}  // namespace

std::unique_ptr<NodeKernels> make_kernels(const layers::SoftmaxCrossEntropy& op, const NodeView& view) {
    return std::make_unique<SoftmaxCrossEntropyKernels>(op, view);
}

}  // namespace trireme::onednn
