// A folder of checkpoints as a whole: which one to go on from, which to keep, and what a killed job left.
//
//      checkpoints/
//          step-20/  step-40/        complete ones (DONE inside), or the last steps of a save that was killed
//          .tmp-step-60/             a save that did not end
//          .old-step-40/             a complete one whose replacement of the same step is not DONE yet
//          aside-step-80/            one of a course that was left: the job went on from an earlier step
//
// One job writes to a folder at a time. Reading is safe at any time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace trireme::io {

/// What is kept; a checkpoint that any of the rules wants stays.
struct KeepPolicy {
    std::int64_t newest = 3;
    std::int64_t every = 0;  ///< steps that are multiples of it; 0: no such rule
    std::string best;  ///< "val_loss" (least) or "val_accuracy" (greatest) of the meta; empty: no such rule
};

/// What the folder says about one checkpoint without reading its tensors.
struct CheckpointEntry {
    std::filesystem::path folder;
    std::int64_t step = 0;
    std::optional<double> metric;  ///< of KeepPolicy::best, where its meta has it
};

/// The entries that the policy lets go. Pure. Of equal metrics the earlier step is the best.
[[nodiscard]] std::vector<CheckpointEntry> superseded(std::vector<CheckpointEntry> entries,
                                                      const KeepPolicy& policy);
/// Whether value `a` of a metric (KeepPolicy::best) is better than `b`.
[[nodiscard]] bool is_better(const std::string& metric, double a, double b);
/// Removes what the policy lets go; what cannot be removed is a warning.
void remove_superseded(const std::filesystem::path& dir, const KeepPolicy& policy);

/// Of a job that went on from step `from` and has just saved step `saved`: checkpoints of later steps than
/// `from` that are not its own belong to a course that it has left, and are renamed to aside-step-N, so that
/// no resume takes them for its future. Returns their steps.
std::vector<std::int64_t> set_aside_later(const std::filesystem::path& dir, std::int64_t from,
                                          std::int64_t saved);

/// Puts right what a killed job left: saves that did not end are removed, and a complete checkpoint whose
/// replacement was not finished gets its name back. To be called by the one job that writes there.
void clear_leftovers(const std::filesystem::path& dir);

/// A folder step-N, complete or not.
struct CheckpointFolder {
    std::int64_t step = 0;
    std::filesystem::path folder;
    bool complete = false;  ///< it is DONE
};
/// All folders step-N of `dir`, newest first; none where it is missing.
[[nodiscard]] std::vector<CheckpointFolder> step_folders(const std::filesystem::path& dir);

/// The newest checkpoint of a folder whose every byte is right, and why newer ones were passed over.
struct NewestGood {
    std::optional<std::filesystem::path> folder;
    std::vector<std::string> damaged;     ///< one sentence for each complete one that is damaged
    std::vector<std::string> incomplete;  ///< one for each whose save did not end
};
/// Verifies from the newest on, until one is good. A folder that is missing has none.
[[nodiscard]] NewestGood newest_good(const std::filesystem::path& dir);

/// The checkpoint that a user means by naming a folder: a checkpoint, a folder of checkpoints, or a run
/// folder. Of several the newest good one, with a warning for each newer one that is not. Throws DataError
/// where there is none.
[[nodiscard]] std::filesystem::path resolve_checkpoint(const std::filesystem::path& named);
/// Where a user's folder keeps its checkpoints: itself, or `checkpoints` inside it.
[[nodiscard]] std::filesystem::path checkpoints_folder(const std::filesystem::path& named);

}  // namespace trireme::io
