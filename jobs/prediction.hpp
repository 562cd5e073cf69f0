// Predictions of a whole split by all ranks, as a file of rows in input order.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "jobs/evaluation.hpp"

namespace trireme::jobs {

struct PredictionSetup {
    EvaluationSetup forward;    ///< which samples, and how the network is run on them
    std::filesystem::path out;  ///< .csv or .h5
    double join_seconds = 0;    ///< for rank 0 to join what the ranks wrote
    std::map<std::string, std::string> notes;
};

/// All ranks call it. A row holds the sample's place in the split, for classes the predicted one and the
/// probabilities, for labels (bce) a probability each, for numbers (mse) the outputs. The file is the same on
/// any number of ranks, as long as they run as many kernel threads each. Returns the rows.
std::int64_t predict(Executor& executor, const PredictionSetup& setup, comm::Communicator& comm);

/// Turns the logits of one sample into what a row holds, in place; returns the predicted class (of equal
/// logits the lower), or 0 where outputs are no classes.
std::int32_t logits_to_row(OutputKind kind, std::span<float> values);

}  // namespace trireme::jobs
