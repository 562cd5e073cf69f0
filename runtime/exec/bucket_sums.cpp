#include "runtime/exec/bucket_sums.hpp"

#include <utility>

#include <fmt/format.h>

namespace trireme {
namespace {

float* floats(const Region& region) { return reinterpret_cast<float*>(region.data()); }

}  // namespace

ListedSums::ListedSums(const ParallelPlan& plan, comm::Communicator& comm, float* memory,
                       std::int64_t segment)
    : plan_(plan),
      comm_(comm),
      memory_(memory, static_cast<std::size_t>(plan.gradient_elements(comm.rank()).value)) {
    for (std::size_t b = 0; b < plan.buckets().buckets().size(); ++b)
        labels_.push_back(fmt::format("bucket {}", b));
    if (!plan.spec().canonical) return;
    for (StepKind kind : {StepKind::full, StepKind::short_last}) {  // made now, so that no step pays for it
        if (kind == StepKind::short_last && !plan.has_short_step()) continue;
        for (const comm::CanonicalLayout& layout : plan.canonical_layouts(comm.rank(), kind)) {
            lists_[kind].push_back(std::make_shared<const comm::StepList>(
                comm::canonical_all_reduce(layout, comm.rank(), segment)));
        }
    }
}

comm::Ticket ListedSums::start(int bucket, StepKind kind, comm::Ready ready, comm::OnLane place) {
    const auto index = static_cast<std::size_t>(bucket);
    const IndexRange range = plan_.buckets().buckets()[index].range;
    if (plan_.spec().canonical) {
        return comm_.canonical_all_reduce(lists_.at(kind)[index], memory_, range.size(), labels_[index],
                                          std::move(ready), std::move(place));
    }
    const auto data =
        memory_.subspan(static_cast<std::size_t>(range.begin), static_cast<std::size_t>(range.size()));
    return comm_.all_reduce(data, plan_.spec().algorithm, labels_[index], std::move(ready), std::move(place));
}

StagedSums::StagedSums(const SumSite& site)
    : site_(site),
      memory_(
          site.comm->allocate_buckets(bytes_of(site.plan->gradient_elements(site.comm->rank()), DType::f32))),
      pinned_(*site.device, memory_),
      listed_(*site.plan, *site.comm, floats(memory_), site.comm->segment_elements()) {
    const std::int64_t stride = site.plan->buckets().arena_elements().value;
    const std::int64_t slots = site.plan->device_gradients(site.comm->rank()).value;
    for (const GradBucket& bucket : site.plan->buckets().buckets()) {
        // Every slot: which of them a sum along the tree reads is for comm to know.
        std::vector<DeviceTransfers::Range>& ranges = downloads_.emplace_back();
        for (std::int64_t slot = 0; slot * stride < slots; ++slot)
            ranges.push_back(at_both(slot * stride + bucket.range.begin, bucket.range.size()));
    }
}

comm::Ticket StagedSums::start(int bucket, StepKind kind) {
    return listed_.start(bucket, kind,
                         site_.transfers->download(bucket, downloads_[static_cast<std::size_t>(bucket)]));
}

void StagedSums::finish(int bucket) {
    const IndexRange range = site_.plan->buckets().buckets()[static_cast<std::size_t>(bucket)].range;
    site_.transfers->upload_sum(bucket, at_both(range.begin, range.size()));
}

std::span<float> StagedSums::host() const {
    return {floats(memory_), static_cast<std::size_t>(site_.plan->buckets().arena_elements().value)};
}

DeviceTransfers::Range StagedSums::at_both(std::int64_t offset, std::int64_t elements) const {
    return {floats(memory_) + offset, site_.gradients + offset, elements};
}

}  // namespace trireme
