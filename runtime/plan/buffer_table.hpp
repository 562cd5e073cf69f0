// Which buffers a program touches, and from which instruction to which. The memory plan places them; the
// executor binds kernels to them; `inspect` prints them. One function decides both life and binding, so they
// cannot disagree.
#pragma once

#include <compare>
#include <map>
#include <vector>

#include "runtime/exec/program.hpp"
#include "runtime/plan/memory_plan.hpp"

namespace trireme {

/// Names a buffer of the arena. `id` is a tensor (its root, for views), a node, a parameter or an
/// instruction.
/// For a partial gradient it is `partial_id`.
struct BufferKey {
    enum class Kind {
        activation,
        gradient,
        partial_gradient,
        saved,
        scratch,
        weight_gradient,
        statistics,
        forward_weights,  ///< compute copies; micro-batches of one size share those of the first
        backward_weights
    };
    Kind kind;
    int id;
    int microbatch;
    int pass = 0;  ///< 1: computed again (runtime/plan/recompute.hpp)
    auto operator<=>(const BufferKey&) const = default;
};

/// Buffers may share a life: where a kernel works in place and what it reads is not read again, its result
/// has the memory of its operand.
struct BufferTable {
    std::map<BufferKey, std::size_t> index;  ///< into `lives`
    std::vector<BufferLife> lives;
};

/// The partial gradient of one input of a node.
[[nodiscard]] constexpr int partial_id(layers::NodeId node, std::size_t input) {
    return node * 64 + static_cast<int>(input);
}

/// True for memory that the arena does not hold: the samples themselves and views of them.
[[nodiscard]] bool is_external(const Selection& selection, layers::TensorId tensor);

/// All buffers of a program with their lives. The graph's input and target belong to the data pipeline.
[[nodiscard]] BufferTable buffers_of(const Program& program, const Selection& selection);

}  // namespace trireme
