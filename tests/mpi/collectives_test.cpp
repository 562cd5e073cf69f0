// The collectives over real MPI processes: the same lists that the simulation proved.
#include <gtest/gtest.h>

#include "tests/mpi/mpi_world.hpp"
#include "tests/support/collective_cases.hpp"

namespace trireme::comm {
namespace {

using test::mpi_world;
using test::test_deadline;

TEST(MpiCollectives, AllReduceOfManySizes) {
    // The last one: several rendezvous segments of 256 KiB in each chunk.
    test::check_all_reduce(mpi_world(), {0, 1, 2, 127, 10007, 3000017}, test_deadline());
}

TEST(MpiCollectives, ManyInFlightDoNotCross) {
    test::check_many_in_flight(mpi_world(), 20, 9973, test_deadline());
}

TEST(MpiCollectives, BroadcastAndGather) {
    test::check_broadcast(mpi_world(), 500009, test_deadline());
    const auto text_of = [](int rank) { return std::string(rank == 1 ? 0 : 2000000 + rank, 'a'); };
    test::check_all_gather(mpi_world(), text_of, test_deadline());
}

TEST(MpiCollectives, RankAndSizeAreThoseOfTheLauncher) {
    EXPECT_EQ(mpi_world().rank(), launcher_rank());
    EXPECT_EQ(mpi_world().size(), launcher_size());
    EXPECT_FALSE(mpi_world().host().empty());
}

TEST(MpiCollectives, NoRankWasAskedToFail) { EXPECT_NE(mpi_world().rank(), test::rank_to_fail()); }

}  // namespace
}  // namespace trireme::comm
