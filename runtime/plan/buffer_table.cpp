#include "runtime/plan/buffer_table.hpp"

#include <algorithm>
#include <numeric>

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
        work_in_place();
        return std::move(table_);
    }

    void operator()(const LoadMicrobatch&) {}
    void operator()(const ClearGradients&) {}
    void operator()(const CombineSlots&) {}
    void operator()(const ReduceBucket&) {}
    void operator()(const OptimizerStep&) {}

    void operator()(const PackWeights& a) {
        const KernelNeeds needs = needs_of(a.node, a.microbatch);
        const std::string& name = graph_.node(a.node).name;
        if (a.for_backward && needs.backward_weights.value > 0) {
            touch({Kind::backward_weights, a.node, a.microbatch.value}, needs.backward_weights, name);
            scratch(needs.backward_scratch, name);
        } else if (!a.for_backward && needs.forward_weights.value > 0) {
            touch({Kind::forward_weights, a.node, a.microbatch.value}, needs.forward_weights, name);
            scratch(needs.forward_scratch, name);
        }
    }
    void operator()(const Forward& a) {
        forward(a.node, a.microbatch, /*again=*/false);
        if (a.apart) statistics(a.node, a.microbatch, 0);
    }
    void operator()(const Recompute& a) {
        forward(a.node, a.microbatch, /*again=*/true);
        statistics(a.node, a.microbatch, 1);
    }
    void operator()(const AddStatistics& a) { statistics(a.node, a.microbatch, 0); }
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
        const layers::Node& node = graph_.node(a.node);
        const KernelNeeds needs = needs_of(a.node, a.microbatch);
        touch({Kind::backward_weights, a.node, program_.first_like(a.microbatch).value},
              needs.backward_weights, node.name);
        for (std::size_t i = 0; i < node.inputs.size(); ++i) {
            if (!selection_.wants_gradient(node.inputs[i])) continue;
            const bool apart = (a.apart >> i & 1) != 0;
            if (apart) {
                partial(a.node, i, a.microbatch);
            } else {
                gradient(node.inputs[i], a.microbatch);
            }
            if ((needs.backward_in_place >> i & 1) == 0) continue;
            may_share(
                {Kind::gradient, selection_.root_of(node.output), a.microbatch.value},
                {apart ? Kind::partial_gradient : Kind::gradient,
                 apart ? partial_id(a.node, i) : selection_.root_of(node.inputs[i]), a.microbatch.value});
        }
    }
    void operator()(const AddInputGradient& a) {
        const auto input = static_cast<std::size_t>(a.input);
        partial(a.node, input, a.microbatch);
        gradient(graph_.node(a.node).inputs[input], a.microbatch);
    }

  private:
    /// True where no other input lies in the memory of the first one (as a view of it): it would be read
    /// after the output was written there.
    [[nodiscard]] bool reads_once(const layers::Node& node) const {
        const TensorId first = selection_.root_of(node.inputs.front());
        return std::none_of(node.inputs.begin() + 1, node.inputs.end(),
                            [&](TensorId input) { return selection_.root_of(input) == first; });
    }
    /// Buffers of a forward: the first one, or the one that is computed again for backward.
    void forward(NodeId id, Microbatch mb, bool again) {
        const layers::Node& node = graph_.node(id);
        const KernelNeeds needs = needs_of(id, mb);
        const auto pass = [&](TensorId tensor) { return again ? program_.segments.pass(id, tensor) : 0; };
        touch({Kind::forward_weights, id, program_.first_like(mb).value}, needs.forward_weights, node.name);
        for (TensorId input : node.inputs) activation(input, mb, pass(input));
        activation(node.output, mb, pass(node.output));
        touch({Kind::saved, id, mb.value, pass(node.output)}, needs.saved, node.name);
        scratch(needs.forward_scratch, node.name);
        if (needs.forward_in_place && reads_once(node)) {
            const TensorId input = selection_.root_of(node.inputs.front());
            const TensorId output = selection_.root_of(node.output);
            may_share({Kind::activation, input, mb.value, pass(input)},
                      {Kind::activation, output, mb.value, pass(output)});
        }
    }
    [[nodiscard]] std::int64_t batch(Microbatch mb) const {
        return program_.microbatches[static_cast<std::size_t>(mb.value)];
    }
    [[nodiscard]] KernelNeeds needs_of(NodeId node, Microbatch mb) const {
        return selection_.kernels(node, batch(mb), program_.training).needs();
    }

    void touch(const BufferKey& key, Bytes size, std::string_view name) {
        if (size.value == 0) return;
        static constexpr std::array<const char*, 9> kind_names{"",    "d.",     "d'.", "saved.", "scratch.",
                                                               "dw.", "stats.", "w.",  "wt."};
        const auto [where, added] = table_.index.try_emplace(key, table_.lives.size());
        if (added) {
            table_.lives.push_back({fmt::format("{}{} mb{}{}", kind_names[static_cast<std::size_t>(key.kind)],
                                                name, key.microbatch, key.pass == 0 ? "" : " again"),
                                    size, at_, at_});
        }
        BufferLife& life = table_.lives[where->second];
        life.size = std::max(life.size, size);
        life.last = at_;
    }
    [[nodiscard]] Bytes size_of_tensor(TensorId tensor, Microbatch mb) const {
        const layers::TensorSpec& spec = graph_.tensor(tensor);
        return bytes_of(Elements(spec.shape.elements().value * batch(mb)), spec.dtype);
    }
    void activation(TensorId tensor, Microbatch mb, int pass = 0) {
        if (is_external(selection_, tensor)) return;
        const TensorId root = selection_.root_of(tensor);
        touch({Kind::activation, root, mb.value, pass}, size_of_tensor(root, mb), graph_.tensor(root).name);
    }
    void gradient(TensorId tensor, Microbatch mb) {
        const TensorId root = selection_.root_of(tensor);
        touch({Kind::gradient, root, mb.value}, size_of_tensor(root, mb), graph_.tensor(root).name);
    }
    void partial(NodeId node, std::size_t input, Microbatch mb) {
        const TensorId root = selection_.root_of(graph_.node(node).inputs[input]);
        touch({Kind::partial_gradient, partial_id(node, input), mb.value}, size_of_tensor(root, mb),
              graph_.tensor(root).name);
    }
    void statistics(NodeId id, Microbatch mb, int pass) {
        const layers::Node& node = graph_.node(id);
        const std::int64_t elements =
            layers::statistics_of(node.op, graph_.tensor(node.inputs.front()).shape);
        touch({Kind::statistics, id, mb.value, pass}, bytes_of(Elements(elements), DType::f32), node.name);
    }
    void weight_gradients(NodeId node, Microbatch mb) {
        for (layers::ParamId p : graph_.node(node).params) {
            touch({Kind::weight_gradient, p, mb.value},
                  bytes_of(graph_.param(p).shape.elements(), DType::f32), graph_.param(p).name);
        }
    }
    void scratch(Bytes size, std::string_view name) { touch({Kind::scratch, at_, 0}, size, name); }

    void backward_reads(NodeId id, Microbatch mb) {
        const layers::Node& node = graph_.node(id);
        const KernelNeeds needs = needs_of(id, mb);
        const auto pass = [&](TensorId tensor) { return program_.segments.pass(id, tensor); };
        if (needs.backward_reads_input) {
            for (std::size_t i = 0; i < node.inputs.size(); ++i) {
                if ((needs.backward_skips_inputs >> i & 1) == 0)
                    activation(node.inputs[i], mb, pass(node.inputs[i]));
            }
        }
        if (needs.backward_reads_output) activation(node.output, mb, pass(node.output));
        if (node.output != graph_.loss()) gradient(node.output, mb);
        touch({Kind::saved, id, mb.value, pass(node.output)}, needs.saved, node.name);
        scratch(needs.backward_scratch, node.name);
    }

    /// The result of the instruction at hand may have the memory of its operand.
    void may_share(const BufferKey& operand, const BufferKey& result) {
        const auto from = table_.index.find(operand);
        const auto to = table_.index.find(result);
        if (from == table_.index.end() || to == table_.index.end() || from == to) return;
        sharing_.push_back({from->first, to->first, at_});
    }

    /// Joins the lives of operand and result where the operand is not read after the instruction and the
    /// result not written before. In program order, so that a chain of such instructions uses one buffer.
    void work_in_place() {
        std::vector<std::size_t> joined_to(table_.lives.size());  // itself: it has a buffer of its own
        std::iota(joined_to.begin(), joined_to.end(), std::size_t{0});
        const auto home = [&](const BufferKey& key) {
            std::size_t life = table_.index.at(key);
            while (joined_to[life] != life) life = joined_to[life];
            return life;
        };
        for (const Sharing& s : sharing_) {
            const std::size_t from = home(s.operand);
            const std::size_t to = home(s.result);
            BufferLife& operand = table_.lives[from];
            const BufferLife& result = table_.lives[to];
            if (from == to || operand.last != s.at || result.first != s.at || operand.size != result.size)
                continue;
            operand.last = result.last;
            operand.name += " = " + result.name;
            joined_to[to] = from;
        }
        for (auto& [key, life] : table_.index) life = home(key);
        keep_homes(joined_to);
    }

    void keep_homes(const std::vector<std::size_t>& joined_to) {
        std::vector<std::size_t> now(joined_to.size());
        std::vector<BufferLife> left;
        for (std::size_t i = 0; i < joined_to.size(); ++i) {
            now[i] = left.size();
            if (joined_to[i] == i) left.push_back(std::move(table_.lives[i]));
        }
        for (auto& [key, life] : table_.index) life = now[life];
        table_.lives = std::move(left);
    }

    struct Sharing {
        BufferKey operand;
        BufferKey result;
        int at;
    };

    const Program& program_;
    const Selection& selection_;
    const layers::ModelGraph& graph_;
    BufferTable table_;
    std::vector<Sharing> sharing_;
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
