#include "io/pipeline/batch_ring.hpp"

namespace trireme::io {

BatchRing::BatchRing(const LoaderLayout& layout, const DataSetInfo& info, MemorySpace* memory)
    : parts_(layout.workers),
      memory_(memory != nullptr ? *memory : host_, Bytes(layout.ring_bytes)),
      slots_(static_cast<std::size_t>(layout.slots)) {
    std::byte* next = memory_.data();
    for (std::size_t i = 0; i < slots_.size(); ++i) {
        Batch::Slot& slot = slots_[i];
        slot.ring = this;
        slot.sequence = static_cast<std::int64_t>(i);
        slot.missing = parts_;
        slot.sample_elements = info.sample_shape.elements().value;
        slot.target_elements = info.target_shape.elements().value;
        slot.has_indices = info.has_classes() || info.is_stream();
        slot.is_stream = info.is_stream();
        slot.x = reinterpret_cast<float*>(next);
        slot.y = next + layout.x_bytes;
        slot.ids = reinterpret_cast<std::int64_t*>(next + layout.x_bytes + layout.y_bytes);
        next += layout.x_bytes + layout.y_bytes + layout.ids_bytes;
    }
}

Batch::Slot* BatchRing::wait_open(std::int64_t sequence) {
    Batch::Slot& slot = slots_[static_cast<std::size_t>(sequence) % slots_.size()];
    std::unique_lock lock(mutex_);
    opened_.wait(lock, [&] { return stopped_ || slot.sequence == sequence; });
    return stopped_ ? nullptr : &slot;
}

void BatchRing::part_filled(Batch::Slot& slot) {
    const std::lock_guard lock(mutex_);
    if (--slot.missing == 0) ready_.notify_all();
}

Batch::Slot* BatchRing::wait_ready(std::int64_t sequence, const Deadline& deadline) {
    Batch::Slot& slot = slots_[static_cast<std::size_t>(sequence) % slots_.size()];
    std::unique_lock lock(mutex_);
    const auto filled = [&] { return slot.sequence == sequence && slot.missing == 0; };
    ready_.wait_until(lock, deadline.time(), [&] { return filled() || error_; });
    if (filled()) return &slot;
    if (error_) std::rethrow_exception(error_);
    return nullptr;
}

Batch::Slot* BatchRing::ready(std::int64_t sequence) {
    Batch::Slot& slot = slots_[static_cast<std::size_t>(sequence) % slots_.size()];
    const std::lock_guard lock(mutex_);
    return slot.sequence == sequence && slot.missing == 0 ? &slot : nullptr;
}

void BatchRing::release(Batch::Slot& slot) {
    const std::lock_guard lock(mutex_);
    slot.sequence += static_cast<std::int64_t>(slots_.size());
    slot.missing = parts_;
    opened_.notify_all();
}

void BatchRing::fail(std::exception_ptr error) {
    const std::lock_guard lock(mutex_);
    if (!error_) error_ = std::move(error);
    ready_.notify_all();
}

void BatchRing::stop() {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    opened_.notify_all();
}

}  // namespace trireme::io
