#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "runtime/core/error.hpp"
#include "runtime/exec/program.hpp"

namespace trireme {
namespace {

using layers::NodeId;
using layers::TensorId;

/// What follows a micro-batch's backward, once a bucket's gradients are complete.
struct AfterBackward {
    std::vector<LeafAction> combines;  ///< inner nodes of the tree that this leaf completes
    bool last = false;                 ///< the bucket is complete on this rank: its sum over ranks can start
};

class Lowering {
  public:
    Lowering(const Selection& selection, Program& program)
        : selection_(selection), graph_(selection.graph()), program_(program) {}

    /// Gradients, statistics and status words go to `slot`; `add`: on top of what is there already.
    void forward(Microbatch mb, int slot, bool add) {
        emit(LoadMicrobatch{mb}, {}, {{Token::Kind::samples, mb.value}});
        std::vector<Token> waits{{Token::Kind::samples, mb.value}};
        for (NodeId node = 0; node < node_count(); ++node) {
            if (layers::is_view(graph_.node(node).op)) continue;
            const bool apart = add && program_.training && has_statistics(node);
            if (packs(node, mb)) emit(PackWeights{node, mb, false});
            emit(Forward{node, mb, slot, apart}, std::exchange(waits, {}));
            if (apart) emit(AddStatistics{node, mb});
        }
        emit(RecordLoss{mb, slot, add});
    }

    void backward(Microbatch mb, int slot, bool add, const GradBuckets& buckets, const AfterBackward& after) {
        written_.clear();
        ready_.clear();
        uses_.clear();
        int segment = program_.segments.count() - 1;
        for (NodeId node = node_count() - 1; node >= 0; --node) {
            if (layers::is_view(graph_.node(node).op) || !selection_.wants_gradient(graph_.node(node).output))
                continue;
            if (program_.segments.of(node) != segment)
                compute_again(segment = program_.segments.of(node), mb);
            if (layers::activation_of(graph_.node(node).op) != layers::Activation::none)
                emit(BackwardActivation{node, mb});
            if (!graph_.node(node).params.empty()) backward_weight(node, mb, slot, add, buckets, after);
            backward_input(node, mb);
        }
    }

    void emit(Action action, std::vector<Token> waits = {}, std::vector<Token> signals = {}) {
        program_.instructions.push_back({std::move(action), std::move(waits), std::move(signals)});
    }

  private:
    [[nodiscard]] NodeId node_count() const { return static_cast<NodeId>(graph_.nodes().size()); }
    /// Whether a pass of `node` on this micro-batch needs a compute copy that no earlier one has filled.
    [[nodiscard]] bool packs(NodeId node, Microbatch mb) const {
        return layers::multiplies_weight(graph_.node(node).op) && program_.first_like(mb) == mb;
    }
    [[nodiscard]] bool has_statistics(NodeId id) const {
        const layers::Node& node = graph_.node(id);
        return layers::statistics_of(node.op, graph_.tensor(node.inputs.front()).shape) > 0;
    }

    void compute_again(int segment, Microbatch mb) {
        const std::int64_t samples = program_.microbatches[static_cast<std::size_t>(mb.value)];
        for (NodeId node : computed_again(selection_, program_.segments, segment, samples))
            emit(Recompute{node, mb});
    }

    void backward_input(NodeId id, Microbatch mb) {
        const layers::Node& node = graph_.node(id);
        ensure(node.inputs.size() <= 64, "a node has at most 64 inputs");
        BackwardInput action{id, mb, 0};
        bool wanted = false;
        for (std::size_t i = 0; i < node.inputs.size(); ++i) {
            const TensorId source = selection_.root_of(node.inputs[i]);
            if (!selection_.wants_gradient(source)) continue;
            wanted = true;
            if (!written_.insert(source).second) action.apart |= std::uint64_t{1} << i;
        }
        if (!wanted) return;
        if (packs(id, mb)) emit(PackWeights{id, mb, true});
        emit(action);
        for (std::size_t i = 0; i < node.inputs.size(); ++i) {
            if ((action.apart >> i & 1) != 0) emit(AddInputGradient{id, mb, static_cast<int>(i)});
        }
    }

    /// The first use of a slot overwrites it, later ones (micro-batches, tied weights) are added to it.
    void backward_weight(NodeId id, Microbatch mb, int slot, bool add, const GradBuckets& buckets,
                         const AfterBackward& after) {
        const layers::Node& node = graph_.node(id);
        const int uses = uses_[node.params.front()];
        for (layers::ParamId p : node.params)
            ensure(uses_[p]++ == uses,
                   "the parameters of a node are all tied to the same others, or none is");
        const bool apart = add || uses > 0;
        emit(BackwardWeight{id, mb, slot, apart});
        if (apart) emit(AddWeightGradient{id, mb, slot});
        std::set<int> touched;
        for (layers::ParamId p : node.params) {
            const int bucket = buckets.place(p).bucket;
            ++ready_[bucket];
            touched.insert(bucket);
        }
        for (int bucket : touched) {
            if (ready_[bucket] == buckets.buckets().at(static_cast<std::size_t>(bucket)).ready_count)
                complete(bucket, after);
        }
    }

    void complete(int bucket, const AfterBackward& after) {
        for (const LeafAction& combine : after.combines)
            emit(CombineSlots{bucket, combine.slot, combine.from});
        if (!after.last) return;
        program_.instructions.back().signals.push_back({Token::Kind::gradients, bucket});
        emit(ReduceBucket{bucket}, {{Token::Kind::gradients, bucket}}, {{Token::Kind::sum, bucket}});
    }

    const Selection& selection_;
    const layers::ModelGraph& graph_;
    Program& program_;
    std::set<TensorId> written_;           // gradients that hold a value already in this micro-batch
    std::map<layers::ParamId, int> uses_;  // weight gradients computed so far in this micro-batch
    std::map<int, int> ready_;             // complete gradients of each bucket
};

/// Micro-batch by micro-batch into slot 0 (fast mode).
void lower_accumulating(Lowering& lowering, const GradBuckets& buckets, int count) {
    for (int mb = 0; mb < count; ++mb) {
        lowering.forward(Microbatch(mb), 0, mb > 0);
        lowering.backward(Microbatch(mb), 0, mb > 0, buckets, {{}, mb + 1 == count});
    }
}

/// Leaf by leaf into a stack of slots, along the fixed tree (canonical mode).
void lower_leaves(Lowering& lowering, const GradBuckets& buckets, const LeafSchedule& leaves) {
    const auto& actions = leaves.actions;
    int mb = 0;
    for (std::size_t i = 0; i < actions.size();) {
        ensure(actions[i].kind == LeafAction::Kind::compute, "a schedule begins with a leaf");
        const int slot = actions[i].slot;
        AfterBackward after;
        for (++i; i < actions.size() && actions[i].kind == LeafAction::Kind::combine; ++i)
            after.combines.push_back(actions[i]);
        after.last = i == actions.size();
        lowering.forward(Microbatch(mb), slot, false);
        lowering.backward(Microbatch(mb), slot, false, buckets, after);
        ++mb;
    }
}

}  // namespace

std::int64_t Program::samples() const {
    std::int64_t total = 0;
    for (std::int64_t n : microbatches) total += n;
    return total;
}

Microbatch Program::first_like(Microbatch mb) const {
    const std::int64_t size = microbatches.at(static_cast<std::size_t>(mb.value));
    const auto first = std::find(microbatches.begin(), microbatches.end(), size);
    return Microbatch(static_cast<int>(first - microbatches.begin()));
}

std::string Program::str(const layers::ModelGraph& graph) const {
    std::string text;
    for (std::size_t i = 0; i < instructions.size(); ++i)
        text += fmt::format("  {:>4} {}\n", i, trireme::str(instructions[i], graph));
    return text;
}

Program lower_training(const Selection& selection, const GradBuckets& buckets, const StepShape& shape) {
    Program program;
    program.microbatches = shape.microbatches;
    program.first_position = shape.first_position;
    program.segments = shape.segments;
    for (std::int64_t samples : shape.microbatches) ensure(samples > 0, "a micro-batch has samples");
    Lowering lowering(selection, program);
    const int bucket_count = static_cast<int>(buckets.buckets().size());
    if (shape.microbatches.empty()) {
        std::vector<Token> cleared;
        for (int b = 0; b < bucket_count; ++b) cleared.push_back({Token::Kind::gradients, b});
        lowering.emit(ClearGradients{}, {}, cleared);
        for (int b = 0; b < bucket_count; ++b)
            lowering.emit(ReduceBucket{b}, {cleared[static_cast<std::size_t>(b)]}, {{Token::Kind::sum, b}});
    } else if (shape.leaves) {
        lower_leaves(lowering, buckets, *shape.leaves);
    } else {
        lower_accumulating(lowering, buckets, static_cast<int>(shape.microbatches.size()));
    }
    std::vector<Token> sums;
    for (int b = 0; b < bucket_count; ++b) sums.push_back({Token::Kind::sum, b});
    lowering.emit(OptimizerStep{}, sums);
    return program;
}

Program lower_forward(const Selection& selection, std::int64_t batch) {
    Program program;
    program.training = false;
    program.microbatches = {batch};
    Lowering(selection, program).forward(Microbatch(0), 0, false);
    return program;
}

}  // namespace trireme
