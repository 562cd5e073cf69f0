#include "runtime/plan/buffer_table.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace trireme {
namespace {

using layers::NodeId;
using layers::TensorId;
using Kind = BufferKey::Kind;

/// Visits the instructions in order and widens the life of every buffer that each one touches.
class LifeCollector {
  public:
    LifeCollector(const Program& program, const Selection& selection)
        : program_(program), selection_(selection), graph_(selection.graph()) {}

    BufferTable collect() {
        for (const Instruction& instruction : program_.instructions) {
            std::visit(*this, instruction.action);
            ++at_;
        }
        return std::move(table_);
    }

    void operator()(const LoadMicrobatch&) {}
    void operator()(const ClearGradients&) {}
    void operator()(const CombineSlots&) {}
    void operator()(const ReduceBucket&) {}
    void operator()(const OptimizerStep&) {}

    void operator()(const Forward& a) {
        const layers::Node& node = graph_.node(a.node);
        const KernelNeeds needs = needs_of(a.node, a.microbatch);
        for (TensorId input : node.inputs) activation(input, a.microbatch);
        activation(node.output, a.microbatch);
        touch(Kind::saved, a.node, a.microbatch, needs.saved, node.name);
        scratch(needs.forward_scratch, node.name);
        if (a.apart) statistics(a.node, a.microbatch);
    }
    void operator()(const AddStatistics& a) { statistics(a.node, a.microbatch); }
    void operator()(const RecordLoss& a) {
        activation(graph_.loss(), a.microbatch);
        if (!program_.training)
            activation(graph_.logits(), a.microbatch);  // read by the evaluation after the program
    }
    void operator()(const BackwardActivation& a) { backward_reads(a.node, a.microbatch); }
    void operator()(const BackwardWeight& a) {
        backward_reads(a.node, a.microbatch);
        if (a.apart) weight_gradients(a.node, a.microbatch);
    }
    void operator()(const AddWeightGradient& a) { weight_gradients(a.node, a.microbatch); }
    void operator()(const BackwardInput& a) {
        backward_reads(a.node, a.microbatch);
        const auto& inputs = graph_.node(a.node).inputs;
        for (std::size_t i = 0; i < inputs.size(); ++i) {
            if (!selection_.wants_gradient(inputs[i])) continue;
            if ((a.apart >> i & 1) != 0) {
                partial(a.node, i, a.microbatch);
            } else {
                gradient(inputs[i], a.microbatch);
            }
        }
    }
    void operator()(const AddInputGradient& a) {
        const auto input = static_cast<std::size_t>(a.input);
        partial(a.node, input, a.microbatch);
        gradient(graph_.node(a.node).inputs[input], a.microbatch);
    }

  private:
    [[nodiscard]] std::int64_t batch(Microbatch mb) const {
        return program_.microbatches[static_cast<std::size_t>(mb.value)];
    }
    [[nodiscard]] KernelNeeds needs_of(NodeId node, Microbatch mb) const {
        return selection_.kernels(node, batch(mb), program_.training).needs();
    }

    void touch(Kind kind, int id, Microbatch mb, Bytes size, std::string_view name) {
        if (size.value == 0) return;
        static constexpr std::array<const char*, 7> kind_names{"",         "d.",  "d'.",   "saved.",
                                                               "scratch.", "dw.", "stats."};
        const auto [where, added] =
            table_.index.try_emplace(BufferKey{kind, id, mb.value}, table_.lives.size());
        if (added) {
            table_.lives.push_back(
                {fmt::format("{}{} mb{}", kind_names[static_cast<std::size_t>(kind)], name, mb.value), size,
                 at_, at_});
        }
        BufferLife& life = table_.lives[where->second];
        life.size = std::max(life.size, size);
        life.last = at_;
    }
    [[nodiscard]] Bytes size_of_tensor(TensorId tensor, Microbatch mb) const {
        const layers::TensorSpec& spec = graph_.tensor(tensor);
        return bytes_of(Elements(spec.shape.elements().value * batch(mb)), spec.dtype);
    }
    void activation(TensorId tensor, Microbatch mb) {
        if (is_external(selection_, tensor)) return;
        const TensorId root = selection_.root_of(tensor);
        touch(Kind::activation, root, mb, size_of_tensor(root, mb), graph_.tensor(root).name);
    }
    void gradient(TensorId tensor, Microbatch mb) {
        const TensorId root = selection_.root_of(tensor);
        touch(Kind::gradient, root, mb, size_of_tensor(root, mb), graph_.tensor(root).name);
    }
    void partial(NodeId node, std::size_t input, Microbatch mb) {
        const TensorId root = selection_.root_of(graph_.node(node).inputs[input]);
        touch(Kind::partial_gradient, partial_id(node, input), mb, size_of_tensor(root, mb),
              graph_.tensor(root).name);
    }
    void statistics(NodeId id, Microbatch mb) {
        const layers::Node& node = graph_.node(id);
        const std::int64_t elements =
            layers::statistics_of(node.op, graph_.tensor(node.inputs.front()).shape);
        touch(Kind::statistics, id, mb, bytes_of(Elements(elements), DType::f32), node.name);
    }
    void weight_gradients(NodeId node, Microbatch mb) {
        for (layers::ParamId p : graph_.node(node).params) {
            touch(Kind::weight_gradient, p, mb, bytes_of(graph_.param(p).shape.elements(), DType::f32),
                  graph_.param(p).name);
        }
    }
    void scratch(Bytes size, std::string_view name) { touch(Kind::scratch, at_, Microbatch(0), size, name); }

    void backward_reads(NodeId id, Microbatch mb) {
        const layers::Node& node = graph_.node(id);
        const KernelNeeds needs = needs_of(id, mb);
        if (needs.backward_reads_input) {
            for (TensorId input : node.inputs) activation(input, mb);
        }
        if (needs.backward_reads_output) activation(node.output, mb);
        if (node.output != graph_.loss()) gradient(node.output, mb);
        touch(Kind::saved, id, mb, needs.saved, node.name);
        scratch(needs.backward_scratch, node.name);
    }

    const Program& program_;
    const Selection& selection_;
    const layers::ModelGraph& graph_;
    BufferTable table_;
    int at_ = 0;
};

}  // namespace

bool is_external(const Selection& selection, TensorId tensor) {
    const TensorId root = selection.root_of(tensor);
    return root == selection.graph().input() || root == selection.graph().target();
}

BufferTable buffers_of(const Program& program, const Selection& selection) {
    return LifeCollector(program, selection).collect();
}

}  // namespace trireme
