#include "runtime/plan/grad_buckets.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "runtime/core/alignment.hpp"
#include "runtime/core/error.hpp"
#include "runtime/core/text.hpp"

namespace trireme {
namespace {

/// Elements that a tensor takes in the arena.
std::int64_t room_for(std::int64_t elements) { return aligned(Elements(elements), DType::f32).value; }

/// Parameters in the order in which backward completes their gradients: reverse order of their first forward
/// use.
std::vector<layers::ParamId> backward_order(const layers::ModelGraph& graph) {
    std::vector<layers::ParamId> forward;
    for (const layers::Node& node : graph.nodes()) {
        for (layers::ParamId p : node.params) {
            if (std::find(forward.begin(), forward.end(), p) == forward.end()) forward.push_back(p);
        }
    }
    ensure(forward.size() == graph.params().size(), "every parameter belongs to a node");
    std::reverse(forward.begin(), forward.end());
    return forward;
}

int uses_of(const layers::ModelGraph& graph, layers::ParamId param) {
    int uses = 0;
    for (const layers::Node& node : graph.nodes())
        uses += static_cast<int>(std::count(node.params.begin(), node.params.end(), param));
    return uses;
}

/// Nodes whose first parameter is `p`.
std::vector<layers::NodeId> nodes_led_by(const layers::ModelGraph& graph, layers::ParamId p) {
    std::vector<layers::NodeId> nodes;
    for (std::size_t n = 0; n < graph.nodes().size(); ++n) {
        const layers::Node& node = graph.nodes()[n];
        if (!node.params.empty() && node.params.front() == p) nodes.push_back(static_cast<layers::NodeId>(n));
    }
    return nodes;
}

std::int64_t statistics_elements(const layers::ModelGraph& graph, layers::NodeId id) {
    const layers::Node& node = graph.node(id);
    return layers::statistics_of(node.op, graph.tensor(node.inputs.front()).shape);
}

}  // namespace

GradBuckets::GradBuckets(const layers::ModelGraph& graph, Bytes bucket_bytes)
    : places_(graph.params().size()), statistics_(graph.nodes().size()) {
    std::int64_t at = 0;
    GradBucket open;
    const auto close = [&] {
        open.range.end = at;
        buckets_.push_back(std::move(open));
        open = GradBucket{};
        open.range.begin = at;
    };
    for (layers::ParamId p : backward_order(graph)) {
        const std::int64_t elements = graph.param(p).shape.elements().value;
        places_[static_cast<std::size_t>(p)] = {p, static_cast<int>(buckets_.size()), at, elements};
        open.params.push_back(p);
        open.ready_count += uses_of(graph, p);
        at += room_for(elements);
        for (layers::NodeId node : nodes_led_by(graph, p)) {
            const std::int64_t statistics = statistics_elements(graph, node);
            statistics_[static_cast<std::size_t>(node)] = {static_cast<int>(buckets_.size()), at, statistics};
            at += room_for(statistics);
        }
        if ((at - open.range.begin) * size_of(DType::f32) >= bucket_bytes.value) close();
    }
    if (open.params.empty() &&
        !buckets_.empty()) {  // the status words belong to the last bucket that has parameters
        open = std::move(buckets_.back());
        buckets_.pop_back();
    }
    status_offset_ = at;
    at += room_for(static_cast<std::int64_t>(StatusWord::count));
    close();
    arena_elements_ = at;
}

std::string GradBuckets::str(const layers::ModelGraph& graph) const {
    std::string text;
    for (std::size_t b = 0; b < buckets_.size(); ++b) {
        std::vector<std::string> names;
        for (layers::ParamId p : buckets_[b].params) names.push_back(graph.param(p).name);
        text += fmt::format(
            "  bucket {}: {} elements ({}), ready after {} gradients: {}{}\n", b, buckets_[b].range.size(),
            human_bytes(bytes_of(Elements(buckets_[b].range.size()), DType::f32)), buckets_[b].ready_count,
            fmt::join(names, " "), b + 1 == buckets_.size() ? " + status" : "");
    }
    return text;
}

Bytes default_bucket_bytes(const layers::ModelGraph& graph) {
    const std::int64_t total = bytes_of(graph.parameter_count(), DType::f32).value;
    return Bytes(std::clamp<std::int64_t>(total / 8, std::int64_t{256} << 10, std::int64_t{25} << 20));
}

}  // namespace trireme
