// The ring of batch buffers between the workers of a loader and its consumer. Sequence numbers count the
// steps that are served; number n uses slot n mod slots. Each worker fills its part of every slot, in
// sequence; the last part makes the batch ready; the consumer takes batches in sequence, and a slot is open
// for its next number once the batch that held it is gone.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <vector>

#include "io/pipeline/batch_loader.hpp"
#include "io/pipeline/loader_layout.hpp"
#include "runtime/core/host_memory.hpp"

namespace trireme::io {

class BatchRing;

struct Batch::Slot {
    BatchRing* ring = nullptr;
    std::int64_t sequence = 0;  ///< the step that it is open for
    std::int64_t missing = 0;   ///< parts that are not filled yet
    float* x = nullptr;         ///< i32 tokens of a stream
    std::byte* y = nullptr;     ///< i32 classes or tokens, or fp32 vectors
    std::int64_t* ids = nullptr;
    // What the consumer sees, set when the batch is handed over.
    Cursor cursor;
    std::int64_t samples = 0;
    std::int64_t sample_elements = 0;
    std::int64_t target_elements = 0;
    bool has_indices = true;  ///< targets are classes or tokens
    bool is_stream = false;
};

class BatchRing {
  public:
    /// `memory`: where batches lie; null: plain host memory.
    BatchRing(const LoaderLayout& layout, const DataSetInfo& info, MemorySpace* memory);

    /// Waits until the slot of `sequence` is open for it; nullptr when the ring was stopped.
    Batch::Slot* wait_open(std::int64_t sequence);
    void part_filled(Batch::Slot& slot);
    /// Waits until batch `sequence` is ready. nullptr at the deadline. Throws what a worker failed with, once
    /// the batches before it are served.
    Batch::Slot* wait_ready(std::int64_t sequence, const Deadline& deadline);
    /// The same without waiting: nullptr when it is not ready.
    Batch::Slot* ready(std::int64_t sequence);
    void release(Batch::Slot& slot);
    void fail(std::exception_ptr error);
    void stop();
    [[nodiscard]] Bytes bytes() const { return memory_.size(); }

  private:
    const std::int64_t parts_;
    HostMemory host_;
    Region memory_;
    std::mutex mutex_;
    std::condition_variable opened_;
    std::condition_variable ready_;
    std::vector<Batch::Slot> slots_;
    std::exception_ptr error_;
    bool stopped_ = false;
};

}  // namespace trireme::io
