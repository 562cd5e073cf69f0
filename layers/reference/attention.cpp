#include <cmath>

#include "layers/reference/kernels.hpp"

namespace trireme::layers::reference {
namespace {

/// One head of one sample: where its queries, keys and values begin in the input, its part of the output, and
/// how far it is from a position to the next.
struct Head {
    Head(const CausalSelfAttention& op, const Extents& e, std::size_t sample, std::size_t head)
        : positions(static_cast<std::size_t>(e.output[0])),
          channels(static_cast<std::size_t>(e.output[1])),
          width(channels / static_cast<std::size_t>(op.heads)),
          in(sample * positions * 3 * channels + head * width),
          out(sample * positions * channels + head * width) {}

    [[nodiscard]] std::size_t query(std::size_t t) const { return in + t * 3 * channels; }
    [[nodiscard]] std::size_t key(std::size_t t) const { return query(t) + channels; }
    [[nodiscard]] std::size_t value(std::size_t t) const { return query(t) + 2 * channels; }
    [[nodiscard]] std::size_t output(std::size_t t) const { return out + t * channels; }
    [[nodiscard]] double scale() const { return 1 / std::sqrt(static_cast<double>(width)); }

    std::size_t positions;
    std::size_t channels;
    std::size_t width;
    std::size_t in;
    std::size_t out;
};

double dot(std::span<const double> a, std::size_t at_a, std::span<const double> b, std::size_t at_b,
           std::size_t n) {
    double sum = 0;
    for (std::size_t i = 0; i < n; ++i) sum += a[at_a + i] * b[at_b + i];
    return sum;
}

/// What position t gives to positions 0 to t: a softmax.
std::vector<double> weights_of(const Head& head, std::span<const double> x, std::size_t t) {
    std::vector<double> weights;
    for (std::size_t s = 0; s <= t; ++s)
        weights.push_back(head.scale() * dot(x, head.query(t), x, head.key(s), head.width));
    const double largest = *std::max_element(weights.begin(), weights.end());
    double sum = 0;
    for (double& w : weights) {
        w = std::exp(w - largest);
        sum += w;
    }
    for (double& w : weights) w /= sum;
    return weights;
}

void attend(const Head& head, std::span<const double> x, std::span<double> y) {
    for (std::size_t t = 0; t < head.positions; ++t) {
        const std::vector<double> weights = weights_of(head, x, t);
        for (std::size_t i = 0; i < head.width; ++i) {
            double sum = 0;
            for (std::size_t s = 0; s <= t; ++s) sum += weights[s] * x[head.value(s) + i];
            y[head.output(t) + i] = sum;
        }
    }
}

/// d_score = weight (d_weight - sum of weight d_weight), the derivative of a softmax.
void attend_back(const Head& head, std::span<const double> x, std::span<const double> dy,
                 std::span<double> dx) {
    for (std::size_t t = 0; t < head.positions; ++t) {
        const std::vector<double> weights = weights_of(head, x, t);
        std::vector<double> d_weights;
        double taken = 0;
        for (std::size_t s = 0; s <= t; ++s) {
            d_weights.push_back(dot(dy, head.output(t), x, head.value(s), head.width));
            taken += weights[s] * d_weights[s];
        }
        for (std::size_t s = 0; s <= t; ++s) {
            const double d_score = head.scale() * weights[s] * (d_weights[s] - taken);
            for (std::size_t i = 0; i < head.width; ++i) {
                dx[head.query(t) + i] += d_score * x[head.key(s) + i];
                dx[head.key(s) + i] += d_score * x[head.query(t) + i];
                dx[head.value(s) + i] += weights[s] * dy[head.output(t) + i];
            }
        }
    }
}

template <class F>
void for_each_head(const CausalSelfAttention& op, const Extents& e, const F& f) {
    for (std::size_t n = 0; n < static_cast<std::size_t>(e.batch); ++n) {
        for (std::size_t h = 0; h < static_cast<std::size_t>(op.heads); ++h) f(Head(op, e, n, h));
    }
}

}  // namespace

void run(const CausalSelfAttention& op, const Extents& e, const ForwardIo& io) {
    for_each_head(op, e, [&](const Head& head) { attend(head, io.inputs[0], io.output); });
}

void run_back(const CausalSelfAttention& op, const Extents& e, const BackwardIo& io) {
    const std::span<double> d_input = wanted(io.d_inputs, 0);
    if (d_input.empty()) return;
    std::fill(d_input.begin(), d_input.end(), 0.0);
    for_each_head(op, e, [&](const Head& head) { attend_back(head, io.inputs[0], io.d_output, d_input); });
}

}  // namespace trireme::layers::reference
