// Splits of step times, gathered from all ranks and as JSON, in summaries and benchmarks alike. All times in
// JSON are seconds a step.
#pragma once

#include <nlohmann/json.hpp>

#include "comm/communicator.hpp"
#include "runtime/telemetry/rank_split.hpp"

namespace trireme::jobs {

/// The splits of all ranks, in rank order. All ranks call it: `times` of `steps` steps, `wall` seconds of a
/// loop.
[[nodiscard]] std::vector<RankSplit> gather_splits(const StepTimes& times, std::int64_t steps, double wall,
                                                   comm::Communicator& comm, const Deadline& deadline);
/// {data_wait, compute, exposed_comm, straggler_wait, checkpoint} of `steps` steps that took `times`
/// together.
[[nodiscard]] nlohmann::ordered_json split_json(const StepTimes& times, std::int64_t steps);
/// {wall, unaccounted}: the whole, and what no column has of it.
[[nodiscard]] nlohmann::ordered_json rest_json(const RankSplit& split);
/// One object a rank: rank, host, the columns, wall, unaccounted.
[[nodiscard]] nlohmann::ordered_json ranks_json(const std::vector<RankSplit>& ranks);
/// {rank, host, wait, longer_in, longer_by}, or null where nobody was waited for.
[[nodiscard]] nlohmann::ordered_json waited_for_json(const std::vector<RankSplit>& ranks);

}  // namespace trireme::jobs
