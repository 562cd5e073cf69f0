// checkpoint.every: what the key may hold, and when rank 0's clock asks for a save.
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "jobs/checkpointing.hpp"
#include "jobs/spec/job_spec.hpp"
#include "runtime/core/error.hpp"

namespace trireme::jobs {
namespace {

using testing::HasSubstr;

JobSpec with(const std::string& key, const std::string& value) {
    const std::filesystem::path file =
        std::filesystem::path(testing::TempDir()) / ("save_interval_" + std::to_string(::getpid()) + ".cfg");
    std::ofstream(file) << "[model]\nname = lenet\n";
    const JobSpec spec = load_job(file, {{key, {value, "command line"}}});
    std::filesystem::remove(file);
    return spec;
}

TEST(SaveInterval, EpochStepsOrMinutes) {
    EXPECT_FALSE(with("checkpoint.every", "epoch").checkpoint.every_steps);
    EXPECT_FALSE(with("checkpoint.every", "epoch").checkpoint.every_minutes);
    EXPECT_EQ(with("checkpoint.every", "500").checkpoint.every_steps, 500);
    EXPECT_EQ(with("checkpoint.every", "30m").checkpoint.every_minutes, 30);
    EXPECT_FALSE(with("checkpoint.every", "30m").checkpoint.every_steps);
}

TEST(SaveInterval, OtherTextsAreRefused) {
    for (const char* wrong : {"0", "-3", "m", "0m", "1.5m", "30 m", "30min", "10081m", "5h", "epochs"}) {
        try {
            (void)with("checkpoint.every", wrong);
            ADD_FAILURE() << wrong << " was taken";
        } catch (const ConfigError& error) {
            EXPECT_THAT(error.what(), HasSubstr("minutes such as 30m")) << wrong;
        }
    }
}

TEST(SaveInterval, HashEveryIsSteps) {
    EXPECT_FALSE(with("job.seed", "1").job.hash_every);
    EXPECT_EQ(with("job.hash_every", "100").job.hash_every, 100);
    EXPECT_THROW((void)with("job.hash_every", "0"), ConfigError);
}

TEST(SaveClock, AsksOnceAnIntervalHasPassed) {
    const SaveClock::Time start{};
    SaveClock clock(std::chrono::minutes(2), start);
    EXPECT_FALSE(clock.is_due(start));
    EXPECT_FALSE(clock.is_due(start + std::chrono::seconds(119)));
    EXPECT_TRUE(clock.is_due(start + std::chrono::seconds(120)));
    EXPECT_TRUE(clock.is_due(start + std::chrono::seconds(500))) << "until it is saved";
    clock.saved(start + std::chrono::seconds(500));
    EXPECT_FALSE(clock.is_due(start + std::chrono::seconds(619)));
    EXPECT_TRUE(clock.is_due(start + std::chrono::seconds(620)));
}

}  // namespace
}  // namespace trireme::jobs
