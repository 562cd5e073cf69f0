// Parameters, buffers and optimizer state of one rank. Parameters and state lie in arenas with the layout of
// the gradient buckets, so that an update is a walk over equal offsets. From outside everything is addressed
// by name.
//
// An asynchronous device has the arenas in its own memory, and the host a copy of them: what is read and
// written by name is the copy. `fetch` brings it up to date, `send` carries it back.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "layers/graph.hpp"
#include "runtime/device/device.hpp"
#include "runtime/optim/running_statistics.hpp"
#include "runtime/optim/updater.hpp"
#include "runtime/plan/grad_buckets.hpp"

namespace trireme {

class ModelState;

/// While it lives, the parameters hold their moving average, and the state "ema" holds them: values change
/// places, memory does not. Nothing may be updated or saved meanwhile. Does nothing without an average.
class AverageScope {
  public:
    explicit AverageScope(ModelState& state);
    ~AverageScope();
    AverageScope(const AverageScope&) = delete;
    AverageScope& operator=(const AverageScope&) = delete;

  private:
    ModelState& state_;
};

/// A tensor as checkpoints name it: "params/conv1.weight", "buffers/bn1.running_mean",
/// "optimizer/momentum/conv1.weight".
struct NamedTensor {
    std::string name;
    Shape shape;
    std::span<float> values;
};

/// What an update walks over: places in the arenas, in name order.
struct UpdateTable {
    std::vector<IndexRange> places;
    std::vector<ParamSettings> settings;
    std::vector<IndexRange> frozen;  ///< of parameters that get no update
};

/// Throws ConfigError where a parameter group has no parameter.
[[nodiscard]] UpdateTable update_table_of(const layers::ModelGraph& graph, const GradBuckets& buckets,
                                          const OptimizerSpec& optimizer);
/// Every batch norm, a node's in their order, where an arena holds, for node n, its statistics_of values from
/// `offset_of_node[n]` on (ignored where it has none), and `offset_of_buffer` tells where buffers lie.
[[nodiscard]] std::vector<RunningNorm> running_norms_of(
    const layers::ModelGraph& graph, std::span<const std::int64_t> offset_of_node,
    const std::function<std::int64_t(layers::BufferId)>& offset_of_buffer);

class ModelState {
  public:
    /// Throws ConfigError where a parameter group of `optimizer` has no parameter.
    /// `device` must outlive it.
    ModelState(const layers::ModelGraph& graph, const GradBuckets& buckets, const OptimizerSpec& optimizer,
               Device& device);

    /// Initial values from (seed, name, element); buffers as the graph says; optimizer state is zero, the
    /// moving average the parameters.
    void initialise(std::uint64_t seed);
    /// Sets the moving average to the parameters: after these came from elsewhere (model.init_from).
    void restart_average();

    [[nodiscard]] std::span<float> param(layers::ParamId p) const;
    [[nodiscard]] std::span<float> buffer(layers::BufferId b) const;
    /// Where kernels find them: the same memory where the device is the host.
    [[nodiscard]] const float* device_param(layers::ParamId p) const;
    [[nodiscard]] const float* device_buffer(layers::BufferId b) const;
    /// The arenas there: parameters (and state tensor `k`) laid out as the gradient buckets, and buffers.
    /// Null where the network has no buffers.
    [[nodiscard]] float* device_params() const;
    [[nodiscard]] float* device_state(std::size_t k) const;
    [[nodiscard]] float* device_buffers() const;
    /// The values on the device are about to change. `changed`: what is recorded behind the change, before
    /// anybody fetches; null where the device is the host.
    void change_on_device(std::shared_ptr<Event> changed);
    /// Brings the host's copy up to date. Waits for the device, and for what changes the values there.
    void fetch() const;
    /// After the host's copy was written: carries all of it to the device.
    void send();
    /// State tensor `k` (of state_names) of a parameter.
    [[nodiscard]] std::span<float> state(std::size_t k, layers::ParamId p) const;
    [[nodiscard]] const std::vector<std::string>& state_tensor_names() const { return state_names_; }
    [[nodiscard]] const layers::ModelGraph& graph() const { return *graph_; }
    [[nodiscard]] const OptimizerSpec& optimizer() const { return optimizer_; }
    [[nodiscard]] Bytes parameter_bytes() const { return params_.host.size(); }
    [[nodiscard]] Bytes buffer_bytes() const { return buffers_.host.size(); }
    [[nodiscard]] Bytes optimizer_bytes() const;

    /// Clips, and applies the optimizer to every parameter, each with its group's settings. `gradients`: the
    /// bucket arena, summed over all samples of the step. Runs on this thread's kernel threads.
    UpdateReport apply(const UpdateScalars& scalars, std::span<const float> gradients);
    [[nodiscard]] UpdateTable update_table() const;
    /// See running_norms_of.
    [[nodiscard]] std::vector<RunningNorm> running_norms(std::span<const std::int64_t> offset_of_node) const;
    /// Updates the running statistics of `norms` from a step's sums in `statistics`, the arena that they
    /// name. `samples`: of the step, of all ranks.
    void update_buffers(std::span<const float> statistics, std::span<const RunningNorm> norms,
                        std::int64_t samples);
    /// `const auto scope = state.with_ema();` around an evaluation: it sees the moving average of parameters.
    [[nodiscard]] AverageScope with_ema() { return AverageScope(*this); }

    /// Parameters in name order.
    [[nodiscard]] std::vector<layers::ParamId> by_name() const;
    /// Everything that a checkpoint holds: parameters, buffers, then each state tensor, all in name order.
    [[nodiscard]] std::vector<NamedTensor> tensors() const;
    /// SHA-256 over the parameters in name order, fp32 little-endian.
    [[nodiscard]] std::string params_sha256() const;
    /// SHA-256 over `tensors` and `cursor`, the text of the position.
    [[nodiscard]] std::string state_sha256(std::string_view cursor) const;

  private:
    friend class AverageScope;
    /// An arena on the host, and on an asynchronous device.
    struct Arena {
        Region host;
        Region device;  ///< empty: the host's is the device's
        [[nodiscard]] const Region& on_device() const { return device.data() == nullptr ? host : device; }
    };
    [[nodiscard]] Arena arena(Bytes size);
    [[nodiscard]] std::vector<const Arena*> arenas() const;
    [[nodiscard]] std::span<float> place(const Region& arena, layers::ParamId p) const;
    [[nodiscard]] std::int64_t offset_of(layers::BufferId b) const {
        return buffer_offsets_.at(static_cast<std::size_t>(b));
    }
    [[nodiscard]] bool has_average() const { return optimizer_.ema != 0; }
    void exchange_with_average();

    const layers::ModelGraph* graph_;
    const GradBuckets* buckets_;
    OptimizerSpec optimizer_;
    std::vector<std::string> state_names_;
    Updater updater_;
    Device* device_;
    std::unique_ptr<Stream> stream_;  ///< of an asynchronous device
    std::shared_ptr<Event> changed_;  ///< behind the last change there
    Arena params_;
    Arena buffers_;
    std::vector<std::int64_t> buffer_offsets_;  ///< elements, by BufferId
    std::vector<Arena> states_;
    mutable bool stale_ = false;  ///< the host's copy is behind the device
    bool averaged_ = false;       ///< inside an AverageScope
};

}  // namespace trireme
