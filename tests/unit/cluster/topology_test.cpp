#include "cluster/topology.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/core/error.hpp"

namespace trireme::cluster {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

/// A process that may use the processors [first, first + count), `width` of them a core.
ProcessView view_of(std::string host, int first, int count, int width = 1) {
    ProcessView view;
    view.host = std::move(host);
    view.machine = "boot-1";
    view.machine_cores = 8;
    for (int id = first; id < first + count; ++id) {
        view.processors.push_back({.id = id, .core = id / width, .numa = id / 4});
    }
    return view;
}

ClusterView cluster_of(const std::vector<ProcessView>& views) {
    std::vector<std::string> lines;
    for (const auto& view : views) lines.push_back(serialize(view));
    return read_cluster(lines);
}

TEST(Topology, a_line_holds_the_whole_view) {
    ProcessView view = view_of("n1.example", 2, 3);
    view.cpu_limit = 1.5;
    const std::string line = serialize(view);
    EXPECT_EQ(line.find('\n'), std::string::npos);
    EXPECT_EQ(parse_view(line), view);
}

TEST(Topology, a_host_name_that_is_no_text_does_not_throw) {
    ProcessView view = view_of("n\xff", 0, 1);
    EXPECT_NO_THROW(static_cast<void>(parse_view(serialize(view))));
}

TEST(Topology, a_malformed_line_names_its_rank) {
    const std::vector<std::string> lines = {serialize(view_of("a", 0, 1)), "{\"topology\": 1}"};
    try {
        static_cast<void>(read_cluster(lines));
        FAIL() << "a line without a host was accepted";
    } catch (const ConfigError& e) {
        EXPECT_THAT(e.what(), HasSubstr("rank 1: "));
        EXPECT_THAT(e.what(), HasSubstr("same build"));
    }
}

TEST(Topology, a_line_of_another_version_is_refused) {
    std::string line = serialize(view_of("a", 0, 1));
    const auto at = line.find("\"topology\":1");
    ASSERT_NE(at, std::string::npos);
    line.replace(at, 12, "\"topology\":2");
    EXPECT_THROW(static_cast<void>(parse_view(line)), ConfigError);
}

TEST(Topology, nodes_are_numbered_by_their_lowest_rank) {
    const auto cluster = cluster_of(
        {view_of("b", 0, 2), view_of("a", 0, 2), view_of("b", 2, 2), view_of("c", 0, 1), view_of("b", 4, 1)});
    const auto& ranks = cluster.topology.ranks;
    ASSERT_EQ(ranks.size(), 5U);
    EXPECT_EQ(cluster.topology.nodes, 3);
    std::vector<int> nodes;
    std::vector<int> local_ranks;
    std::vector<int> local_sizes;
    for (const auto& r : ranks) {
        nodes.push_back(r.node);
        local_ranks.push_back(r.local_rank);
        local_sizes.push_back(r.local_size);
    }
    EXPECT_THAT(nodes, ElementsAre(0, 1, 0, 2, 0));
    EXPECT_THAT(local_ranks, ElementsAre(0, 0, 1, 0, 2));
    EXPECT_THAT(local_sizes, ElementsAre(3, 1, 3, 1, 3));
    EXPECT_EQ(ranks[2].host, "b");
    EXPECT_THAT(ranks[2].cores, ElementsAre(2, 3));
}

TEST(Topology, hosts_of_one_name_are_told_apart_by_their_boot) {
    ProcessView other = view_of("localhost", 0, 2);
    other.machine = "boot-2";
    EXPECT_EQ(cluster_of({view_of("localhost", 0, 2), other}).topology.nodes, 2);
}

TEST(KernelThreads, unbound_ranks_split_the_cores_of_their_host) {
    const ProcessView all = view_of("a", 0, 8);
    EXPECT_EQ(default_kernel_threads(cluster_of({all}), 0), 8);
    EXPECT_EQ(default_kernel_threads(cluster_of({all, all}), 1), 4);
    EXPECT_EQ(default_kernel_threads(cluster_of({all, all, all}), 2), 2);
}

TEST(KernelThreads, more_ranks_than_cores_still_get_one_each) {
    const ProcessView pair = view_of("a", 0, 2);
    EXPECT_EQ(default_kernel_threads(cluster_of({pair, pair, pair}), 2), 1);
}

TEST(KernelThreads, bound_ranks_use_their_own_cores) {
    const auto cluster = cluster_of({view_of("a", 0, 3), view_of("a", 3, 1)});
    EXPECT_EQ(default_kernel_threads(cluster, 0), 2);
    EXPECT_EQ(default_kernel_threads(cluster, 1), 1);
}

TEST(KernelThreads, two_hardware_threads_are_one_core) {
    const auto cluster = cluster_of({view_of("a", 0, 8, 2)});
    EXPECT_EQ(cluster.views[0].cores(), 4);
    EXPECT_EQ(default_kernel_threads(cluster, 0), 4);
}

TEST(KernelThreads, a_control_group_limits_them) {
    ProcessView view = view_of("a", 0, 8);
    view.cpu_limit = 2.5;
    EXPECT_EQ(default_kernel_threads(cluster_of({view}), 0), 2);
    view.cpu_limit = 0.5;
    EXPECT_EQ(default_kernel_threads(cluster_of({view}), 0), 1);
}

TEST(KernelThreads, hosts_do_not_share_cores) {
    const auto cluster = cluster_of({view_of("a", 0, 4), view_of("b", 0, 4)});
    EXPECT_EQ(default_kernel_threads(cluster, 0), 4);
    EXPECT_EQ(default_kernel_threads(cluster, 1), 4);
}

TEST(Oversubscription, what_fits_is_not_warned_about) {
    const ProcessView all = view_of("a", 0, 4);
    const std::vector<int> threads = {2, 2};
    EXPECT_TRUE(oversubscription_warnings(cluster_of({all, all}), threads, "").empty());
}

TEST(Oversubscription, too_many_threads_are_told_with_the_count_that_fits) {
    const ProcessView all = view_of("a", 0, 4);
    const std::vector<int> threads = {4, 4};
    const auto warnings = oversubscription_warnings(cluster_of({all, all}), threads, "");
    ASSERT_EQ(warnings.size(), 1U);
    EXPECT_THAT(warnings[0], HasSubstr("host a: 2 ranks with 8 kernel threads in all share 4 cores"));
    EXPECT_THAT(warnings[0], HasSubstr("--job.threads 2"));
    EXPECT_THAT(warnings[0], HasSubstr("OMP_WAIT_POLICY=passive"));
}

TEST(Oversubscription, too_many_ranks_are_told_as_ranks) {
    const ProcessView one = view_of("a", 0, 1);
    const std::vector<int> threads = {1, 1, 1};
    const auto warnings = oversubscription_warnings(cluster_of({one, one, one}), threads, "passive");
    ASSERT_EQ(warnings.size(), 1U);
    EXPECT_THAT(warnings[0], HasSubstr("start at most 1 rank here"));
    EXPECT_THAT(warnings[0], testing::Not(HasSubstr("OMP_WAIT_POLICY")));
}

TEST(Oversubscription, a_rank_bound_too_tightly_is_named) {
    const auto cluster = cluster_of({view_of("a", 0, 1), view_of("a", 1, 3)});
    const std::vector<int> threads = {2, 2};
    const auto warnings = oversubscription_warnings(cluster, threads, "");
    ASSERT_EQ(warnings.size(), 1U);
    EXPECT_THAT(warnings[0], HasSubstr("rank 0 (host a): 2 kernel threads on the 1 core"));
    EXPECT_THAT(warnings[0], HasSubstr("--bind-to none"));
}

TEST(Topology, description_is_stable_text) {
    const auto cluster = cluster_of({view_of("a", 0, 4), view_of("a", 0, 4), view_of("b", 0, 2)});
    EXPECT_EQ(describe(cluster),
              "3 ranks on 2 nodes\n"
              "  node 0 (a): ranks 0-1, 4 cores of 8 usable\n"
              "  node 1 (b): rank 2, 2 cores of 8 usable\n");
}

TEST(Topology, number_ranges_join_neighbours) {
    const std::vector<int> none;
    const std::vector<int> some = {0, 1, 2, 5, 7, 8};
    EXPECT_EQ(number_ranges(none), "");
    EXPECT_EQ(number_ranges(some), "0-2,5,7-8");
}

TEST(LocalView, this_process_has_a_place) {
    const ProcessView view = local_view();
    EXPECT_FALSE(view.host.empty());
    EXPECT_FALSE(view.processors.empty());
    EXPECT_GE(view.cores(), 1);
    EXPECT_GE(view.machine_cores, view.cores());
    EXPECT_EQ(parse_view(serialize(view)), view);
}

}  // namespace
}  // namespace trireme::cluster
