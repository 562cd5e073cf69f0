// Plans of graphs on a GPU: the policy that nodes/graph_kernels.hpp runs graphs through. A graph is asked for
// once; equal graphs share a plan.
//
// Which plan: the one that was measured to be fastest, where the cache knows it, else the library's first
// choice. Both are the same on every rank with the same GPU, versions and cache.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runtime/kernels/cudnn/handle.hpp"
#include "runtime/kernels/cudnn/planned_graph.hpp"
#include "runtime/kernels/rules/plan_cache.hpp"

namespace trireme::cudnn {

/// One thread at a time: plans are not to be shared by threads.
class GraphPlans {
  public:
    using Plan = PlannedGraph;

    /// On the current device of the calling thread, of compute capability sm / 10. `tuned` may be null.
    /// Throws DeviceError as Handle does.
    GraphPlans(int sm, std::shared_ptr<const PlanCache> tuned) : sm_(sm), tuned_(std::move(tuned)) {}

    /// Null where there is none.
    [[nodiscard]] std::shared_ptr<Plan> plan(const GraphSpec& spec);
    /// All graphs that a plan was asked for.
    [[nodiscard]] std::vector<GraphSpec> asked() const;
    /// Plans are chosen anew for who asks from now on: the cache has learnt.
    void forget() { plans_.clear(); }
    /// Why there was none, in cuDNN's words: of the last plan that was null.
    [[nodiscard]] const std::string& refusal() const { return refusal_; }
    /// Launches; the memory must stay until the stream has come so far.
    void run(Plan& plan, Stream& stream, const Operands& operands, std::byte* workspace) {
        plan.run(handle_.on(stream), operands, workspace);
    }

  private:
    [[nodiscard]] bool take(Plan& plan, const GraphSpec& spec);

    Handle handle_;  // before the plans, which are its
    int sm_;
    std::shared_ptr<const PlanCache> tuned_;
    std::string refusal_;
    struct Chosen {
        GraphSpec spec;
        std::shared_ptr<Plan> plan;
    };
    std::map<std::string, Chosen> plans_;  ///< by GraphSpec::str()
};

}  // namespace trireme::cudnn
