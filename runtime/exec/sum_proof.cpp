#include "runtime/exec/sum_proof.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "runtime/core/leaf_tree.hpp"

namespace trireme {
namespace {

/// Spreads the bits of a number over all others (a step of MurmurHash3's finalizer and a Weyl increment).
std::uint32_t mixed(std::uint32_t bits) {
    bits = (bits + 0x9e3779b9u) * 0x85ebca6bu;
    return bits ^ bits >> 16;
}

std::vector<std::int64_t> operands_of(const ParallelPlan& plan, int bucket) {
    std::vector<std::int64_t> operands(static_cast<std::size_t>(plan.world()), 1);
    if (!plan.spec().canonical) return operands;
    const auto layout = plan.canonical_layouts(0, StepKind::full)[static_cast<std::size_t>(bucket)];
    for (std::size_t r = 0; r < operands.size(); ++r)
        operands[r] = static_cast<std::int64_t>(held_nodes(layout.present, layout.owned[r]).size());
    return operands;
}

/// One bucket in the device's memory, and the host's end of copies from and to it.
class BucketMemory {
  public:
    BucketMemory(const SumSite& site, Stream& compute, IndexRange range)
        : stream_(compute),
          device_(site.gradients + range.begin),
          stride_(site.plan->buckets().arena_elements().value),
          host_(site.device->staging(), bytes_of(Elements(range.size()), DType::f32)) {}

    [[nodiscard]] std::span<float> host() const {
        return {reinterpret_cast<float*>(host_.data()),
                static_cast<std::size_t>(host_.size().value) / sizeof(float)};
    }
    void to_slot(std::int64_t slot) {
        stream_.copy(reinterpret_cast<std::byte*>(device_ + slot * stride_), host_.data(), host_.size());
        stream_.synchronize();
    }
    void from_slot(std::int64_t slot) {
        stream_.copy(host_.data(), reinterpret_cast<const std::byte*>(device_ + slot * stride_),
                     host_.size());
        stream_.synchronize();
    }

  private:
    Stream& stream_;
    float* device_;
    std::int64_t stride_;
    Region host_;
};

std::string difference(std::span<const float> found, const KnownNumbers& numbers) {
    std::int64_t wrong = 0;
    std::int64_t first = 0;
    for (std::size_t i = 0; i < found.size(); ++i) {
        const auto element = static_cast<std::int64_t>(i);
        if (found[i] == numbers.sum(element)) continue;
        if (wrong++ == 0) first = element;
    }
    if (wrong == 0) return {};
    return fmt::format(
        "a sum of known numbers is wrong in {} of {} elements (the first is number {}: {} where {} is "
        "right)",
        wrong, found.size(), first, found[static_cast<std::size_t>(first)], numbers.sum(first));
}

}  // namespace

KnownNumbers::KnownNumbers(std::vector<std::int64_t> operands, std::uint32_t salt)
    : operands_(std::move(operands)), salt_(salt), sums_(values) {
    for (std::size_t r = 0; r < operands_.size(); ++r) {
        for (std::int64_t slot = 0; slot < operands_[r]; ++slot) {
            const std::uint32_t shifted = shift(static_cast<int>(r), slot);
            for (std::uint32_t p = 0; p < values; ++p) sums_[p] += static_cast<float>((p + shifted) % values);
        }
    }
}

std::uint32_t KnownNumbers::pattern(std::int64_t element) const {
    return mixed(static_cast<std::uint32_t>(element) ^ mixed(salt_)) % values;
}

std::uint32_t KnownNumbers::shift(int rank, std::int64_t slot) const {
    return mixed(mixed(static_cast<std::uint32_t>(rank) ^ mixed(salt_)) ^ static_cast<std::uint32_t>(slot)) %
           values;
}

std::string prove_sum(BucketSums& sums, const SumSite& site, Stream& compute, int bucket, std::uint32_t salt,
                      const Deadline& deadline) {
    const KnownNumbers numbers(operands_of(*site.plan, bucket), salt);
    const IndexRange range = site.plan->buckets().buckets()[static_cast<std::size_t>(bucket)].range;
    BucketMemory memory(site, compute, range);
    const int rank = site.comm->rank();
    for (std::int64_t slot = 0; slot < numbers.operands(rank); ++slot) {
        for (std::int64_t i = 0; i < range.size(); ++i)
            memory.host()[static_cast<std::size_t>(i)] = numbers.of(rank, slot, i);
        memory.to_slot(slot);
    }
    site.transfers->gradients_ready(bucket);
    site.comm->wait(sums.start(bucket, StepKind::full), deadline);
    sums.finish(bucket);
    memory.from_slot(0);
    std::string failure = difference(memory.host(), numbers);
    std::ranges::fill(memory.host(), 0.0F);
    for (std::int64_t slot = 0; slot < std::max<std::int64_t>(1, numbers.operands(rank)); ++slot)
        memory.to_slot(slot);
    return failure;
}

}  // namespace trireme
