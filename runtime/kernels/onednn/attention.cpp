// Causal self-attention by blocks (Dao and others, "FlashAttention", 2022, and its second version, 2023): the
// T x T scores of a head are made a tile at a time and never kept.
//
//            keys 0 ............ T          A block of query rows goes over the blocks of keys up to its own
//   queries  |####|                         end. Its softmax is formed on the way (Milakov and Gimelshein,
//        0   |####|####|                    "Online normalizer calculation for softmax", 2018): a larger
//        :   |####|####|####|               score than any before it scales down what was summed so far.
//        T   |####|####|####|####|
//
// Saved for backward: the logarithm of each row's sum of exponentials. Backward makes the tiles again:
//
//   P = exp(scale Q K' - lse)    dV += P' dO    dS = P (dO V' - rowsum(dO O)) scale    dQ += dS K    dK +=
//   dS' Q
//
// A head of a sample belongs to one thread, whose products are oneDNN's sgemm on one thread: the bits do not
// depend on the number of threads. Queries, keys and values of the head are copied together first, which
// costs 3 T d values against T^2 d products, and takes bf16 in the same step; all sums are fp32.
#include <atomic>
#include <cmath>

#include <fmt/format.h>

#include "runtime/core/error.hpp"
#include "runtime/kernels/onednn/float_values.hpp"
#include "runtime/kernels/onednn/node_kernels.hpp"
#include "runtime/kernels/onednn/vector_loops.hpp"
#include "runtime/kernels/onednn/vector_math.hpp"

namespace trireme::onednn {
namespace {

constexpr std::int64_t query_rows = 64;  ///< of a tile
constexpr std::int64_t key_rows =
    256;  ///< of a tile; a multiple of query_rows, so that no tile is all masked

/// A dense row-major matrix, or its transpose where `transposed`.
struct Operand {
    const float* values = nullptr;
    std::int64_t stride = 0;
    bool transposed = false;
};

class AttentionKernels final : public OnednnKernels {
  public:
    AttentionKernels(const layers::CausalSelfAttention& op, const NodeView& view)
        : OnednnKernels(view),
          heads_(op.heads),
          positions_(view.output[0]),
          channels_(view.output[1]),
          width_(channels_ / heads_),
          tile_rows_(std::min(query_rows, positions_)),
          tile_columns_(padded_floats(std::min(key_rows, positions_))),
          scale_(static_cast<float>(1 / std::sqrt(static_cast<double>(width_)))),
          in_(view.input_dtype()),
          out_(view.output_dtype()),
          tasks_(view.request.batch * heads_),
          workers_(static_cast<int>(std::min<std::int64_t>(threads(), tasks_))) {
        description_ =
            fmt::format("sgemm:{} tiles of {}x{}", name_of(in_), tile_rows_, std::min(key_rows, positions_));
        needs_.forward_scratch = Bytes(workers_ * Room(*this, false).bytes());
        if (!training()) return;
        needs_.backward_reads_input = true;
        needs_.backward_reads_output = true;
        needs_.saved = Bytes(tasks_ * positions_ * std::int64_t{sizeof(float)});
        needs_.backward_scratch = Bytes(workers_ * Room(*this, true).bytes());
    }

    void forward(Stream&, const KernelBuffers& b) override {
        for_each_head(b.scratch, false, [&](std::int64_t task, const Room& room) {
            load_operands(b, task, room);
            for (std::int64_t first = 0; first < positions_; first += tile_rows_)
                attend(b, task, first, room);
        });
    }

    void backward_input(Stream&, const KernelBuffers& b) override {
        for_each_head(b.scratch, true, [&](std::int64_t task, const Room& room) {
            load_operands(b, task, room);
            std::fill_n(room.d_query, 3 * room.part, 0.0F);
            for (std::int64_t first = 0; first < positions_; first += tile_rows_)
                attend_back(b, task, first, room);
            store_gradients(b, task, room);
        });
    }

  private:
    /// The scratch of one worker. Operands and their gradients are three matrices [positions, width] each,
    /// one behind the other.
    struct Room {
        Room(const AttentionKernels& k, bool backward, std::byte* memory = nullptr)
            : part(padded_floats(k.positions_ * k.width_)) {
            query = take(memory, 3 * part);
            tile = take(memory, k.tile_rows_ * k.tile_columns_);
            output = take(memory, padded_floats(k.tile_rows_ * k.width_));
            largest = take(memory, padded_floats(k.tile_rows_));
            sums = take(memory, padded_floats(k.tile_rows_));
            if (!backward) return;
            d_query = take(memory, 3 * part);
            d_tile = take(memory, k.tile_rows_ * k.tile_columns_);
            d_output = take(memory, padded_floats(k.tile_rows_ * k.width_));
        }
        [[nodiscard]] std::int64_t bytes() const { return used * std::int64_t{sizeof(float)}; }
        [[nodiscard]] const float* key() const { return query + part; }
        [[nodiscard]] const float* value() const { return query + 2 * part; }
        [[nodiscard]] float* d_key() const { return d_query + part; }
        [[nodiscard]] float* d_value() const { return d_query + 2 * part; }

        std::int64_t part;
        std::int64_t used = 0;
        float* query = nullptr;
        float* tile = nullptr;     ///< scores, then their exponentials
        float* output = nullptr;   ///< [tile rows, width]
        float* largest = nullptr;  ///< of each row of the tile, so far
        float* sums = nullptr;     ///< of exponentials, so far; in backward rowsum(dO O)
        float* d_query = nullptr;
        float* d_tile = nullptr;
        float* d_output = nullptr;

      private:
        float* take(std::byte* memory, std::int64_t floats_wanted) {
            const std::int64_t at = used;
            used += floats_wanted;
            return memory == nullptr ? nullptr : floats(memory) + at;
        }
    };

    /// Rows [first, first + rows) of queries against keys [key, key + keys).
    struct Tile {
        std::int64_t first = 0;
        std::int64_t rows = 0;
        std::int64_t key = 0;
        std::int64_t keys = 0;
        /// Keys that row r may see; at least one.
        [[nodiscard, gnu::always_inline]] std::int64_t seen(std::int64_t r) const {
            return std::min(keys, first + r + 1 - key);
        }
    };

    template <class Body>
    void for_each_head(std::byte* scratch, bool backward, const Body& body) const {
        // The products of a head run on the thread that has it, also where one thread has all heads.
        cpu::use_kernel_threads(1);
        const std::int64_t room_bytes = Room(*this, backward).bytes();
        cpu::parallel_ranges(workers_, tasks_, [&](int worker, std::int64_t begin, std::int64_t end) {
            const Room room(*this, backward, scratch + worker * room_bytes);
            for (std::int64_t task = begin; task < end; ++task) body(task, room);
        });
        use_threads();
        // Only wrong sizes or a lack of memory make a product fail; a thread of a team must not throw.
        if (failed_.exchange(false))
            throw DeviceError(fmt::format("oneDNN's sgemm failed in {}", what("attention")));
    }

    /// c = alpha a b + beta c, c of `rows` x `columns`, `inner` products each.
    void multiply(std::int64_t rows, std::int64_t columns, std::int64_t inner, float alpha, const Operand& a,
                  const Operand& b, float beta, float* c, std::int64_t stride) const {
        const dnnl_status_t status =
            dnnl_sgemm(a.transposed ? 'T' : 'N', b.transposed ? 'T' : 'N', rows, columns, inner, alpha,
                       a.values, a.stride, b.values, b.stride, beta, c, stride);
        if (status != dnnl_success) failed_ = true;
    }

    /// First element of the head's part of row 0: of the input, and of the output.
    [[nodiscard]] std::int64_t input_at(std::int64_t task) const {
        return task / heads_ * positions_ * 3 * channels_ + task % heads_ * width_;
    }
    [[nodiscard]] std::int64_t output_at(std::int64_t task) const {
        return task / heads_ * positions_ * channels_ + task % heads_ * width_;
    }

    /// Copies rows of `width_` values that lie `stride` apart in a tensor.
    void load_rows(const FloatSource& from, std::int64_t at, std::int64_t stride, std::int64_t rows,
                   float* to) const {
        run_vectors(
            vectors_, [&]() __attribute__((always_inline)) {
                for (std::int64_t r = 0; r < rows; ++r) {
                    float* row = to + r * width_;
                    const float* values = from.read(at + r * stride, width_, row);
                    if (values != row) std::copy(values, values + width_, row);
                }
            });
    }

    void store_rows(const float* from, std::int64_t rows, const FloatSink& to, std::int64_t at,
                    std::int64_t stride) const {
        run_vectors(
            vectors_, [&]() __attribute__((always_inline)) {
                for (std::int64_t r = 0; r < rows; ++r) {
                    const float* row = from + r * width_;
                    float* place = to.open(at + r * stride, nullptr);
                    if (place != nullptr) std::copy(row, row + width_, place);
                    to.close(at + r * stride, width_, row);
                }
            });
    }

    void load_operands(const KernelBuffers& b, std::int64_t task, const Room& room) const {
        const FloatSource x(b.inputs[0], in_);
        for (std::int64_t i = 0; i < 3; ++i)
            load_rows(x, input_at(task) + i * channels_, 3 * channels_, positions_,
                      room.query + i * room.part);
    }

    void store_gradients(const KernelBuffers& b, std::int64_t task, const Room& room) const {
        const FloatSink d_x(b.d_inputs[0], in_);
        for (std::int64_t i = 0; i < 3; ++i)
            store_rows(room.d_query + i * room.part, positions_, d_x, input_at(task) + i * channels_,
                       3 * channels_);
    }

    [[nodiscard]] Tile tile_at(std::int64_t first, std::int64_t key) const {
        const std::int64_t rows = std::min(tile_rows_, positions_ - first);
        return {first, rows, key, std::min(key_rows, first + rows - key)};
    }

    /// scale Q K' of the tile.
    void score(const Tile& t, const Room& room) const {
        multiply(t.rows, t.keys, width_, scale_, {room.query + t.first * width_, width_},
                 {room.key() + t.key * width_, width_, true}, 0, room.tile, tile_columns_);
    }

    void attend(const KernelBuffers& b, std::int64_t task, std::int64_t first, const Room& room) const {
        Tile t = tile_at(first, 0);
        for (std::int64_t key = 0; key < first + t.rows; key += key_rows) {
            t = tile_at(first, key);
            score(t, room);
            take_in(t, room);
            multiply(t.rows, width_, t.keys, 1, {room.tile, tile_columns_},
                     {room.value() + key * width_, width_}, key == 0 ? 0.0F : 1.0F, room.output, width_);
        }
        finish(b, task, t, room);
    }

    /// Turns scores into exponentials against the largest score so far, and scales what was summed before.
    void take_in(const Tile& t, const Room& room) const {
        run_vectors(
            vectors_, [&]() __attribute__((always_inline)) {
                for (std::int64_t r = 0; r < t.rows; ++r) {
                    float* row = room.tile + r * tile_columns_;
                    const std::int64_t seen = t.seen(r);
                    float largest = largest_of(row, seen);
                    float kept = 0;
                    if (t.key > 0) {
                        largest = std::max(room.largest[r], largest);
                        kept = exp_of_nonpositive(room.largest[r] - largest);
                        float* summed = room.output + r * width_;
#pragma omp simd
                        for (std::int64_t i = 0; i < width_; ++i) summed[i] *= kept;
                        kept *= room.sums[r];
                    }
                    room.sums[r] = kept + exponentiate(row, seen, largest);
                    room.largest[r] = largest;
                    std::fill(row + seen, row + t.keys, 0.0F);
                }
            });
    }

    void finish(const KernelBuffers& b, std::int64_t task, const Tile& t, const Room& room) const {
        float* lse = training() ? floats(b.saved) + task * positions_ + t.first : nullptr;
        run_vectors(
            vectors_, [&]() __attribute__((always_inline)) {
                for (std::int64_t r = 0; r < t.rows; ++r) {
                    if (lse != nullptr) lse[r] = room.largest[r] + std::log(room.sums[r]);
                    const float share = 1.0F / room.sums[r];
                    float* row = room.output + r * width_;
#pragma omp simd
                    for (std::int64_t i = 0; i < width_; ++i) row[i] *= share;
                }
            });
        store_rows(room.output, t.rows, FloatSink(b.output, out_), output_at(task) + t.first * channels_,
                   channels_);
    }

    void attend_back(const KernelBuffers& b, std::int64_t task, std::int64_t first, const Room& room) const {
        Tile t = tile_at(first, 0);
        const std::int64_t at = output_at(task) + first * channels_;
        load_rows(FloatSource(b.output, out_), at, channels_, t.rows, room.output);
        load_rows(FloatSource(b.d_output, out_), at, channels_, t.rows, room.d_output);
        sum_products(t.rows, room);
        const Operand d_output{room.d_output, width_};
        for (std::int64_t key = 0; key < first + t.rows; key += key_rows) {
            t = tile_at(first, key);
            score(t, room);
            multiply(t.rows, t.keys, width_, 1, d_output, {room.value() + key * width_, width_, true}, 0,
                     room.d_tile, tile_columns_);
            differentiate(t, floats(static_cast<const std::byte*>(b.saved)) + task * positions_ + first,
                          room);
            multiply(t.keys, width_, t.rows, 1, {room.tile, tile_columns_, true}, d_output, 1,
                     room.d_value() + key * width_, width_);
            multiply(t.keys, width_, t.rows, 1, {room.d_tile, tile_columns_, true},
                     {room.query + first * width_, width_}, 1, room.d_key() + key * width_, width_);
            multiply(t.rows, width_, t.keys, 1, {room.d_tile, tile_columns_},
                     {room.key() + key * width_, width_}, 1, room.d_query + first * width_, width_);
        }
    }

    /// rowsum(dO O) of the tile's rows: what the softmax takes from each gradient.
    void sum_products(std::int64_t rows, const Room& room) const {
        run_vectors(
            vectors_, [&]() __attribute__((always_inline)) {
                for (std::int64_t r = 0; r < rows; ++r) {
                    const float* y = room.output + r * width_;
                    const float* d_y = room.d_output + r * width_;
                    float sum = 0;
#pragma omp simd reduction(+ : sum)
                    for (std::int64_t i = 0; i < width_; ++i) sum += y[i] * d_y[i];
                    room.sums[r] = sum;
                }
            });
    }

    /// Scores become probabilities, and gradients of probabilities those of scores.
    void differentiate(const Tile& t, const float* lse, const Room& room) const {
        const float scale = scale_;
        run_vectors(
            vectors_, [&]() __attribute__((always_inline)) {
                for (std::int64_t r = 0; r < t.rows; ++r) {
                    float* row = room.tile + r * tile_columns_;
                    float* d_row = room.d_tile + r * tile_columns_;
                    const std::int64_t seen = t.seen(r);
                    const float shift = lse[r];
                    const float taken = room.sums[r];
#pragma omp simd
                    for (std::int64_t i = 0; i < seen; ++i) {
                        row[i] = exp_of_nonpositive(row[i] - shift);
                        d_row[i] = row[i] * (d_row[i] - taken) * scale;
                    }
                    std::fill(row + seen, row + t.keys, 0.0F);
                    std::fill(d_row + seen, d_row + t.keys, 0.0F);
                }
            });
    }

    std::int64_t heads_;
    std::int64_t positions_;
    std::int64_t channels_;
    std::int64_t width_;  ///< of one head
    std::int64_t tile_rows_;
    std::int64_t tile_columns_;  ///< floats from one row of a tile to the next
    float scale_;
    DType in_;
    DType out_;
    std::int64_t tasks_;  ///< samples times heads
    int workers_;
    mutable std::atomic<bool> failed_{false};
    VectorSet vectors_ = vector_set();
};

}  // namespace

std::unique_ptr<NodeKernels> make_kernels(const layers::CausalSelfAttention& op, const NodeView& view) {
    return std::make_unique<AttentionKernels>(op, view);
}

}  // namespace trireme::onednn
