// parallel.algorithm: how sums are formed, and between GPUs the way that gradients take.
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "jobs/planned_job.hpp"
#include "jobs/spec/job_spec.hpp"
#include "runtime/planned_backends.hpp"
#include "tests/support/said.hpp"

namespace trireme::jobs {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class ParallelKeysTest : public testing::Test {
  protected:
    ParallelKeysTest()
        : file_(std::filesystem::path(testing::TempDir()) /
                ("parallel_keys_" + std::to_string(::getpid()) + ".cfg")) {}
    ~ParallelKeysTest() override { std::filesystem::remove(file_); }

    JobSpec loaded(const std::string& algorithm, const std::string& deterministic = "fast") {
        std::ofstream(file_)
            << "[model]\nname = lenet\ninput = 28x28x1\nclasses = 10\n[job]\ndeterministic = "
            << deterministic << "\n[parallel]\nalgorithm = " << algorithm << '\n';
        return load_job(file_, {});
    }
    std::string plan_error(const JobSpec& spec, Backend backend) {
        return test::error_of(
            [&] { return PlannedJob(spec, 2, 1, DataUse::if_there, std::move(backend)).world(); });
    }
    std::string on_gpu(const JobSpec& spec) {
        return plan_error(spec, planned_cuda_backend(90, spec.numerics()));
    }
    std::filesystem::path file_;
};

TEST_F(ParallelKeysTest, NameAnAlgorithmOrAWay) {
    EXPECT_EQ(loaded("auto").parallel.path, SumPath::automatic);
    EXPECT_EQ(loaded("ring").parallel.path, SumPath::automatic);
    EXPECT_EQ(loaded("ring").parallel.algorithm, comm::Algorithm::ring);
    for (const SumPath path : {SumPath::staged, SumPath::ipc, SumPath::mpi, SumPath::nccl}) {
        const JobSpec spec = loaded(std::string(name_of(path)));
        EXPECT_EQ(spec.parallel.path, path);
        EXPECT_EQ(spec.parallel.algorithm, comm::Algorithm::automatic);
        EXPECT_EQ(on_gpu(spec), test::nothing_thrown) << name_of(path);
    }
    EXPECT_THAT(test::error_of([&] { return loaded("tree"); }), HasSubstr("parallel.algorithm"));
}

TEST_F(ParallelKeysTest, AWayBetweenGpusIsForGpus) {
    for (const char* way : {"staged", "ipc", "mpi", "nccl"}) {
        EXPECT_THAT(plan_error(loaded(way), make_backend("cpu", 1)),
                    AllOf(HasSubstr("ConfigError"), HasSubstr(std::string("parallel.algorithm = ") + way),
                          HasSubstr("remove the key, or set job.device = cuda")));
    }
    EXPECT_EQ(plan_error(loaded("ring"), make_backend("cpu", 1)), test::nothing_thrown);
}

TEST_F(ParallelKeysTest, CanonicalJobsMayPinTheWayButNotTheOrder) {
    for (const char* way : {"auto", "staged", "ipc", "mpi"})
        EXPECT_EQ(on_gpu(loaded(way, "canonical")), test::nothing_thrown) << way;
    EXPECT_THAT(on_gpu(loaded("nccl", "canonical")),
                AllOf(HasSubstr("ConfigError"), HasSubstr("name staged, ipc or mpi")));
    EXPECT_THAT(on_gpu(loaded("ring", "canonical")), HasSubstr("fixed tree"));
}

/// What a plan counts for sums on the device: nothing where a job pins the way through the host.
TEST_F(ParallelKeysTest, MemoryOfTheWayIsPlanned) {
    const auto planned = [&](const char* way) {
        const JobSpec spec = loaded(way);
        const PlannedJob job(spec, 2, 1, DataUse::if_there, planned_cuda_backend(90, spec.numerics()));
        return job.memory(0).device_sums.value;
    };
    EXPECT_EQ(planned("staged"), 0);
    EXPECT_GT(planned("ipc"), 0);
    EXPECT_EQ(planned("auto"), planned("ipc"));
}

}  // namespace
}  // namespace trireme::jobs
