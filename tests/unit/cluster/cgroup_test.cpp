#include "cluster/cgroup.hpp"

#include <fstream>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "cluster/host_facts.hpp"

namespace trireme::cluster {
namespace {

namespace fs = std::filesystem;

/// A folder that looks like the root of a system; removed at the end.
class FakeRoot : public testing::Test {
  protected:
    FakeRoot()
        : root_(fs::temp_directory_path() /
                fmt::format("trireme-cgroup-{}-{}", getpid(),
                            testing::UnitTest::GetInstance()->current_test_info()->name())) {
        fs::create_directories(root_);
    }
    ~FakeRoot() override {
        std::error_code ignored;
        fs::remove_all(root_, ignored);
    }
    void put(const std::string& file, const std::string& text) const {
        const fs::path path = root_ / file;
        fs::create_directories(path.parent_path());
        std::ofstream(path) << text;
    }
    fs::path root_;
};

TEST_F(FakeRoot, without_groups_there_is_no_limit) {
    const auto limits = read_cgroup_limits(root_);
    EXPECT_FALSE(limits.cpus);
    EXPECT_FALSE(limits.memory);
}

TEST_F(FakeRoot, version_2_takes_the_tightest_limit_of_the_chain) {
    put("proc/self/cgroup", "0::/job/step\n");
    put("sys/fs/cgroup/job/step/cpu.max", "400000 100000\n");
    put("sys/fs/cgroup/job/cpu.max", "150000 100000\n");
    put("sys/fs/cgroup/cpu.max", "max 100000\n");
    put("sys/fs/cgroup/job/step/memory.max", "max\n");
    put("sys/fs/cgroup/job/memory.max", "1073741824\n");
    const auto limits = read_cgroup_limits(root_);
    ASSERT_TRUE(limits.cpus);
    EXPECT_DOUBLE_EQ(*limits.cpus, 1.5);
    ASSERT_TRUE(limits.memory);
    EXPECT_EQ(*limits.memory, Bytes(1073741824));
}

TEST_F(FakeRoot, version_1_reads_each_controller_at_its_own_place) {
    put("proc/self/cgroup", "5:devices:/x\n4:memory:/m\n2:cpu,cpuacct:/c\n");
    put("sys/fs/cgroup/memory/m/memory.limit_in_bytes", "524288000\n");
    put("sys/fs/cgroup/cpu/c/cpu.cfs_quota_us", "200000\n");
    put("sys/fs/cgroup/cpu/c/cpu.cfs_period_us", "100000\n");
    const auto limits = read_cgroup_limits(root_);
    ASSERT_TRUE(limits.cpus);
    EXPECT_DOUBLE_EQ(*limits.cpus, 2.0);
    ASSERT_TRUE(limits.memory);
    EXPECT_EQ(*limits.memory, Bytes(524288000));
}

TEST_F(FakeRoot, version_1_says_no_limit_with_odd_numbers) {
    put("proc/self/cgroup", "4:memory:/\n1:cpu:/\n");
    put("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    put("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
    put("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    const auto limits = read_cgroup_limits(root_);
    EXPECT_FALSE(limits.cpus);
    EXPECT_FALSE(limits.memory);
}

TEST_F(FakeRoot, a_container_that_does_not_see_its_own_path_uses_the_mount) {
    put("proc/self/cgroup", "0::/docker/0123456789\n");
    put("sys/fs/cgroup/memory.max", "268435456\n");
    const auto limits = read_cgroup_limits(root_);
    ASSERT_TRUE(limits.memory);
    EXPECT_EQ(*limits.memory, Bytes(268435456));
}

TEST_F(FakeRoot, memory_is_read_in_bytes) {
    put("proc/meminfo", "MemTotal:       2048 kB\nMemFree:  1 kB\nMemAvailable:    1024 kB\n");
    const auto facts = memory_facts(root_);
    EXPECT_EQ(facts.total, Bytes(2048 * 1024));
    EXPECT_EQ(facts.available, Bytes(1024 * 1024));
    EXPECT_FALSE(facts.cgroup_limit);
}

}  // namespace
}  // namespace trireme::cluster
