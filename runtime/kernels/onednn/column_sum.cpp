#include "runtime/kernels/onednn/column_sum.hpp"

#include <algorithm>

#include "runtime/device/cpu/kernel_threads.hpp"
#include "runtime/kernels/onednn/float_values.hpp"
#include "runtime/kernels/onednn/vector_loops.hpp"

namespace trireme::onednn {
namespace {

constexpr std::int64_t rows_per_block = 128;
/// Below this many values a thread, waking the team costs more than it saves.
constexpr std::int64_t values_per_worker = 16 * 1024;
/// A worker's total, the sum of the block at hand, and a row as fp32.
constexpr std::int64_t parts_per_worker = 3;

}  // namespace

ColumnSum::ColumnSum(std::int64_t rows, std::int64_t columns, int threads, DType dtype)
    : rows_(rows), columns_(columns), stride_(padded_floats(columns)), dtype_(dtype) {
    const std::int64_t useful = std::max<std::int64_t>(1, rows * columns / values_per_worker);
    workers_ = static_cast<int>(std::min({static_cast<std::int64_t>(threads), useful, rows}));
}

Bytes ColumnSum::scratch() const {
    return Bytes(parts_per_worker * workers_ * stride_ * static_cast<std::int64_t>(sizeof(float)));
}

void ColumnSum::run(const std::byte* matrix, float* sums, float* scratch) const {
    cpu::parallel_ranges(workers_, rows_, [&](int worker, std::int64_t begin, std::int64_t end) {
        sum_rows(matrix, begin, end, scratch + parts_per_worker * worker * stride_);
    });
    std::copy_n(scratch, columns_, sums);
    for (int worker = 1; worker < workers_; ++worker) {
        add_to(sums, scratch + parts_per_worker * worker * stride_, columns_);
    }
}

void ColumnSum::sum_rows(const std::byte* matrix, std::int64_t begin, std::int64_t end, float* parts) const {
    const FloatSource values(matrix, dtype_);
    float* total = parts;
    float* block = parts + stride_;
    float* row_buffer = parts + 2 * stride_;
    std::fill_n(total, columns_, 0.0F);
    run_vectors(
        vector_set(), [&]() __attribute__((always_inline)) {
            for (std::int64_t first = begin; first < end; first += rows_per_block) {
                const std::int64_t last = std::min(end, first + rows_per_block);
                std::copy_n(values.read(first * columns_, columns_, row_buffer), columns_, block);
                for (std::int64_t row = first + 1; row < last; ++row)
                    add_to(block, values.read(row * columns_, columns_, row_buffer), columns_);
                add_to(total, block, columns_);
            }
        });
}

}  // namespace trireme::onednn
