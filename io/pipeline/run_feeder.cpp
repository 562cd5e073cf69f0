#include "io/pipeline/run_feeder.hpp"

#include <cstring>

#include "io/targets.hpp"

namespace trireme::io {

RunFeeder::RunFeeder(const FeederContext& context, std::int64_t run, std::byte* memory,
                     std::span<std::byte> scratch, Reading& reading)
    : context_(context),
      run_(run),
      memory_(memory),
      scratch_(scratch),
      reading_(reading),
      sample_bytes_(context.info->sample_bytes()),
      target_bytes_(context.info->target_bytes()),
      sample_elements_(context.info->sample_shape.elements().value),
      target_elements_(context.info->target_shape.elements().value) {
    const LoaderLayout& layout = *context.layout;
    std::byte* order = memory + window_blocks * (layout.block_x_bytes + layout.block_y_bytes);
    order_room_ = {reinterpret_cast<std::uint64_t*>(order),
                   static_cast<std::size_t>(window_blocks * layout.block_samples)};
}

std::byte* RunFeeder::block_x(std::int64_t piece) const {
    return memory_ + piece * context_.layout->block_x_bytes;
}

std::byte* RunFeeder::block_y(std::int64_t piece) const {
    const LoaderLayout& layout = *context_.layout;
    return memory_ + window_blocks * layout.block_x_bytes + piece * layout.block_y_bytes;
}

void RunFeeder::start_epoch(const EpochOrder& order, std::int64_t epoch) {
    order_.emplace(order, context_.shards->run(run_), context_.options->seed, epoch, run_,
                   context_.options->shuffle);
    window_ = Window();
    if (context_.info->is_stream())
        shift_ = window_shift(context_.options->seed, epoch, context_.options->shuffle, sample_elements_);
    if (context_.augment) {
        crop_flip_.emplace(context_.options->seed, epoch, context_.info->sample_shape,
                           context_.info->x_dtype);
    }
}

void RunFeeder::load_window(std::int64_t position) {
    const auto begin = TraceSink::Clock::now();
    window_ = order_->window_at(position);
    const std::vector<BlockRef>& blocks = context_.reader->blocks();
    for (std::int64_t p = 0; p < window_.pieces; ++p) {
        const std::int64_t block = window_.piece[p].block;
        const BlockRef& ref = blocks[static_cast<std::size_t>(block)];
        reading_.store(block, std::memory_order_relaxed);
        context_.reader->read(block,
                              {block_x(p), static_cast<std::size_t>(context_.info->block_x_bytes(ref))},
                              {block_y(p), static_cast<std::size_t>(ref.samples * target_bytes_)}, scratch_);
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

const std::byte* RunFeeder::seen(const std::byte* sample, std::int64_t id) {
    if (!crop_flip_) return sample;
    std::byte* moved = scratch_.data() + scratch_.size();
    crop_flip_->apply(sample, id, moved);
    return moved;
}

void RunFeeder::put_target(const std::byte* stored, std::int64_t i, const LeafTarget& target) const {
    std::byte* to = target.y + i * target_elements_ * std::int64_t{sizeof(float)};
    if (context_.info->has_classes()) {
        std::memcpy(to, stored, sizeof(std::int32_t));
    } else {
        decode_vector(*context_.info, {stored, static_cast<std::size_t>(target_bytes_)},
                      reinterpret_cast<float*>(to));
    }
}

void RunFeeder::put_window(std::int64_t piece, std::int64_t row, std::int64_t i,
                           const LeafTarget& target) const {
    const DType dtype = context_.info->x_dtype;
    const std::byte* tokens = block_x(piece) + (shift_ + row * sample_elements_) * size_of(dtype);
    const std::int64_t at = i * sample_elements_;
    decode_tokens(tokens, dtype, sample_elements_, reinterpret_cast<std::int32_t*>(target.x) + at);
    decode_tokens(tokens + size_of(dtype), dtype, sample_elements_,
                  reinterpret_cast<std::int32_t*>(target.y) + at);
}

void RunFeeder::put_sample(std::int64_t piece, std::int64_t row, std::int64_t i, const LeafTarget& target) {
    target.ids[i] = context_.reader->first_sample(window_.piece[piece].block) + row;
    if (context_.info->is_stream()) {
        put_window(piece, row, i, target);
        return;
    }
    context_.decoder->decode(seen(block_x(piece) + row * sample_bytes_, target.ids[i]),
                             target.x + i * sample_elements_);
    put_target(block_y(piece) + row * target_bytes_, i, target);
}

void RunFeeder::load_leaf(std::int64_t step_in_epoch, const LeafTarget& target) {
    const IndexRange leaf = context_.shards->leaf(run_, step_in_epoch);
    for (std::int64_t position = leaf.begin; position < leaf.end; ++position) {
        if (window_.index < 0 || position >= window_.positions.end) load_window(position);
        const std::uint64_t ref = order_room_[static_cast<std::size_t>(position - window_.positions.begin)];
        put_sample(RunOrder::piece_of(ref), RunOrder::row_of(ref), position - leaf.begin, target);
    }
}

}  // namespace trireme::io
