// Hashes of all ranks' parameters: who is named, and that ranks which are right end with the word of one that
// is wrong.
#include "jobs/replica_check.hpp"

#include <bit>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/available_backends.hpp"
#include "runtime/core/error.hpp"
#include "tests/multirank/ranks.hpp"
#include "tests/support/tiny_graphs.hpp"

namespace trireme::jobs {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(ReplicaVerdictTest, EqualHashesAccuseNobody) {
    EXPECT_THAT(judge_replicas({"a"}).suspects, IsEmpty());
    EXPECT_THAT(judge_replicas({"a", "a", "a"}).suspects, IsEmpty());
    EXPECT_EQ(judge_replicas({"a", "a", "a"}).text, "");
}

TEST(ReplicaVerdictTest, TheMinorityIsNamed) {
    const ReplicaVerdict one = judge_replicas({"aa", "bb", "aa"});
    EXPECT_TRUE(one.majority);
    EXPECT_THAT(one.suspects, ElementsAre(1));
    EXPECT_EQ(one.text, "rank 1 has bb; ranks 0, 2 have aa");
    const ReplicaVerdict two = judge_replicas({"cc", "aa", "aa", "aa", "bb"});
    EXPECT_TRUE(two.majority);
    EXPECT_THAT(two.suspects, ElementsAre(0, 4));
}

TEST(ReplicaVerdictTest, WithoutAMajorityAllAreNamed) {
    for (const std::vector<std::string>& hashes :
         {std::vector<std::string>{"aa", "bb"}, {"aa", "bb", "aa", "bb"}, {"aa", "aa", "bb", "cc"}}) {
        const ReplicaVerdict verdict = judge_replicas(hashes);
        EXPECT_FALSE(verdict.majority);
        EXPECT_EQ(verdict.suspects.size(), hashes.size());
    }
    EXPECT_EQ(judge_replicas({"aa", "bb"}).text, "rank 0 has aa; rank 1 has bb");
}

/// Ranks with parameters of one seed; `spoil` may change those of a rank.
std::vector<comm::Ending> compared(int ranks, const std::function<void(int, ModelState&)>& spoil) {
    comm::World world = comm::in_process_world(ranks, comm::quick_options());
    return comm::run_ranks(world, [&](comm::Communicator& comm) {
        const layers::ModelGraph graph = test::tiny_convnet_fused();
        const GradBuckets buckets(graph, Bytes(2048));
        const Backend backend = make_backend("reference", 1);
        ModelState state(graph, buckets, OptimizerSpec{}, *backend.device);
        state.initialise(3);
        spoil(comm.rank(), state);
        try {
            check_replicas(state, 10, comm, comm::late());
        } catch (const IntegrityError& error) {
            comm::Verdict verdict;
            verdict.error_class = error.error_class();
            verdict.kind = "ERROR";
            verdict.rank = comm.rank();
            verdict.reason = error.what();
            (void)comm.announce_failure(verdict);
            throw;
        }
        comm.finish(comm::late());
    });
}

void flip_lowest_bit(std::span<float> values) {
    values.back() = std::bit_cast<float>(std::bit_cast<std::uint32_t>(values.back()) ^ 1U);
}

TEST(ReplicaCheck, EqualParametersPass) {
    for (const comm::Ending& ending : compared(3, [](int, ModelState&) {})) {
        EXPECT_EQ(ending.other_error, "");
        EXPECT_FALSE(ending.verdict);
    }
}

TEST(ReplicaCheck, OneBitOfAnyParameterIsSeen) {
    const std::size_t params = test::tiny_convnet_fused().params().size();
    for (std::size_t p = 0; p < params; ++p) {
        const auto endings = compared(3, [&](int rank, ModelState& state) {
            if (rank == 1) flip_lowest_bit(state.param(static_cast<layers::ParamId>(p)));
        });
        EXPECT_THAT(endings[1].other_error, HasSubstr("rank 1 differs from the majority: rank 1 has"));
        EXPECT_THAT(endings[1].other_error, HasSubstr("after step 10"));
        for (const std::size_t right : {0U, 2U}) {
            ASSERT_TRUE(endings[right].verdict) << "parameter " << p;
            EXPECT_EQ(endings[right].verdict->rank, 1);
            EXPECT_EQ(endings[right].verdict->error_class, ErrorClass::integrity);
        }
    }
}

TEST(ReplicaCheck, OfTwoRanksBothAreNamed) {
    const auto endings = compared(2, [](int rank, ModelState& state) {
        if (rank == 1) flip_lowest_bit(state.param(0));
    });
    for (const comm::Ending& ending : endings) {
        EXPECT_THAT(ending.other_error, HasSubstr("no majority tells which are right: rank 0 has"));
        EXPECT_THAT(ending.other_error, HasSubstr("; rank 1 has"));
    }
}

}  // namespace
}  // namespace trireme::jobs
