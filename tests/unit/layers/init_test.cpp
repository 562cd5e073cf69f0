// Initial values: functions of (seed, name, element) alone, with the distribution that is asked for.
#include "layers/init.hpp"

#include <cmath>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "runtime/core/error.hpp"

namespace trireme::layers {
namespace {

ParamSpec spec_of(Init::Kind kind, double scale, std::int64_t elements = 1000) {
    return {"fc1.weight", {elements}, {kind, scale}};
}

std::vector<float> values_of(const ParamSpec& spec, std::uint64_t seed = 7) {
    std::vector<float> values(static_cast<std::size_t>(spec.shape.elements().value));
    initial_values(spec, seed, 0, values);
    return values;
}

class InitKinds : public testing::TestWithParam<Init::Kind> {};

TEST_P(InitKinds, DoNotDependOnHowAParameterIsSliced) {
    const ParamSpec spec = spec_of(GetParam(), 0.5);
    const std::vector<float> whole = values_of(spec);
    for (std::int64_t cut : {0, 1, 2, 3, 5, 499, 997, 1000}) {
        std::vector<float> slices(1000, -9);
        initial_values(spec, 7, 0, std::span(slices).first(static_cast<std::size_t>(cut)));
        initial_values(spec, 7, cut, std::span(slices).subspan(static_cast<std::size_t>(cut)));
        EXPECT_EQ(slices, whole) << cut;
    }
}

INSTANTIATE_TEST_SUITE_P(All, InitKinds,
                         testing::Values(Init::Kind::zeros, Init::Kind::ones, Init::Kind::uniform,
                                         Init::Kind::normal));

struct Moments {
    double mean = 0;
    double variance = 0;
    double least = 1e300;
    double most = -1e300;
};

Moments moments_of(const std::vector<float>& values) {
    Moments m;
    const auto n = static_cast<double>(values.size());
    for (float v : values) {
        m.mean += v / n;
        m.variance += static_cast<double>(v) * v / n;
        m.least = std::min<double>(m.least, v);
        m.most = std::max<double>(m.most, v);
    }
    m.variance -= m.mean * m.mean;
    return m;
}

TEST(Init, UniformHasItsMomentsAndBounds) {
    const Moments m = moments_of(values_of(spec_of(Init::Kind::uniform, 0.25, 100000)));
    EXPECT_NEAR(m.mean, 0, 0.002);
    EXPECT_NEAR(m.variance, 0.25 * 0.25 / 3, 0.0003);
    EXPECT_GE(m.least, -0.25);
    EXPECT_LT(m.most, 0.25);
    EXPECT_GT(m.most - m.least, 0.4999);
}

TEST(Init, NormalHasItsMomentsAndTails) {
    const std::vector<float> values = values_of(spec_of(Init::Kind::normal, 2, 100000));
    const Moments m = moments_of(values);
    EXPECT_NEAR(m.mean, 0, 0.03);
    EXPECT_NEAR(m.variance, 4, 0.1);
    const auto inside = std::count_if(values.begin(), values.end(), [](float v) { return std::abs(v) < 2; });
    EXPECT_NEAR(static_cast<double>(inside) / 100000, 0.6827, 0.01);
    // The two coordinates of a pair are apart.
    double product = 0;
    for (std::size_t i = 0; i + 1 < values.size(); i += 2)
        product += static_cast<double>(values[i]) * values[i + 1];
    EXPECT_NEAR(product / 50000, 0, 0.1);
}

TEST(Init, DependsOnSeedAndName) {
    const ParamSpec spec = spec_of(Init::Kind::uniform, 1);
    ParamSpec other = spec;
    other.name = "fc2.weight";
    EXPECT_NE(values_of(spec, 7), values_of(spec, 8));
    EXPECT_NE(values_of(spec, 7), values_of(other, 7));
    ParamSpec reshaped = spec;
    reshaped.shape = {10, 100};
    EXPECT_EQ(values_of(spec, 7), values_of(reshaped, 7));
}

/// Pinned: every checkpoint and every published figure starts from these.
TEST(Init, FirstValuesOfAKnownStream) {
    const std::vector<float> uniform = values_of(spec_of(Init::Kind::uniform, 1, 5), 42);
    const std::vector<float> normal = values_of(spec_of(Init::Kind::normal, 1, 5), 42);
    const std::vector<float> want_uniform{-0x1.e73bfcp-1f, 0x1.bcd04p-3f, -0x1.e7eb6p-4f, 0x1.09b368p-2f,
                                          0x1.3e75e8p-1f};
    const std::vector<float> want_normal{-2.53954196f, 0.997371614f, 0.610245228f, -0.215831906f,
                                         -1.3645339f};
    for (std::size_t i = 0; i < 5; ++i) {
        EXPECT_EQ(uniform[i], want_uniform[i]) << fmt::format("{:a}", uniform[i]);
        EXPECT_NEAR(normal[i], want_normal[i], 1e-6) << fmt::format("{:.9g}", normal[i]);
    }
}

TEST(Init, RefusesElementsOutsideTheParameter) {
    std::vector<float> values(2);
    EXPECT_THROW(initial_values(spec_of(Init::Kind::ones, 0, 3), 1, 2, values), InternalError);
    EXPECT_THROW(initial_values(spec_of(Init::Kind::ones, 0, 3), 1, -1, values), InternalError);
    EXPECT_NO_THROW(initial_values(spec_of(Init::Kind::ones, 0, 3), 1, 1, values));
}

}  // namespace
}  // namespace trireme::layers
