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

std::vector<std::int64_t> operands_of(const ParallelPlan& plan) {
    std::vector<std::int64_t> operands(static_cast<std::size_t>(plan.world()), 1);
    if (!plan.spec().canonical) return operands;
    const auto layout = plan.canonical_layouts(0, StepKind::full).front();  // leaves are those of any bucket
    for (std::size_t r = 0; r < operands.size(); ++r)
        operands[r] = static_cast<std::int64_t>(held_nodes(layout.present, layout.owned[r]).size());
    return operands;
}

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
    std::int64_t lower = 0;
    for (const std::int64_t slots : operands_) before_.push_back(std::exchange(lower, lower + slots));
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
    constexpr std::uint32_t stride = 101;  // odd, so that it meets all values
    const std::int64_t number = before_[static_cast<std::size_t>(rank)] + slot;
    return (mixed(salt_) + stride * static_cast<std::uint32_t>(number)) % values;
}

SumProof::SumProof(const SumSite& site, Stream& compute, int bucket, std::uint32_t salt)
    : site_(site),
      compute_(compute),
      bucket_(bucket),
      numbers_(operands_of(*site.plan), salt),
      range_(site.plan->buckets().buckets()[static_cast<std::size_t>(bucket)].range),
      host_(site.device->staging(), bytes_of(Elements(range_.size()), DType::f32)) {
    const int rank = site.comm->rank();
    for (std::int64_t slot = 0; slot < numbers_.operands(rank); ++slot) {
        for (std::int64_t i = 0; i < range_.size(); ++i)
            host()[static_cast<std::size_t>(i)] = numbers_.of(rank, slot, i);
        compute_.copy(slot_at(slot), host_.data(), host_.size());
        compute_.synchronize();
    }
}

std::string SumProof::failure_of(BucketSums& sums, const Deadline& deadline) {
    site_.transfers->gradients_ready(bucket_);
    site_.comm->wait(sums.start(bucket_, StepKind::full), deadline);
    sums.finish(bucket_);
    compute_.copy(host_.data(), slot_at(0), host_.size());
    compute_.synchronize();
    std::string failure = difference(host(), numbers_);
    std::ranges::fill(host(), 0.0F);
    const std::int64_t slots = std::max<std::int64_t>(1, numbers_.operands(site_.comm->rank()));
    for (std::int64_t slot = 0; slot < slots; ++slot)
        compute_.copy(slot_at(slot), host_.data(), host_.size());
    compute_.synchronize();
    return failure;
}

std::span<float> SumProof::host() const {
    return {reinterpret_cast<float*>(host_.data()), static_cast<std::size_t>(range_.size())};
}

std::byte* SumProof::slot_at(std::int64_t slot) const {
    return reinterpret_cast<std::byte*>(site_.gradients + range_.begin +
                                        slot * site_.plan->buckets().arena_elements().value);
}

}  // namespace trireme
