// Ranks that join a collective library of their devices, which knows no deadlines.
#include "runtime/exec/library_join.hpp"

#include <latch>

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

std::vector<comm::Ending> join(const std::shared_ptr<Library>& library, const Deadline& deadline) {
    comm::World world = comm::in_process_world(3, comm::quick_options());
    return comm::run_ranks(world, [&](comm::Communicator& comm) {
        const auto joined = join_library(library, comm, deadline);
        EXPECT_EQ(dynamic_cast<JoinedRank&>(*joined).id, "the id");
        comm.finish(comm::soon());
    });
}

TEST(LibraryJoin, GivesEachRankTheSum) {
    const auto library = std::make_shared<Library>();
    std::latch all(3);
    library->joining = [&](int) { all.arrive_and_wait(); };
    for (const comm::Ending& ending : join(library, comm::late())) {
        EXPECT_EQ(ending.other_error, "");
        EXPECT_FALSE(ending.verdict);
    }
}

TEST(LibraryJoin, NamesTheRankThatDoesNotComeBack) {
    const auto library = std::make_shared<Library>();
    const auto released = std::make_shared<std::latch>(1);
    const auto left = std::make_shared<std::latch>(1);
    library->joining = [released, left](int rank) {
        if (rank != 1) return;
        released->wait();
        left->count_down();
    };
    for (const comm::Ending& ending : join(library, comm::soon())) {
        ASSERT_TRUE(ending.verdict) << ending.other_error;
        EXPECT_EQ(ending.verdict->rank, 1) << ending.verdict->str();
        EXPECT_EQ(ending.verdict->kind, "SLOW") << ending.verdict->str();
        EXPECT_THAT(ending.verdict->reason, HasSubstr("joining the library")) << ending.verdict->str();
    }
    released->count_down();
    left->wait();
}

TEST(LibraryJoin, WhatItRefusesOneRankIsThatRanksError) {
    const auto library = std::make_shared<Library>();
    library->joining = [](int rank) {
        if (rank == 2) throw DeviceError("no socket to join by");
    };
    const auto endings = join(library, comm::late());
    EXPECT_EQ(endings[2].other_error, "no socket to join by");
    EXPECT_EQ(endings[0].other_error, "");  // it has joined, and then misses rank 2
}

TEST(LibraryJoin, WithoutAnIdNobodyWaits) {
    const auto library = std::make_shared<Library>();
    library->make_id = []() -> std::string { throw DeviceError("no interface"); };
    const auto endings = join(library, comm::late());
    EXPECT_EQ(endings[0].other_error, "no interface");
    EXPECT_EQ(endings[1].other_error, "rank 0 has no id to join with");
}

}  // namespace
}  // namespace trireme
