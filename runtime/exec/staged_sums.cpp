#include "runtime/exec/staged_sums.hpp"

#include <algorithm>
#include <utility>

#include "runtime/core/dtype.hpp"
#include "runtime/core/error.hpp"

namespace trireme {
namespace {

float* floats(const Region& region) { return reinterpret_cast<float*>(region.data()); }

/// As many segments as a list keeps under way at once, 1 MiB as a rule: a ring goes round by so many, so it
/// waits for one piece at a time. Smaller ones would cost more launches and events than they save time.
std::int64_t piece_elements(const comm::Communicator& comm) {
    return comm.segment_elements() * comm::stream_depth;
}

}  // namespace

void StagedOps::drain() noexcept {
    if (upload_) drain_stream(*upload_);
}

void StagedOps::upload(float* to, const float* from, std::int64_t elements) {
    upload_->copy(reinterpret_cast<std::byte*>(to), reinterpret_cast<const std::byte*>(from),
                  bytes_of(Elements(elements), DType::f32));
}

StagedBucket::StagedBucket(std::shared_ptr<const comm::StepList> steps, const Place& place, Device& device,
                           std::shared_ptr<StagedOps> ops)
    : StagedBuffer(std::move(steps)), place_(place), ops_(std::move(ops)) {
    std::vector<IndexRange> grid;
    const std::int64_t parts = (place.range.size() + place.piece - 1) / place.piece;
    for (std::int64_t slot = 0; slot < place.slots; ++slot) {
        const std::int64_t begin = place.range.begin + slot * place.stride;
        for (std::int64_t part = 0; part < parts; ++part)
            grid.push_back(comm::segment_of({begin, begin + place.range.size()}, parts, part));
    }
    for (const std::size_t index : comm::first_touches(*this->steps(), grid)) {
        const IndexRange range = grid[index];
        pieces_.push_back({range, downloads_.size()});
        downloads_.push_back({place.host + range.begin, place.device + range.begin, range.size(),
                              std::shared_ptr<Event>(device.make_event())});
    }
    std::sort(pieces_.begin(), pieces_.end(),
              [](const Piece& a, const Piece& b) { return a.range.begin < b.range.begin; });
}

comm::Ready StagedBucket::ready() const {
    if (downloads_.empty()) return {};
    return [first = downloads_.front().arrived] { return first->done(); };
}

bool StagedBucket::arrived(IndexRange range) {
    std::size_t needed = 0;
    auto piece = std::partition_point(pieces_.begin(), pieces_.end(),
                                      [&](const Piece& p) { return p.range.end <= range.begin; });
    for (; piece != pieces_.end() && piece->range.begin < range.end; ++piece)
        needed = std::max(needed, piece->turn + 1);
    // One stream copies them in their turns: the event of one speaks for all before it.
    if (needed > there_ && downloads_[needed - 1].arrived->done()) there_ = needed;
    return needed <= there_;
}

void StagedBucket::settled(IndexRange range) {
    // The sum; operands in other slots and scratch stay here.
    const IndexRange sum{std::max(range.begin, place_.range.begin), std::min(range.end, place_.range.end)};
    if (sum.begin >= sum.end) return;
    if (settled_.end != sum.begin) upload();
    settled_ = {settled_.empty() ? sum.begin : settled_.begin, sum.end};
    if (settled_.size() >= place_.piece) upload();
}

void StagedBucket::upload() {
    const IndexRange range = std::exchange(settled_, IndexRange{});
    if (range.empty()) return;
    ops_->upload(place_.device + range.begin, place_.host + range.begin, range.size());
}

void StagedBucket::finish(Event& summed) {
    ensure(there_ == downloads_.size(), "a sum has touched all that was copied for it");
    upload();
    ops_->record(summed);
    there_ = 0;
}

StagedSums::StagedSums(const SumSite& site)
    : site_(site),
      memory_(
          site.comm->allocate_buckets(bytes_of(site.plan->gradient_elements(site.comm->rank()), DType::f32))),
      pinned_(*site.device, memory_),
      listed_(*site.plan, *site.comm, floats(memory_), site.comm->segment_elements()),
      ops_(std::make_shared<StagedOps>(*site.device)) {
    const int buckets = static_cast<int>(site.plan->buckets().buckets().size());
    const auto all_of = [&](StepKind kind) {
        std::vector<std::shared_ptr<StagedBucket>> made;
        for (int b = 0; b < buckets; ++b) made.push_back(make_bucket(b, kind));
        return made;
    };
    buckets_[StepKind::full] = all_of(StepKind::full);
    if (site.plan->has_short_step()) {  // where there is no tree over leaves, its lists are the same
        buckets_[StepKind::short_last] =
            site.plan->spec().canonical ? all_of(StepKind::short_last) : buckets_[StepKind::full];
    }
    comm::LaneSetup setup;
    setup.ops = ops_;
    setup.segment_bytes = site.comm->segment_elements() * size_of(DType::f32);
    lane_ = site.comm->open_lane(std::move(setup));
}

StagedSums::~StagedSums() {
    site_.comm->close_lane(lane_);
    ops_->close();
}

std::shared_ptr<StagedBucket> StagedSums::make_bucket(int bucket, StepKind kind) const {
    const GradBuckets& buckets = site_.plan->buckets();
    const IndexRange range = buckets.buckets()[static_cast<std::size_t>(bucket)].range;
    const std::int64_t origin = listed_.origin(bucket);  // of the list's offsets
    StagedBucket::Place place;
    place.host = floats(memory_) + origin;
    place.device = site_.gradients + origin;
    place.range = {range.begin - origin, range.end - origin};
    // Every slot: which of them a sum along the tree reads is for its list to say.
    place.stride = buckets.arena_elements().value;
    place.slots = site_.plan->device_gradients(site_.comm->rank()).value / place.stride;
    place.piece = piece_elements(*site_.comm);
    return std::make_shared<StagedBucket>(listed_.steps(bucket, kind), place, *site_.device, ops_);
}

comm::Ticket StagedSums::start(int bucket, StepKind kind) {
    const auto& staged = buckets_.at(kind)[static_cast<std::size_t>(bucket)];
    site_.transfers->download(bucket, staged->downloads());
    const auto finished = [staged, summed = site_.transfers->summed(bucket)] { staged->finish(*summed); };
    return listed_.start(bucket, kind, staged->ready(), {lane_, finished, staged});
}

std::span<float> StagedSums::host() const {
    return {floats(memory_), static_cast<std::size_t>(site_.plan->buckets().arena_elements().value)};
}

}  // namespace trireme
