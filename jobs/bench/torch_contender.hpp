// PyTorch as a contender: tests/bench/torch_peer.py in a Python environment that has torch, one process a
// rank.
#pragma once

#include <filesystem>
#include <vector>

#include "jobs/bench/contender.hpp"
#include "jobs/bench/peer_process.hpp"
#include "jobs/planned_job.hpp"

namespace trireme::jobs {

struct TorchSetup {
    std::string python;             ///< of the environment
    std::filesystem::path script;   ///< torch_peer.py
    std::string mode;               ///< eager, compile, graph, or ddp for more than one rank
    std::filesystem::path meeting;  ///< ddp: a file that all ranks can reach and that is not there yet
};

/// The modes that a comparison with this job has: on a GPU PyTorch can replay a captured step too.
[[nodiscard]] std::vector<std::string> torch_modes(const PlannedJob& job);

class TorchContender final : public Contender {
  public:
    /// Starts the peer with the job's model and its shapes and loss, batch, threads, precision and optimizer,
    /// and waits until it has warmed up. Throws ConfigError where the peer does not build what the job says,
    /// or its network is not the job's.
    TorchContender(const TorchSetup& setup, const PlannedJob& job, int rank);

    [[nodiscard]] const std::string& name() const override { return name_; }
    [[nodiscard]] Turn take_turn(std::int64_t steps) override;
    [[nodiscard]] std::int64_t batch() const override { return batch_; }
    [[nodiscard]] std::optional<Bytes> peak_memory() override { return peak_memory_; }
    /// "2.15.0", as the peer tells it.
    [[nodiscard]] const std::string& version() const { return version_; }

  private:
    std::string name_;
    PeerProcess process_;
    std::string version_;
    std::int64_t batch_;
    Bytes peak_memory_{};
};

}  // namespace trireme::jobs
