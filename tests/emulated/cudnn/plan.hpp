// An engine that runs a graph: what a variant pack must give it, and its launches.
#pragma once

#include <atomic>
#include <cstddef>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "tests/emulated/cudnn/engines.hpp"
#include "tests/emulated/cudnn/graph.hpp"

namespace trireme::emulated::dnn {

struct VariantPack;
class Plan;

/// One execution with its memory. A CUDA graph may replay it at any time, so it lives as long as its plan,
/// and a plan that ran to the end of the process.
struct Launch {
    Plan* plan = nullptr;
    std::vector<std::byte*> memory;  ///< of the graph's tensors in memory, in their order
    std::vector<float> values;       ///< of those that are by value
    std::byte* workspace = nullptr;
};

/// One thread at a time checks and launches; launches run on any.
class Plan {
  public:
    Plan(std::shared_ptr<const Graph> graph, EngineConfig config)
        : graph_(std::move(graph)), config_(std::move(config)) {}

    [[nodiscard]] std::int64_t workspace() const { return config_.workspace; }
    /// What the pack comes to. Throws Refusal where it lacks a tensor or has one too many, or where memory is
    /// null, misaligned, or shared by tensors of which one is written.
    [[nodiscard]] Launch* launch(const VariantPack& pack);
    /// Computes all of the graph.
    void run(const Launch& launch);

  private:
    void check_memory(const Launch& launch);
    [[nodiscard]] bool share(std::size_t a, std::size_t b, std::int64_t bytes_apart);

    std::shared_ptr<const Graph> graph_;
    EngineConfig config_;
    std::vector<std::unique_ptr<Launch>> launches_;
    std::map<std::pair<std::size_t, std::int64_t>, bool> shared_;  ///< by pair of tensors and distance
    std::atomic<std::uint64_t> runs_ = 0;
};

}  // namespace trireme::emulated::dnn
