// Bodies of kernels whose threads work together. Such a body is written in phases:
//
//     auto* sums = block.template array<float>(block.threads());
//     block.for_each_thread([&](int t) { sums[t] = ...; });
//     combine_by_halves(block, 1, [&](int t, int other) { sums[t] += sums[other]; });
//
// On the device for_each_thread runs its function for the thread at hand and ends with a barrier; on the host
// it runs it for all threads, in any order. So inside one phase no thread may read what another one writes,
// and everything that lives from one phase to the next lies in the block's arrays, which are shared memory.
// The functions are the same source on both, and sums have one order on both.
//
// A block is what a template parameter Block offers:
//     int threads() const                        a power of two
//     T* array<T>(std::int64_t count)            shared memory, at multiples of 16 bytes; counted by
//                                                SharedBytes
//     void for_each_thread(f)                    f(int thread)
//
// A body has shared_bytes(threads), what its arrays take together, and operator()(block, index), for one of a
// range of indices. Loops around phases must have the same number of turns in all threads.
#pragma once

#include <cstdint>

#include "runtime/kernels/cuda/bodies/values.hpp"

namespace trireme::cuda {

/// Adds up what arrays take, as a block hands them out.
class SharedBytes {
  public:
    template <class T>
    constexpr SharedBytes& array(std::int64_t count) {
        total_ = next(total_, count * static_cast<std::int64_t>(sizeof(T)));
        return *this;
    }
    [[nodiscard]] constexpr std::int64_t total() const { return total_; }
    /// Where the next array begins behind one of `bytes` that begins at `at`.
    [[nodiscard]] TRIREME_HD static constexpr std::int64_t next(std::int64_t at, std::int64_t bytes) {
        return at + (bytes + 15) / 16 * 16;
    }

  private:
    std::int64_t total_ = 0;
};

/// combine(t, other) takes what belongs to thread `other` into what belongs to t, pair by pair, the upper
/// half of the threads into the lower one, until `keep` (a power of two) are left.
template <class Block, class Combine>
TRIREME_HD void combine_by_halves(Block& block, int keep, const Combine& combine) {
    for (int half = block.threads() / 2; half >= keep; half /= 2) {
        block.for_each_thread([&](int t) {
            if (t < half) combine(t, t + half);
        });
    }
}

/// What an array of the block holds for all of its threads. The barrier behind it keeps the next phase from
/// writing what a slower thread has still to read: arrays are read outside of phases by this alone.
template <class Block, class T>
TRIREME_HD T read_together(Block& block, const T& value) {
    const T copy = value;
    block.for_each_thread([](int) {});
    return copy;
}

/// The sum of the values of all threads.
template <class Block, class T>
TRIREME_HD T sum_of_threads(Block& block, T* values) {
    combine_by_halves(block, 1, [&](int t, int other) { values[t] += values[other]; });
    return read_together(block, values[0]);
}

/// f(first element, count) for the packs of elements [begin, end) of a tensor that belong to one thread.
/// Packs are cut where the tensor's are, so that all but the first and the last can be moved as words.
template <class F>
TRIREME_HD void for_each_pack(int thread, int threads, std::int64_t begin, std::int64_t end, const F& f) {
    for (std::int64_t pack = begin / pack_size + thread; pack * pack_size < end; pack += threads) {
        const std::int64_t first = pack * pack_size > begin ? pack * pack_size : begin;
        const std::int64_t last = (pack + 1) * pack_size < end ? (pack + 1) * pack_size : end;
        f(first, static_cast<int>(last - first));
    }
}

/// Threads for rows of `width` elements: as many as have work, from a warp, whose barriers cost least, to
/// 256.
[[nodiscard]] constexpr int threads_for_row(std::int64_t width) { return width <= 2048 ? 32 : 256; }

}  // namespace trireme::cuda
