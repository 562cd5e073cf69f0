// From a JobSpec to a plan: the pure part of DESIGN's story, shared by train, eval and inspect. Needs no MPI;
// needs data only where a command trains on it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "comm/communicator.hpp"
#include "io/data_set.hpp"
#include "jobs/spec/job_spec.hpp"
#include "layers/graph.hpp"
#include "layers/rewrite/rewrite.hpp"
#include "runtime/available_backends.hpp"
#include "runtime/exec/executor.hpp"
#include "runtime/plan/parallel_plan.hpp"
#include "runtime/plan/selection.hpp"

namespace trireme::jobs {

/// True where a split of that name has samples.
[[nodiscard]] bool has_samples(const io::DataSetInfo& data, const std::string& split);

enum class DataUse { required, if_there };

class PlannedJob {
  public:
    /// Opens the data set, builds and rewrites the graph, selects kernels and plans for `world` ranks,
    /// `threads` kernel threads each. Throws ConfigError (what does not fit), DataError (data set missing or
    /// damaged), DeviceError.
    PlannedJob(JobSpec spec, int world, int threads, DataUse use);
    /// For the devices of a back end that was made before.
    PlannedJob(JobSpec spec, int world, int threads, DataUse use, Backend backend);

    PlannedJob(const PlannedJob&) = delete;  // its parts point at each other
    PlannedJob& operator=(const PlannedJob&) = delete;

    /// Where providers have several plans for a node, rank 0 measures and all ranks follow. All ranks must
    /// call it, before any kernel is used.
    void tune(comm::Communicator& comm);

    [[nodiscard]] const JobSpec& spec() const { return spec_; }
    [[nodiscard]] const std::optional<io::DataSetInfo>& data() const { return data_; }
    [[nodiscard]] const layers::ModelGraph& graph() const { return *graph_; }
    [[nodiscard]] const Selection& selection() const { return *selection_; }
    [[nodiscard]] const ParallelPlan& plan() const { return *plan_; }
    [[nodiscard]] Device& device() const { return *backend_.device; }
    /// As the job has them; batches lie where the device copies from.
    [[nodiscard]] io::LoaderOptions loader_options() const;
    [[nodiscard]] const MakeStepKernels& step_kernels() const { return backend_.step_kernels; }
    [[nodiscard]] int world() const { return plan_->world(); }

    /// Steps over which schedules are drawn.
    [[nodiscard]] std::int64_t horizon() const;
    /// Rows of a rank's evaluation batch.
    [[nodiscard]] std::int64_t eval_rows() const;
    /// Memory of a rank, the data pipeline included.
    [[nodiscard]] MemoryReport memory(int rank) const;

    [[nodiscard]] std::string graph_text() const;
    [[nodiscard]] std::string plan_text() const;
    [[nodiscard]] std::string program_text(int rank) const;
    [[nodiscard]] std::string memory_text(int rank) const;

    /// What all ranks must have in common, by name: each text's digest.
    [[nodiscard]] std::vector<std::pair<std::string, std::string>> fingerprints() const;

  private:
    void rewrite(layers::Rewritten rewritten);
    [[nodiscard]] Bytes data_memory(int rank) const;

    JobSpec spec_;
    std::string data_note_;  // before data_, whose opening may set it
    std::optional<io::DataSetInfo> data_;
    Backend backend_;
    std::vector<std::string> rewrites_;
    std::unique_ptr<layers::ModelGraph> graph_;
    std::unique_ptr<Selection> selection_;
    std::unique_ptr<ParallelPlan> plan_;
};

/// What an executor of the job is made of on this rank: enough for evaluation; training adds its guard. All
/// arguments must outlive it.
[[nodiscard]] ExecutorParts executor_parts(const PlannedJob& job, comm::Communicator& comm,
                                           ModelState& state);

}  // namespace trireme::jobs
