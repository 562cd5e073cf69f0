// Ranks that join a collective library of their devices, which knows no deadlines.
#include "runtime/exec/library_join.hpp"

#include <latch>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/multirank/ranks.hpp"

namespace trireme {
namespace {

using ::testing::HasSubstr;

struct JoinedRank final : LibrarySum {
    explicit JoinedRank(std::string with) : id(std::move(with)) {}
    void all_reduce(Stream&, float*, std::int64_t) override {}
    void give_up() noexcept override {}
    std::string id;
};

/// A library whose ranks meet when `joining` returns.
struct Library final : CollectiveLibrary {
    std::function<std::string()> make_id = [] { return "the id"; };
    std::function<void(int rank)> joining = [](int) {};

    std::string name() override { return "library 1.0"; }
    std::string refusal() override { return {}; }
    std::string new_id() override { return make_id(); }
    std::unique_ptr<LibrarySum> join(const std::string& id, int rank, int) override {
        joining(rank);
        return std::make_unique<JoinedRank>(id);
    }
};

std::vector<comm::Ending> join(const std::shared_ptr<Library>& library, double patience,
                               const Deadline& deadline = comm::late()) {
    comm::World world = comm::in_process_world(3, comm::quick_options());
    return comm::run_ranks(world, [&](comm::Communicator& comm) {
        const auto joined = join_library(library, comm, patience, deadline);
        EXPECT_EQ(dynamic_cast<JoinedRank&>(*joined).id, "the id");
        comm.finish(comm::soon());
    });
}

TEST(LibraryJoin, GivesEachRankTheSum) {
    const auto library = std::make_shared<Library>();
    std::latch all(3);
    library->joining = [&](int) { all.arrive_and_wait(); };
    for (const comm::Ending& ending : join(library, 60)) {
        EXPECT_EQ(ending.other_error, "");
        EXPECT_FALSE(ending.verdict);
    }
}

/// Ranks whose library stays away until the test is over.
struct Stuck {
    explicit Stuck(std::initializer_list<int> who)
        : ranks(who), left(static_cast<std::ptrdiff_t>(who.size())) {}
    void wait(int rank) {
        if (!ranks.contains(rank)) return;
        released.wait();
        left.count_down();
    }
    void release() {
        released.count_down();
        left.wait();
    }
    std::set<int> ranks;
    std::latch released{1};
    std::latch left;
};

TEST(LibraryJoin, ARankWhoseLibraryDoesNotComeBackDoesWithout) {
    const auto library = std::make_shared<Library>();
    const auto stuck = std::make_shared<Stuck>(std::initializer_list<int>{1});
    library->joining = [stuck](int rank) { stuck->wait(rank); };
    const auto endings = join(library, 0.2);
    EXPECT_THAT(endings[1].other_error, HasSubstr("did not join the ranks within 0.2 s"));
    EXPECT_EQ(endings[0].other_error, "");
    stuck->release();
}

TEST(LibraryJoin, ARankThatDoesNotComeIsNamedWhileTheLibraryWaitsForIt) {
    const auto library = std::make_shared<Library>();
    const auto stuck = std::make_shared<Stuck>(std::initializer_list<int>{0, 2});
    library->joining = [stuck](int rank) { stuck->wait(rank); };
    comm::World world = comm::in_process_world(3, comm::quick_options());
    const auto endings = comm::run_ranks(world, [&](comm::Communicator& comm) {
        if (comm.rank() == 1) {
            (void)comm.all_gather("", "id of the library's ranks", comm::late());
        } else {
            (void)join_library(library, comm, 60, comm::soon());
        }
    });
    for (const std::size_t rank : {0U, 2U}) {
        ASSERT_TRUE(endings[rank].verdict) << endings[rank].other_error;
        EXPECT_EQ(endings[rank].verdict->rank, 1) << endings[rank].verdict->str();
    }
    stuck->release();
}

TEST(LibraryJoin, WhatItRefusesOneRankIsThatRanksError) {
    const auto library = std::make_shared<Library>();
    library->joining = [](int rank) {
        if (rank == 2) throw DeviceError("no socket to join by");
    };
    const auto endings = join(library, 60);
    EXPECT_EQ(endings[2].other_error, "no socket to join by");
    EXPECT_EQ(endings[0].other_error, "");  // it has joined, and then misses rank 2
}

TEST(LibraryJoin, WithoutAnIdNobodyWaits) {
    const auto library = std::make_shared<Library>();
    library->make_id = []() -> std::string { throw DeviceError("no interface"); };
    const auto endings = join(library, 60);
    EXPECT_EQ(endings[0].other_error, "no interface");
    EXPECT_EQ(endings[1].other_error, "rank 0 has no id to join with");
}

}  // namespace
}  // namespace trireme
