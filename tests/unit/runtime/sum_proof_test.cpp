#include "runtime/exec/sum_proof.hpp"

#include <set>
#include <vector>

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

/// What is missing, taken twice, or left from another proof must not pass.
TEST(KnownNumbers, DifferByOperandElementAndProof) {
    const KnownNumbers numbers(std::vector<std::int64_t>(32, 4), 2);
    const KnownNumbers later(std::vector<std::int64_t>(32, 4), 3);
    std::set<float> first;
    for (int rank = 0; rank < 32; ++rank) {
        for (std::int64_t slot = 0; slot < 4; ++slot) first.insert(numbers.of(rank, slot, 0));
    }
    EXPECT_EQ(first.size(), 128U) << "no two operands have the same";
    constexpr std::int64_t elements = 4096;
    std::int64_t same_element = 0;
    std::int64_t same_proof = 0;
    for (std::int64_t i = 0; i < elements; ++i) {
        same_element += numbers.of(0, 0, i) == numbers.of(0, 0, i + 1);
        same_proof += numbers.of(0, 0, i) == later.of(0, 0, i);
    }
    EXPECT_LT(same_element, elements / 20);
    EXPECT_LT(same_proof, elements / 20);
}

}  // namespace
}  // namespace trireme
