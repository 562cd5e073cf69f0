// One virtual shard of a loader: walks its run of each epoch, keeps the current window of blocks in memory,
// and decodes leaves into batch buffers. Belongs to one worker thread.
#pragma once

#include <optional>

#include "io/pipeline/augment.hpp"
#include "io/pipeline/block_reader.hpp"
#include "io/pipeline/decode.hpp"
#include "io/pipeline/loader_layout.hpp"
#include "io/pipeline/sample_order.hpp"

namespace trireme::io {

/// What the feeders of a loader share.
struct FeederContext {
    const VirtualShards* shards = nullptr;
    const LoaderOptions* options = nullptr;
    const LoaderLayout* layout = nullptr;
    BlockReader* reader = nullptr;
    const Decoder* decoder = nullptr;
    const DataSetInfo* info = nullptr;
    bool augment = false;
    TraceSink* trace = nullptr;
};

/// Where the samples of a leaf go.
struct LeafTarget {
    float* x = nullptr;      ///< i32 tokens of a stream
    std::byte* y = nullptr;  ///< i32 classes or tokens, or fp32 vectors
    std::int64_t* ids = nullptr;
};

/// What a worker is doing, for the message at a deadline: the block being read, or -1.
using Reading = std::atomic<std::int64_t>;

class RunFeeder {
  public:
    /// `memory` has layout.run_bytes; `scratch` is the worker's, and layout.augment_bytes follow it.
    RunFeeder(const FeederContext& context, std::int64_t run, std::byte* memory, std::span<std::byte> scratch,
              Reading& reading);

    /// Starts the run of an epoch; `order` is arranged for it and stays so until the next call.
    void start_epoch(const EpochOrder& order, std::int64_t epoch);
    /// Decodes the leaf of `step_in_epoch`.
    void load_leaf(std::int64_t step_in_epoch, const LeafTarget& target);

  private:
    void load_window(std::int64_t position);
    void hint_next_window();
    [[nodiscard]] std::byte* block_x(std::int64_t piece) const;
    [[nodiscard]] std::byte* block_y(std::int64_t piece) const;
    /// The sample as the network sees it, still as stored: moved and flipped where the job asks for it.
    [[nodiscard]] const std::byte* seen(const std::byte* sample, std::int64_t id);
    /// Sample i of the leaf: row `row` of a block in memory.
    void put_sample(std::int64_t piece, std::int64_t row, std::int64_t i, const LeafTarget& target);
    void put_target(const std::byte* stored, std::int64_t i, const LeafTarget& target) const;
    /// The same of a stream: a window of tokens, and the tokens one further on.
    void put_window(std::int64_t piece, std::int64_t row, std::int64_t i, const LeafTarget& target) const;

    const FeederContext& context_;
    std::int64_t run_;
    std::byte* memory_;
    std::span<std::byte> scratch_;
    Reading& reading_;
    std::span<std::uint64_t> order_room_;
    std::optional<RunOrder> order_;
    std::optional<CropFlip> crop_flip_;  ///< of the epoch, where samples are augmented
    const std::int64_t sample_bytes_;
    const std::int64_t target_bytes_;
    const std::int64_t sample_elements_;
    const std::int64_t target_elements_;
    std::int64_t shift_ = 0;  ///< of the epoch's windows in a stream
    Window window_;
};

}  // namespace trireme::io
