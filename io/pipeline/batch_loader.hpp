// The data path of one rank: sample order, block reads, checks, decoding, and prefetching into a fixed ring
// of batch buffers. Nothing is allocated a step; `planned_bytes` is exact and needs no data.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "io/data_set.hpp"
#include "runtime/core/deadline.hpp"
#include "runtime/core/memory_space.hpp"
#include "runtime/core/strong.hpp"
#include "runtime/core/trace_sink.hpp"
#include "runtime/core/virtual_shards.hpp"

namespace trireme::io {

enum class Shuffle { global, local, none };
enum class Augment { none, crop_flip };

struct LoaderOptions {
    std::string split = "train";
    std::uint64_t seed = 0;
    Shuffle shuffle = Shuffle::global;
    bool normalize = true;  ///< (x / 255 - mean) / stddev for u8 data; false: x / 255 for u8
    /// For the train split alone: other splits are served as they are.
    Augment augment = Augment::none;
    int workers = 1;   ///< reading and decoding threads
    int prefetch = 2;  ///< batches ready ahead, >= 1
    /// Where batches lie, such as memory that a device copies from beside the host; it must outlive them.
    /// Null: plain host memory.
    MemorySpace* memory = nullptr;
};

/// Where the epoch's sequence stands: the next step to load.
struct Cursor {
    std::int64_t epoch = 0;
    std::int64_t step_in_epoch = 0;
    bool operator==(const Cursor&) const = default;
};

/// What was read so far. A run reads each of its blocks once an epoch; a block that lies across the border of
/// two runs is read by both, so an epoch reads at most (blocks + virtual shards - 1) blocks over all ranks.
struct ReadCounters {
    std::int64_t blocks = 0;
    std::int64_t bytes = 0;  ///< as stored, of x and y
    std::int64_t files = 0;  ///< opened
};

/// This rank's samples of one step: its leaves, joined in order. Holds a buffer of the ring until destroyed;
/// move-only, and may outlive the loader.
class Batch {
  public:
    struct Slot;
    Batch(std::shared_ptr<Slot> slot);
    ~Batch();
    Batch(Batch&&) noexcept = default;
    Batch& operator=(Batch&& other) noexcept;
    [[nodiscard]] Cursor cursor() const;
    [[nodiscard]] std::int64_t samples() const;  ///< may be 0 in an epoch's last step
    /// [samples, sample shape], row-major, 64-byte aligned; empty where samples are tokens.
    [[nodiscard]] std::span<const float> x() const;
    /// The same for windows of tokens, [samples, T].
    [[nodiscard]] std::span<const std::int32_t> tokens() const;
    /// Classes, one a sample, or the next tokens, [samples, T]; empty where targets are vectors.
    [[nodiscard]] std::span<const std::int32_t> y() const;
    /// Target vectors, [samples, k]; empty where targets are classes or tokens.
    [[nodiscard]] std::span<const float> y_float() const;
    /// Samples and targets as bytes, whatever they are: what a device is given.
    [[nodiscard]] std::span<const std::byte> x_bytes() const;
    [[nodiscard]] std::span<const std::byte> y_bytes() const;
    /// Global positions in data-set order (not epoch order) of the samples: for predictions in input order.
    [[nodiscard]] std::span<const std::int64_t> sample_ids() const;

  private:
    std::shared_ptr<Slot> slot_;
};

class BatchLoader {
  public:
    /// Serves the leaves of virtual shards `owned` of every step from `start` on, epoch after epoch. Workers
    /// beyond the number of owned virtual shards are not started: one shard is decoded by one thread.
    BatchLoader(const DataSetInfo& info, const VirtualShards& shards, IndexRange owned, Cursor start,
                const LoaderOptions& options, TraceSink* trace);
    ~BatchLoader();
    BatchLoader(const BatchLoader&) = delete;
    BatchLoader& operator=(const BatchLoader&) = delete;

    /// The next step's batch; waits for it. Throws DataError (damage is named: file, chunk, checksum), or
    /// CommTimeout naming the data phase at the deadline. A caller holds at most `prefetch` batches when it
    /// asks for the next one.
    [[nodiscard]] Batch next(const Deadline& deadline);
    /// The same where it is there already; does not wait.
    [[nodiscard]] std::optional<Batch> next_if_ready();

    [[nodiscard]] ReadCounters counters() const;
    /// What was taken from the host for buffers: equal to `planned_bytes`.
    [[nodiscard]] Bytes allocated_bytes() const;

  private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

/// Host memory of a loader: batch buffers, block windows, raw blocks. Pure. Beside it a loader keeps its
/// index of the data: about 150 bytes a block of the split, that is 0.03 % of the data.
struct LoaderGeometry {
    std::int64_t sample_elements = 0;
    std::int64_t sample_bytes = 0;   ///< as stored
    std::int64_t batch_samples = 0;  ///< largest batch of this rank
    std::int64_t runs = 0;           ///< virtual shards owned
    std::int64_t target_elements = 1;
    std::int64_t target_bytes = 4;  ///< as stored; 0 where the targets are tokens of the stream itself
    std::int64_t block_tokens = 0;  ///< of a stream: what a full block holds; else 0
};
/// Sample and target as the set stores them; batch and runs are the caller's.
[[nodiscard]] LoaderGeometry geometry_of(const DataSetInfo& info, std::int64_t batch_samples,
                                         std::int64_t runs);
[[nodiscard]] Bytes planned_bytes(const LoaderGeometry& geometry, const LoaderOptions& options);

}  // namespace trireme::io
