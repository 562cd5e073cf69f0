#include "runtime/core/virtual_shards.hpp"

#include <algorithm>

#include "runtime/core/error.hpp"

namespace trireme {
namespace {

/// floor(a * b / c) without overflow of the product.
std::int64_t mul_div(std::int64_t a, std::int64_t b, std::int64_t c) {
    return static_cast<std::int64_t>(static_cast<__int128>(a) * b / c);
}

}  // namespace

IndexRange even_piece(std::int64_t total, std::int64_t parts, std::int64_t index) {
    return {mul_div(total, index, parts), mul_div(total, index + 1, parts)};
}

VirtualShards::VirtualShards(std::int64_t samples, std::int64_t batch, std::int64_t shards)
    : samples_(samples), batch_(batch), shards_(shards) {
    ensure(samples >= 0 && batch >= 1 && shards >= 1, "virtual shards need N >= 0, B >= 1, L >= 1");
}

std::int64_t VirtualShards::leaf_prefix(std::int64_t v) const { return mul_div(batch_, v, shards_); }

std::int64_t VirtualShards::run_begin(std::int64_t v) const {
    return mul_div(samples_, leaf_prefix(v), batch_);
}

IndexRange VirtualShards::run(std::int64_t v) const { return {run_begin(v), run_begin(v + 1)}; }

std::int64_t VirtualShards::full_leaf(std::int64_t v) const { return leaf_prefix(v + 1) - leaf_prefix(v); }

IndexRange VirtualShards::leaf(std::int64_t v, std::int64_t step_in_epoch) const {
    const IndexRange whole = run(v);
    const std::int64_t size = full_leaf(v);
    const std::int64_t begin = std::min(whole.begin + step_in_epoch * size, whole.end);
    return {begin, std::min(begin + size, whole.end)};
}

std::int64_t VirtualShards::step_samples(std::int64_t step_in_epoch) const {
    return std::clamp<std::int64_t>(samples_ - step_in_epoch * batch_, 0, batch_);
}

}  // namespace trireme
