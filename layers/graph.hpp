// ModelGraph: what is computed, without device or ranks. Nodes stand in topological order; tensors are
// activations (per-sample shapes), parameters have stable names that checkpoints and initial values are keyed
// by.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "layers/ops.hpp"
#include "runtime/core/dtype.hpp"
#include "runtime/core/shape.hpp"

namespace trireme::layers {

using TensorId = int;
using ParamId = int;
using NodeId = int;
using BufferId = int;

/// How a parameter starts. Values are functions of (seed, parameter name, element index), so that they do not
/// depend on ranks or sharding.
struct Init {
    enum class Kind { zeros, ones, uniform, normal };
    Kind kind = Kind::zeros;
    double scale = 0;  ///< uniform: in [-scale, scale); normal: standard deviation
    bool operator==(const Init&) const = default;
};

struct TensorSpec {
    std::string name;
    Shape shape;               ///< per sample
    DType dtype = DType::f32;  ///< of the values and of their gradient, as kernels read and write them
};

struct ParamSpec {
    std::string name;
    Shape shape;
    Init init;
};

/// State that a node carries beside its parameters: not trained, not differentiated, but saved in
/// checkpoints, such as "bn1.running_mean". All elements start as `start`.
struct BufferSpec {
    std::string name;
    Shape shape;
    double start = 0;
};

struct Node {
    std::string name;
    Op op;
    std::vector<TensorId> inputs;
    TensorId output = -1;
    std::vector<ParamId> params;    ///< weight, then bias; of fused ops those of each part in turn
    std::vector<BufferId> buffers;  ///< running_mean, then running_var, of each norm
};

/// Work per sample: floating-point operations (a multiply-add counts two) and bytes of activations and
/// weights moved, in fp32.
struct Cost {
    double forward_flops = 0;
    double backward_input_flops = 0;
    double backward_weight_flops = 0;
    double activation_bytes = 0;  ///< read and written by forward, per sample
    double weight_bytes = 0;      ///< read by forward, once a batch

    Cost& operator+=(const Cost& other);
};

/// Invariant: nodes stand in an order in which every tensor is made before it is read. Node names are unique;
/// a node's output tensor has the node's name, the model's own tensors are "input" and "target". Names of
/// parameters and buffers are unique, and a parameter may be read by several nodes; a buffer belongs to one.
class ModelGraph {
  public:
    /// `input` is the sample's shape as the data set has it; `target` its shape and dtype ({} and i32: class
    /// index; [k] and f32: a vector; [T] and i32: a class at each position). Samples are fp32, or i32 where
    /// they are tokens.
    ModelGraph(std::string name, Shape input, Shape target, DType target_dtype,
               DType input_dtype = DType::f32);

    /// Appends a node reading `inputs`; infers and checks shapes, makes the op's parameters as `name.weight`
    /// and `name.bias` with their default initial distribution, and its buffers. Returns its output tensor.
    /// Throws ConfigError naming the node, the op and the shapes that do not fit.
    TensorId add(std::string node_name, Op op, const std::vector<TensorId>& inputs);
    /// The same with parameters and buffers that exist already (rewrites, tied weights).
    TensorId add_with_params(std::string node_name, Op op, const std::vector<TensorId>& inputs,
                             std::vector<ParamId> params, std::vector<BufferId> buffers = {});
    /// Adds a parameter without a node; used by rewrites and by `add`.
    ParamId add_param(ParamSpec spec);
    /// The same for a buffer.
    BufferId add_buffer(BufferSpec spec);
    /// Stores the output of a node, and its gradient, as `dtype` (fp32, bf16 or fp16) from now on; what the
    /// op means does not change. The output of a view has the type of its input and cannot have another.
    void store_as(TensorId id, DType dtype);

    [[nodiscard]] const std::string& name() const { return name_; }
    [[nodiscard]] TensorId input() const { return 0; }
    [[nodiscard]] TensorId target() const { return 1; }
    /// The per-sample loss; the output of the last node. Its node's first input holds the logits.
    [[nodiscard]] TensorId loss() const;
    [[nodiscard]] TensorId logits() const;
    [[nodiscard]] const std::vector<Node>& nodes() const { return nodes_; }
    [[nodiscard]] const std::vector<TensorSpec>& tensors() const { return tensors_; }
    [[nodiscard]] const std::vector<ParamSpec>& params() const { return params_; }
    [[nodiscard]] const std::vector<BufferSpec>& buffers() const { return buffers_; }
    [[nodiscard]] const Node& node(NodeId id) const { return nodes_.at(static_cast<std::size_t>(id)); }
    [[nodiscard]] const TensorSpec& tensor(TensorId id) const {
        return tensors_.at(static_cast<std::size_t>(id));
    }
    [[nodiscard]] const ParamSpec& param(ParamId id) const {
        return params_.at(static_cast<std::size_t>(id));
    }
    [[nodiscard]] const BufferSpec& buffer(BufferId id) const {
        return buffers_.at(static_cast<std::size_t>(id));
    }
    [[nodiscard]] Elements parameter_count() const;
    /// Nodes that read a tensor, in order.
    [[nodiscard]] std::vector<NodeId> readers_of(TensorId id) const;

    /// Work of all nodes together, per sample (weight bytes: per batch). Backward counts every gradient, that
    /// of the model's input too.
    [[nodiscard]] Cost total_cost() const;

    /// A line a node (op, attributes, shapes, parameters, buffers), a line a parameter, a line a buffer and
    /// the totals, stable: for `inspect`, golden tests and the plan hash.
    [[nodiscard]] std::string str() const;

  private:
    [[nodiscard]] Shape checked_output(const std::string& node_name, const Op& op,
                                       const std::vector<TensorId>& inputs) const;
    void check_distinct(const std::string& node_name, const Op& op,
                        const std::vector<TensorId>& inputs) const;
    [[nodiscard]] std::vector<ParamSpec> wanted_params(const std::string& node_name, const Op& op,
                                                       const std::vector<TensorId>& inputs) const;
    [[nodiscard]] std::vector<BufferSpec> wanted_buffers(const std::string& node_name, const Op& op,
                                                         const std::vector<TensorId>& inputs) const;
    void check_params(const std::string& node_name, const Op& op, const std::vector<TensorId>& inputs,
                      const std::vector<ParamId>& params) const;
    void check_buffers(const std::string& node_name, const Op& op, const std::vector<TensorId>& inputs,
                       const std::vector<BufferId>& buffers) const;
    TensorId append(Node node, const Shape& output);

    std::string name_;
    std::vector<TensorSpec> tensors_;
    std::vector<ParamSpec> params_;
    std::vector<BufferSpec> buffers_;
    std::vector<Node> nodes_;
};

/// "out_channels=20, kernel=5x5, ..."; empty for ops without attributes.
[[nodiscard]] std::string attributes_of(const Op& op);
/// How many tensors the op reads, at least; reads_more: any number beyond it is fine too (add, concat).
[[nodiscard]] std::size_t input_count(const Op& op);
[[nodiscard]] bool reads_more(const Op& op);
/// True for ops that end a model: inputs are what the model gives and the target, the output is the loss of a
/// sample.
[[nodiscard]] bool is_loss(const Op& op);
/// Element type of input `index`: i32 for the class index of a loss and the symbols of an embedding, else
/// fp32, which a bf16 or fp16 tensor serves too.
[[nodiscard]] DType input_dtype(const Op& op, std::size_t index);
/// Shape of the output of `op` for these inputs (per sample). Throws ConfigError that names the shapes.
[[nodiscard]] Shape infer_shape(const Op& op, const std::vector<Shape>& inputs);
/// Weight, then bias, of `op` for this input; empty where it has none.
[[nodiscard]] std::vector<ParamSpec> params_of(const Op& op, const Shape& input,
                                               const std::string& node_name);

/// One of the batch norms that an op holds. Norm i has buffers 2 i (running_mean) and 2 i + 1 (running_var)
/// of the node, and its statistics lie behind those of the norms before it.
struct NormSpec {
    std::int64_t channels = 0;
    std::int64_t positions = 0;  ///< values that a sample gives a channel
    double momentum = 0;

    /// fp32 values that one forward in training writes; their meaning is told at BatchNorm.
    [[nodiscard]] std::int64_t statistics() const { return 3 * channels; }
    bool operator==(const NormSpec&) const = default;
};
/// One for a batch norm, one a link for a chain, none for all other ops.
[[nodiscard]] std::vector<NormSpec> norms_of(const Op& op, const Shape& input);
/// running_mean, then running_var, of each batch norm.
[[nodiscard]] std::vector<BufferSpec> buffers_of(const Op& op, const Shape& input,
                                                 const std::string& node_name);
/// How many fp32 statistics one forward in training writes for the step's update of the running statistics,
/// of all norms together.
[[nodiscard]] std::int64_t statistics_of(const Op& op, const Shape& input);

/// What each link of a chain reads, and behind them what the last one writes: one shape more than links.
[[nodiscard]] std::vector<Shape> shapes_along(const ConvNormChain& op, const Shape& input);

[[nodiscard]] Cost cost_of(const Op& op, const std::vector<Shape>& inputs, const Shape& output);

/// What a straightforward backward of `op` reads besides the gradient of its output. A kernel may need less
/// or keep state of its own (runtime/kernels/kernel.hpp).
struct BackwardNeeds {
    bool input = false;
    bool output = false;
    bool params = false;
    bool target = false;
};
[[nodiscard]] BackwardNeeds backward_needs(const Op& op);
/// The activation that a rewrite has fused behind the op.
[[nodiscard]] Activation activation_of(const Op& op);
/// True for ops that multiply their input with a parameter (conv2d, linear, feed_forward, chains): kernels
/// may want it in a layout or element type of their own.
[[nodiscard]] bool multiplies_weight(const Op& op);
/// True for ops whose output is the same memory as their input (flatten).
[[nodiscard]] bool is_view(const Op& op);

}  // namespace trireme::layers
