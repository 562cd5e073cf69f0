#include "runtime/plan/recompute.hpp"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "runtime/core/error.hpp"

namespace trireme {
namespace {

using layers::ModelGraph;
using layers::NodeId;
using layers::TensorId;

/// The node that makes a tensor's root; -1 for the model's own ends.
std::vector<NodeId> producers_of(const Selection& selection) {
    const ModelGraph& graph = selection.graph();
    std::vector<NodeId> made_by(graph.tensors().size(), -1);
    for (std::size_t n = 0; n < graph.nodes().size(); ++n)
        made_by[static_cast<std::size_t>(graph.nodes()[n].output)] = static_cast<NodeId>(n);
    std::vector<NodeId> producer(made_by.size());
    for (std::size_t t = 0; t < producer.size(); ++t) {
        producer[t] = made_by[static_cast<std::size_t>(selection.root_of(static_cast<TensorId>(t)))];
    }
    return producer;
}

/// Nodes before which a cut would keep a single tensor.
std::vector<NodeId> narrow_cuts(const Selection& selection) {
    const ModelGraph& graph = selection.graph();
    const std::vector<NodeId> producer = producers_of(selection);
    const auto nodes = static_cast<NodeId>(graph.nodes().size());
    std::vector<NodeId> cuts;
    for (NodeId cut = 1; cut < nodes; ++cut) {
        std::set<TensorId> crossing;
        for (NodeId reader = cut; reader < nodes; ++reader) {
            for (const TensorId input : graph.node(reader).inputs) {
                const NodeId made_by = producer[static_cast<std::size_t>(input)];
                if (made_by >= 0 && made_by < cut) crossing.insert(selection.root_of(input));
            }
        }
        if (crossing.size() == 1) cuts.push_back(cut);
    }
    return cuts;
}

/// Bytes a sample of all outputs up to and including each node.
std::vector<double> activation_bytes(const Selection& selection) {
    const ModelGraph& graph = selection.graph();
    std::vector<double> sums;
    double sum = 0;
    for (const layers::Node& node : graph.nodes()) {
        const layers::TensorSpec& tensor = graph.tensor(node.output);
        if (!layers::is_view(node.op))
            sum += static_cast<double>(bytes_of(tensor.shape.elements(), tensor.dtype).value);
        sums.push_back(sum);
    }
    return sums;
}

double forward_flops(const ModelGraph& graph, const layers::Node& node) {
    std::vector<Shape> inputs;
    for (const TensorId input : node.inputs) inputs.push_back(graph.tensor(input).shape);
    return layers::cost_of(node.op, inputs, graph.tensor(node.output).shape).forward_flops;
}

/// For each of the `count` - 1 cuts in turn the place nearest to its share of the memory, such that enough
/// places are left for the others.
std::vector<NodeId> balanced(const std::vector<NodeId>& places, const std::vector<double>& bytes,
                             std::int64_t count) {
    std::vector<NodeId> chosen;
    std::size_t next = 0;
    for (std::int64_t k = 1; k < count; ++k) {
        const double share = bytes.back() * static_cast<double>(k) / static_cast<double>(count);
        const std::size_t last = places.size() - static_cast<std::size_t>(count - 1 - k);
        const auto distance = [&](NodeId cut) {
            return std::abs(bytes[static_cast<std::size_t>(cut) - 1] - share);
        };
        const auto best = std::min_element(places.begin() + static_cast<std::ptrdiff_t>(next),
                                           places.begin() + static_cast<std::ptrdiff_t>(last),
                                           [&](NodeId a, NodeId b) { return distance(a) < distance(b); });
        chosen.push_back(*best);
        next = static_cast<std::size_t>(best - places.begin()) + 1;
    }
    return chosen;
}

}  // namespace

Segments::Segments(const Selection& selection, std::int64_t count) {
    ensure(count >= 1, "a network has a segment at least");
    if (count == 1) return;
    const std::vector<NodeId> places = narrow_cuts(selection);
    if (count > static_cast<std::int64_t>(places.size()) + 1) {
        throw ConfigError(
            fmt::format("parallel.recompute = {}: the network can be cut into {} segments at most (a cut "
                        "needs a place where "
                        "a single tensor goes on): give {} or less, or auto",
                        count, places.size() + 1, places.size() + 1));
    }
    const std::vector<NodeId> cuts = balanced(places, activation_bytes(selection), count);
    count_ = static_cast<int>(count);
    producer_ = producers_of(selection);
    int segment = 0;
    for (NodeId node = 0; node < static_cast<NodeId>(selection.graph().nodes().size()); ++node) {
        if (segment + 1 < count_ && node == cuts[static_cast<std::size_t>(segment)]) ++segment;
        of_.push_back(segment);
    }
}

std::int64_t Segments::most(const Selection& selection) {
    return static_cast<std::int64_t>(narrow_cuts(selection).size()) + 1;
}

int Segments::pass(NodeId node, TensorId tensor) const {
    if (!dropped(node)) return 0;
    const NodeId made_by = producer_.at(static_cast<std::size_t>(tensor));
    return made_by >= 0 && of(made_by) == of(node) ? 1 : 0;
}

std::string Segments::str(const ModelGraph& graph) const {
    double all = 0;
    double twice = 0;
    std::string ends;
    for (std::size_t n = 0; n < graph.nodes().size(); ++n) {
        const auto id = static_cast<NodeId>(n);
        const double flops = forward_flops(graph, graph.nodes()[n]);
        all += flops;
        if (dropped(id)) twice += flops;
        const bool last = n + 1 == graph.nodes().size() || of(id + 1) != of(id);
        if (last) ends += (ends.empty() ? "" : ", ") + graph.nodes()[n].name;
    }
    return fmt::format("{} segments, ending with {}; {:.0f} % of the forward operations are computed twice",
                       count_, ends, all > 0 ? 100 * twice / all : 0.0);
}

std::vector<NodeId> computed_again(const Selection& selection, const Segments& segments, int segment,
                                   std::int64_t batch) {
    const ModelGraph& graph = selection.graph();
    std::set<TensorId> read;  // roots made in the segment that backward, or a node computed again, reads
    const auto reads = [&](NodeId node, TensorId tensor) {
        if (segments.pass(node, tensor) == 1) read.insert(selection.root_of(tensor));
    };
    std::vector<NodeId> again;
    for (auto id = static_cast<NodeId>(graph.nodes().size()) - 1; id >= 0; --id) {
        const layers::Node& node = graph.node(id);
        if (segments.of(id) != segment || layers::is_view(node.op)) continue;
        const KernelNeeds needs = selection.kernels(id, batch, true).needs();
        const bool backward = selection.wants_gradient(node.output);
        for (std::size_t i = 0; backward && needs.backward_reads_input && i < node.inputs.size(); ++i) {
            if ((needs.backward_skips_inputs >> i & 1) == 0) reads(id, node.inputs[i]);
        }
        if (backward && needs.backward_reads_output) reads(id, node.output);
        const bool keeps_state = backward && needs.saved.value > 0;
        if (!keeps_state && read.count(selection.root_of(node.output)) == 0) continue;
        for (const TensorId input : node.inputs) reads(id, input);
        again.push_back(id);
    }
    std::ranges::reverse(again);
    return again;
}

}  // namespace trireme
