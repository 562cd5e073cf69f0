#include "runtime/exec/sum_proof.hpp"

#include <gtest/gtest.h>

namespace trireme {
namespace {

TEST(KnownNumbers, AddUpToTheirSum) {
    const std::vector<std::int64_t> operands{3, 0, 1, 2};
    const KnownNumbers numbers(operands, 7);
    for (std::int64_t element = 0; element < 5000; ++element) {
        float sum = 0;
        for (int rank = 0; rank < 4; ++rank) {
            for (std::int64_t slot = 0; slot < operands[static_cast<std::size_t>(rank)]; ++slot)
                sum += numbers.of(rank, slot, element);
        }
        ASSERT_EQ(sum, numbers.sum(element)) << element;
    }
}

/// What is missing, exchanged, or left from another proof must not pass.
TEST(KnownNumbers, DifferByRankSlotElementAndProof) {
    const KnownNumbers numbers({2, 2}, 1);
    const KnownNumbers others({2, 2}, 2);
    constexpr std::int64_t elements = 4096;
    std::int64_t same_rank = 0, same_slot = 0, same_element = 0, same_proof = 0;
    for (std::int64_t i = 0; i < elements; ++i) {
        same_rank += numbers.of(0, 0, i) == numbers.of(1, 0, i);
        same_slot += numbers.of(0, 0, i) == numbers.of(0, 1, i);
        same_element += numbers.of(0, 0, i) == numbers.of(0, 0, i + 1);
        same_proof += numbers.of(0, 0, i) == others.of(0, 0, i);
    }
    for (const std::int64_t same : {same_rank, same_slot, same_element, same_proof})
        EXPECT_LT(same, elements / 20);
}

}  // namespace
}  // namespace trireme
