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
// A head of a sample belongs to one thread, with scratch of its own: the bits do not depend on the number of
// threads. Keys and values are laid out as operands of our own products first (tile_product.hpp), which costs
// 2 T d values against T^2 d products. Where the tensors are bf16 and the processor multiplies bf16, the
// products of two of them are made so (Q K' and dO V'): they are exact. All else is fp32: rounding
// probabilities too would bring errors as large as that of the rounded result.
#include <cmath>
#include <cstring>
#include <limits>

#include <fmt/format.h>

#include "runtime/kernels/onednn/node_kernels.hpp"
#include "runtime/kernels/onednn/tile_operands.hpp"
#include "runtime/kernels/onednn/vector_math.hpp"

namespace trireme::onednn {
namespace {

constexpr std::int64_t query_rows = 64;  ///< of a tile
constexpr std::int64_t key_rows =
    256;  ///< of a tile; a multiple of query_rows, so that no tile is all masked

class AttentionKernels final : public OnednnKernels {
  public:
    AttentionKernels(const layers::CausalSelfAttention& op, const NodeView& view)
        : OnednnKernels(view),
          heads_(op.heads),
          positions_(view.output[0]),
          channels_(view.output[1]),
          width_(channels_ / heads_),
          tile_rows_(std::min(query_rows, positions_)),
          tile_columns_(round_up(std::min(key_rows, positions_), tile_grain) + tile_grain),
          scale_(static_cast<float>(1 / std::sqrt(static_cast<double>(width_)))),
          in_(view.input_dtype()),
          out_(view.output_dtype()),
          tasks_(view.request.batch * heads_),
          workers_(static_cast<int>(std::min<std::int64_t>(threads(), tasks_))),
          width_tiles_(in_ == DType::bf16 && out_ == DType::bf16 && has_bf16_tiles() ? bf16_tiles()
                                                                                     : fp32_tiles()),
          operands_(width_tiles_, width_, vectors()) {
        description_ = fmt::format("tiles:{} {}x{}", operands_.pairs() ? "bf16+fp32" : "fp32", tile_rows_,
                                   std::min(key_rows, positions_));
        needs_.forward_scratch = Bytes(workers_ * Room(*this, false).bytes());
        if (!training()) return;
        needs_.backward_reads_input = true;
        needs_.backward_reads_output = true;
        needs_.saved = Bytes(tasks_ * positions_ * std::int64_t{sizeof(float)});
        needs_.backward_scratch = Bytes(workers_ * Room(*this, true).bytes());
    }

    void forward(Stream&, const KernelBuffers& b) override {
        for_each_head(b.scratch, false, [&](std::int64_t task, const Room& room) {
            load_keys_and_values(b, task, room, false);
            for (std::int64_t first = 0; first < positions_; first += tile_rows_)
                attend(b, task, first, room);
        });
    }

    void backward_input(Stream&, const KernelBuffers& b) override {
        for_each_head(b.scratch, true, [&](std::int64_t task, const Room& room) {
            load_keys_and_values(b, task, room, true);
            const auto sums = static_cast<std::size_t>(operands_.float_bytes(positions_));
            std::memset(room.d_key, 0, sums);
            std::memset(room.d_value, 0, sums);
            for (std::int64_t first = 0; first < positions_; first += tile_rows_)
                attend_back(b, task, first, room);
            store_rows(room.d_key, positions_, b.d_inputs[0], input_rows(b, task, 1));
            store_rows(room.d_value, positions_, b.d_inputs[0], input_rows(b, task, 2));
        });
    }

  private:
    /// The scratch of one worker. Operands are named by their layouts (tile_operands.hpp); rows hold one
    /// tile.
    struct Room {
        Room(const AttentionKernels& k, bool backward, std::byte* memory = nullptr) : memory_(memory) {
            const TileOperands& operands = k.operands_;
            const std::int64_t rows = round_up(k.tile_rows_, tile_grain);
            query_rows = take(operands.word_bytes(rows));
            key_panels = take(operands.word_bytes(k.positions_));
            score = floats(take(rows * k.tile_columns_ * 4));
            sums = floats(take(rows * 4));
            if (!backward) {
                value_floats = floats(take(operands.float_bytes(k.positions_)));
                output = floats(take(operands.float_bytes(rows)));
                largest = floats(take(rows * 4));
                return;
            }
            key_floats = floats(take(operands.float_bytes(k.positions_)));
            value_panels = take(operands.word_bytes(k.positions_));
            query_floats = floats(take(operands.float_bytes(rows)));
            d_output_rows = take(operands.pairs() ? operands.word_bytes(rows) : 0);
            d_output_floats = floats(take(operands.float_bytes(rows)));
            d_score = floats(take(rows * k.tile_columns_ * 4));
            d_query = floats(take(operands.float_bytes(rows)));
            d_key = floats(take(operands.float_bytes(k.positions_)));
            d_value = floats(take(operands.float_bytes(k.positions_)));
        }
        [[nodiscard]] std::int64_t bytes() const { return used_; }

        std::byte* query_rows = nullptr;  ///< before them other rows that are to be transposed
        std::byte* key_panels = nullptr;
        float* score = nullptr;  ///< then their exponentials
        float* sums = nullptr;   ///< of exponentials, so far; in backward rowsum(dO O)
        float* value_floats = nullptr;
        float* output = nullptr;
        float* largest = nullptr;  ///< scaled score of each row of the tile, so far
        float* key_floats = nullptr;
        std::byte* value_panels = nullptr;
        float* query_floats = nullptr;
        std::byte* d_output_rows = nullptr;
        float* d_output_floats = nullptr;
        float* d_score = nullptr;
        float* d_query = nullptr;  ///< of one tile
        float* d_key = nullptr;
        float* d_value = nullptr;

      private:
        std::byte* take(std::int64_t bytes) {
            const std::int64_t at = used_;
            used_ += aligned(Bytes(bytes)).value;
            return memory_ == nullptr ? nullptr : memory_ + at;
        }

        std::byte* memory_;
        std::int64_t used_ = 0;
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
        use_threads();
        const std::int64_t room_bytes = Room(*this, backward).bytes();
        cpu::parallel_ranges(workers_, tasks_, [&](int worker, std::int64_t begin, std::int64_t end) {
            const Room room(*this, backward, scratch + worker * room_bytes);
            for (std::int64_t task = begin; task < end; ++task) body(task, room);
        });
    }

    /// The head's queries (0), keys (1) or values (2), and its part of the output.
    [[nodiscard]] TensorRows input_rows(const KernelBuffers& b, std::int64_t task, std::int64_t part) const {
        return {b.inputs[0], in_,
                task / heads_ * positions_ * 3 * channels_ + part * channels_ + task % heads_ * width_,
                3 * channels_};
    }
    [[nodiscard]] TensorRows output_rows(const std::byte* tensor, std::int64_t task) const {
        return {tensor, out_, task / heads_ * positions_ * channels_ + task % heads_ * width_, channels_};
    }

    /// Writes rows of sums to the rows of a tensor that is laid out as `like`.
    void store_rows(const float* from, std::int64_t rows, std::byte* tensor, const TensorRows& like,
                    std::int64_t first = 0) const {
        const FloatSink to(tensor, like.dtype);
        run_vectors(
            vectors(), [&]() __attribute__((always_inline)) {
                for (std::int64_t r = 0; r < rows; ++r)
                    to.store(like.at + (first + r) * like.stride, width_,
                             from + r * operands_.padded_width());
            });
    }

    void load_keys_and_values(const KernelBuffers& b, std::int64_t task, const Room& room,
                              bool backward) const {
        const TensorRows keys = input_rows(b, task, 1);
        const TensorRows values = input_rows(b, task, 2);
        if (!backward) operands_.load(values, 0, positions_, room.value_floats);
        for (std::int64_t first = 0; first < positions_; first += tile_rows_) {
            const std::int64_t rows = std::min(tile_rows_, positions_ - first);
            const std::int64_t at = operands_.word_offset(first);
            float* as_floats = backward ? room.key_floats + first * operands_.padded_width() : nullptr;
            operands_.transpose(operands_.load(keys, first, rows, room.query_rows, as_floats), rows,
                                room.key_panels + at);
            if (!backward) continue;
            operands_.transpose(operands_.load(values, first, rows, room.query_rows, nullptr), rows,
                                room.value_panels + at);
        }
    }

    [[nodiscard]] Tile tile_at(std::int64_t first, std::int64_t key) const {
        const std::int64_t rows = std::min(tile_rows_, positions_ - first);
        return {first, rows, key, std::min(key_rows, first + rows - key)};
    }

    /// [queries x keys] from rows of queries, or of the output's gradient, and panels of keys or values.
    void multiply_along_width(const Tile& t, const std::byte* rows, const std::byte* panels,
                              float* tile) const {
        TileProduct p{.c = tile, .c_row = tile_columns_, .rows = t.rows, .columns = t.keys};
        operands_.factors(p, rows, panels + operands_.word_offset(t.key));
        p.masked = Masked::columns;
        p.diagonal = t.first - t.key;
        width_tiles_.multiply(p);
    }

    /// What the two products of a tile by rows share. `rows` and `sums` are [.., width].
    [[nodiscard]] TileProduct product_of_tile(const Tile& t, const float* tile, const float* rows,
                                              float* sums) const {
        TileProduct p{.a = reinterpret_cast<const std::byte*>(tile),
                      .b = reinterpret_cast<const std::byte*>(rows),
                      .c = sums};
        p.b_panel = row_tiles_.lanes;
        p.b_inner = operands_.padded_width();
        p.c_row = operands_.padded_width();
        p.columns = width_;
        p.diagonal = t.first - t.key;
        return p;
    }

    /// [queries x width]: a tile by values or keys, summed over the tiles of a row.
    void multiply_by_keys(const Tile& t, const float* tile, const float* keys, float* sums) const {
        TileProduct p = product_of_tile(t, tile, keys + t.key * operands_.padded_width(), sums);
        p.a_row = tile_columns_;
        p.rows = t.rows;
        p.inner = t.keys;
        p.add = t.key > 0;
        p.masked = Masked::inner_end;
        row_tiles_.multiply(p);
    }

    /// Adds [keys x width]: the transpose of a tile by queries, or by the output's gradient.
    void add_by_queries(const Tile& t, const float* tile, const float* queries, float* sums) const {
        TileProduct p = product_of_tile(t, tile, queries, sums + t.key * operands_.padded_width());
        p.a_row = 1;
        p.a_inner = tile_columns_;
        p.rows = t.keys;
        p.inner = t.rows;
        p.add = true;
        p.masked = Masked::inner_begin;
        row_tiles_.multiply(p);
    }

    void attend(const KernelBuffers& b, std::int64_t task, std::int64_t first, const Room& room) const {
        Tile t = tile_at(first, 0);
        operands_.load(input_rows(b, task, 0), first, t.rows, room.query_rows, nullptr);
        for (std::int64_t key = 0; key < first + t.rows; key += key_rows) {
            t = tile_at(first, key);
            multiply_along_width(t, room.query_rows, room.key_panels, room.score);
            take_in(t, room);
            multiply_by_keys(t, room.score, room.value_floats, room.output);
        }
        finish(b, task, t, room);
    }

    /// Makes the scores that a row sees whole vectors: those behind them give exponentials of 1e-38. Rows of
    /// a tile have room for that behind their last column.
    [[gnu::always_inline]] static std::int64_t pad_with_least(float* row, std::int64_t seen) {
        for (std::int64_t i = 0; i < tile_grain; ++i) row[seen + i] = -std::numeric_limits<float>::infinity();
        return round_up(seen, tile_grain);
    }
    /// Zeros from `seen` on, which is where products read on.
    [[gnu::always_inline]] static void mask(float* row, std::int64_t seen, std::int64_t columns) {
        std::memset(row + seen, 0, static_cast<std::size_t>(columns - seen) * sizeof(float));
    }

    /// Turns scores into exponentials against the largest score so far, and scales what was summed before.
    void take_in(const Tile& t, const Room& room) const {
        const std::int64_t columns = round_up(t.keys, tile_grain);
        run_vectors(
            vectors(), [&]() __attribute__((always_inline)) {
                for (std::int64_t r = 0; r < t.rows; ++r) {
                    float* row = room.score + r * tile_columns_;
                    const std::int64_t seen = t.seen(r);
                    const std::int64_t padded = pad_with_least(row, seen);
                    float largest = largest_of(row, padded) * scale_;
                    float kept = 0;
                    if (t.key > 0) {
                        largest = std::max(room.largest[r], largest);
                        kept = exp_of_nonpositive(room.largest[r] - largest);
                        scale_row(room.output + r * operands_.padded_width(), kept);
                        kept *= room.sums[r];
                    }
                    room.sums[r] = kept + exponentiate(row, padded, largest, scale_);
                    room.largest[r] = largest;
                    mask(row, seen, columns);
                }
            });
    }

    [[gnu::always_inline]] void scale_row(float* row, float factor) const {
#pragma omp simd
        for (std::int64_t i = 0; i < width_; ++i) row[i] *= factor;
    }

    void finish(const KernelBuffers& b, std::int64_t task, const Tile& t, const Room& room) const {
        float* lse = training() ? floats(b.saved) + task * positions_ + t.first : nullptr;
        run_vectors(
            vectors(), [&]() __attribute__((always_inline)) {
                for (std::int64_t r = 0; r < t.rows; ++r) {
                    if (lse != nullptr) lse[r] = room.largest[r] + std::log(room.sums[r]);
                    scale_row(room.output + r * operands_.padded_width(), 1.0F / room.sums[r]);
                }
            });
        store_rows(room.output, t.rows, b.output, output_rows(b.output, task), t.first);
    }

    void attend_back(const KernelBuffers& b, std::int64_t task, std::int64_t first, const Room& room) const {
        Tile t = tile_at(first, 0);
        const std::byte* queries =
            operands_.load(input_rows(b, task, 0), first, t.rows, room.query_rows, room.query_floats);
        const std::byte* d_outputs = operands_.load(output_rows(b.d_output, task), first, t.rows,
                                                    room.d_output_rows, room.d_output_floats);
        sum_products(t, output_rows(b.output, task), room);
        for (std::int64_t key = 0; key < first + t.rows; key += key_rows) {
            t = tile_at(first, key);
            multiply_along_width(t, queries, room.key_panels, room.score);
            multiply_along_width(t, d_outputs, room.value_panels, room.d_score);
            differentiate(t, floats(static_cast<const std::byte*>(b.saved)) + task * positions_ + first,
                          room);
            add_by_queries(t, room.score, room.d_output_floats, room.d_value);
            add_by_queries(t, room.d_score, room.query_floats, room.d_key);
            multiply_by_keys(t, room.d_score, room.key_floats, room.d_query);
        }
        store_rows(room.d_query, t.rows, b.d_inputs[0], input_rows(b, task, 0), first);
    }

    /// rowsum(dO O) of the tile's rows: what the softmax takes from each gradient.
    void sum_products(const Tile& t, const TensorRows& output, const Room& room) const {
        const FloatSource source(output.tensor, output.dtype);
        run_vectors(
            vectors(), [&]() __attribute__((always_inline)) {
                for (std::int64_t r = 0; r < t.rows; ++r) {
                    const float* d_y = room.d_output_floats + r * operands_.padded_width();
                    // The gradient of the queries has its row free until the last product of the tile.
                    const float* y =
                        source.read(output.at + (t.first + r) * output.stride, width_, room.d_query);
                    float sum = 0;
#pragma omp simd reduction(+ : sum)
                    for (std::int64_t i = 0; i < width_; ++i) sum += y[i] * d_y[i];
                    room.sums[r] = sum;
                }
            });
    }

    /// Scores become probabilities, and gradients of probabilities those of scores.
    void differentiate(const Tile& t, const float* lse, const Room& room) const {
        const std::int64_t columns = round_up(t.keys, tile_grain);
        const float scale = scale_;
        run_vectors(
            vectors(), [&]() __attribute__((always_inline)) {
                for (std::int64_t r = 0; r < t.rows; ++r) {
                    float* row = room.score + r * tile_columns_;
                    float* d_row = room.d_score + r * tile_columns_;
                    const std::int64_t seen = t.seen(r);
                    const std::int64_t padded = pad_with_least(row, seen);
                    const float shift = lse[r];
                    const float taken = room.sums[r];
#pragma omp simd
                    for (std::int64_t i = 0; i < padded; ++i) {
                        row[i] = exp_of_nonpositive(row[i] * scale - shift);
                        d_row[i] = row[i] * (d_row[i] - taken) * scale;
                    }
                    mask(row, seen, columns);
                    mask(d_row, seen, columns);
                }
            });
    }

    std::int64_t heads_;
    std::int64_t positions_;
    std::int64_t channels_;
    std::int64_t width_;  ///< of one head
    std::int64_t tile_rows_;
    std::int64_t tile_columns_;  ///< values from one row of a tile to the next
    float scale_;
    DType in_;
    DType out_;
    std::int64_t tasks_;  ///< samples times heads
    int workers_;
    TileEngine width_tiles_;               ///< for products along the width
    TileEngine row_tiles_ = fp32_tiles();  ///< for products along keys or queries
    TileOperands operands_;
};

}  // namespace

std::unique_ptr<NodeKernels> make_kernels(const layers::CausalSelfAttention& op, const NodeView& view) {
    return std::make_unique<AttentionKernels>(op, view);
}

}  // namespace trireme::onednn
