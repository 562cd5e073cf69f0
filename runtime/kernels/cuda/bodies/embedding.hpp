// Embedding (layers::Embedding): rows of a table by symbol. The table's gradient adds, for each symbol, the
// gradients of its positions in a fixed order, without atomic additions: positions are sorted by symbol,
// stably, and summed piece by piece of the sorted list, so that a frequent symbol is nobody's long walk.
//
//   for each digit of eight bits, from the lowest
//     CountDigits     [digit][chunk]: how often a digit stands in a chunk of positions
//     PlaceDigits     their running sum: where the first of each goes
//     ScatterDigits   moves symbols and positions there
//   SumPieces         rows of the gradient whose symbol stands in one piece alone; parts of all others
//   SumSymbols        the sums of these parts
//
// A symbol that the table has no row for makes its output NaN, so that the step is not committed; it adds to
// no gradient.
#pragma once

#include <limits>

#include "runtime/kernels/cuda/bodies/block.hpp"

namespace trireme::cuda {

/// Index: a pack of one position.
struct LookUp {
    std::int64_t vocabulary;
    std::int64_t features;
    const std::int32_t* symbols;
    Source table;
    Sink y;

    TRIREME_HD void operator()(std::int64_t index) const {
        const Division position(index, packs_of(features));
        const PackPlace place(position.remainder, features);
        const std::int64_t symbol = symbols[position.quotient];
        Pack pack;
        if (symbol >= 0 && symbol < vocabulary) {
            pack = table.read(symbol * features + place.at, place.n);
        } else {
            for (int k = 0; k < pack_size; ++k) pack[k] = std::numeric_limits<float>::quiet_NaN();
        }
        y.write(position.quotient * features + place.at, place.n, pack);
    }
};

/// Symbols, and the positions that they stand at; no positions: each stands at its own place.
struct Occurrences {
    std::int32_t* symbols;
    std::int32_t* positions;
};

/// One pass of the sort, by one digit.
struct DigitPass {
    static constexpr int digits = 256;  ///< and threads of a block, one for each digit
    static constexpr int chunk = 1024;  ///< positions of a block

    std::int64_t count;  ///< of positions
    std::int64_t chunks;
    std::int64_t vocabulary;  ///< what a symbol without a row is taken for
    int shift;
    const std::int32_t* symbols;
    const std::int32_t* positions;  ///< null in the first pass
    std::int32_t* offsets;          ///< [digits][chunks]
    Occurrences sorted;

    [[nodiscard]] TRIREME_HD std::int32_t symbol(std::int64_t i) const {
        const std::int32_t s = symbols[i];
        return s >= 0 && s < vocabulary ? s : static_cast<std::int32_t>(vocabulary);
    }
    [[nodiscard]] TRIREME_HD int digit(std::int64_t i) const {
        return static_cast<int>(symbol(i) >> shift) & (digits - 1);
    }
    [[nodiscard]] TRIREME_HD int chunk_size(std::int64_t index) const {
        const std::int64_t left = count - index * chunk;
        return static_cast<int>(left < chunk ? left : chunk);
    }
    /// The digits of a chunk, in the block's memory.
    template <class Block>
    TRIREME_HD void load(Block& block, std::int64_t index, std::uint8_t* own) const {
        const int size = chunk_size(index);
        block.for_each_thread([&](int t) {
            for (int i = t; i < size; i += block.threads())
                own[i] = static_cast<std::uint8_t>(digit(index * chunk + i));
        });
    }
    [[nodiscard]] static std::int64_t shared_bytes_of_digits() {
        return SharedBytes().array<std::uint8_t>(chunk).total();
    }
};

/// Index: a chunk.
struct CountDigits {
    DigitPass pass;

    [[nodiscard]] static std::int64_t shared_bytes(int) { return DigitPass::shared_bytes_of_digits(); }
    template <class Block>
    TRIREME_HD void operator()(Block& block, std::int64_t index) const {
        auto* own = block.template array<std::uint8_t>(DigitPass::chunk);
        pass.load(block, index, own);
        block.for_each_thread([&](int t) {
            std::int32_t found = 0;
            for (int i = 0; i < pass.chunk_size(index); ++i) found += own[i] == t ? 1 : 0;
            pass.offsets[t * pass.chunks + index] = found;
        });
    }
};

/// One block for all.
struct PlaceDigits {
    DigitPass pass;

    [[nodiscard]] static std::int64_t shared_bytes(int threads) {
        return SharedBytes().array<std::int32_t>(threads).total();
    }
    template <class Block>
    TRIREME_HD void operator()(Block& block, std::int64_t) const {
        auto* before = block.template array<std::int32_t>(block.threads());
        block.for_each_thread([&](int t) {
            std::int32_t total = 0;
            for (std::int64_t c = 0; c < pass.chunks; ++c) total += pass.offsets[t * pass.chunks + c];
            before[t] = total;
        });
        block.for_each_thread([&](int t) {
            if (t > 0) return;
            std::int32_t sum = 0;
            for (int digit = 0; digit < DigitPass::digits; ++digit) {
                const std::int32_t total = before[digit];
                before[digit] = sum;
                sum += total;
            }
        });
        block.for_each_thread([&](int t) {
            std::int32_t next = before[t];
            for (std::int64_t c = 0; c < pass.chunks; ++c) {
                const std::int32_t own = pass.offsets[t * pass.chunks + c];
                pass.offsets[t * pass.chunks + c] = next;
                next += own;
            }
        });
    }
};

/// Index: a chunk. A thread places the positions of its digit, in their order.
struct ScatterDigits {
    DigitPass pass;

    [[nodiscard]] static std::int64_t shared_bytes(int) { return DigitPass::shared_bytes_of_digits(); }
    template <class Block>
    TRIREME_HD void operator()(Block& block, std::int64_t index) const {
        auto* own = block.template array<std::uint8_t>(DigitPass::chunk);
        pass.load(block, index, own);
        block.for_each_thread([&](int t) {
            std::int32_t to = pass.offsets[t * pass.chunks + index];
            for (int i = 0; i < pass.chunk_size(index); ++i) {
                if (own[i] != t) continue;
                const std::int64_t from = index * DigitPass::chunk + i;
                pass.sorted.symbols[to] = pass.symbol(from);
                pass.sorted.positions[to] =
                    pass.positions != nullptr ? pass.positions[from] : static_cast<std::int32_t>(from);
                ++to;
            }
        });
    }
};

/// The sorted list in pieces. Of a symbol that goes on beyond its piece each piece has a part: that of the
/// symbol at its first place, or of the one that begins further on and goes beyond its end.
struct Pieces {
    std::int64_t places;  ///< of a piece
    std::int64_t count;   ///< of positions
    std::int64_t vocabulary;
    std::int64_t features;
    Occurrences sorted;
    float* parts;  ///< [pieces][2][features]: of the first symbol, of the last one

    [[nodiscard]] TRIREME_HD std::int64_t end_of(std::int64_t piece) const {
        const std::int64_t end = (piece + 1) * places;
        return end < count ? end : count;
    }
    [[nodiscard]] TRIREME_HD bool begins_at(std::int64_t place) const {
        return place == 0 || sorted.symbols[place - 1] != sorted.symbols[place];
    }
    [[nodiscard]] TRIREME_HD bool ends_behind(std::int64_t place) const {
        return place + 1 == count || sorted.symbols[place + 1] != sorted.symbols[place];
    }
    [[nodiscard]] TRIREME_HD float* part(std::int64_t piece, bool first) const {
        return parts + (2 * piece + (first ? 0 : 1)) * features;
    }
};

/// Index: a pack of one place of the sorted list; the first place of a symbol in a piece has the work.
struct SumPieces {
    Pieces pieces;
    Source d;
    Sink d_table;

    TRIREME_HD void operator()(std::int64_t index) const {
        const Division place(index, packs_of(pieces.features));
        const std::int64_t first = place.quotient;
        const std::int64_t piece = first / pieces.places;
        const std::int32_t symbol = pieces.sorted.symbols[first];
        const bool begins = pieces.begins_at(first);
        const bool first_of_piece = first == piece * pieces.places;
        if (symbol >= pieces.vocabulary || !(begins || first_of_piece)) return;
        const PackPlace pack(place.remainder, pieces.features);
        const std::int64_t end = pieces.end_of(piece);
        Pack sum{};
        std::int64_t i = first;
        for (; i < end && pieces.sorted.symbols[i] == symbol; ++i) {
            const Pack term = d.read(pieces.sorted.positions[i] * pieces.features + pack.at, pack.n);
            for (int k = 0; k < pack_size; ++k) sum[k] += term[k];
        }
        if (begins && pieces.ends_behind(i - 1)) {
            d_table.write(symbol * pieces.features + pack.at, pack.n, sum);
        } else {
            float* part = pieces.part(piece, first_of_piece) + pack.at;
            for (int k = 0; k < pack.n; ++k) part[k] = sum[k];
        }
    }
};

/// Index: a pack of one piece; the piece in which a symbol of several begins has the work.
struct SumSymbols {
    Pieces pieces;
    Sink d_table;

    TRIREME_HD void operator()(std::int64_t index) const {
        const Division place(index, packs_of(pieces.features));
        const std::int64_t begin = place.quotient * pieces.places;
        const std::int64_t last = pieces.end_of(place.quotient) - 1;
        const std::int32_t symbol = pieces.sorted.symbols[last];
        if (symbol >= pieces.vocabulary || pieces.ends_behind(last)) return;
        const bool from_first = pieces.sorted.symbols[begin] == symbol;
        if (from_first && !pieces.begins_at(begin)) return;
        const PackPlace pack(place.remainder, pieces.features);
        Pack sum{};
        const auto add = [&](const float* part) {
            for (int k = 0; k < pack.n; ++k) sum[k] += part[pack.at + k];
        };
        add(pieces.part(place.quotient, from_first));
        for (std::int64_t piece = place.quotient + 1;
             piece * pieces.places < pieces.count && pieces.sorted.symbols[piece * pieces.places] == symbol;
             ++piece)
            add(pieces.part(piece, true));
        d_table.write(symbol * pieces.features + pack.at, pack.n, sum);
    }
};

}  // namespace trireme::cuda
