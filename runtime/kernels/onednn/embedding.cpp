// Embedding and position embedding in loops of our own. The gradient of a table is a sum over positions whose
// number and order the symbols decide; it is cut among the threads by columns, so that each element is summed
// by one thread in the order of the positions: the same bits for any number of threads.
#include <cstring>

#include <fmt/format.h>

#include "runtime/core/error.hpp"
#include "runtime/kernels/onednn/float_values.hpp"
#include "runtime/kernels/onednn/node_kernels.hpp"
#include "runtime/kernels/onednn/vector_loops.hpp"

namespace trireme::onednn {
namespace {

constexpr std::int64_t floats_per_line = 16;

/// Bytes of one fp32 row a worker, in whole cache lines.
std::int64_t row_bytes(std::int64_t width) { return padded_floats(width) * std::int64_t{sizeof(float)}; }

class EmbeddingKernels final : public OnednnKernels {
  public:
    EmbeddingKernels(const layers::Embedding& op, const NodeView& view)
        : OnednnKernels(view),
          vocabulary_(op.vocabulary),
          width_(op.features),
          positions_(view.request.batch * view.input.elements().value),
          lines_(padded_floats(width_) / floats_per_line),
          dtype_(view.output_dtype()),
          workers_(workers_for(positions_ * width_, positions_)),
          column_workers_(workers_for((positions_ + vocabulary_) * width_, lines_)) {
        description_ = fmt::format("loop:{}", name_of(dtype_));
        if (!training()) return;
        needs_.backward_reads_input = true;
        needs_.backward_scratch = Bytes(column_workers_ * row_bytes(width_));
    }

    void forward(Stream&, const KernelBuffers& b) override {
        check_symbols(b.inputs[0]);
        const float* table = floats(b.params[0]);
        const bool is_bf16 = dtype_ == DType::bf16;
        cpu::parallel_ranges(workers_, positions_, [&](int, std::int64_t begin, std::int64_t end) {
            run_vectors(
                vectors_, [&]() __attribute__((always_inline)) {
                    for (std::int64_t i = begin; i < end; ++i) {
                        const float* row = table + symbol(b.inputs[0], i) * width_;
                        if (is_bf16) {
                            narrow(row, width_, reinterpret_cast<std::uint16_t*>(b.output) + i * width_);
                        } else {
                            std::copy(row, row + width_, floats(b.output) + i * width_);
                        }
                    }
                });
        });
    }

    void backward_weight(Stream&, const KernelBuffers& b) override {
        const FloatSource gradient(b.d_output, dtype_);
        float* d_table = floats(b.d_params[0]);
        cpu::parallel_ranges(column_workers_, lines_, [&](int worker, std::int64_t begin, std::int64_t end) {
            float* buffer = floats(b.scratch + worker * row_bytes(width_));
            const std::int64_t first = begin * floats_per_line;
            const std::int64_t columns = std::min(end * floats_per_line, width_) - first;
            run_vectors(
                vectors_, [&]() __attribute__((always_inline)) {
                    for (std::int64_t v = 0; v < vocabulary_; ++v)
                        std::fill_n(d_table + v * width_ + first, columns, 0.0F);
                    for (std::int64_t i = 0; i < positions_; ++i) {
                        const float* row = gradient.read(i * width_ + first, columns, buffer);
                        add_to(d_table + symbol(b.inputs[0], i) * width_ + first, row, columns);
                    }
                });
        });
    }

    void backward_input(Stream&, const KernelBuffers&) override {}  // symbols have no gradient

  private:
    [[gnu::always_inline]] static std::int64_t symbol(const std::byte* symbols, std::int64_t i) {
        std::int32_t value = 0;
        std::memcpy(&value, symbols + i * static_cast<std::int64_t>(sizeof(value)), sizeof(value));
        return value;
    }

    void check_symbols(const std::byte* symbols) const {
        for (std::int64_t i = 0; i < positions_; ++i) {
            const std::int64_t value = symbol(symbols, i);
            if (value >= 0 && value < vocabulary_) continue;
            throw DataError(
                fmt::format("{}: element {} of the batch is symbol {}, but the table has {} (0 to {}): check "
                            "model.vocabulary against the data set",
                            what("forward"), i, value, vocabulary_, vocabulary_ - 1));
        }
    }

    std::int64_t vocabulary_;
    std::int64_t width_;
    std::int64_t positions_;  ///< of the whole launch
    std::int64_t lines_;      ///< cache lines of a row: what columns are cut by
    DType dtype_;             ///< of the output
    int workers_;
    int column_workers_;
    VectorSet vectors_ = vector_set();
};

class PositionEmbeddingKernels final : public OnednnKernels {
  public:
    explicit PositionEmbeddingKernels(const NodeView& view)
        : OnednnKernels(view),
          batch_(view.request.batch),
          positions_(view.input[0]),
          width_(view.input[1]),
          in_(view.input_dtype()),
          out_(view.output_dtype()),
          workers_(workers_for(batch_ * positions_ * width_, positions_)) {
        description_ = fmt::format("loop:{}", name_of(out_));
        needs_.forward_scratch = Bytes(2 * workers_ * row_bytes(width_));
        if (training()) needs_.backward_scratch = needs_.forward_scratch;
    }

    void forward(Stream&, const KernelBuffers& b) override {
        const FloatSource x(b.inputs[0], in_);
        const FloatSink y(b.output, out_);
        const float* weight = floats(b.params[0]);
        for_each_row(
            b, [&](std::int64_t at, std::int64_t position, float* from, float* to)
                   __attribute__((always_inline)) {
                       const float* row = x.read(at, width_, from);
                       float* sum = y.open(at, to);
                       const float* learned = weight + position * width_;
#pragma omp simd
                       for (std::int64_t i = 0; i < width_; ++i) sum[i] = row[i] + learned[i];
                       y.close(at, width_, sum);
                   });
    }

    void backward_weight(Stream&, const KernelBuffers& b) override {
        const FloatSource gradient(b.d_output, out_);
        float* d_weight = floats(b.d_params[0]);
        for_each_row(
            b, [&](std::int64_t at, std::int64_t position, float* from, float*)
                   __attribute__((always_inline)) {
                       const float* row = gradient.read(at, width_, from);
                       float* sum = d_weight + position * width_;
                       if (at == position * width_) {
                           std::copy(row, row + width_, sum);
                       } else {
                           add_to(sum, row, width_);
                       }
                   });
    }

    void backward_input(Stream&, const KernelBuffers& b) override {
        const FloatSource gradient(b.d_output, out_);
        const FloatSink d_x(b.d_inputs[0], in_);
        for_each_row(
            b, [&](std::int64_t at, std::int64_t, float* from, float* to) __attribute__((always_inline)) {
                const float* row = gradient.read(at, width_, from);
                float* copy = d_x.open(at, to);
                std::copy(row, row + width_, copy);
                d_x.close(at, width_, copy);
            });
    }

  private:
    /// Calls visit(first element, position, buffer, buffer) for each row, position by position and sample
    /// after sample, a thread for each range of positions.
    template <class Visit>
    void for_each_row(const KernelBuffers& b, const Visit& visit) const {
        cpu::parallel_ranges(workers_, positions_, [&](int worker, std::int64_t begin, std::int64_t end) {
            float* from = floats(b.scratch + 2 * worker * row_bytes(width_));
            float* to = floats(b.scratch + (2 * worker + 1) * row_bytes(width_));
            run_vectors(
                vectors_, [&]() __attribute__((always_inline)) {
                    for (std::int64_t position = begin; position < end; ++position) {
                        for (std::int64_t n = 0; n < batch_; ++n)
                            visit((n * positions_ + position) * width_, position, from, to);
                    }
                });
        });
    }

    std::int64_t batch_;
    std::int64_t positions_;
    std::int64_t width_;
    DType in_;
    DType out_;
    int workers_;
    VectorSet vectors_ = vector_set();
};

}  // namespace

std::unique_ptr<NodeKernels> make_kernels(const layers::Embedding& op, const NodeView& view) {
    return std::make_unique<EmbeddingKernels>(op, view);
}

std::unique_ptr<NodeKernels> make_kernels(const layers::PositionEmbedding&, const NodeView& view) {
    return std::make_unique<PositionEmbeddingKernels>(view);
}

}  // namespace trireme::onednn
