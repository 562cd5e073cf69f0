// Nodes that look up rows of a table.
#pragma once

#include "runtime/kernels/cuda/bodies/elementwise.hpp"
#include "runtime/kernels/cuda/bodies/embedding.hpp"
#include "runtime/kernels/cuda/nodes/own_kernels.hpp"

namespace trireme::cuda {

template <class Launch>
class EmbeddingKernels final : public OwnKernels<Launch, SortPlan> {
  public:
    EmbeddingKernels(const layers::Embedding& op, const NodeView& view, SortPlan plan)
        : OwnKernels<Launch, SortPlan>(view, std::move(plan)),
          vocabulary_(op.vocabulary),
          features_(op.features) {}

    void forward(Stream& stream, const KernelBuffers& b) override {
        Launch::each(stream, this->outputs() / features_ * packs_of(features_),
                     LookUp{vocabulary_, features_, values_of<std::int32_t>(b.inputs[0]),
                            fp32_source(b.params[0]), this->output(b)});
    }

    void backward_weight(Stream& stream, const KernelBuffers& b) override {
        const Sink d_table{b.d_params[0], DType::f32};
        const std::int64_t elements = vocabulary_ * features_;
        this->packs(stream, elements, Fill{elements, 0.0F, d_table});
        const SortPlan& plan = this->plan();
        const Pieces pieces{plan.piece, plan.positions,    vocabulary_,
                            features_,  sorted(stream, b), values_of<float>(b.scratch, plan.parts)};
        Launch::each(stream, plan.positions * packs_of(features_),
                     SumPieces{pieces, this->d_output(b), d_table});
        Launch::each(stream, plan.pieces() * packs_of(features_), SumSymbols{pieces, d_table});
    }

    void backward_input(Stream&, const KernelBuffers&) override {}  // symbols have no gradient

  private:
    [[nodiscard]] Occurrences sorted(Stream& stream, const KernelBuffers& b) const {
        const SortPlan& plan = this->plan();
        DigitPass pass{.count = plan.positions,
                       .chunks = plan.chunks,
                       .vocabulary = vocabulary_,
                       .shift = 0,
                       .symbols = values_of<std::int32_t>(b.inputs[0]),
                       .positions = nullptr,
                       .offsets = values_of<std::int32_t>(b.scratch, plan.offsets),
                       .sorted = {}};
        for (int k = 0; k < plan.passes; ++k) {
            pass.shift = 8 * k;
            pass.sorted = {values_of<std::int32_t>(b.scratch, plan.symbols[k % 2]),
                           values_of<std::int32_t>(b.scratch, plan.places[k % 2])};
            Launch::blocks(stream, plan.chunks, DigitPass::digits, CountDigits{pass});
            Launch::blocks(stream, 1, DigitPass::digits, PlaceDigits{pass});
            Launch::blocks(stream, plan.chunks, DigitPass::digits, ScatterDigits{pass});
            pass.symbols = pass.sorted.symbols;
            pass.positions = pass.sorted.positions;
        }
        return pass.sorted;
    }

    std::int64_t vocabulary_;
    std::int64_t features_;
};

template <class Launch>
std::unique_ptr<NodeKernels> make_own(const layers::Embedding& op, const NodeView& view) {
    return std::make_unique<EmbeddingKernels<Launch>>(op, view, plan_of(op, view));
}

}  // namespace trireme::cuda
