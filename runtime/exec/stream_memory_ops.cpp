#include "runtime/exec/stream_memory_ops.hpp"

namespace trireme {

void StreamMemoryOps::add(std::byte* into, const std::byte* from, std::int64_t count, DType dtype) {
    add_(*stream_, {from, into, count, dtype});
}

void StreamMemoryOps::copy(std::byte* to, const std::byte* from, std::int64_t bytes) {
    stream_->copy(to, from, Bytes(bytes));
}

MemoryOps::Mark StreamMemoryOps::mark() {
    if (spare_.empty()) spare_.push_back(device_.make_event());
    stream_->record(*spare_.back());
    under_way_.push_back(std::move(spare_.back()));
    spare_.pop_back();
    return ++marked_;
}

bool StreamMemoryOps::passed(Mark mark) {
    auto event = under_way_.begin();
    for (; event != under_way_.end() && passed_ < mark && (*event)->done(); ++event) {
        ++passed_;
        spare_.push_back(std::move(*event));
    }
    under_way_.erase(under_way_.begin(), event);
    return passed_ >= mark;
}

void StreamMemoryOps::drain() noexcept {
    if (stream_) drain_stream(*stream_);
}

}  // namespace trireme
