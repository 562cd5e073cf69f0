#include "runtime/core/float16.hpp"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

namespace trireme {
namespace {

float rounded_to_f16(float value) { return float_of_f16(f16_of_float(value)); }

/// The value of a pattern of bits, from IEEE's definition.
double meaning(std::uint32_t bits) {
    const double sign = (bits & 0x8000U) != 0 ? -1 : 1;
    const int exponent = static_cast<int>(bits >> 10 & 0x1fU);
    const double fraction = bits & 0x3ffU;
    if (exponent == 31) {
        return fraction == 0 ? sign * std::numeric_limits<double>::infinity()
                             : std::numeric_limits<double>::quiet_NaN();
    }
    return sign * (exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25));
}

TEST(Float16, ReadsAndKeepsAllValues) {
    for (std::uint32_t bits = 0; bits < 0x10000U; ++bits) {
        const auto half = static_cast<std::uint16_t>(bits);
        const double value = meaning(bits);
        if (std::isnan(value)) {
            ASSERT_TRUE(std::isnan(float_of_f16(half))) << bits;
            ASSERT_TRUE(std::isnan(rounded_to_f16(float_of_f16(half)))) << bits;
            continue;
        }
        ASSERT_EQ(static_cast<double>(float_of_f16(half)), value) << bits;
        ASSERT_EQ(f16_of_float(float_of_f16(half)), half) << bits;
    }
}

/// Between each two neighbours: just below the middle, the middle, just above it.
TEST(Float16, RoundsToTheNearestTiesToEven) {
    for (std::uint32_t bits = 0; bits < 0x7bffU; ++bits) {
        const auto middle = static_cast<float>((meaning(bits) + meaning(bits + 1)) / 2);
        const auto even = static_cast<std::uint16_t>(bits + (bits & 1U));
        ASSERT_EQ(f16_of_float(middle), even) << bits;
        ASSERT_EQ(f16_of_float(std::nextafter(middle, 0.0F)), bits) << bits;
        ASSERT_EQ(f16_of_float(std::nextafter(middle, 1e6F)), bits + 1) << bits;
        ASSERT_EQ(f16_of_float(-middle), even | 0x8000U) << bits;
    }
}

TEST(Float16, HasTheRangeOfAHalf) {
    EXPECT_EQ(rounded_to_f16(65519.0F), 65504.0F);
    EXPECT_EQ(rounded_to_f16(65520.0F), std::numeric_limits<float>::infinity());  // the middle to 65536
    EXPECT_EQ(rounded_to_f16(-1e30F), -std::numeric_limits<float>::infinity());
    EXPECT_EQ(rounded_to_f16(0x1p-25F), 0.0F);
    EXPECT_TRUE(std::signbit(rounded_to_f16(-0.0F)));
    EXPECT_EQ(rounded_to_f16(std::numeric_limits<float>::denorm_min()), 0.0F);
    EXPECT_TRUE(std::isnan(rounded_to_f16(std::bit_cast<float>(0x7f80'0001U))));
}

}  // namespace
}  // namespace trireme
