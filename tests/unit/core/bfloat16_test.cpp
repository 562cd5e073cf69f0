#include "runtime/core/bfloat16.hpp"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

namespace trireme {
namespace {

float rounded(float value) { return float_of_bf16(bf16_of_float(value)); }

TEST(Bfloat16, KeepsWhatItCanHold) {
    for (std::uint32_t bits = 0; bits < 0x10000U; ++bits) {
        const auto half = static_cast<std::uint16_t>(bits);
        if (std::isnan(float_of_bf16(half))) continue;
        ASSERT_EQ(bf16_of_float(float_of_bf16(half)), half) << bits;
    }
}

TEST(Bfloat16, RoundsToTheNearestTiesToEven) {
    constexpr float ulp = 0x1p-7F;  // between 1 and 2
    EXPECT_EQ(rounded(1 + 0.49F * ulp), 1.0F);
    EXPECT_EQ(rounded(1 + 0.51F * ulp), 1 + ulp);
    EXPECT_EQ(rounded(1 + 0.5F * ulp), 1.0F);         // tie: the even one is below
    EXPECT_EQ(rounded(1 + 1.5F * ulp), 1 + 2 * ulp);  // tie: the even one is above
    EXPECT_EQ(rounded(-1 - 1.5F * ulp), -1 - 2 * ulp);
    EXPECT_EQ(rounded(std::numeric_limits<float>::max()), std::numeric_limits<float>::infinity());
}

TEST(Bfloat16, KeepsInfinityAndNan) {
    EXPECT_EQ(rounded(-std::numeric_limits<float>::infinity()), -std::numeric_limits<float>::infinity());
    EXPECT_TRUE(std::isnan(rounded(std::numeric_limits<float>::quiet_NaN())));
    // A NaN whose payload lies in the lower half alone must not become infinite.
    EXPECT_TRUE(std::isnan(rounded(std::bit_cast<float>(0x7f80'0001U))));
    EXPECT_TRUE(std::isnan(rounded(std::bit_cast<float>(0xffff'ffffU))));
}

}  // namespace
}  // namespace trireme
