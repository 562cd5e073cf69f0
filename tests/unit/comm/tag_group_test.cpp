#include <set>

#include <gtest/gtest.h>

#include "comm/collective.hpp"
#include "comm/group.hpp"
#include "comm/select.hpp"
#include "comm/tag.hpp"
#include "comm/transport.hpp"

namespace trireme::comm {
namespace {

TEST(TagTest, PacksAndUnpacks) {
    for (const int group : {0, 1, 31}) {
        for (const std::uint64_t sequence : {0ULL, 1ULL, 4095ULL}) {
            for (const std::uint64_t hash : {0ULL, 77ULL, 511ULL}) {
                const Tag tag{group, sequence, hash};
                EXPECT_EQ(unpack_tag(tag.pack()), tag);
                EXPECT_LE(tag.pack(), Tag::largest);
                EXPECT_NE(tag.pack(), Tag::control);
                EXPECT_EQ(unpack_tag(answer_tag(tag.pack())), (Tag{group + 32, sequence, hash}));
            }
        }
    }
    EXPECT_LT(Tag::largest, 1 << 28);
    EXPECT_THROW((void)(Tag{32, 0, 0}.pack()), InternalError);
}

TEST(TagTest, OpenCollectivesNeverShareATag) {
    std::set<int> tags;
    for (std::uint64_t s = 4000; s < 4000 + Tag::open_collectives; ++s) {
        EXPECT_TRUE(tags.insert(Tag{3, s, 5}.pack()).second);
        EXPECT_TRUE(tags.insert(Tag{4, s, 5}.pack()).second);
    }
}

TEST(FingerprintTest, EveryFieldCounts) {
    const Fingerprint base{0, 17, Op::all_reduce, 100, DType::f32, Algorithm::ring, 0};
    EXPECT_EQ(base.str(), "all_reduce #17 of 100 f32 by ring");
    std::vector<Fingerprint> others(6, base);
    others[0].sequence = 18;
    others[1].op = Op::broadcast;
    others[2].count = 101;
    others[3].dtype = DType::f64;
    others[4].algorithm = Algorithm::halving_doubling;
    others[5].root = 1;
    for (const Fingerprint& other : others) {
        EXPECT_NE(other.hash(), base.hash()) << other.str();
        EXPECT_NE(other, base);
    }
}

TEST(GroupTest, MapsMembersToRanks) {
    const Group group(2, {5, 3, 9}, 3);
    EXPECT_EQ(group.size(), 3);
    EXPECT_EQ(group.index(), 1);
    EXPECT_EQ(group.world_rank(0), 5);
    EXPECT_EQ(group.world_rank(2), 9);
    EXPECT_THROW(Group(2, {5, 3}, 4), InternalError);
    EXPECT_THROW(Group(2, {3, 3}, 3), InternalError);
    EXPECT_EQ(Group::world(4, 2).index(), 2);
}

TEST(SelectTest, FollowsTheRule) {
    EXPECT_EQ(select(Algorithm::automatic, 8, Bytes(1024)).algorithm, Algorithm::halving_doubling);
    EXPECT_EQ(select(Algorithm::automatic, 8, Bytes(256 << 20)).algorithm, Algorithm::ring);
    EXPECT_EQ(select(Algorithm::automatic, 2, Bytes(1024)).algorithm, Algorithm::ring);
    EXPECT_EQ(select(Algorithm::halving_doubling, 8, Bytes(256 << 20)).algorithm,
              Algorithm::halving_doubling);
    EXPECT_EQ(select(Algorithm::halving_doubling, 8, Bytes(1)).reason, "pinned");
    EXPECT_NE(select(Algorithm::automatic, 8, Bytes(1024)).reason.find("us of ring"), std::string::npos);
}

TEST(LauncherTest, ReadsTheEnvironment) {
    EXPECT_FALSE(mpi_library_version().empty());
    setenv("OMPI_COMM_WORLD_RANK", "3", 1);
    setenv("OMPI_COMM_WORLD_SIZE", "5", 1);
    EXPECT_EQ(launcher_rank(), 3);
    EXPECT_EQ(launcher_size(), 5);
    setenv("OMPI_COMM_WORLD_RANK", "x", 1);
    EXPECT_EQ(launcher_rank(), 0);
    unsetenv("OMPI_COMM_WORLD_RANK");
    unsetenv("OMPI_COMM_WORLD_SIZE");
    EXPECT_EQ(launcher_rank(), 0);
    EXPECT_EQ(launcher_size(), 1);
}

}  // namespace
}  // namespace trireme::comm
