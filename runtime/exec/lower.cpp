#include <map>
#include <set>

#include <fmt/format.h>

#include "runtime/core/error.hpp"
#include "runtime/exec/program.hpp"

namespace trireme {
namespace {

using layers::NodeId;
using layers::TensorId;

bool has_fused_activation(const layers::Op& op) {
    const auto* conv = std::get_if<layers::Conv2d>(&op);
    const auto* linear = std::get_if<layers::Linear>(&op);
    return (conv != nullptr && conv->activation != layers::Activation::none) ||
           (linear != nullptr && linear->activation != layers::Activation::none);
}

class Lowering {
  public:
    Lowering(const Selection& selection, Program& program)
        : selection_(selection), graph_(selection.graph()), program_(program) {}

    void forward(Microbatch mb) {
        emit(LoadMicrobatch{mb}, {}, {{Token::Kind::samples, mb.value}});
        for (NodeId node = 0; node < node_count(); ++node) {
            if (!layers::is_view(graph_.node(node).op))
                emit(Forward{node, mb}, node == 0 ? samples(mb) : std::vector<Token>{});
        }
        emit(RecordLoss{mb});
    }

    void backward(Microbatch mb, const GradBuckets& buckets, bool last) {
        written_.clear();
        for (NodeId node = node_count() - 1; node >= 0; --node) {
            if (!layers::is_view(graph_.node(node).op) &&
                selection_.wants_gradient(graph_.node(node).output)) {
                backward_node(node, mb, buckets, last);
            }
        }
    }

    void emit(Action action, std::vector<Token> waits = {}, std::vector<Token> signals = {}) {
        program_.instructions.push_back({action, std::move(waits), std::move(signals)});
    }

  private:
    [[nodiscard]] NodeId node_count() const { return static_cast<NodeId>(graph_.nodes().size()); }
    [[nodiscard]] static std::vector<Token> samples(Microbatch mb) {
        return {{Token::Kind::samples, mb.value}};
    }

    void backward_node(NodeId id, Microbatch mb, const GradBuckets& buckets, bool last) {
        const layers::Node& node = graph_.node(id);
        if (has_fused_activation(node.op)) emit(BackwardActivation{id, mb});
        if (!node.params.empty()) backward_weight(id, mb, buckets, last);
        const TensorId source = selection_.root_of(node.inputs.front());
        if (selection_.wants_gradient(source)) {
            const bool accumulate = !written_.insert(source).second;
            emit(BackwardInput{id, mb, accumulate});
            if (accumulate) emit(AddInputGradient{id, mb});
        }
    }

    /// The first use of the step overwrites the bucket, later ones (micro-batches, tied weights) are added to
    /// it.
    void backward_weight(NodeId id, Microbatch mb, const GradBuckets& buckets, bool last) {
        const layers::Node& node = graph_.node(id);
        const bool accumulate = uses_[node.params.front()]++ > 0;
        emit(BackwardWeight{id, mb, accumulate});
        if (accumulate) emit(AddWeightGradient{id, mb});
        if (!last) return;
        std::set<int> touched;
        for (layers::ParamId p : node.params) {
            const int bucket = buckets.place(p).bucket;
            ++ready_[bucket];
            touched.insert(bucket);
        }
        for (int bucket : touched) {
            if (ready_[bucket] == buckets.buckets().at(static_cast<std::size_t>(bucket)).ready_count) {
                program_.instructions.back().signals.push_back({Token::Kind::gradients, bucket});
                emit(ReduceBucket{bucket}, {{Token::Kind::gradients, bucket}}, {{Token::Kind::sum, bucket}});
            }
        }
    }

    const Selection& selection_;
    const layers::ModelGraph& graph_;
    Program& program_;
    std::set<TensorId> written_;           // gradients that hold a value already in this micro-batch
    std::map<layers::ParamId, int> uses_;  // weight gradients computed so far in this step
    std::map<int, int> ready_;             // complete gradients of each bucket
};

}  // namespace

std::int64_t Program::samples() const {
    std::int64_t total = 0;
    for (std::int64_t n : microbatches) total += n;
    return total;
}

std::string Program::str(const layers::ModelGraph& graph) const {
    std::string text;
    for (std::size_t i = 0; i < instructions.size(); ++i)
        text += fmt::format("  {:>4} {}\n", i, trireme::str(instructions[i], graph));
    return text;
}

Program lower_training(const Selection& selection, const GradBuckets& buckets,
                       const std::vector<std::int64_t>& microbatches) {
    Program program;
    program.microbatches = microbatches;
    Lowering lowering(selection, program);
    const int count = static_cast<int>(microbatches.size());
    for (int mb = 0; mb < count; ++mb) {
        ensure(microbatches[static_cast<std::size_t>(mb)] > 0, "a micro-batch has samples");
        lowering.forward(Microbatch(mb));
        lowering.backward(Microbatch(mb), buckets, mb + 1 == count);
    }
    std::vector<Token> sums;
    const int bucket_count = static_cast<int>(buckets.buckets().size());
    if (count == 0) {
        lowering.emit(ClearGradients{});
        for (int b = 0; b < bucket_count; ++b) lowering.emit(ReduceBucket{b}, {}, {{Token::Kind::sum, b}});
    }
    for (int b = 0; b < bucket_count; ++b) sums.push_back({Token::Kind::sum, b});
    lowering.emit(OptimizerStep{}, sums);
    return program;
}

Program lower_forward(const Selection& selection, std::int64_t batch) {
    Program program;
    program.training = false;
    program.microbatches = {batch};
    Lowering(selection, program).forward(Microbatch(0));
    return program;
}

}  // namespace trireme
