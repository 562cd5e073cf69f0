// A graph with the plans that cuDNN has for it. Plans are made for a GPU, or, where none is, for one that a
// text describes: cuDNN then says what it would accept, and a proof needs no device (tests/deviceless).
//
// A plan may serve when its workspace is within the spec's, and when it keeps what the spec asks: sums in
// fp32, in canonical jobs the same bits each time, TF32 only where it is allowed. Of these the library's
// first choice is taken, or the one that was measured to be fastest (plan_tuner.hpp).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/kernels/cuda/nodes/graph_kernels.hpp"
#include "runtime/kernels/rules/cudnn_graphs.hpp"

struct cudnnContext;

namespace trireme::cudnn {

/// What plans are made for. Copies are the same target.
class Target {
  public:
    /// The GPU of a handle, which must outlive the plans.
    [[nodiscard]] static Target gpu(cudnnContext* handle, int sm);
    /// A GPU that is not there, by cuDNN's own description in JSON (cudnn >= 9.8). Throws DeviceError with
    /// the library's words when it does not take it.
    [[nodiscard]] static Target described(const std::string& properties, int sm);

    [[nodiscard]] int sm() const { return sm_; }
    [[nodiscard]] cudnnContext* handle() const { return handle_; }
    /// Of cudnn-frontend's DeviceProperties; null for a GPU.
    [[nodiscard]] const std::shared_ptr<void>& properties() const { return properties_; }

  private:
    Target() = default;
    int sm_ = 0;
    cudnnContext* handle_ = nullptr;
    std::shared_ptr<void> properties_;
};

class PlannedGraph {
  public:
    /// Null where the library has no plan for the graph; `refusal` then holds its reasons, each once.
    [[nodiscard]] static std::unique_ptr<PlannedGraph> make(const GraphSpec& spec, const Target& target,
                                                            std::string& refusal);
    PlannedGraph(const PlannedGraph&) = delete;
    PlannedGraph& operator=(const PlannedGraph&) = delete;
    ~PlannedGraph();

    /// How many plans the library offers, and the names of those that may serve, best first. A name tells the
    /// kernel and its parameters: "eng62_k2=4_k13=0". That a plan may serve is certain only once it is built.
    [[nodiscard]] int offered() const;
    [[nodiscard]] const std::vector<std::string>& candidates() const;

    /// Builds a candidate and takes it: what runs from now on. False where it cannot be built or needs more
    /// workspace than it has, and then `why` says so.
    [[nodiscard]] bool take(std::string_view name, std::string& why);
    /// The first candidate that can be taken. False where there is none.
    [[nodiscard]] bool take_first(std::string& why);

    /// Of the plan that was taken.
    [[nodiscard]] const std::string& name() const;
    [[nodiscard]] std::int64_t workspace() const;

    /// Launches on the stream that the handle is bound to. Throws DeviceError.
    void run(cudnnContext* handle, const Operands& operands, std::byte* workspace);

  private:
    struct Library;
    explicit PlannedGraph(std::unique_ptr<Library> library);
    std::unique_ptr<Library> library_;
};

}  // namespace trireme::cudnn
