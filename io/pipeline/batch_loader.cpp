#include "io/pipeline/batch_loader.hpp"

#include <thread>

#include "io/pipeline/batch_ring.hpp"
#include "io/pipeline/run_feeder.hpp"
#include "runtime/core/error.hpp"

namespace trireme::io {

Batch::Batch(std::shared_ptr<Slot> slot) : slot_(std::move(slot)) {}

Batch::~Batch() {
    if (slot_) slot_->ring->release(*slot_);
}

Batch& Batch::operator=(Batch&& other) noexcept {
    std::swap(slot_, other.slot_);
    return *this;
}

Cursor Batch::cursor() const { return slot_->cursor; }
std::int64_t Batch::samples() const { return slot_->samples; }
std::span<const float> Batch::x() const {
    if (slot_->is_stream) return {};
    return {slot_->x, static_cast<std::size_t>(slot_->samples * slot_->sample_elements)};
}
std::span<const std::int32_t> Batch::tokens() const {
    if (!slot_->is_stream) return {};
    return {reinterpret_cast<const std::int32_t*>(slot_->x),
            static_cast<std::size_t>(slot_->samples * slot_->sample_elements)};
}
std::span<const std::int32_t> Batch::y() const {
    if (!slot_->has_indices) return {};
    return {reinterpret_cast<const std::int32_t*>(slot_->y),
            static_cast<std::size_t>(slot_->samples * slot_->target_elements)};
}
std::span<const float> Batch::y_float() const {
    if (slot_->has_indices) return {};
    return {reinterpret_cast<const float*>(slot_->y),
            static_cast<std::size_t>(slot_->samples * slot_->target_elements)};
}
std::span<const std::byte> Batch::x_bytes() const {
    return slot_->is_stream ? std::as_bytes(tokens()) : std::as_bytes(x());
}
std::span<const std::byte> Batch::y_bytes() const {
    return slot_->has_indices ? std::as_bytes(y()) : std::as_bytes(y_float());
}
std::span<const std::int64_t> Batch::sample_ids() const {
    return {slot_->ids, static_cast<std::size_t>(slot_->samples)};
}

namespace {

std::int64_t largest_batch(const VirtualShards& shards, IndexRange owned) {
    std::int64_t largest = 0;
    for (std::int64_t v = owned.begin; v < owned.end; ++v) largest += shards.full_leaf(v);
    return largest;
}

/// Whether samples are moved; refuses what cannot be.
bool is_augmented(const DataSetInfo& info, const LoaderOptions& options) {
    if (options.augment == Augment::none || options.split != "train") return false;
    if (info.sample_shape.rank() == 3) return true;
    throw ConfigError(
        fmt::format("data.augment = crop-flip: needs images of height, width and channels, but the samples "
                    "of {} are {}: use none",
                    info.folder.string(), info.sample_shape.str()));
}

}  // namespace

class BatchLoader::Impl {
  public:
    Impl(const DataSetInfo& info, const VirtualShards& shards, IndexRange owned, Cursor start,
         const LoaderOptions& options, TraceSink* trace);
    ~Impl();

    Batch next(const Deadline& deadline);
    std::optional<Batch> next_if_ready();
    [[nodiscard]] ReadCounters counters() const { return reader_.counters(); }
    [[nodiscard]] Bytes allocated_bytes() const { return ring_->bytes() + staging_.size(); }

  private:
    struct Worker {
        explicit Worker(const std::vector<BlockRef>& blocks) : order(blocks) {}
        EpochOrder order;
        std::int64_t epoch = -1;
        Reading reading{-1};
        std::vector<RunFeeder> feeders;         ///< of owned virtual shards w, w + workers, ...
        std::vector<std::int64_t> shard_index;  ///< of each feeder, counted from owned.begin
    };

    [[nodiscard]] Batch serve(Batch::Slot& slot, const Cursor& cursor);
    [[nodiscard]] Cursor cursor_of(std::int64_t sequence) const;
    /// Samples of the first `leaves` leaves of this rank in a step: where the next leaf goes.
    [[nodiscard]] std::int64_t samples_before(std::int64_t leaves, std::int64_t step_in_epoch) const;
    void make_workers();
    void work(Worker& worker);
    void load_step(Worker& worker, std::int64_t sequence, Batch::Slot& slot);
    [[nodiscard]] std::string what_workers_do() const;

    const DataSetInfo info_;
    const LoaderOptions options_;
    const VirtualShards shards_;
    const IndexRange owned_;
    const std::int64_t first_step_;  ///< of the whole job, counted in steps of an epoch
    const LoaderLayout layout_;
    BlockReader reader_;
    const Decoder decoder_;
    HostMemory host_;
    Region staging_;
    FeederContext context_;
    std::shared_ptr<BatchRing> ring_;
    std::vector<std::unique_ptr<Worker>> workers_;
    std::vector<std::thread> threads_;
    std::int64_t served_ = 0;
};

BatchLoader::Impl::Impl(const DataSetInfo& info, const VirtualShards& shards, IndexRange owned, Cursor start,
                        const LoaderOptions& options, TraceSink* trace)
    : info_(info),
      options_(options),
      shards_(shards),
      owned_(owned),
      first_step_(start.epoch * shards.steps_per_epoch() + start.step_in_epoch),
      layout_(geometry_of(info, largest_batch(shards, owned), owned.size()), options),
      reader_(info, options.split),
      decoder_(info, options.normalize && !info.is_stream()),
      staging_(host_, Bytes(layout_.staging_bytes)),
      context_{&shards_, &options_, &layout_, &reader_, &decoder_, &info_, is_augmented(info, options),
               trace},
      ring_(std::make_shared<BatchRing>(layout_, info_, options.memory)) {
    ensure(shards.samples() == info.split(options.split).samples, "virtual shards cover the split");
    ensure(!info.is_stream() || info.context > 0, "a stream is served in windows (with_windows)");
    make_workers();
    for (auto& worker : workers_) threads_.emplace_back([this, &worker = *worker] { work(worker); });
}

BatchLoader::Impl::~Impl() {
    ring_->stop();
    for (std::thread& thread : threads_) thread.join();
}

void BatchLoader::Impl::make_workers() {
    std::byte* scratch = staging_.data() + owned_.size() * layout_.run_bytes;
    for (std::int64_t w = 0; w < layout_.workers; ++w) {
        auto worker = std::make_unique<Worker>(reader_.blocks());
        const std::span room(scratch + w * (layout_.scratch_bytes + layout_.augment_bytes),
                             static_cast<std::size_t>(layout_.scratch_bytes));
        for (std::int64_t i = w; i < owned_.size(); i += layout_.workers) {
            worker->feeders.emplace_back(context_, owned_.begin + i, staging_.data() + i * layout_.run_bytes,
                                         room, worker->reading);
            worker->shard_index.push_back(i);
        }
        workers_.push_back(std::move(worker));
    }
}

Cursor BatchLoader::Impl::cursor_of(std::int64_t sequence) const {
    const std::int64_t step = first_step_ + sequence;
    return {step / shards_.steps_per_epoch(), step % shards_.steps_per_epoch()};
}

std::int64_t BatchLoader::Impl::samples_before(std::int64_t leaves, std::int64_t step_in_epoch) const {
    std::int64_t samples = 0;
    for (std::int64_t i = 0; i < leaves; ++i) samples += shards_.leaf(owned_.begin + i, step_in_epoch).size();
    return samples;
}

void BatchLoader::Impl::work(Worker& worker) {
    try {
        for (std::int64_t sequence = 0;; ++sequence) {
            Batch::Slot* slot = ring_->wait_open(sequence);
            if (slot == nullptr) return;
            load_step(worker, sequence, *slot);
            ring_->part_filled(*slot);
        }
    } catch (...) {
        ring_->fail(std::current_exception());
    }
}

void BatchLoader::Impl::load_step(Worker& worker, std::int64_t sequence, Batch::Slot& slot) {
    const auto begin = TraceSink::Clock::now();
    const Cursor cursor = cursor_of(sequence);
    if (cursor.epoch != worker.epoch) {
        worker.order.arrange(options_.seed, cursor.epoch, options_.shuffle);
        for (RunFeeder& feeder : worker.feeders) feeder.start_epoch(worker.order, cursor.epoch);
        worker.epoch = cursor.epoch;
    }
    for (std::size_t f = 0; f < worker.feeders.size(); ++f) {
        const std::int64_t at = samples_before(worker.shard_index[f], cursor.step_in_epoch);
        worker.feeders[f].load_leaf(
            cursor.step_in_epoch,
            {slot.x + at * slot.sample_elements,
             slot.y + at * slot.target_elements * std::int64_t{sizeof(float)}, slot.ids + at});
    }
    if (context_.trace != nullptr) {
        context_.trace->span(Track::data, "load batch", begin, TraceSink::Clock::now(),
                             fmt::format("epoch {}, step {}", cursor.epoch, cursor.step_in_epoch));
    }
}

std::string BatchLoader::Impl::what_workers_do() const {
    std::string text;
    for (std::size_t w = 0; w < workers_.size(); ++w) {
        const std::int64_t block = workers_[w]->reading.load(std::memory_order_relaxed);
        if (block < 0) continue;
        const BlockRef& ref = reader_.blocks()[static_cast<std::size_t>(block)];
        text += fmt::format("; data worker {} is reading chunk {} of /{} in {}", w, ref.chunk, options_.split,
                            reader_.path_of(ref).string());
    }
    return text.empty() ? "; no data worker is reading: is a batch still held?" : text;
}

Batch BatchLoader::Impl::next(const Deadline& deadline) {
    const Cursor cursor = cursor_of(served_);
    Batch::Slot* slot = ring_->wait_ready(served_, deadline);
    if (slot == nullptr) {
        throw CommTimeout(
            fmt::format("data: the batch of epoch {}, step {} was not ready at the deadline{}: look at "
                        "the file system, or raise deadline.data",
                        cursor.epoch, cursor.step_in_epoch, what_workers_do()));
    }
    return serve(*slot, cursor);
}

std::optional<Batch> BatchLoader::Impl::next_if_ready() {
    Batch::Slot* slot = ring_->ready(served_);
    if (slot == nullptr) return std::nullopt;
    return serve(*slot, cursor_of(served_));
}

Batch BatchLoader::Impl::serve(Batch::Slot& slot, const Cursor& cursor) {
    slot.cursor = cursor;
    slot.samples = samples_before(owned_.size(), cursor.step_in_epoch);
    ++served_;
    return Batch(std::shared_ptr<Batch::Slot>(ring_, &slot));
}

BatchLoader::BatchLoader(const DataSetInfo& info, const VirtualShards& shards, IndexRange owned, Cursor start,
                         const LoaderOptions& options, TraceSink* trace)
    : impl_(std::make_unique<Impl>(info, shards, owned, start, options, trace)) {}

BatchLoader::~BatchLoader() = default;

Batch BatchLoader::next(const Deadline& deadline) { return impl_->next(deadline); }
std::optional<Batch> BatchLoader::next_if_ready() { return impl_->next_if_ready(); }
ReadCounters BatchLoader::counters() const { return impl_->counters(); }
Bytes BatchLoader::allocated_bytes() const { return impl_->allocated_bytes(); }

}  // namespace trireme::io
