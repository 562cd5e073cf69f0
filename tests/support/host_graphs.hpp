// cuDNN's graphs as their definitions have them (rules/cudnn_graphs.hpp), evaluated on the CPU in fp64 on the
// very tensors that cuDNN would be given: extents, strides and element types of tensors_of. What the kernels
// around the graphs are tested against, with no GPU and no library.
#pragma once

#include <cmath>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "runtime/core/error.hpp"
#include "runtime/device/device.hpp"
#include "runtime/kernels/cuda/nodes/graph_kernels.hpp"
#include "tests/support/memory_values.hpp"

namespace trireme::test {

/// One tensor of a launch.
struct HostTensor {
    cudnn::GraphTensor is;
    const std::byte* memory;

    [[nodiscard]] std::int64_t at(std::int64_t a, std::int64_t b, std::int64_t c, std::int64_t d) const {
        return a * is.strides[0] + b * is.strides[1] + c * is.strides[2] + d * is.strides[3];
    }
    [[nodiscard]] double get(std::int64_t a, std::int64_t b, std::int64_t c, std::int64_t d) const {
        return value_at(memory, is.dtype, at(a, b, c, d));
    }
    void put(std::int64_t a, std::int64_t b, std::int64_t c, std::int64_t d, double value) const {
        ensure(is.written, "a graph writes only its results");
        set_value(const_cast<std::byte*>(memory), is.dtype, at(a, b, c, d), value);
    }
    /// f(a, b, c, d) for all elements.
    template <class F>
    void for_each(const F& f) const {
        for (std::int64_t a = 0; a < is.extents[0]; ++a)
            for (std::int64_t b = 0; b < is.extents[1]; ++b)
                for (std::int64_t c = 0; c < is.extents[2]; ++c)
                    for (std::int64_t d = 0; d < is.extents[3]; ++d) f(a, b, c, d);
    }
};

class HostGraphs {
  public:
    struct Plan {
        cudnn::GraphSpec spec;
        [[nodiscard]] static std::string name() { return {}; }
    };

    /// Which graphs there is a plan for; all by default.
    std::function<bool(const cudnn::GraphSpec&)> has = [](const cudnn::GraphSpec&) { return true; };

    [[nodiscard]] std::shared_ptr<Plan> plan(const cudnn::GraphSpec& spec) {
        if (!has(spec)) return nullptr;
        return std::make_shared<Plan>(Plan{spec});
    }
    [[nodiscard]] static std::string refusal() { return "the test has no plan for it"; }

    static void run(const Plan& plan, Stream&, const cudnn::Operands& operands, std::byte* workspace) {
        const std::vector<cudnn::GraphTensor> tensors = cudnn::tensors_of(plan.spec);
        ensure(operands.size() == tensors.size(), "a graph is given each of its tensors");
        // Whatever lies in the workspace is a plan's to write over.
        std::memset(workspace, 0xff, static_cast<std::size_t>(plan.spec.workspace));
        std::vector<HostTensor> t;
        for (std::size_t i = 0; i < tensors.size(); ++i) t.push_back({tensors[i], operands[i]});
        switch (plan.spec.kind) {
            case cudnn::GraphKind::conv_forward:
                return conv_forward(plan.spec, t);
            case cudnn::GraphKind::conv_input_gradient:
                return conv_input_gradient(plan.spec, t);
            case cudnn::GraphKind::conv_weight_gradient:
                return weight_gradient(plan.spec, t[0], t[1], t[2]);
            case cudnn::GraphKind::attention_forward:
                return attention_forward(plan.spec, t);
            case cudnn::GraphKind::attention_backward:
                return attention_backward(plan.spec, t);
            case cudnn::GraphKind::conv_statistics:
                return conv_statistics(plan.spec, t, t[0], t[1], 2);
            case cudnn::GraphKind::normalized_conv_statistics:
                return conv_statistics(plan.spec, t, normalized(t), t[3], 4);
            case cudnn::GraphKind::normalized_weight_gradient:
                return weight_gradient(plan.spec, normalized(t), t[3], t[4]);
            case cudnn::GraphKind::input_gradient_norm_sums:
                return input_gradient_norm_sums(plan.spec, t);
        }
    }

  private:
    using Tensors = std::vector<HostTensor>;

    /// f(o, n, y, x, group's channel i, ky, kx, input row, input column) for each term of the convolution.
    template <class F>
    static void for_each_term(const cudnn::ConvGeometry& g, const F& f) {
        for (std::int64_t o = 0; o < g.out_channels; ++o) {
            const std::int64_t first = o / (g.out_channels / g.groups) * g.channels_in_group();
            for (std::int64_t n = 0; n < g.batch; ++n)
                for (std::int64_t y = 0; y < g.output[0]; ++y)
                    for (std::int64_t x = 0; x < g.output[1]; ++x)
                        for (std::int64_t ky = 0; ky < g.kernel[0]; ++ky)
                            for (std::int64_t kx = 0; kx < g.kernel[1]; ++kx) {
                                const std::int64_t row = y * g.stride[0] - g.padding[0] + ky * g.dilation[0];
                                const std::int64_t column =
                                    x * g.stride[1] - g.padding[1] + kx * g.dilation[1];
                                if (row < 0 || row >= g.input[0] || column < 0 || column >= g.input[1])
                                    continue;
                                for (std::int64_t i = 0; i < g.channels_in_group(); ++i)
                                    f(o, n, y, x, i, first + i, ky, kx, row, column);
                            }
        }
    }

    /// Sums in fp64, an element of the tensor each, and rounded once at the end.
    class Sums {
      public:
        explicit Sums(const HostTensor& to) : to_(to) {
            std::int64_t elements = 1;
            for (const std::int64_t e : to.is.extents) elements *= e;
            values_.assign(static_cast<std::size_t>(elements), 0);
        }
        double& at(std::int64_t a, std::int64_t b, std::int64_t c, std::int64_t d) {
            const auto& e = to_.is.extents;
            return values_[static_cast<std::size_t>(((a * e[1] + b) * e[2] + c) * e[3] + d)];
        }
        void store() {
            to_.for_each([&](auto... index) { to_.put(index..., at(index...)); });
        }

      private:
        HostTensor to_;
        std::vector<double> values_;
    };

    /// y into `sums`.
    template <class Image>
    static void convolve(const cudnn::GraphSpec& spec, const Image& image, const HostTensor& w, Sums& sums) {
        for_each_term(spec.conv, [&](std::int64_t o, std::int64_t n, std::int64_t y, std::int64_t x,
                                     std::int64_t i, std::int64_t c, std::int64_t ky, std::int64_t kx,
                                     std::int64_t row, std::int64_t column) {
            sums.at(n, o, y, x) += image.get(n, c, row, column) * w.get(o, i, ky, kx);
        });
    }
    static void conv_forward(const cudnn::GraphSpec& spec, const Tensors& t) {
        Sums sums(t.back());
        convolve(spec, t[0], t[1], sums);
        t.back().for_each([&](std::int64_t n, std::int64_t o, std::int64_t y, std::int64_t x) {
            double& value = sums.at(n, o, y, x);
            if (spec.bias) value += t[2].get(0, o, 0, 0);
            if (spec.residual) value += t[spec.bias ? 3 : 2].get(n, o, y, x);
            if (spec.relu && value < 0) value = 0;
        });
        sums.store();
    }
    /// d_x into `sums`.
    static void input_gradient(const cudnn::GraphSpec& spec, const Tensors& t, Sums& sums) {
        for_each_term(spec.conv, [&](std::int64_t o, std::int64_t n, std::int64_t y, std::int64_t x,
                                     std::int64_t i, std::int64_t c, std::int64_t ky, std::int64_t kx,
                                     std::int64_t row, std::int64_t column) {
            sums.at(n, c, row, column) += t[0].get(n, o, y, x) * t[1].get(o, i, ky, kx);
        });
    }
    static void conv_input_gradient(const cudnn::GraphSpec& spec, const Tensors& t) {
        Sums sums(t[2]);
        input_gradient(spec, t, sums);
        sums.store();
    }
    template <class Image>
    static void weight_gradient(const cudnn::GraphSpec& spec, const Image& image, const HostTensor& d_y,
                                const HostTensor& d_w) {
        Sums sums(d_w);
        for_each_term(spec.conv, [&](std::int64_t o, std::int64_t n, std::int64_t y, std::int64_t x,
                                     std::int64_t i, std::int64_t c, std::int64_t ky, std::int64_t kx,
                                     std::int64_t row, std::int64_t column) {
            sums.at(o, i, ky, kx) += image.get(n, c, row, column) * d_y.get(n, o, y, x);
        });
        sums.store();
    }

    /// relu(scale x + shift), as the products read it: a value of the tensor's type.
    struct Normalized {
        HostTensor x;
        HostTensor scale;
        HostTensor shift;
        [[nodiscard]] double get(std::int64_t n, std::int64_t c, std::int64_t y, std::int64_t column) const {
            const double value = scale.get(0, c, 0, 0) * x.get(n, c, y, column) + shift.get(0, c, 0, 0);
            return rounded(value > 0 ? value : 0, x.is.dtype);
        }
    };
    static Normalized normalized(const Tensors& t) { return {t[0], t[1], t[2]}; }

    /// y, sum and squares stand in this order from `first` on. Sums are of what is stored.
    template <class Image>
    static void conv_statistics(const cudnn::GraphSpec& spec, const Tensors& t, const Image& image,
                                const HostTensor& w, std::size_t first) {
        const HostTensor& result = t[first];
        Sums products(result);
        convolve(spec, image, w, products);
        products.store();
        Sums sum(t[first + 1]);
        Sums squares(t[first + 2]);
        result.for_each([&](std::int64_t n, std::int64_t o, std::int64_t y, std::int64_t x) {
            const double value = result.get(n, o, y, x);
            sum.at(0, o, 0, 0) += value;
            squares.at(0, o, 0, 0) += value * value;
        });
        sum.store();
        squares.store();
    }

    /// Tensors: d_y, w, x, mean, deviation, scale, shift, d, d_scale, d_shift, from_d, from_x, constant.
    static void input_gradient_norm_sums(const cudnn::GraphSpec& spec, const Tensors& t) {
        Sums d(t[7]);
        input_gradient(spec, t, d);
        Sums d_scale(t[8]);
        Sums d_shift(t[9]);
        const auto of_channel = [&](std::size_t tensor, std::int64_t c) { return t[tensor].get(0, c, 0, 0); };
        t[7].for_each([&](std::int64_t n, std::int64_t c, std::int64_t y, std::int64_t x) {
            const double unit = (t[2].get(n, c, y, x) - of_channel(3, c)) * of_channel(4, c);
            double& gradient = d.at(n, c, y, x);
            if (!(unit * of_channel(5, c) + of_channel(6, c) > 0)) gradient = 0;
            d_scale.at(0, c, 0, 0) += gradient * unit;
            d_shift.at(0, c, 0, 0) += gradient;
        });
        for (Sums* sums : {&d, &d_scale, &d_shift}) sums->store();
        const auto values = static_cast<double>(spec.conv.inputs() / spec.conv.channels);
        for (std::int64_t c = 0; c < spec.conv.channels; ++c) {
            const double slope = of_channel(5, c) * of_channel(4, c);
            const double from_x = -slope * of_channel(4, c) * of_channel(8, c) / values;
            t[10].put(0, c, 0, 0, slope);
            t[11].put(0, c, 0, 0, from_x);
            t[12].put(0, c, 0, 0, -slope * of_channel(9, c) / values - from_x * of_channel(3, c));
        }
    }

    static double dot(const HostTensor& a, const HostTensor& b, std::int64_t n, std::int64_t h,
                      std::int64_t t, std::int64_t s) {
        double sum = 0;
        for (std::int64_t i = 0; i < a.is.extents[3]; ++i) sum += a.get(n, h, t, i) * b.get(n, h, s, i);
        return sum;
    }
    static double scale_of(const cudnn::GraphSpec& spec) {
        return 1 / std::sqrt(static_cast<double>(spec.attention.width));
    }

    static void attention_forward(const cudnn::GraphSpec& spec, const Tensors& t) {
        const cudnn::AttentionGeometry& g = spec.attention;
        Sums out(t[3]);
        for (std::int64_t n = 0; n < g.batch; ++n)
            for (std::int64_t h = 0; h < g.heads; ++h)
                for (std::int64_t q = 0; q < g.positions; ++q) {
                    double total = 0;
                    for (std::int64_t s = 0; s <= q; ++s)
                        total += std::exp(scale_of(spec) * dot(t[0], t[1], n, h, q, s));
                    for (std::int64_t s = 0; s <= q; ++s) {
                        const double weight = std::exp(scale_of(spec) * dot(t[0], t[1], n, h, q, s)) / total;
                        for (std::int64_t i = 0; i < g.width; ++i)
                            out.at(n, h, q, i) += weight * t[2].get(n, h, s, i);
                    }
                    if (spec.keeps) t[4].put(n, h, q, 0, std::log(total));
                }
        out.store();
    }

    static void attention_backward(const cudnn::GraphSpec& spec, const Tensors& t) {
        const cudnn::AttentionGeometry& g = spec.attention;
        Sums d_q(t[6]);
        Sums d_k(t[7]);
        Sums d_v(t[8]);
        for (std::int64_t n = 0; n < g.batch; ++n)
            for (std::int64_t h = 0; h < g.heads; ++h)
                for (std::int64_t q = 0; q < g.positions; ++q) {
                    const double taken = dot(t[3], t[4], n, h, q, q);
                    for (std::int64_t s = 0; s <= q; ++s) {
                        const double weight =
                            std::exp(scale_of(spec) * dot(t[0], t[1], n, h, q, s) - t[5].get(n, h, q, 0));
                        const double d_score = weight * (dot(t[4], t[2], n, h, q, s) - taken);
                        for (std::int64_t i = 0; i < g.width; ++i) {
                            d_q.at(n, h, q, i) += scale_of(spec) * d_score * t[1].get(n, h, s, i);
                            d_k.at(n, h, s, i) += scale_of(spec) * d_score * t[0].get(n, h, q, i);
                            d_v.at(n, h, s, i) += weight * t[4].get(n, h, q, i);
                        }
                    }
                }
        for (Sums* sums : {&d_q, &d_k, &d_v}) sums->store();
    }
};

}  // namespace trireme::test
