#include <fmt/format.h>

#include "layers/rewrite/graph_copy.hpp"
#include "layers/rewrite/rewrite.hpp"
#include "runtime/core/text.hpp"

namespace trireme::layers {
namespace {

/// A convolution and the norm that follows it.
struct Pair {
    NodeId conv;
    NodeId norm;
};

class ChainFinder {
  public:
    ChainFinder(const ModelGraph& graph, const JoinsNorms& joins) : graph_(graph), joins_(joins) {}

    /// The longest chain that begins at a node; what its end adds must be in `copy` already.
    [[nodiscard]] std::vector<Pair> from(NodeId first, const GraphCopy& copy) const {
        std::vector<Pair> pairs;
        for (std::optional<NodeId> conv = first; conv && joins(graph_.node(*conv), !pairs.empty());) {
            const std::optional<NodeId> norm = only_reader(graph_, graph_.node(*conv).output);
            if (!norm || !normalises(graph_.node(*norm), graph_.node(*conv).output)) break;
            pairs.push_back({*conv, *norm});
            const BatchNorm& op = norm_of(pairs.back());
            if (op.residual || op.activation != Activation::relu) break;
            conv = only_reader(graph_, graph_.node(*norm).output);
        }
        while (!pairs.empty() && !has_residual(pairs.back(), copy)) pairs.pop_back();
        return pairs;
    }

    [[nodiscard]] const Conv2d& conv_of(const Pair& pair) const {
        return std::get<Conv2d>(graph_.node(pair.conv).op);
    }
    [[nodiscard]] const BatchNorm& norm_of(const Pair& pair) const {
        return std::get<BatchNorm>(graph_.node(pair.norm).op);
    }

  private:
    [[nodiscard]] DType dtype_of(TensorId id) const { return graph_.tensor(id).dtype; }

    [[nodiscard]] bool joins(const Node& node, bool inside) const {
        const auto* op = std::get_if<Conv2d>(&node.op);
        return op != nullptr && !op->bias && !op->residual && op->activation == Activation::none &&
               dtype_of(node.inputs.front()) == dtype_of(node.output) && !shares_params(graph_, node) &&
               joins_(*op, graph_.tensor(node.inputs.front()), inside);
    }
    [[nodiscard]] bool normalises(const Node& node, TensorId tensor) const {
        return std::holds_alternative<BatchNorm>(node.op) && node.inputs.front() == tensor &&
               dtype_of(node.output) == dtype_of(tensor) && !shares_params(graph_, node);
    }
    [[nodiscard]] bool has_residual(const Pair& last, const GraphCopy& copy) const {
        if (!norm_of(last).residual) return true;
        const TensorId residual = graph_.node(last.norm).inputs[1];
        return copy.moved(residual) != -1 && dtype_of(residual) == dtype_of(graph_.node(last.norm).output);
    }

    const ModelGraph& graph_;
    const JoinsNorms& joins_;
};

/// What becomes of the nodes of a chain.
struct ChainFusion {
    ConvNormChain op;
    std::vector<TensorId> inputs;
    std::vector<ParamId> params;
    std::vector<NodeId> swallowed;
};

ChainFusion chain_of(const ModelGraph& graph, const ChainFinder& finder, const std::vector<Pair>& pairs) {
    ChainFusion fusion;
    fusion.inputs = graph.node(pairs.front().conv).inputs;
    for (const Pair& pair : pairs) {
        ConvNorm link{finder.conv_of(pair), finder.norm_of(pair)};
        link.norm.residual = false;
        link.norm.activation = Activation::none;
        fusion.op.links.push_back(link);
        for (const NodeId id : {pair.conv, pair.norm}) {
            const std::vector<ParamId>& params = graph.node(id).params;
            fusion.params.insert(fusion.params.end(), params.begin(), params.end());
            if (id != pairs.front().conv) fusion.swallowed.push_back(id);
        }
    }
    const BatchNorm& last = finder.norm_of(pairs.back());
    fusion.op.activation = last.activation;
    if (!last.residual) return fusion;
    const TensorId residual = graph.node(pairs.back().norm).inputs[1];
    fusion.op.residual = residual == fusion.inputs.front() ? ChainResidual::input : ChainResidual::second;
    if (fusion.op.residual == ChainResidual::second) fusion.inputs.push_back(residual);
    return fusion;
}

}  // namespace

Rewritten fuse_conv_norms(const ModelGraph& graph, const JoinsNorms& joins) {
    GraphCopy copy(graph);
    const ChainFinder finder(graph, joins);
    std::vector<std::string> lines;
    std::size_t left_out = 0;
    Bytes bytes{};
    for (std::size_t n = 0; n < graph.nodes().size(); ++n) {
        const Node& node = graph.nodes()[n];
        if (copy.is_done(node)) continue;
        const std::vector<Pair> pairs = finder.from(static_cast<NodeId>(n), copy);
        if (pairs.empty()) {
            copy.add(node);
            continue;
        }
        const ChainFusion fusion = chain_of(graph, finder, pairs);
        copy.add(node, fusion.op, fusion.inputs, fusion.params, fusion.swallowed);
        lines.push_back("fuse_conv_norms: " + fusion_line(graph, node, fusion.op, fusion.swallowed));
        left_out += pairs.size() - 1;
        for (std::size_t i = 0; i + 1 < pairs.size(); ++i) {
            const TensorSpec& tensor = graph.tensor(graph.node(pairs[i].norm).output);
            bytes += bytes_of(tensor.shape.elements(), tensor.dtype);
        }
    }
    if (!lines.empty()) {
        lines.push_back(fmt::format("fuse_conv_norms: {} normalised activations are not stored, {} a sample",
                                    left_out, human_bytes(bytes)));
    }
    return {std::move(copy.graph()), std::move(lines)};
}

}  // namespace trireme::layers
