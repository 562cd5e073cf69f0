// Forward passes over a split by all ranks, each sample once: evaluation and prediction.
//
// A split is cut into batches of fixed size in data-set order, and a rank computes whole batches. So a
// sample stands in the same batch, at the same place, on any number of ranks, and sums over batches are added
// in batch order: where the batch size does not depend on the rank count, neither does a bit of the result.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "comm/communicator.hpp"
#include "io/pipeline/batch_loader.hpp"
#include "jobs/planned_job.hpp"
#include "runtime/exec/executor.hpp"

namespace trireme::jobs {

/// What the outputs of a network are, by its loss.
enum class OutputKind {
    classes,        ///< logits of one class each; the greatest is the prediction (cross-entropy)
    tokens,         ///< the same at each position of a window of tokens
    probabilities,  ///< a logit a label, each true or not by itself (bce)
    values          ///< numbers (mse)
};
[[nodiscard]] OutputKind output_kind(const layers::ModelGraph& graph);

struct Evaluation {
    std::string split;
    OutputKind kind = OutputKind::classes;
    std::int64_t samples = 0;
    double loss_sum = 0;
    std::int64_t outputs = 0;    ///< classes, labels, values of a sample, or different tokens
    std::int64_t positions = 1;  ///< tokens: predictions of a sample
    /// Classes: samples predicted right; tokens: positions; probabilities: labels told right at 1/2.
    std::int64_t right = 0;
    std::int64_t top5 = 0;                 ///< classes and tokens only
    std::vector<std::int64_t> confusion;   ///< classes only: [actual, predicted], row-major
    std::vector<std::string> class_names;  ///< one an output, or none

    [[nodiscard]] double loss() const { return samples > 0 ? loss_sum / static_cast<double>(samples) : 0; }
    /// Whether one of several is predicted, each time.
    [[nodiscard]] bool is_index() const { return kind == OutputKind::classes || kind == OutputKind::tokens; }
    /// Of numbers there is no accuracy.
    [[nodiscard]] bool has_accuracy() const { return kind != OutputKind::values; }
    /// Share of samples (classes), of positions (tokens) or of all labels of all samples (probabilities) that
    /// are right; 0 where there is no accuracy.
    [[nodiscard]] double accuracy() const;
    [[nodiscard]] double top5_accuracy() const;
    /// {split, samples, loss, accuracy, top5, confusion}; null for what the kind does not have.
    [[nodiscard]] std::string json() const;
    /// "val of runs/x: 100 samples, loss 0.1, ...": one line, and for classes a table and the matrix.
    [[nodiscard]] std::string text(const std::string& what) const;
};

struct EvaluationSetup {
    const io::DataSetInfo* data = nullptr;
    std::string split;
    OutputKind kind = OutputKind::classes;
    std::int64_t positions = 1;  ///< predictions of a sample
    std::int64_t rows = 0;       ///< samples of a batch: the executor's evaluation batch
    io::LoaderOptions loader;
    /// Where not empty: stands in for the targets of the samples, `rows` of them. Predictions need none, and
    /// those of the data may not fit the network.
    std::span<const std::byte> blank_targets;
    double data_seconds = 0;
    double step_seconds = 0;
};

/// The samples of a split as the job says: its rows, loader and deadline for data. `data` must outlive it.
[[nodiscard]] EvaluationSetup evaluation_setup(const PlannedJob& job, const io::DataSetInfo& data,
                                               std::string split);

/// Calls `visit` for each batch of this rank, in order, with what the network says. Ranks own contiguous
/// pieces of the sequence of batches, in rank order.
void for_each_batch(Executor& executor, const EvaluationSetup& setup, comm::Communicator& comm,
                    TraceSink* trace,
                    const std::function<void(const io::Batch&, const Executor::Prediction&)>& visit);

/// All ranks call it; all get the whole result.
[[nodiscard]] Evaluation evaluate(Executor& executor, const EvaluationSetup& setup, comm::Communicator& comm,
                                  TraceSink* trace);

/// A batch as the executor wants it.
[[nodiscard]] HostBatch host_batch(const io::Batch& batch);

/// Adds one prediction of a class or token to the counts; of equal logits the lower class wins.
void count_sample(Evaluation& evaluation, std::span<const float> logits, std::int32_t target);
/// Adds one sample with 0/1 labels to the counts.
void count_labels(Evaluation& evaluation, std::span<const float> logits, std::span<const float> target);

}  // namespace trireme::jobs
