// Rounding up to where buffers begin: what memory plans and layouts have in common.
#include "runtime/core/alignment.hpp"

#include <gtest/gtest.h>

namespace trireme {
namespace {

TEST(Alignment, RoundsUpToWholeUnits) {
    EXPECT_EQ(round_up(0, 64), 0);
    EXPECT_EQ(round_up(1, 64), 64);
    EXPECT_EQ(round_up(64, 64), 64);
    EXPECT_EQ(round_up(65, 64), 128);
    EXPECT_EQ(round_up(4097, 4096), 8192);
}

TEST(Alignment, BytesAndElementsAgree) {
    for (std::int64_t count = 0; count < 200; ++count) {
        for (const DType type : {DType::u8, DType::bf16, DType::f32, DType::f64}) {
            EXPECT_EQ(bytes_of(aligned(Elements(count), type), type),
                      aligned(bytes_of(Elements(count), type)));
        }
    }
    EXPECT_EQ(aligned(Elements(17), DType::f32), Elements(32));
}

}  // namespace
}  // namespace trireme
