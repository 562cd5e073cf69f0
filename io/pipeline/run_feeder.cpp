#include "io/pipeline/run_feeder.hpp"

namespace trireme::io {

RunFeeder::RunFeeder(const FeederContext& context, std::int64_t run, std::byte* memory,
                     std::span<std::byte> scratch, Reading& reading)
    : context_(context), run_(run), memory_(memory), scratch_(scratch), reading_(reading) {
    const LoaderLayout& layout = *context.layout;
    std::byte* order = memory + window_blocks * (layout.block_x_bytes + layout.block_y_bytes);
    order_room_ = {reinterpret_cast<std::uint64_t*>(order),
                   static_cast<std::size_t>(window_blocks * layout.block_samples)};
}

std::byte* RunFeeder::block_x(std::int64_t piece) const {
    return memory_ + piece * context_.layout->block_x_bytes;
}

std::int32_t* RunFeeder::block_y(std::int64_t piece) const {
    const LoaderLayout& layout = *context_.layout;
    return reinterpret_cast<std::int32_t*>(memory_ + window_blocks * layout.block_x_bytes +
                                           piece * layout.block_y_bytes);
}

void RunFeeder::start_epoch(const EpochOrder& order, std::int64_t epoch) {
    order_.emplace(order, context_.shards->run(run_), context_.options->seed, epoch, run_,
                   context_.options->shuffle);
    window_ = Window();
}

void RunFeeder::load_window(std::int64_t position) {
    const auto begin = TraceSink::Clock::now();
    window_ = order_->window_at(position);
    const std::vector<BlockRef>& blocks = context_.reader->blocks();
    for (std::int64_t p = 0; p < window_.pieces; ++p) {
        const std::int64_t block = window_.piece[p].block;
        const std::int64_t rows = blocks[static_cast<std::size_t>(block)].samples;
        reading_.store(block, std::memory_order_relaxed);
        context_.reader->read(block, {block_x(p), static_cast<std::size_t>(rows * context_.sample_bytes)},
                              {block_y(p), static_cast<std::size_t>(rows)}, scratch_);
    }
    reading_.store(-1, std::memory_order_relaxed);
    order_->fill(window_, order_room_.first(static_cast<std::size_t>(window_.positions.size())));
    hint_next_window();
    if (context_.trace != nullptr) {
        context_.trace->span(Track::data, "read window", begin, TraceSink::Clock::now(),
                             fmt::format("virtual shard {}, {} blocks", run_, window_.pieces));
    }
}

void RunFeeder::hint_next_window() {
    if (window_.positions.end >= context_.shards->run(run_).end) return;
    const Window next = order_->window_at(window_.positions.end);
    for (std::int64_t p = 0; p < next.pieces; ++p) context_.reader->will_need(next.piece[p].block);
}

void RunFeeder::load_leaf(std::int64_t step_in_epoch, const LeafTarget& target) {
    const IndexRange leaf = context_.shards->leaf(run_, step_in_epoch);
    for (std::int64_t position = leaf.begin; position < leaf.end; ++position) {
        if (window_.index < 0 || position >= window_.positions.end) load_window(position);
        const std::uint64_t ref = order_room_[static_cast<std::size_t>(position - window_.positions.begin)];
        const std::int64_t piece = RunOrder::piece_of(ref);
        const std::int64_t row = RunOrder::row_of(ref);
        const std::int64_t i = position - leaf.begin;
        context_.decoder->decode(block_x(piece) + row * context_.sample_bytes,
                                 target.x + i * context_.sample_elements);
        target.y[i] = block_y(piece)[row];
        target.ids[i] = context_.reader->first_sample(window_.piece[piece].block) + row;
    }
}

}  // namespace trireme::io
