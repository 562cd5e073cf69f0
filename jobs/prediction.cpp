#include "jobs/prediction.hpp"

#include <algorithm>
#include <cmath>

#include "io/predictions.hpp"
#include "runtime/core/error.hpp"

namespace trireme::jobs {
namespace {

namespace fs = std::filesystem;

/// The folder of the parts, which vanishes with this object, however the job ends.
class PartsFolder {
  public:
    explicit PartsFolder(const fs::path& out) : path_(io::prediction_parts(out)) {
        std::error_code error;
        fs::remove_all(path_, error);
        fs::create_directories(path_, error);
        if (error)
            throw DataError(fmt::format("{}: cannot create the folder: {}: check --out", path_.string(),
                                        error.message()));
    }
    ~PartsFolder() {
        std::error_code ignored;
        fs::remove_all(path_, ignored);
    }
    PartsFolder(const PartsFolder&) = delete;
    PartsFolder& operator=(const PartsFolder&) = delete;

  private:
    fs::path path_;
};

void softmax(std::span<float> values) {
    const auto top = static_cast<double>(*std::max_element(values.begin(), values.end()));
    double sum = 0;
    for (const float v : values) sum += std::exp(static_cast<double>(v) - top);
    for (float& v : values) v = static_cast<float>(std::exp(static_cast<double>(v) - top) / sum);
}

}  // namespace

std::int32_t logits_to_row(OutputKind kind, std::span<float> values) {
    if (kind == OutputKind::probabilities) {
        for (float& v : values) v = static_cast<float>(1 / (1 + std::exp(-static_cast<double>(v))));
    }
    if (kind != OutputKind::classes) return 0;
    const auto best = std::max_element(values.begin(), values.end());
    const auto predicted = static_cast<std::int32_t>(best - values.begin());
    softmax(values);
    return predicted;
}

std::int64_t predict(Executor& executor, const PredictionSetup& setup, comm::Communicator& comm) {
    const Deadline deadline = Deadline::in_seconds(setup.join_seconds);
    io::PredictionLayout layout;
    layout.rows = setup.forward.data->split(setup.forward.split).samples;
    layout.outputs = executor.classes();
    layout.has_class = setup.forward.kind == OutputKind::classes;
    layout.output_name = setup.forward.kind == OutputKind::values ? "output" : "probability";
    layout.notes = setup.notes;

    std::optional<PartsFolder> folder;
    if (comm.rank() == 0) folder.emplace(setup.out);
    comm.barrier("folder of predictions", deadline);
    io::PredictionPart part(setup.out, comm.rank(), layout.outputs);
    std::vector<float> values(static_cast<std::size_t>(layout.outputs));
    for_each_batch(executor, setup.forward, comm, nullptr,
                   [&](const io::Batch& batch, const Executor::Prediction& said) {
                       for (std::size_t i = 0; i < static_cast<std::size_t>(batch.samples()); ++i) {
                           const auto logits = said.logits.subspan(i * values.size(), values.size());
                           std::copy(logits.begin(), logits.end(), values.begin());
                           const std::int32_t predicted = logits_to_row(setup.forward.kind, values);
                           part.add({batch.sample_ids()[i], predicted, values});
                       }
                   });
    part.finish();
    comm.barrier("predictions written", Deadline::in_seconds(setup.join_seconds));
    if (comm.rank() == 0) io::join_predictions(setup.out, layout, comm.size());
    comm.barrier("predictions joined", Deadline::in_seconds(setup.join_seconds));
    return layout.rows;
}

}  // namespace trireme::jobs
