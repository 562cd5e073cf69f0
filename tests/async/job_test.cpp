// A whole job on an asynchronous device: its records, evaluations, saves and resumes are those of a device
// that does everything at once, although a step's report comes when the next one has been launched.
#include <fstream>

#include <nlohmann/json.hpp>

#include "jobs/training_run.hpp"
#include "tests/async/async_training.hpp"
#include "tests/support/memory_source.hpp"

namespace trireme::async {
namespace {

constexpr const char* net = R"(
name = "tiny"
[[layer]]
type = "conv2d"
name = "conv"
out_channels = 4
kernel = 3
bias = false
[[layer]]
type = "batch_norm"
name = "bn"
[[layer]]
type = "relu"
[[layer]]
type = "max_pool2d"
name = "pool"
kernel = 2
[[layer]]
type = "flatten"
[[layer]]
type = "linear"
name = "fc"
out_features = "classes"
)";

// 90 samples in batches of 16: an epoch has five full steps and a short one.
constexpr const char* job_file = R"(
model.file = {0}/net.toml
data.path = {0}/set
data.batch = 16
optimizer.name = sgd
optimizer.lr = 0.05
optimizer.momentum = 0.9
precision.compute = bf16
precision.loss_scale = dynamic
job.output = {1}
job.epochs = 3
checkpoint.every = 4
checkpoint.keep = 9
telemetry.log_every = 3
telemetry.progress = off
)";

class JobOnADevice : public testing::Test {
  protected:
    JobOnADevice() {
        std::ofstream(folder_ / "net.toml") << net;
        const test::MemorySource source({{"train", 90}, {"val", 20}}, {8, 8, 1}, DType::u8, 5);
        (void)io::write_import(source, io::plan_import(source, {}), folder_ / "set", io::ImportTeam::alone());
    }

    /// What the run leaves, times left out: a line for each record, and what the summary says of the state.
    std::vector<std::string> left_by(Backend backend, const std::string& name,
                                     const std::map<std::string, jobs::Setting>& settings = {}) {
        const std::filesystem::path output = folder_ / name;
        std::ofstream(folder_ / "job.cfg")
            << fmt::format(fmt::runtime(job_file), folder_.path().string(), output.string());
        const jobs::PlannedJob job(jobs::load_job(folder_ / "job.cfg", settings), 1, 1,
                                   jobs::DataUse::required, std::move(backend));
        const auto world = comm::in_process_world(1, comm::CommOptions{});
        jobs::TrainingRun run(job, *world.front());
        EXPECT_EQ(run.run(), 0);
        world.front()->finish(Deadline::in_seconds(60));
        std::vector<std::string> lines;
        std::ifstream records(output / "metrics.jsonl");
        for (std::string line; std::getline(records, line);) {
            auto record = nlohmann::json::parse(line);
            for (const char* time : {"samples_per_s", "step_ms", "split"}) record.erase(time);
            lines.push_back(record.dump());
        }
        for (const int step : {4, 8, 12, 16}) {
            std::ifstream index(output / fmt::format("checkpoints/step-{}/index.json", step));
            if (!index) continue;  // the run ended before
            const auto meta = nlohmann::json::parse(index).at("meta");
            for (const char* fact : {"step", "skipped_steps", "loss_scale", "good_in_a_row", "state_sha256"})
                lines.push_back(fmt::format("{}: {}", fact, meta.at(fact).dump()));
        }
        const auto summary = nlohmann::json::parse(std::ifstream(output / "summary.json"));
        for (const char* fact : {"status", "steps", "skipped_steps", "loss_scale", "train_loss", "val_loss",
                                 "params_sha256", "state_sha256"})
            lines.push_back(fmt::format("{}: {}", fact, summary.at(fact).dump()));
        return lines;
    }

    test::TemporaryFolder folder_;
};

TEST_F(JobOnADevice, LeavesWhatAJobOnTheHostLeaves) {
    const std::vector<std::string> wanted = left_by(hostrun::host_run_backend(), "host");
    EXPECT_EQ(wanted.size(), 9U + 4 * 5 + 8);
    for (std::uint64_t seed = 0; seed < 12; ++seed) {
        Ranks ranks(1, seed, {});
        EXPECT_EQ(left_by(ranks.backend(0), fmt::format("device{}", seed)), wanted) << "seed " << seed;
        EXPECT_EQ(ranks.races(), std::set<std::string>{}) << "seed " << seed;
    }
}

TEST_F(JobOnADevice, GoesOnWhereItStopped) {
    const std::vector<std::string> wanted = left_by(hostrun::host_run_backend(), "host");
    for (std::uint64_t seed = 0; seed < 4; ++seed) {
        const std::string name = fmt::format("device{}", seed);
        Ranks first(1, seed, {});
        (void)left_by(first.backend(0), name, {{"job.stop_at", {"7", "test"}}});
        Ranks second(1, seed, {});
        const std::vector<std::string> left = left_by(second.backend(0), name);
        EXPECT_EQ(left.back(), wanted.back()) << "seed " << seed;
    }
}

}  // namespace
}  // namespace trireme::async
