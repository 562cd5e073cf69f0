#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "io/checkpoint/checkpoint.hpp"
#include "io/predictions.hpp"
#include "jobs/agreement.hpp"
#include "jobs/checkpointing.hpp"
#include "jobs/commands/commands.hpp"
#include "jobs/joined_job.hpp"
#include "jobs/planned_job.hpp"
#include "jobs/prediction.hpp"
#include "runtime/core/error.hpp"

namespace trireme::jobs {
namespace {

namespace fs = std::filesystem;

CommandSyntax predict_syntax() {
    CommandSyntax s;
    s.usage =
        "trireme predict JOB --checkpoint DIR --input DIR --out FILE(.h5|.csv) [--split NAME] "
        "[--section.key value ...]";
    s.about =
        "Writes what a checkpoint says about each sample of a data set: a row a sample, in input order on "
        "any "
        "number of ranks; its place, the predicted class, and probabilities (for mse: the outputs).";
    s.example =
        "mpirun -n 2 trireme predict jobs/recipes/lenet-mnist.cfg --checkpoint runs/lenet-mnist --input "
        "datasets/mnist --out predictions.csv";
    s.positionals = 1;
    s.job_keys = true;
    s.flags = {
        {"checkpoint", true, "checkpoint folder, or a folder of checkpoints: the newest good one is taken"},
        {"input", true, "data set (trireme data import makes one); its targets are not looked at"},
        {"out", true, "file to write: .h5 or .csv"},
        {"split", true, "train, val or test [the first of test, val, train that has samples]"}};
    return s;
}

std::string chosen_split(const Arguments& arguments, const io::DataSetInfo& input) {
    if (arguments.has("split")) return arguments.value("split");
    for (const char* name : {"test", "val"}) {
        if (has_samples(input, name)) return name;
    }
    return "train";
}

/// What a checkpoint remembers of the data that it was trained on.
struct TrainingData {
    ModelData model;
    std::vector<double> mean;
    std::vector<double> stddev;
};

/// Empty where an early version wrote the checkpoint.
std::optional<TrainingData> remembered(const io::CheckpointMeta& meta, const fs::path& checkpoint) {
    if (!meta.contains("sample_shape")) return std::nullopt;
    const auto value = [&](const char* key) { return nlohmann::json::parse(meta.at(key)); };
    try {
        TrainingData data;
        data.model.folder = fmt::format("the data of {}", checkpoint.string());
        data.model.input = Shape(value("sample_shape").get<std::vector<std::int64_t>>());
        data.model.target_kind = value("target_kind").get<std::string>();
        data.model.target_shape = Shape(value("target_shape").get<std::vector<std::int64_t>>());
        data.model.classes = value("classes").get<std::int64_t>();
        data.mean = value("mean").get<std::vector<double>>();
        data.stddev = value("stddev").get<std::vector<double>>();
        return data;
    } catch (const std::exception& error) {
        throw DataError(fmt::format("{}: what it says of its training data cannot be read: {}",
                                    checkpoint.string(), error.what()));
    }
}

/// The network is the one that was trained, whatever the input; and the input is normalised as the training
/// data were. Where the checkpoint does not remember them, the job's own data set must be there.
PlannedJob plan(JobSpec spec, const std::optional<TrainingData>& trained, int world, int threads) {
    if (trained) {
        spec.data.path.clear();
        spec.model.data = trained->model;
    }
    return PlannedJob(std::move(spec), world, threads, trained ? DataUse::if_there : DataUse::required);
}

io::DataSetInfo open_input(const fs::path& folder, const PlannedJob& job,
                           const std::optional<TrainingData>& trained) {
    io::DataSetInfo input = io::open_data_set(folder);
    const Shape& wanted = job.graph().tensor(job.graph().input()).shape;
    if (input.sample_shape != wanted) {
        throw ConfigError(
            fmt::format("command line: --input {}: its samples are {}, and the network takes {}",
                        folder.string(), input.sample_shape.str(), wanted.str()));
    }
    const std::vector<double>& mean = trained ? trained->mean : job.data()->mean;
    const std::vector<double>& stddev = trained ? trained->stddev : job.data()->stddev;
    if (mean.size() != input.mean.size() || stddev.size() != input.stddev.size()) {
        throw DataError(
            fmt::format("command line: --checkpoint: it remembers {} channels of its training "
                        "data, and {} has {}",
                        mean.size(), folder.string(), input.mean.size()));
    }
    input.mean = mean;
    input.stddev = stddev;
    return input;
}

int predict_joined(const Arguments& arguments, const RankJob& asked, comm::Communicator& comm) {
    const JobSpec& spec = asked.spec;
    const fs::path checkpoint = agree_on_named(arguments.value("checkpoint"), spec.deadline.checkpoint, comm);
    const io::CheckpointMeta meta = io::CheckpointReader(checkpoint).meta();
    const std::optional<TrainingData> trained = remembered(meta, checkpoint);
    PlannedJob job = plan(spec, trained, comm.size(), asked.threads);
    if (output_kind(job.graph()) == OutputKind::tokens) {
        throw ConfigError(
            "command line: predict is for classes, labels and values; a network that predicts tokens writes "
            "text with `trireme generate`");
    }
    agree(job, comm);
    const io::DataSetInfo input = open_input(arguments.value("input"), job, trained);

    // Nothing is updated here: the plain optimizer has no state to make room for.
    ModelState state(job.graph(), job.plan().buckets(), OptimizerSpec{}, job.device());
    restore_for_evaluation(state, checkpoint);
    ExecutorParts parts = executor_parts(job, comm, state);
    // Not divided by the ranks: a sample then meets the same kernel sizes on any number of them.
    parts.eval_batch = spec.data.eval_batch;
    Executor executor(parts);

    const std::int64_t target_elements = job.graph().tensor(job.graph().target()).shape.elements().value;
    const Region blank(job.device().staging(),
                       bytes_of(Elements(spec.data.eval_batch * target_elements), DType::f32));
    PredictionSetup setup;
    setup.forward = evaluation_setup(job, input, chosen_split(arguments, input));
    setup.forward.rows = parts.eval_batch;
    setup.forward.blank_targets = blank.bytes();
    setup.out = arguments.value("out");
    setup.join_seconds = spec.deadline.checkpoint;
    setup.notes = {{"split", setup.forward.split}, {"data_set", input.fingerprint}};
    for (const char* key : {"step", "params_sha256", "class_names"}) {
        if (meta.contains(key)) setup.notes[key] = meta.at(key);
    }
    const std::int64_t rows = predict(executor, setup, comm);
    if (comm.rank() == 0) fmt::print("{}: {} rows\n", setup.out.string(), rows);
    return 0;
}

int run_predict(const Arguments& arguments) {
    for (const char* flag : {"checkpoint", "input", "out"}) {
        if (!arguments.has(flag))
            throw ConfigError(
                fmt::format("command line: --{} is missing; usage: {}", flag, predict_syntax().usage));
    }
    io::require_prediction_name(arguments.value("out"));
    const RankJob asked = load_rank_job(arguments);
    return run_joined(asked.spec.deadline.join, {},
                      [&](comm::Communicator& comm) { return predict_joined(arguments, asked, comm); });
}

}  // namespace

Command predict_command() { return {"predict", predict_syntax(), run_predict}; }

}  // namespace trireme::jobs
