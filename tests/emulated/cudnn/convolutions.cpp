// Convolutions as products: the taps of a block of places, side by side, are one operand. Images lie NHWC,
// filters KRSC while they are computed.
#include <algorithm>

#include "tests/emulated/cudnn/compute.hpp"
#include "tests/emulated/cudnn/products.hpp"

namespace trireme::emulated::dnn {
namespace {

constexpr std::array<std::size_t, 4> channels_last{0, 2, 3, 1};

class Geometry {
  public:
    explicit Geometry(const Convolution& c) : c_(c) {}

    [[nodiscard]] std::int64_t groups() const { return c_.groups(); }
    [[nodiscard]] std::int64_t channels() const { return c_.x->dims[1]; }
    [[nodiscard]] std::int64_t filters() const { return c_.w->dims[0]; }
    [[nodiscard]] std::int64_t channels_of_group() const { return c_.w->dims[1]; }
    [[nodiscard]] std::int64_t filters_of_group() const { return filters() / groups(); }
    /// Numbers of one filter.
    [[nodiscard]] std::int64_t taps() const { return channels_of_group() * c_.w->dims[2] * c_.w->dims[3]; }
    [[nodiscard]] std::int64_t places() const { return c_.y->dims[0] * c_.y->dims[2] * c_.y->dims[3]; }
    /// Of one block: their taps stay in a cache.
    [[nodiscard]] std::int64_t block() const {
        constexpr std::int64_t numbers = 64 << 10;
        return std::clamp<std::int64_t>(numbers / taps(), 16, 1024);
    }

    /// f(first number among a place's taps, the same channels in the image) for each tap of the places of a
    /// block that lies in the image.
    template <class F>
    void for_each_tap(std::int64_t first, std::int64_t count, std::int64_t group, const F& f) const {
        const Axes& x = c_.x->dims;
        const Axes& w = c_.w->dims;
        const Axes& y = c_.y->dims;
        for (std::int64_t i = 0; i < count; ++i) {
            const std::int64_t place = first + i;
            const std::int64_t n = place / (y[2] * y[3]);
            const std::int64_t top = place / y[3] % y[2] * c_.at.stride[0] - c_.at.before[0];
            const std::int64_t left = place % y[3] * c_.at.stride[1] - c_.at.before[1];
            for (std::int64_t r = 0; r < w[2]; ++r) {
                const std::int64_t row = top + r * c_.at.dilation[0];
                if (row < 0 || row >= x[2]) continue;
                for (std::int64_t s = 0; s < w[3]; ++s) {
                    const std::int64_t column = left + s * c_.at.dilation[1];
                    if (column < 0 || column >= x[3]) continue;
                    f(i * taps() + (r * w[3] + s) * w[1],
                      ((n * x[2] + row) * x[3] + column) * x[1] + group * w[1]);
                }
            }
        }
    }

  private:
    const Convolution& c_;
};

/// Runs over blocks of places, group by group.
template <class F>
void for_each_block(const Geometry& g, const F& f) {
    for (std::int64_t first = 0; first < g.places(); first += g.block())
        for (std::int64_t group = 0; group < g.groups(); ++group)
            f(first, std::min(g.block(), g.places() - first), group);
}

void gather(const Geometry& g, const Values& x, std::int64_t first, std::int64_t count, std::int64_t group,
            std::vector<float>& taps) {
    taps.assign(static_cast<std::size_t>(count * g.taps()), 0.0F);
    g.for_each_tap(first, count, group, [&](std::int64_t to, std::int64_t from) {
        std::copy_n(x.data.data() + from, g.channels_of_group(), taps.data() + to);
    });
}

Values forward(const Geometry& g, const Values& x, const Values& w, Values y) {
    std::vector<float> taps;
    for_each_block(g, [&](std::int64_t first, std::int64_t count, std::int64_t group) {
        gather(g, x, first, count, group, taps);
        const std::int64_t filter = group * g.filters_of_group();
        add_product(count, g.filters_of_group(), g.taps(), {taps.data(), g.taps(), 1},
                    {w.data.data() + filter * g.taps(), 1, g.taps()},
                    y.data.data() + first * g.filters() + filter, g.filters());
    });
    return y;
}

Values data_gradient(const Geometry& g, const Values& dy, const Values& w, Values dx) {
    std::vector<float> taps;
    for_each_block(g, [&](std::int64_t first, std::int64_t count, std::int64_t group) {
        taps.assign(static_cast<std::size_t>(count * g.taps()), 0.0F);
        const std::int64_t filter = group * g.filters_of_group();
        add_product(count, g.taps(), g.filters_of_group(),
                    {dy.data.data() + first * g.filters() + filter, g.filters(), 1},
                    {w.data.data() + filter * g.taps(), g.taps(), 1}, taps.data(), g.taps());
        g.for_each_tap(first, count, group, [&](std::int64_t from, std::int64_t to) {
            for (std::int64_t i = 0; i < g.channels_of_group(); ++i)
                dx.data[static_cast<std::size_t>(to + i)] += taps[static_cast<std::size_t>(from + i)];
        });
    });
    return dx;
}

Values filter_gradient(const Geometry& g, const Values& x, const Values& dy, Values dw) {
    std::vector<float> taps;
    for_each_block(g, [&](std::int64_t first, std::int64_t count, std::int64_t group) {
        gather(g, x, first, count, group, taps);
        const std::int64_t filter = group * g.filters_of_group();
        add_product(g.filters_of_group(), g.taps(), count,
                    {dy.data.data() + first * g.filters() + filter, 1, g.filters()},
                    {taps.data(), g.taps(), 1}, dw.data.data() + filter * g.taps(), g.taps());
    });
    return dw;
}

/// A product reads both operands in one type: a value between two operations in that of the other operand.
void match_types(const Tensor& mine, const Tensor& other, Values& values) {
    if (mine.is_virtual && mine.type == CUDNN_DATA_FLOAT && is_16_bit(other.type))
        round_to(values, other.type);
}

Values operand(const Values& values, const Tensor& mine, const Tensor& other, const Precision& precision) {
    Values made = reordered(values, channels_last);
    match_types(mine, other, made);
    precision.of_operand(made);
    return made;
}

}  // namespace

Values compute(const Convolution& c, const Values* x, const Values* w, const Values* y, const Values* before,
               const Precision& precision) {
    const Geometry g(c);
    const auto taken = [&](const Values* values, const TensorPtr& mine, const TensorPtr& other) {
        return operand(*values, *mine, *other, precision);
    };
    Values result = zeros(c.result()->dims, channels_last);
    switch (c.pass) {
        case Convolution::Pass::forward:
            result = forward(g, taken(x, c.x, c.w), taken(w, c.w, c.x), std::move(result));
            break;
        case Convolution::Pass::data:
            result = data_gradient(g, taken(y, c.y, c.w), taken(w, c.w, c.y), std::move(result));
            break;
        case Convolution::Pass::filter:
            result = filter_gradient(g, taken(x, c.x, c.y), taken(y, c.y, c.x), std::move(result));
            break;
    }
    precision.of_sums(result);
    if (c.alpha != 1) {
        for (float& value : result.data) value *= c.alpha;
    }
    if (before != nullptr) {
        const Values held = reordered(*before, channels_last);
        for (std::size_t i = 0; i < result.data.size(); ++i) result.data[i] += c.beta * held.data[i];
    }
    return result;
}

}  // namespace trireme::emulated::dnn
