#include <string>

#include "layers/reference/kernels.hpp"
#include "runtime/core/philox.hpp"

namespace trireme::layers::reference {
namespace {

/// Multiplies by the mask of layers/ops.hpp, which forward and backward draw alike. Consecutive samples of a
/// launch stand at consecutive places of the global batch, so one index runs through all of them.
template <class Io>
void mask(const Dropout& op, const Extents& e, const Io& io, std::span<const double> from,
          std::span<double> to) {
    const RandomStream stream(io.context.seed, "dropout/" + std::string(io.node_name),
                              static_cast<std::uint64_t>(io.context.step));
    const auto first = static_cast<std::uint64_t>(io.context.first_position * e.output.elements().value);
    for (std::size_t i = 0; i < to.size(); ++i) {
        const bool kept = static_cast<double>(stream.uniform(first + i)) >= op.p;
        to[i] = kept ? from[i] / (1 - op.p) : 0;
    }
}

}  // namespace

void run(const Dropout& op, const Extents& e, const ForwardIo& io) {
    if (io.training) {
        mask(op, e, io, io.inputs[0], io.output);
    } else {
        std::copy(io.inputs[0].begin(), io.inputs[0].end(), io.output.begin());
    }
}

void run_back(const Dropout& op, const Extents& e, const BackwardIo& io) {
    const std::span<double> d_input = wanted(io.d_inputs, 0);
    if (d_input.empty()) return;
    if (io.training) {
        mask(op, e, io, io.d_output, d_input);
    } else {
        std::copy(io.d_output.begin(), io.d_output.end(), d_input.begin());
    }
}

}  // namespace trireme::layers::reference
