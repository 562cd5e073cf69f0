// One virtual shard of a loader: walks its run of each epoch, keeps the current window of blocks in memory,
// and decodes leaves into batch buffers. Belongs to one worker thread.
#pragma once

#include <optional>

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
    std::int64_t sample_bytes = 0;
    std::int64_t sample_elements = 0;
    TraceSink* trace = nullptr;
};

/// Where the samples of a leaf go.
struct LeafTarget {
    float* x = nullptr;
    std::int32_t* y = nullptr;
    std::int64_t* ids = nullptr;
};

/// What a worker is doing, for the message at a deadline: the block being read, or -1.
using Reading = std::atomic<std::int64_t>;

class RunFeeder {
  public:
    /// `memory` has layout.run_bytes; `scratch` is the worker's.
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
    [[nodiscard]] std::int32_t* block_y(std::int64_t piece) const;

    const FeederContext& context_;
    std::int64_t run_;
    std::byte* memory_;
    std::span<std::byte> scratch_;
    Reading& reading_;
    std::span<std::uint64_t> order_room_;
    std::optional<RunOrder> order_;
    Window window_;
};

}  // namespace trireme::io
