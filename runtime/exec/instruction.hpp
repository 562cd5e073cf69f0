// The instructions of a training step: a closed set. A program is a flat list of them; each says what it
// waits for and what it signals, so that a schedule is text and overlap is an edge between two lines.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "layers/graph.hpp"
#include "runtime/core/strong.hpp"

namespace trireme {

/// Binds the samples of a micro-batch: its input and target become readable.
struct LoadMicrobatch {
    Microbatch microbatch;
};
/// Fills the compute copy of a node's weights that its forward reads, or its input gradient: once a program
/// and size of micro-batch, which `microbatch` is the first of. Does nothing where the kernel reads the
/// parameters as they lie.
struct PackWeights {
    layers::NodeId node;
    Microbatch microbatch;
    bool for_backward = false;
};
/// The running-statistics sums of a batch norm go to the bucket's slot; `apart`: to a buffer of its own, for
/// AddStatistics.
struct Forward {
    layers::NodeId node;
    Microbatch microbatch;
    int slot = 0;
    bool apart = false;
};
/// Forward once more, for activations and state that were not kept (runtime/plan/recompute.hpp): the same
/// values into buffers of their own; its statistics go nowhere.
struct Recompute {
    layers::NodeId node;
    Microbatch microbatch;
};
/// Adds the statistics of the node's last Forward to the bucket.
struct AddStatistics {
    layers::NodeId node;
    Microbatch microbatch;
};
/// Writes the samples' losses to the status words of a slot; `add`: on top of what earlier micro-batches
/// left.
struct RecordLoss {
    Microbatch microbatch;
    int slot = 0;
    bool add = false;
};
/// The gradient through a fused activation, in place.
struct BackwardActivation {
    layers::NodeId node;
    Microbatch microbatch;
};
/// Weight gradients of a node, into the bucket's slot; `apart`: into a buffer of its own, for
/// AddWeightGradient to add.
struct BackwardWeight {
    layers::NodeId node;
    Microbatch microbatch;
    int slot = 0;
    bool apart = false;
};
/// Adds the weight gradients of the node's last BackwardWeight to the bucket.
struct AddWeightGradient {
    layers::NodeId node;
    Microbatch microbatch;
    int slot = 0;
};
/// Input gradients of a node, of those inputs whose gradient is wanted. `apart`: bit i says that input i's
/// gradient goes to a buffer of its own, for AddInputGradient to add.
struct BackwardInput {
    layers::NodeId node;
    Microbatch microbatch;
    std::uint64_t apart = 0;
};
/// Adds the gradient of one input of the node to what earlier readers of that tensor left.
struct AddInputGradient {
    layers::NodeId node;
    Microbatch microbatch;
    int input = 0;
};
/// Adds a bucket's sums of one slot to another: an inner node of the tree over leaves.
struct CombineSlots {
    int bucket;
    int to;
    int from;
};
/// Zeroes all gradients: a rank without samples in a step still takes part in the sums.
struct ClearGradients {};
/// Starts the sum of a bucket over the data-parallel group. Does not wait.
struct ReduceBucket {
    int bucket;
};
/// Waits for every sum, checks the status words and commits the update: parameters change here or not at all.
struct OptimizerStep {};

using Action = std::variant<LoadMicrobatch, PackWeights, Forward, Recompute, AddStatistics, CombineSlots,
                            RecordLoss, BackwardActivation, BackwardWeight, AddWeightGradient, BackwardInput,
                            AddInputGradient, ClearGradients, ReduceBucket, OptimizerStep>;

/// An event inside one step.
struct Token {
    enum class Kind { samples, gradients, sum };
    Kind kind;
    int index;  ///< micro-batch, bucket, bucket
    bool operator==(const Token&) const = default;
    [[nodiscard]] std::string str() const;
};

struct Instruction {
    Action action;
    std::vector<Token> waits;
    std::vector<Token> signals;
};

/// "backward-weight fc1 mb0", without waits and signals.
[[nodiscard]] std::string str(const Action& action, const layers::ModelGraph& graph);
/// The whole line.
[[nodiscard]] std::string str(const Instruction& instruction, const layers::ModelGraph& graph);

}  // namespace trireme
