#include <optional>

#include <fmt/format.h>

#include "layers/rewrite/rewrite.hpp"

namespace trireme::layers {
namespace {

/// What becomes of one node: the op and parameters it has afterwards, and the nodes that it swallows.
struct Fusion {
    Op op;
    std::vector<ParamId> params;
    std::vector<NodeId> swallowed;
};

/// The only reader of `id`, if it is an `O`.
template <class O>
std::optional<NodeId> single_reader(const ModelGraph& graph, TensorId id) {
    const std::vector<NodeId> readers = graph.readers_of(id);
    if (readers.size() != 1 || !std::holds_alternative<O>(graph.node(readers.front()).op))
        return std::nullopt;
    return readers.front();
}

template <class O>
Fusion fuse_from(const ModelGraph& graph, const Node& node, O op) {
    Fusion fusion{op, node.params, {}};
    if (op.activation != Activation::none) return fusion;
    TensorId end = node.output;
    if (!op.bias) {
        const auto bias = single_reader<Bias>(graph, end);
        if (!bias) return fusion;
        op.bias = true;
        fusion.params.push_back(graph.node(*bias).params.front());
        fusion.swallowed.push_back(*bias);
        end = graph.node(*bias).output;
    }
    if (const auto relu = single_reader<Relu>(graph, end)) {
        op.activation = Activation::relu;
        fusion.swallowed.push_back(*relu);
    }
    fusion.op = op;
    return fusion;
}

Fusion fusion_of(const ModelGraph& graph, const Node& node) {
    if (const auto* conv = std::get_if<Conv2d>(&node.op)) return fuse_from(graph, node, *conv);
    if (const auto* linear = std::get_if<Linear>(&node.op)) return fuse_from(graph, node, *linear);
    return {node.op, node.params, {}};
}

std::string line_of(const ModelGraph& graph, const Node& node, const Fusion& fusion) {
    std::string names;
    for (NodeId id : fusion.swallowed) names += (names.empty() ? "" : " and ") + graph.node(id).name;
    return fmt::format("fuse_bias_activation: {} takes in {}: {}({})", node.name, names, name_of(fusion.op),
                       attributes_of(fusion.op));
}

}  // namespace

Rewritten fuse_bias_activation(const ModelGraph& graph) {
    const TensorSpec& target = graph.tensor(graph.target());
    Rewritten result{ModelGraph(graph.name(), graph.tensor(graph.input()).shape, target.shape, target.dtype),
                     {}};
    for (const ParamSpec& spec : graph.params()) result.graph.add_param(spec);
    for (const BufferSpec& spec : graph.buffers()) result.graph.add_buffer(spec);

    std::vector<TensorId> moved_to(graph.tensors().size(), -1);
    moved_to[static_cast<std::size_t>(graph.input())] = result.graph.input();
    moved_to[static_cast<std::size_t>(graph.target())] = result.graph.target();
    for (const Node& node : graph.nodes()) {
        TensorId& output = moved_to[static_cast<std::size_t>(node.output)];
        if (output != -1) continue;  // swallowed by an earlier node
        const Fusion fusion = fusion_of(graph, node);
        std::vector<TensorId> inputs;
        for (TensorId id : node.inputs) inputs.push_back(moved_to[static_cast<std::size_t>(id)]);
        output = result.graph.add_with_params(node.name, fusion.op, inputs, fusion.params, node.buffers);
        for (NodeId id : fusion.swallowed) {
            moved_to[static_cast<std::size_t>(graph.node(id).output)] = output;
        }
        if (!fusion.swallowed.empty()) result.lines.push_back(line_of(graph, node, fusion));
    }
    return result;
}

}  // namespace trireme::layers
