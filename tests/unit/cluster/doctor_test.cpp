#include "cluster/doctor.hpp"

#include <filesystem>
#include <string>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace trireme::cluster {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr std::int64_t MiB = 1024 * 1024;

LauncherFacts healthy_launcher() {
    LauncherFacts facts;
    facts.library_version = "Open MPI v4.1.4, package: Debian OpenMPI, ident: 4.1.4, repo rev: v4.1.4";
    facts.mpirun_version = "mpirun (Open MPI) 4.1.4";
    return facts;
}

TEST(MpiVersion, is_read_from_what_each_mpi_says) {
    EXPECT_EQ(parse_mpi_version("Open MPI v4.1.4, package: Debian").str(), "Open MPI 4.1.4");
    EXPECT_EQ(parse_mpi_version("mpirun (Open MPI) 5.0.11").str(), "Open MPI 5.0.11");
    EXPECT_EQ(parse_mpi_version("mpirun (Open MPI) 5.1rc2").str(), "Open MPI 5.1.0");
    EXPECT_EQ(parse_mpi_version("MPICH Version:\t4.0.2").str(), "MPICH 4.0.2");
    EXPECT_EQ(parse_mpi_version("HYDRA build details: Version: 4.0.2").str(), "MPICH 4.0.2");
    EXPECT_EQ(parse_mpi_version("Intel(R) MPI Library 2021.9 for Linux* OS").str(), "Intel MPI 2021.9.0");
    EXPECT_EQ(parse_mpi_version("something else 1.2").str(), "unknown MPI");
    EXPECT_EQ(parse_mpi_version("").str(), "unknown MPI");
}

TEST(Launcher, of_the_same_mpi_is_fine) {
    const Check check = check_launcher(healthy_launcher());
    EXPECT_EQ(check.status, CheckStatus::ok);
    EXPECT_EQ(check.found, "mpirun is Open MPI 4.1.4, linked with Open MPI 4.1.4");
    EXPECT_EQ(check.remedy, "");
}

TEST(Launcher, that_is_missing_or_of_another_mpi_fails) {
    LauncherFacts facts = healthy_launcher();
    facts.mpirun_version = "";
    EXPECT_EQ(check_launcher(facts).status, CheckStatus::fail);
    EXPECT_THAT(check_launcher(facts).remedy, HasSubstr("openmpi-bin"));
    facts.mpirun_version = "HYDRA build details: Version: 4.1.4";
    EXPECT_EQ(check_launcher(facts).status, CheckStatus::fail);
    facts.mpirun_version = "mpirun (Open MPI) 5.0.11";
    EXPECT_EQ(check_launcher(facts).status, CheckStatus::fail);
    facts.mpirun_version = "mpirun (Open MPI) 4.0.3";
    EXPECT_EQ(check_launcher(facts).status, CheckStatus::warn);
    facts.mpirun_version = "prun 1.0";
    EXPECT_EQ(check_launcher(facts).status, CheckStatus::warn);
}

TEST(World, of_singletons_under_srun_fails) {
    LauncherFacts facts = healthy_launcher();
    EXPECT_EQ(check_world(facts).status, CheckStatus::ok);
    facts.slurm_allocation_tasks = 4;
    EXPECT_EQ(check_world(facts).status, CheckStatus::warn);
    EXPECT_THAT(check_world(facts).remedy, HasSubstr("mpirun -n 4"));
    facts.slurm_step_tasks = 4;
    EXPECT_EQ(check_world(facts).status, CheckStatus::fail);
    EXPECT_THAT(check_world(facts).remedy, HasSubstr("--mpi=pmix"));
    facts.world = 4;
    EXPECT_EQ(check_world(facts).status, CheckStatus::ok);
}

TEST(World, of_another_mpis_launcher_fails) {
    LauncherFacts facts = healthy_launcher();
    facts.foreign_world = 2;
    EXPECT_EQ(check_world(facts).status, CheckStatus::fail);
    EXPECT_THAT(check_world(facts).remedy, HasSubstr("Open MPI 4.1.4"));
}

TEST(Root, must_be_allowed_under_open_mpi) {
    LauncherFacts facts = healthy_launcher();
    EXPECT_EQ(check_root(facts).status, CheckStatus::ok);
    facts.root = true;
    EXPECT_EQ(check_root(facts).status, CheckStatus::warn);
    EXPECT_THAT(check_root(facts).remedy, HasSubstr("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1"));
    facts.root_allowed = true;
    EXPECT_EQ(check_root(facts).status, CheckStatus::ok);
}

TEST(Cores, that_are_bound_or_limited_are_warned_about) {
    ProcessView view;
    view.machine_cores = 4;
    for (int id = 0; id < 4; ++id) view.processors.push_back({.id = id, .core = id, .numa = id / 2});
    EXPECT_EQ(check_binding(view).status, CheckStatus::ok);
    EXPECT_EQ(check_binding(view).found, "4 of 4 cores (processors 0-3) on 2 NUMA nodes");
    view.cpu_limit = 1.5;
    EXPECT_EQ(check_binding(view).status, CheckStatus::warn);
    EXPECT_THAT(check_binding(view).found, HasSubstr("cgroup grants 1.5"));
    view.cpu_limit = 0;
    view.processors.resize(1);
    EXPECT_EQ(check_binding(view).status, CheckStatus::warn);
    EXPECT_THAT(check_binding(view).remedy, HasSubstr("--bind-to none"));
}

TEST(Memory, is_the_lesser_of_what_is_free_and_what_the_group_may_have) {
    MemoryFacts facts{
        .total = Bytes(8192 * MiB), .available = Bytes(4096 * MiB), .cgroup_limit = std::nullopt};
    EXPECT_EQ(check_memory(facts).status, CheckStatus::ok);
    facts.cgroup_limit = Bytes(256 * MiB);
    EXPECT_EQ(check_memory(facts).status, CheckStatus::warn);
    EXPECT_THAT(check_memory(facts).found, HasSubstr("cgroup limit"));
}

TEST(SharedMemory, must_hold_the_ranks) {
    SharedMemoryFacts facts{.present = true, .size = Bytes(64 * MiB), .free = Bytes(64 * MiB)};
    EXPECT_EQ(check_shared_memory(facts, 2).status, CheckStatus::warn);
    EXPECT_EQ(check_shared_memory(facts, 16).status, CheckStatus::fail);
    facts.free = Bytes(1024 * MiB);
    EXPECT_EQ(check_shared_memory(facts, 2).status, CheckStatus::ok);
    EXPECT_EQ(check_shared_memory({}, 1).status, CheckStatus::fail);
}

TEST(RunFolder, is_judged_by_what_went_wrong) {
    FolderFacts facts;
    facts.folder = "/runs";
    facts.type = "ext4";
    facts.free = Bytes(8192 * MiB);
    EXPECT_EQ(check_folder(facts).status, CheckStatus::ok);
    facts.free = Bytes(10 * MiB);
    EXPECT_EQ(check_folder(facts).status, CheckStatus::warn);
    facts.lock_error = "Function not implemented";
    EXPECT_EQ(check_folder(facts).status, CheckStatus::warn);
    EXPECT_THAT(check_folder(facts).remedy, HasSubstr("HDF5_USE_FILE_LOCKING"));
    facts.sync_error = "Invalid argument";
    EXPECT_EQ(check_folder(facts).status, CheckStatus::fail);
    EXPECT_THAT(check_folder(facts).found, HasSubstr("fsync fails: Invalid argument"));
    facts.write_error = "Permission denied";
    EXPECT_THAT(check_folder(facts).found, HasSubstr("cannot write: Permission denied"));
}

TEST(RunFolder, in_memory_is_warned_about) {
    FolderFacts facts;
    facts.type = "tmpfs";
    facts.free = Bytes(8192 * MiB);
    EXPECT_EQ(check_folder(facts).status, CheckStatus::warn);
}

TEST(RunFolder, probe_tries_the_nearest_folder_and_leaves_nothing_behind) {
    const fs::path base = fs::temp_directory_path() / fmt::format("trireme-doctor-test-{}", getpid());
    fs::create_directories(base);
    const FolderFacts facts = probe_folder(base / "not" / "there");
    EXPECT_EQ(facts.folder, base);
    EXPECT_EQ(facts.write_error, "");
    EXPECT_EQ(facts.rename_error, "");
    EXPECT_FALSE(facts.type.empty());
    EXPECT_GT(facts.free, Bytes(0));
    EXPECT_TRUE(fs::is_empty(base));
    fs::remove_all(base);
}

TEST(RunFolder, probe_of_a_folder_that_refuses_says_why) {
    const FolderFacts facts = probe_folder("/proc/self");
    EXPECT_NE(facts.write_error, "");
    EXPECT_EQ(check_folder(facts).status, CheckStatus::fail);
}

TEST(OpenFiles, few_are_warned_about) {
    EXPECT_EQ(check_open_files({.soft = 1024, .hard = 4096}).status, CheckStatus::ok);
    EXPECT_THAT(check_open_files({.soft = 256, .hard = 4096}).remedy, HasSubstr("ulimit -n"));
    EXPECT_THAT(check_open_files({.soft = 256, .hard = 256}).remedy, HasSubstr("administrator"));
}

TEST(Processor, names_the_widest_instruction_set) {
    const auto judge = [](std::string_view flags, std::string_view architecture = "x86_64") {
        return check_cpu(parse_cpuinfo(
            fmt::format("processor\t: 0\nmodel name\t: Test CPU\nflags\t\t: {}\n\n", flags), architecture));
    };
    EXPECT_EQ(judge("sse4_1 avx avx2 fma").found, "Test CPU, AVX2");
    EXPECT_EQ(judge("sse4_1 avx avx2 fma").status, CheckStatus::ok);
    EXPECT_EQ(judge("sse4_1 avx avx2 fma avx512f avx512bw avx512vl avx512_vnni avx512_bf16").found,
              "Test CPU, AVX-512 + VNNI + bf16");
    EXPECT_EQ(judge("sse4_1").status, CheckStatus::warn);
    EXPECT_EQ(judge("sse2").status, CheckStatus::fail);
    EXPECT_EQ(judge("", "aarch64").status, CheckStatus::fail);
}

TEST(Doctor, table_and_json_say_the_same) {
    const std::vector<Check> checks = {{"launcher", CheckStatus::ok, "fine", ""},
                                       {"cores", CheckStatus::warn, "1 of 2", "bind to none"}};
    EXPECT_EQ(worst(checks), CheckStatus::warn);
    EXPECT_EQ(format_table(checks),
              "launcher  ok    fine\n"
              "cores     warn  1 of 2\n"
              "                -> bind to none\n"
              "2 checks: 1 ok, 1 warn, 0 fail\n");
    const auto json = nlohmann::json::parse(format_json(checks));
    EXPECT_EQ(json.at("status"), "warn");
    EXPECT_EQ(json.at("checks").at(1).at("name"), "cores");
    EXPECT_EQ(json.at("checks").at(1).at("remedy"), "bind to none");
}

TEST(Doctor, examines_this_host) {
    const auto checks = examine_host(1, "Open MPI v4.1.4", fs::temp_directory_path());
    ASSERT_EQ(checks.size(), 9U);
    for (const auto& check : checks) {
        EXPECT_FALSE(check.found.empty()) << check.name;
        EXPECT_EQ(check.status == CheckStatus::ok, check.remedy.empty()) << check.name;
    }
}

}  // namespace
}  // namespace trireme::cluster
