#include "runtime/exec/device_sums.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "runtime/core/error.hpp"

namespace trireme {
namespace {

constexpr std::int64_t least_segment = 64 * 1024;
constexpr std::int64_t most_segment = 4 * 1024 * 1024;
/// Where staging begins, behind gradients: what kernels read in packs is aligned.
constexpr std::int64_t alignment = 256;

std::int64_t rounded_up(std::int64_t value, std::int64_t to) { return (value + to - 1) / to * to; }

}  // namespace

LaneGeometry LaneGeometry::of(const ParallelPlan& plan, int rank) {
    std::int64_t largest = 0;  // elements of a bucket
    for (const GradBucket& bucket : plan.buckets().buckets())
        largest = std::max(largest, bucket.range.size());
    // What two ranks give each other of a bucket is half of it, and goes in two pieces at least.
    const std::int64_t wanted = bytes_of(Elements(largest), DType::f32).value / 4;
    LaneGeometry geometry;
    geometry.segment_bytes = rounded_up(std::clamp(wanted, least_segment, most_segment), alignment);
    geometry.gradients =
        Bytes(rounded_up(bytes_of(plan.gradient_elements(rank), DType::f32).value, alignment));
    geometry.staging = Bytes(comm::staging_bytes(geometry.segment_bytes));
    return geometry;
}

LaneSums::LaneSums(const SumSite& site, StreamMemoryOps::Add add,
                   std::vector<std::span<const std::byte>> peers)
    : site_(site),
      listed_(*site.plan, *site.comm, site.gradients,
              LaneGeometry::of(*site.plan, site.comm->rank()).segment_bytes / size_of(DType::f32)),
      ops_(std::make_shared<StreamMemoryOps>(*site.device, std::move(add))) {
    const LaneGeometry geometry = LaneGeometry::of(*site.plan, site.comm->rank());
    comm::LaneSetup setup;
    setup.ops = ops_;
    setup.staging = {reinterpret_cast<std::byte*>(site.gradients) + geometry.gradients.value,
                     static_cast<std::size_t>(geometry.staging.value)};
    setup.segment_bytes = geometry.segment_bytes;
    setup.peers = std::move(peers);
    lane_ = site.comm->open_lane(std::move(setup));
}

LaneSums::~LaneSums() { site_.comm->close_lane(lane_); }

comm::Ticket LaneSums::start(int bucket, StepKind kind) {
    const auto finished = [ops = ops_, summed = site_.transfers->summed(bucket)] { ops->record(*summed); };
    return listed_.start(bucket, kind, site_.transfers->gradients_there(bucket), {lane_, finished});
}

LibrarySums::LibrarySums(const SumSite& site, std::unique_ptr<LibrarySum> library)
    : site_(site),
      started_(site.plan->buckets().buckets().size()),
      library_(std::move(library)),
      stream_(site.device->make_stream()) {
    for (std::size_t b = 0; b < started_.size(); ++b) labels_.push_back(fmt::format("bucket {}", b));
}

LibrarySums::~LibrarySums() {
    // A sum whose peers have gone never ends, and the stream would wait for it.
    const auto under_way = [](const comm::Ticket& ticket) { return ticket.valid() && !ticket.done(); };
    if (std::any_of(started_.begin(), started_.end(), under_way)) library_->give_up();
}

comm::Ticket LibrarySums::start(int bucket, StepKind) {
    const auto index = static_cast<std::size_t>(bucket);
    const IndexRange range = site_.plan->buckets().buckets()[index].range;
    site_.transfers->await_gradients(*stream_, bucket);
    library_->all_reduce(*stream_, site_.gradients + range.begin, range.size());
    const std::shared_ptr<Event> summed = site_.transfers->summed(bucket);
    stream_->record(*summed);
    started_[index] = site_.comm->arrive(labels_[index], [summed] { return summed->done(); });
    return started_[index];
}

}  // namespace trireme
