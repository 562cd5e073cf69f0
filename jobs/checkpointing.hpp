// Saving and restoring a training run through io's checkpoints.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>

#include "comm/communicator.hpp"
#include "io/pipeline/batch_loader.hpp"
#include "jobs/planned_job.hpp"
#include "runtime/exec/model_state.hpp"

namespace trireme::jobs {

/// Where a run stands.
struct Position {
    std::int64_t step = 0;          ///< steps done
    io::Cursor cursor;              ///< the next step's samples
    std::int64_t skipped = 0;       ///< steps thrown away because they were not finite
    std::int64_t without_gain = 0;  ///< evaluations since the best one
    double best_val_loss = std::numeric_limits<double>::infinity();
    /// "epoch 2 step 17": what the state hash covers.
    [[nodiscard]] std::string str() const;
};

/// The checkpoint to go on from, by the job's `checkpoint.resume`; empty: start anew. Looks at files only.
[[nodiscard]] std::optional<std::filesystem::path> find_checkpoint(const JobSpec& spec);

/// Saves parameters, optimizer state and position; removes the oldest beyond `checkpoint.keep`. All ranks
/// call it.
void save_checkpoint(const PlannedJob& job, const ModelState& state, const Position& position,
                     const std::filesystem::path& folder, comm::Communicator& comm);

/// Fills parameters and optimizer state; returns the position. Throws ConfigError where the checkpoint
/// belongs to another job (names, shapes, seed, batch or virtual shards differ), DataError where it is
/// damaged.
[[nodiscard]] Position restore_checkpoint(const PlannedJob& job, ModelState& state,
                                          const std::filesystem::path& checkpoint);

/// Fills parameters (their moving average where the job kept one) and running statistics: for evaluation.
void restore_for_evaluation(ModelState& state, const std::filesystem::path& checkpoint);

}  // namespace trireme::jobs
