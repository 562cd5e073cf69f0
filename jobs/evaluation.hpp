// Evaluation of a split by all ranks: each sample once, whatever the rank count.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "comm/communicator.hpp"
#include "io/pipeline/batch_loader.hpp"
#include "runtime/exec/executor.hpp"

namespace trireme::jobs {

struct Evaluation {
    std::string split;
    std::int64_t samples = 0;
    double loss_sum = 0;
    std::int64_t top1 = 0;
    std::int64_t top5 = 0;
    std::int64_t classes = 0;
    std::vector<std::int64_t> confusion;  ///< [actual, predicted], row-major

    [[nodiscard]] double loss() const { return samples > 0 ? loss_sum / static_cast<double>(samples) : 0; }
    [[nodiscard]] double accuracy() const {
        return samples > 0 ? static_cast<double>(top1) / static_cast<double>(samples) : 0;
    }
    [[nodiscard]] double top5_accuracy() const {
        return samples > 0 ? static_cast<double>(top5) / static_cast<double>(samples) : 0;
    }
    /// {split, samples, loss, accuracy, top5, confusion}
    [[nodiscard]] std::string json() const;
};

struct EvaluationSetup {
    const io::DataSetInfo* data = nullptr;
    std::string split;
    std::int64_t batch = 0;  ///< global samples of a batch
    io::LoaderOptions loader;
    double data_seconds = 0;
    double step_seconds = 0;
};

/// All ranks call it; all get the whole result.
[[nodiscard]] Evaluation evaluate(Executor& executor, const EvaluationSetup& setup, comm::Communicator& comm,
                                  TraceSink* trace);

/// Adds one sample to the counts: `logits` of all classes, its loss and its class. Of equal logits the lower
/// class wins.
void count_sample(Evaluation& evaluation, std::span<const float> logits, float loss, std::int32_t target);

}  // namespace trireme::jobs
