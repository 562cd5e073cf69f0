// Which ways gradients may take between devices, from what ranks have found, and what is said about it.
#include "runtime/plan/sum_path.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/core/error.hpp"
#include "tests/support/said.hpp"

namespace trireme {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// Ranks of one host that have everything.
std::vector<SumFacts> well_off(int ranks) {
    std::vector<SumFacts> all;
    for (int r = 0; r < ranks; ++r)
        all.push_back({"n1", "GPU-" + std::to_string(r), true, true, "NCCL 2.28.9", "", ""});
    return all;
}

std::string refusal(const std::vector<SumFacts>& ranks, SumPath path, const SumWishes& wishes = {}) {
    for (const SumCandidate& candidate : sum_candidates(ranks, wishes)) {
        if (candidate.path == path) return candidate.refusal;
    }
    return "no such candidate";
}

TEST(SumPath, AllAreThereForThoseWhoHaveEverything) {
    const auto candidates = sum_candidates(well_off(4), {});
    EXPECT_THAT(sum_choices(candidates, SumPath::automatic),
                ElementsAre(SumPath::staged, SumPath::ipc, SumPath::nccl));
    for (const SumPath path : {SumPath::staged, SumPath::ipc, SumPath::mpi, SumPath::nccl})
        EXPECT_THAT(sum_choices(sum_candidates(well_off(4), {path}), path), ElementsAre(path));
}

TEST(SumPath, ThroughTheHostGoesAlways) {
    std::vector<SumFacts> bare(2);
    for (SumFacts& rank : bare) rank.library_refusal = "none";
    EXPECT_THAT(sum_choices(sum_candidates(bare, {}), SumPath::automatic), ElementsAre(SumPath::staged));
}

TEST(SumPath, PeersAreOnOneHostAndReachEachOther) {
    std::vector<SumFacts> ranks = well_off(3);
    ranks[2].host = "n2";
    EXPECT_EQ(refusal(ranks, SumPath::ipc), "the ranks are on 2 hosts");
    ranks = well_off(3);
    ranks[1].shares_memory = false;
    EXPECT_EQ(refusal(ranks, SumPath::ipc), "memory of the device of rank 1 (host n1) cannot be shared");
    ranks = well_off(3);
    ranks[1].map_refusal = "it does not reach the device of rank 0: no peer access";
    EXPECT_EQ(refusal(ranks, SumPath::ipc), "rank 1: it does not reach the device of rank 0: no peer access");
    EXPECT_EQ(refusal(ranks, SumPath::mpi, {SumPath::mpi}), "");
}

/// A library that is CUDA-aware in name alone ends the process.
TEST(SumPath, TheMessageLibraryIsTriedWhereNothingElseIsOrWhereItIsPinned) {
    std::vector<SumFacts> ranks = well_off(2);
    EXPECT_THAT(refusal(ranks, SumPath::mpi), HasSubstr("other ways do without it"));
    ranks[1].host = "n2";
    EXPECT_THAT(refusal(ranks, SumPath::mpi), HasSubstr("other ways do without it"));
    EXPECT_EQ(refusal(ranks, SumPath::mpi, {.canonical = true}), "");
}

TEST(SumPath, TheMessageLibraryTakesDeviceMemoryOnAllRanks) {
    std::vector<SumFacts> ranks = well_off(3);
    ranks[2].mpi_carries = false;
    EXPECT_EQ(refusal(ranks, SumPath::mpi), "the MPI library of rank 2 (host n1) is not CUDA-aware");
}

TEST(SumPath, TheLibraryIsTheSameEverywhereWithAGpuForEachRank) {
    std::vector<SumFacts> ranks = well_off(2);
    ranks[1].library.clear();
    ranks[1].library_refusal = "no libnccl.so.2 opens";
    EXPECT_EQ(refusal(ranks, SumPath::nccl), "no libnccl.so.2 opens");
    ranks = well_off(2);
    ranks[1].library = "NCCL 2.27.0";
    EXPECT_EQ(refusal(ranks, SumPath::nccl), "ranks have NCCL 2.28.9 and NCCL 2.27.0");
    ranks = well_off(2);
    ranks[1].device = ranks[0].device;
    EXPECT_THAT(refusal(ranks, SumPath::nccl), HasSubstr("share a GPU"));
    EXPECT_EQ(refusal(ranks, SumPath::ipc), "");
}

TEST(SumPath, CanonicalJobsAndPinnedAlgorithmsAreSummedByComm) {
    EXPECT_THAT(refusal(well_off(2), SumPath::nccl, {.canonical = true}), HasSubstr("canonical"));
    EXPECT_THAT(refusal(well_off(2), SumPath::nccl, {.algorithm_pinned = true}),
                HasSubstr("parallel.algorithm"));
    for (const SumPath path : {SumPath::staged, SumPath::ipc, SumPath::mpi}) {
        EXPECT_EQ(refusal(well_off(2), path, {.path = path, .canonical = true, .algorithm_pinned = true}),
                  "");
    }
}

TEST(SumPath, APinnedOneThatIsMissingIsAnErrorWithTheReason) {
    std::vector<SumFacts> ranks = well_off(2);
    ranks[0].mpi_carries = false;
    const auto candidates = sum_candidates(ranks, {SumPath::mpi});
    EXPECT_THAT(test::message_of<DeviceError>([&] { (void)sum_choices(candidates, SumPath::mpi); }),
                AllOf(HasSubstr("parallel.algorithm = mpi"), HasSubstr("rank 0 (host n1) is not CUDA-aware"),
                      HasSubstr("Remove the key")));
}

TEST(SumPath, NamesAreThoseOfTheKey) {
    for (const SumPath path : {SumPath::staged, SumPath::ipc, SumPath::mpi, SumPath::nccl})
        EXPECT_EQ(sum_path_of(name_of(path)), path);
    for (const char* other : {"auto", "automatic", "ring", ""}) EXPECT_EQ(sum_path_of(other), std::nullopt);
    EXPECT_EQ(refusal_of_host_path(SumPath::automatic, "cpu"), "");
    EXPECT_THAT(
        refusal_of_host_path(SumPath::ipc, "cpu"),
        AllOf(HasSubstr("parallel.algorithm = ipc"), HasSubstr("runs on cpu"), HasSubstr("remove the key")));
}

TEST(SumPath, TheQuickestIsTakenAndToldInOneLine) {
    std::vector<SumFacts> ranks = well_off(2);
    ranks[0].library.clear();
    ranks[0].library_refusal = "no libnccl.so.2 opens";
    const auto candidates = sum_candidates(ranks, {});
    const std::vector<MeasuredPath> measured{{SumPath::staged, 0.0123}, {SumPath::ipc, 0.0004}};
    EXPECT_EQ(quickest(measured).path, SumPath::ipc);
    EXPECT_EQ(
        sums_text(measured, candidates, SumPath::automatic, Bytes(25 << 20)),
        "gradients between devices: ipc (a sum of 25.0 MiB: staged 12.30 ms, ipc 0.40 ms); not mpi: other "
        "ways do without it, and only its first message shows whether it works; pin it to try it; not nccl: "
        "no libnccl.so.2 opens");
    EXPECT_EQ(sums_text({&measured[1], 1}, candidates, SumPath::ipc, Bytes(25 << 20)),
              "gradients between devices: ipc, pinned");
}

}  // namespace
}  // namespace trireme
