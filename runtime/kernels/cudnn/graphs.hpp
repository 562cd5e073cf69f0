// A GraphSpec as a graph of cudnn-frontend: the same tensors, and the operations that the spec's kind stands
// for. The library infers nothing: extents, strides and types of all tensors in memory are those of
// tensors_of, and what lies between two operations of a graph is fp32.
#pragma once

#include <cstdint>

#include "runtime/kernels/rules/cudnn_graphs.hpp"

// The library's header is large: two files include it, this is what the others need to know.
namespace cudnn_frontend::graph {
class Graph;
}

namespace trireme::cudnn {

/// By which id a launch names the tensor that stands at `index` in tensors_of.
[[nodiscard]] constexpr std::int64_t tensor_id(std::size_t index) {
    return static_cast<std::int64_t>(index) + 1;
}

/// Fills an empty graph.
void describe(const GraphSpec& spec, cudnn_frontend::graph::Graph& graph);

}  // namespace trireme::cudnn
