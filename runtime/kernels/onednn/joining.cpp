// Where branches of a network meet: the sum of tensors, and tensors side by side along the last axis. Both
// move memory and do little else, so each is one pass, in loops of our own.
#include <algorithm>
#include <vector>

#include "runtime/kernels/onednn/node_kernels.hpp"

namespace trireme::onednn {
namespace {

class AddKernels final : public OnednnKernels {
  public:
    explicit AddKernels(const NodeView& view)
        : OnednnKernels(view), elements_(view.outputs()), output_(view.output_dtype()) {
        for (std::size_t i = 0; i < view.node.inputs.size(); ++i) inputs_.push_back(view.input_dtype(i));
        describe_loop(view);
        needs_.forward_in_place = inputs_.front() == output_;
        needs_.backward_in_place = ~std::uint64_t{0};
    }

    void forward(Stream&, const KernelBuffers& b) override {
        const FloatSink sums(b.output, output_);
        for_each_piece(
            elements_, [&](std::int64_t at, std::int64_t n, auto& buffers) __attribute__((always_inline)) {
                float* sum = sums.open(at, buffers[0]);
                const float* first = value(b, 0, at, n, buffers[1]);
                add(first, value(b, 1, at, n, buffers[2]), sum, n);
                for (std::size_t i = 2; i < inputs_.size(); ++i) {
                    add(sum, value(b, i, at, n, buffers[1]), sum, n);
                }
                sums.close(at, n, sum);
            });
    }

    /// One of the gradients may lie where d does: it is the same values, so the others can still be read
    /// there.
    void backward_input(Stream&, const KernelBuffers& b) override {
        for (std::size_t i = 0; i < inputs_.size(); ++i) {
            if (b.d_inputs[i] == nullptr || b.d_inputs[i] == b.d_output) continue;
            copy_values({b.d_output, output_}, {b.d_inputs[i], inputs_[i]}, elements_);
        }
    }

  private:
    [[gnu::always_inline]] const float* value(const KernelBuffers& b, std::size_t input, std::int64_t at,
                                              std::int64_t n, float* buffer) const {
        return FloatSource(b.inputs[input], inputs_[input]).read(at, n, buffer);
    }
    [[gnu::always_inline]] static void add(const float* a, const float* b, float* sum, std::int64_t n) {
#pragma omp simd
        for (std::int64_t i = 0; i < n; ++i) sum[i] = a[i] + b[i];
    }

    std::int64_t elements_;
    DType output_;
    std::vector<DType> inputs_;
};

class ConcatKernels final : public OnednnKernels {
  public:
    explicit ConcatKernels(const NodeView& view)
        : OnednnKernels(view),
          rows_(view.rows()),
          width_(view.output[view.output.rank() - 1]),
          output_(view.output_dtype()) {
        std::int64_t before = 0;
        for (std::size_t i = 0; i < view.node.inputs.size(); ++i) {
            const Shape& shape = view.request.graph->tensor(view.node.inputs[i]).shape;
            parts_.push_back({view.input_dtype(i), shape[shape.rank() - 1], before});
            before += parts_.back().width;
        }
        workers_ = workers_for(view.outputs(), rows_);
        description_ = "copy";
    }

    void forward(Stream&, const KernelBuffers& b) override {
        const FloatSink joined(b.output, output_);
        for_each_part([&](std::size_t i, const Part& part, std::int64_t row, std::int64_t from,
                          std::int64_t n, float* buffer) {
            const FloatSource values(b.inputs[i], part.dtype);
            joined.store(row * width_ + part.before + from, n,
                         values.read(row * part.width + from, n, buffer));
        });
    }

    void backward_input(Stream&, const KernelBuffers& b) override {
        const FloatSource joined(b.d_output, output_);
        for_each_part([&](std::size_t i, const Part& part, std::int64_t row, std::int64_t from,
                          std::int64_t n, float* buffer) {
            if (b.d_inputs[i] == nullptr) return;
            FloatSink(b.d_inputs[i], part.dtype)
                .store(row * part.width + from, n, joined.read(row * width_ + part.before + from, n, buffer));
        });
    }

  private:
    /// One input: its columns of the joined rows.
    struct Part {
        DType dtype;
        std::int64_t width;
        std::int64_t before;
    };

    /// f(input, part, row, first column of the part, columns, buffer) for pieces of all rows.
    template <class F>
    void for_each_part(const F& f) const {
        cpu::parallel_ranges(workers_, rows_, [&](int, std::int64_t begin, std::int64_t end) {
            alignas(64) float buffer[piece_values];
            for (std::int64_t row = begin; row < end; ++row) {
                for (std::size_t i = 0; i < parts_.size(); ++i) {
                    for (std::int64_t from = 0; from < parts_[i].width; from += piece_values) {
                        f(i, parts_[i], row, from, std::min(piece_values, parts_[i].width - from), buffer);
                    }
                }
            }
        });
    }

    std::int64_t rows_;
    std::int64_t width_;
    DType output_;
    std::vector<Part> parts_;
    int workers_ = 1;
};

}  // namespace

std::unique_ptr<NodeKernels> make_kernels(const layers::Add&, const NodeView& view) {
    return std::make_unique<AddKernels>(view);
}

std::unique_ptr<NodeKernels> make_kernels(const layers::Concat&, const NodeView& view) {
    return std::make_unique<ConcatKernels>(view);
}

}  // namespace trireme::onednn
