// The collectives over real MPI processes: the same lists that the simulation proved.
#include <vector>

#include <gtest/gtest.h>

#include "tests/mpi/mpi_world.hpp"

namespace trireme::comm {
namespace {

using test::mpi_world;
using test::test_deadline;

float exact_input(int rank, std::size_t element) {
    return static_cast<float>((rank * 31 + static_cast<int>(element % 1000) * 7) % 509 - 254);
}

std::vector<float> inputs(int rank, std::size_t count) {
    std::vector<float> data(count);
    for (std::size_t e = 0; e < count; ++e) data[e] = exact_input(rank, e);
    return data;
}

std::vector<float> sums(int ranks, std::size_t count) {
    std::vector<float> total(count, 0.0F);
    for (int r = 0; r < ranks; ++r) {
        for (std::size_t e = 0; e < count; ++e) total[e] += exact_input(r, e);
    }
    return total;
}

TEST(MpiCollectives, AllReduceOfManySizes) {
    Communicator& comm = mpi_world();
    for (const Algorithm algorithm : {Algorithm::ring, Algorithm::halving_doubling, Algorithm::automatic}) {
        // The last one: several rendezvous segments of 256 KiB in each chunk.
        for (const std::size_t count : {0U, 1U, 2U, 127U, 10007U, 3000017U}) {
            std::vector<float> data = inputs(comm.rank(), count);
            comm.wait(comm.all_reduce(data, algorithm, "sum"), test_deadline());
            EXPECT_EQ(data, sums(comm.size(), count)) << name_of(algorithm) << " " << count;
        }
    }
}

TEST(MpiCollectives, ManyInFlightDoNotCross) {
    Communicator& comm = mpi_world();
    std::vector<std::vector<float>> buckets;
    std::vector<Ticket> tickets;
    for (std::size_t b = 0; b < 20; ++b) buckets.push_back(inputs(comm.rank(), 50 + 9973 * b));
    for (std::size_t b = 0; b < buckets.size(); ++b) {
        const Algorithm algorithm = b % 2 == 0 ? Algorithm::ring : Algorithm::halving_doubling;
        tickets.push_back(comm.all_reduce(buckets[b], algorithm, "bucket"));
    }
    for (std::size_t b = buckets.size(); b-- > 0;) {
        comm.wait(tickets[b], test_deadline());
        EXPECT_EQ(buckets[b], sums(comm.size(), buckets[b].size()));
    }
}

TEST(MpiCollectives, BroadcastBarrierGather) {
    Communicator& comm = mpi_world();
    for (int root = 0; root < comm.size(); ++root) {
        std::vector<float> data = inputs(comm.rank(), 500009);
        comm.broadcast(std::as_writable_bytes(std::span(data)), root, "parameters", test_deadline());
        EXPECT_EQ(data, inputs(root, 500009));
        comm.barrier("between", test_deadline());
    }
    const auto text_of = [](int rank) { return std::string(rank == 1 ? 0 : 2000000 + rank, 'a'); };
    const std::vector<std::string> all = comm.all_gather(text_of(comm.rank()), "traces", test_deadline());
    ASSERT_EQ(all.size(), static_cast<std::size_t>(comm.size()));
    for (int r = 0; r < comm.size(); ++r) EXPECT_EQ(all[static_cast<std::size_t>(r)], text_of(r));
}

TEST(MpiCollectives, RankAndSizeAreThoseOfTheLauncher) {
    EXPECT_EQ(mpi_world().rank(), launcher_rank());
    EXPECT_EQ(mpi_world().size(), launcher_size());
    EXPECT_FALSE(mpi_world().host().empty());
}

TEST(MpiCollectives, NoRankWasAskedToFail) { EXPECT_NE(mpi_world().rank(), test::rank_to_fail()); }

}  // namespace
}  // namespace trireme::comm
